// tools/cli/fetcher.h: reads records of many partitions, wherever their leaders are.
//
// Owner: one command. Keeps one position per partition; a round asks every leader once and hands
// the records on in offset order per partition. Leaves out control batches, and with `committed`
// the records of aborted transactions (KIP-98). Leaders that moved are looked up again; what stays
// wrong for the client's time limit is thrown. Requires a Client that is renewed by the caller.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "cli/client.h"
#include "cli/offsets.h"
#include "millrace/record/batch_iterator.h"
#include "millrace/wire/gen/fetch_response.h"

namespace millrace::cli {

struct FetchedRecord {
    const TopicPartition& partition;
    int64_t offset;
    int64_t timestamp;
    bool log_append_time;
    const record::RecordView& record;
};

class Fetcher {
  public:
    /// False stops the round; the record itself counts as read.
    using Sink = std::function<bool(const FetchedRecord&)>;
    /// Where to go on when the log does not have the position; nothing makes it a Failure.
    using OutOfRange = std::function<std::optional<int64_t>(const TopicPartition&)>;

    Fetcher(Client& client, bool committed) : client_(client), committed_(committed) {}

    void start(const TopicPartition& partition, int64_t offset) {
        cursors_[partition] = {offset, -1, {}};
        stale_ = true;
    }
    void stop(const TopicPartition& partition) { cursors_.erase(partition); }
    void on_out_of_range(OutOfRange hook) { out_of_range_ = std::move(hook); }
    /// Smaller answers: for one record per partition.
    void limit_partition_bytes(int32_t bytes) { partition_bytes_ = bytes; }

    /// One request to each leader. Waits at most about `wait_ms` for records.
    void round(int32_t wait_ms, const Sink& sink);

    bool empty() const { return cursors_.empty(); }
    bool has(const TopicPartition& partition) const { return cursors_.contains(partition); }
    int64_t position(const TopicPartition& partition) const { return cursors_.at(partition).next; }
    std::map<TopicPartition, int64_t> positions() const;

  private:
    struct Cursor {
        int64_t next = 0;
        int32_t leader = -1;
        Uuid topic_id;
    };
    /// Transactions that were aborted: their records lie between the first offset of the list and
    /// the marker. The list is used up in order, so that a producer's later transactions are not
    /// taken for the aborted one.
    struct Aborted {
        std::vector<wire::FetchResponse::AbortedTransaction> waiting;  // first offset rising
        std::set<int64_t> producers;
        size_t used = 0;
        void open_until(int64_t last_offset);
    };

    void refresh_leaders();
    bool fetch(int32_t leader, int32_t wait_ms, const Sink& sink);
    /// Both answer false when the sink had enough.
    bool take(const TopicPartition& partition, const wire::FetchResponse::PartitionData& data,
              const Sink& sink);
    bool take_batch(const TopicPartition& partition, const record::BatchView& batch, Cursor& cursor,
                    Aborted& aborted, const Sink& sink);
    /// True when the error is dealt with and the partition has no records this time.
    bool absorbed(const TopicPartition& partition, int16_t error_code);

    Client& client_;
    bool committed_;
    bool stale_ = true;
    int32_t partition_bytes_ = 1024 * 1024;
    std::optional<TimePoint> stale_until_;  // patience with leaders that do not answer for it
    std::map<TopicPartition, Cursor> cursors_;
    OutOfRange out_of_range_;
};

/// The timestamps of the records at these offsets (or the first after them); what has no record is
/// left out.
std::map<TopicPartition, int64_t> timestamps_at(Client& client,
                                                const std::map<TopicPartition, int64_t>& offsets);

}  // namespace millrace::cli
