// tools/cli/fetcher.cc: reads records of many partitions, wherever their leaders are.
#include "cli/fetcher.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>

#include "millrace/record/control_record.h"
#include "millrace/wire/gen/fetch_request.h"

namespace millrace::cli {
namespace {

constexpr int32_t kFetchBytesMax = 16 * 1024 * 1024;
constexpr int32_t kBackoffMs = 100;
constexpr int16_t kVersionOfTopicIds = 13;

/// Errors that another leader, or the same a moment later, does not give.
bool leader_may_come(ErrorCode code) {
    return code == ErrorCode::NotLeaderOrFollower || code == ErrorCode::LeaderNotAvailable ||
           code == ErrorCode::FencedLeaderEpoch || code == ErrorCode::UnknownLeaderEpoch ||
           code == ErrorCode::UnknownTopicOrPartition || code == ErrorCode::UnknownTopicId ||
           code == ErrorCode::InconsistentTopicId || code == ErrorCode::OffsetNotAvailable ||
           code == ErrorCode::KafkaStorageError || code == ErrorCode::ReplicaNotAvailable;
}

}  // namespace

std::map<TopicPartition, int64_t> Fetcher::positions() const {
    std::map<TopicPartition, int64_t> found;
    for (const auto& [partition, cursor] : cursors_)
        found[partition] = cursor.next;
    return found;
}

void Fetcher::refresh_leaders() {
    std::set<std::string> topics;
    for (const auto& [partition, cursor] : cursors_)
        topics.insert(partition.topic);
    const auto metadata =
        client_.metadata(std::vector<std::string>(topics.begin(), topics.end()));
    for (auto& [partition, cursor] : cursors_)
        cursor.leader = -1;
    for (const auto& topic : metadata.topics) {
        for (const auto& p : topic.partitions) {
            const auto found = cursors_.find({topic.name.value_or(""), p.partition_index});
            if (found == cursors_.end()) continue;
            found->second.leader = p.leader_id;
            found->second.topic_id = topic.topic_id;
        }
    }
    stale_ = false;
}

bool Fetcher::absorbed(const TopicPartition& partition, int16_t error_code) {
    const auto code = error_code_from(error_code).value_or(ErrorCode::UnknownServerError);
    Cursor& cursor = cursors_.at(partition);
    if (code == ErrorCode::OffsetOutOfRange) {
        const auto next = out_of_range_ ? out_of_range_(partition) : std::nullopt;
        if (!next) {
            throw Failure{kNotFound,
                          fmt::format("{} has no offset {}", partition.to_string(), cursor.next),
                          "use --from earliest, or an offset that topic describe shows",
                          error_code, ""};
        }
        cursor.next = *next;
        return true;
    }
    if (!leader_may_come(code)) return false;
    const auto now = std::chrono::steady_clock::now();
    if (!stale_until_) stale_until_ = now + std::chrono::milliseconds(client_.timeout_ms());
    if (now > *stale_until_) return false;
    stale_ = true;
    return true;
}

void Fetcher::round(int32_t wait_ms, const Sink& sink) {
    if (stale_) refresh_leaders();
    std::set<int32_t> leaders;
    for (const auto& [partition, cursor] : cursors_) {
        if (cursor.leader >= 0)
            leaders.insert(cursor.leader);
        else if (!absorbed(partition, wire_error(ErrorCode::LeaderNotAvailable)))
            check_error(wire_error(ErrorCode::LeaderNotAvailable), std::nullopt,
                        partition.to_string());
    }
    if (leaders.empty() || stale_) poll(nullptr, 0, std::min(wait_ms, kBackoffMs));
    for (const int32_t leader : leaders) {
        try {
            if (!fetch(leader, leaders.size() > 1 ? wait_ms / 5 : wait_ms, sink)) return;
        } catch (const Failure&) {
            stale_ = true;  // a broker that is gone leads nothing any more
            throw;
        }
    }
    if (!stale_) stale_until_.reset();
}

bool Fetcher::fetch(int32_t leader, int32_t wait_ms, const Sink& sink) {
    Connection& connection = client_.node(leader);
    const int16_t version = connection.version_of<wire::FetchRequest>();
    wire::FetchRequest request;
    request.max_wait_ms = wait_ms;
    request.min_bytes = 1;
    request.max_bytes = kFetchBytesMax;
    request.isolation_level = committed_ ? 1 : 0;
    std::map<Uuid, std::string> names;
    std::string last_topic;
    for (const auto& [partition, cursor] : cursors_) {
        if (cursor.leader != leader) continue;
        if (request.topics.empty() || last_topic != partition.topic) {
            auto& topic = request.topics.emplace_back();
            if (version >= kVersionOfTopicIds)
                topic.topic_id = cursor.topic_id;
            else
                topic.topic = partition.topic;
            names[cursor.topic_id] = partition.topic;
            last_topic = partition.topic;
        }
        auto& wanted = request.topics.back().partitions.emplace_back();
        wanted.partition = partition.partition;
        wanted.fetch_offset = cursor.next;
        wanted.partition_max_bytes = partition_bytes_;
    }
    const auto response =
        connection.ask<wire::FetchResponse>(request, version, client_.deadline());
    check_error(response.error_code, std::nullopt,
                "fetch from " + connection.address().to_string());
    for (const auto& topic : response.responses) {
        const std::string& name =
            version >= kVersionOfTopicIds ? names[topic.topic_id] : topic.topic;
        for (const auto& data : topic.partitions) {
            const TopicPartition partition{name, data.partition_index};
            if (cursors_.contains(partition) && !take(partition, data, sink)) return false;
        }
    }
    return true;
}

bool Fetcher::take(const TopicPartition& partition, const wire::FetchResponse::PartitionData& data,
                   const Sink& sink) {
    if (data.error_code != 0) {
        if (!absorbed(partition, data.error_code))
            check_error(data.error_code, std::nullopt, partition.to_string());
        return true;
    }
    if (!data.records || data.records->empty()) return true;
    const auto bytes = data.records->flatten();
    if (!bytes.ok()) throw Failure{kFailed, bytes.status().message(), ""};
    Aborted aborted;
    if (committed_ && data.aborted_transactions) {
        aborted.waiting = *data.aborted_transactions;
        std::sort(aborted.waiting.begin(), aborted.waiting.end(),
                  [](const auto& a, const auto& b) { return a.first_offset < b.first_offset; });
    }
    record::BatchIterator batches(bytes->view());
    while (batches.next()) {
        aborted.open_until(batches.batch().last_offset().value);
        if (!take_batch(partition, batches.batch(), cursors_.at(partition), aborted, sink))
            return false;
    }
    return true;
}

void Fetcher::Aborted::open_until(int64_t last_offset) {
    while (used < waiting.size() && waiting[used].first_offset <= last_offset)
        producers.insert(waiting[used++].producer_id);
}

bool Fetcher::take_batch(const TopicPartition& partition, const record::BatchView& batch,
                         Cursor& cursor, Aborted& aborted, const Sink& sink) {
    const int64_t producer = batch.producer_id().value;
    if (batch.last_offset().value < cursor.next) return true;
    if (!batch.valid_crc()) {
        throw Failure{kFailed,
                      fmt::format("{}: the batch at offset {} has a wrong checksum",
                                  partition.to_string(), batch.base_offset().value),
                      "the data are damaged on disk or on the way"};
    }
    if (batch.is_control()) {
        aborted.producers.erase(producer);
    } else if (!batch.is_transactional() || !aborted.producers.contains(producer)) {
        auto records = record::BatchRecords::open(batch);
        if (!records.ok()) throw Failure{kFailed, records.status().message(), ""};
        const bool append_time = batch.timestamp_type() == record::TimestampType::LogAppendTime;
        record::RecordView record;
        while (records->next(record)) {
            const int64_t offset = record::record_offset(batch, record).value;
            if (offset < cursor.next) continue;
            cursor.next = offset + 1;
            if (!sink({partition, offset, record::record_timestamp(batch, record).value,
                       append_time, record})) {
                return false;
            }
        }
    }
    cursor.next = batch.next_offset().value;
    return true;
}

std::map<TopicPartition, int64_t> timestamps_at(Client& client,
                                                const std::map<TopicPartition, int64_t>& offsets) {
    Fetcher fetcher(client, false);
    fetcher.limit_partition_bytes(1);  // a broker sends at least one whole batch
    fetcher.on_out_of_range([](const TopicPartition&) { return std::optional<int64_t>(INT64_MAX); });
    for (const auto& [partition, offset] : offsets)
        fetcher.start(partition, offset);
    std::map<TopicPartition, int64_t> times;
    // The answer's size is limited too: those that found no room are asked again.
    constexpr int kRoundsMax = 16;
    for (int i = 0; i < kRoundsMax && !fetcher.empty(); ++i) {
        const size_t before = times.size();
        fetcher.round(0, [&](const FetchedRecord& found) {
            times.try_emplace(found.partition, found.timestamp);
            return true;
        });
        for (const auto& [partition, position] : fetcher.positions()) {
            if (times.contains(partition) || position != offsets.at(partition))
                fetcher.stop(partition);
        }
        if (times.size() == before && i > 0) break;
    }
    return times;
}

}  // namespace millrace::cli
