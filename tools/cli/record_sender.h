// tools/cli/record_sender.h: gathers records of one topic and sends them as batches.
//
// Owner: one command. Records wait per partition until flush() or until about half a megabyte is
// together. Keys go where Java's default partitioner sends them; records without a key go to one
// partition per flush, in turn. A batch is sent again while its leader moves; one that is refused is a Failure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/client.h"
#include "millrace/record/batch_builder.h"

namespace millrace::cli {

struct SenderOptions {
    std::string topic;
    std::string compression = "none";
    int16_t acks = -1;
    int32_t partition = -1;  // of every record; -1 lets the keys decide
};

struct OutgoingRecord {
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::vector<std::pair<std::string, std::optional<std::string>>> headers;
};

class RecordSender {
  public:
    using Topic = wire::MetadataResponse::MetadataResponseTopic;
    using OnSent = std::function<void(int32_t partition, int64_t first_offset, int64_t count)>;

    RecordSender(Client& client, SenderOptions options, Topic topic);

    void on_sent(OnSent hook) { on_sent_ = std::move(hook); }
    void add(const OutgoingRecord& record);
    void flush();

  private:
    size_t choose(const std::optional<std::string>& key) const;
    void send(size_t partition);
    /// 0, or an error after which another attempt can help.
    int16_t send_once(int32_t partition, const Buffer& batch, int64_t count);
    int32_t leader_of(int32_t partition) const;

    Client& client_;
    SenderOptions options_;
    Topic topic_;
    record::BatchOptions batch_;
    std::vector<record::BatchBuilder> builders_;
    std::vector<int64_t> counts_;
    OnSent on_sent_;
    size_t bytes_ = 0;
    size_t turn_ = 0;
};

/// The topic once all its partitions have a leader; made with the cluster's defaults when it is
/// missing, and `created` says so.
RecordSender::Topic topic_to_write(Client& client, const std::string& name, bool& created);

}  // namespace millrace::cli
