// tools/cli/record_sender.cc: gathers records of one topic and sends them as batches.
#include "cli/record_sender.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <chrono>

#include "cli/murmur2.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/create_topics_response.h"
#include "millrace/wire/gen/produce_request.h"
#include "millrace/wire/gen/produce_response.h"

namespace millrace::cli {
namespace {

constexpr size_t kBatchBytesSoft = 512 * 1024;
constexpr int kBackoffMs = 100;

/// The batch was not written: another leader takes it, or this one in a moment.
bool leader_may_come(ErrorCode code) {
    return code == ErrorCode::NotLeaderOrFollower || code == ErrorCode::LeaderNotAvailable ||
           code == ErrorCode::UnknownTopicOrPartition || code == ErrorCode::UnknownTopicId;
}

int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

void create_topic(Client& client, const std::string& name) {
    wire::CreateTopicsRequest request;
    request.timeout_ms = client.timeout_ms();
    auto& wanted = request.topics.emplace_back();
    wanted.name = name;
    wanted.num_partitions = -1;
    wanted.replication_factor = -1;
    const auto response = client.ask<wire::CreateTopicsResponse>(request);
    for (const auto& result : response.topics) {
        if (error_code_from(result.error_code) == ErrorCode::TopicAlreadyExists) continue;
        check_error(result.error_code, result.error_message, "topic '" + name + "'");
    }
}

}  // namespace

RecordSender::Topic topic_to_write(Client& client, const std::string& name, bool& created) {
    const auto metadata = client.metadata(std::vector<std::string>{name});
    const auto& found = metadata.topics.front();
    created = found.error_code == wire_error(ErrorCode::UnknownTopicOrPartition);
    if (!created) {
        check_error(found.error_code, std::nullopt, "topic '" + name + "'");
        return found;
    }
    create_topic(client, name);
    // The broker that answers metadata may learn of the topic a moment later.
    while (true) {
        const auto again = client.metadata(std::vector<std::string>{name});
        const auto& topic = again.topics.front();
        const bool led = std::all_of(topic.partitions.begin(), topic.partitions.end(),
                                     [](const auto& p) { return p.leader_id >= 0; });
        if (topic.error_code == 0 && led) return topic;
        if (client.timeout_ms() == 0) {
            throw Failure{kNoConnection, "topic '" + name + "' has no leader in time", ""};
        }
        poll(nullptr, 0, 10);
    }
}

RecordSender::RecordSender(Client& client, SenderOptions options, Topic topic)
    : client_(client),
      options_(std::move(options)),
      topic_(std::move(topic)),
      builders_(topic_.partitions.size()),
      counts_(topic_.partitions.size(), 0) {
    const auto codec = record::compression_from_name(options_.compression);
    if (!codec) {
        throw Failure{kUsage, fmt::format("no codec '{}'", options_.compression),
                      "none, gzip, snappy, lz4 or zstd"};
    }
    batch_.compression = *codec;
    if (options_.partition >= static_cast<int>(builders_.size())) {
        throw Failure{
            kNotFound,
            fmt::format("topic '{}' has no partition {}", options_.topic, options_.partition),
            fmt::format("it has 0 to {}", builders_.size() - 1)};
    }
}

void RecordSender::add(const OutgoingRecord& outgoing) {
    const size_t partition = choose(outgoing.key);
    if (counts_[partition] == 0) builders_[partition].start(batch_);
    std::vector<record::RecordHeader> headers;
    for (const auto& [name, value] : outgoing.headers) {
        headers.push_back(
            {name, value ? std::optional(ByteView(*value)) : std::optional<ByteView>()});
    }
    record::NewRecord record;
    record.timestamp = WallMs{now_ms()};
    if (outgoing.key) record.key = ByteView(*outgoing.key);
    if (outgoing.value) record.value = ByteView(*outgoing.value);
    record.headers = headers.data();
    record.header_count = headers.size();
    builders_[partition].append(record);
    ++counts_[partition];
    bytes_ += (outgoing.key ? outgoing.key->size() : 0) +
              (outgoing.value ? outgoing.value->size() : 0) + 1;
    if (bytes_ >= kBatchBytesSoft) flush();
}

void RecordSender::flush() {
    for (size_t p = 0; p < builders_.size(); ++p) {
        if (counts_[p] > 0) send(p);
    }
    if (bytes_ > 0) ++turn_;  // the next batch of keyless records goes to the next partition
    bytes_ = 0;
}

size_t RecordSender::choose(const std::optional<std::string>& key) const {
    if (options_.partition >= 0) return static_cast<size_t>(options_.partition);
    if (key) return (murmur2(*key) & 0x7fffffffU) % builders_.size();
    return turn_ % builders_.size();
}

void RecordSender::send(size_t partition) {
    client_.renew();
    const Buffer batch = builders_[partition].finish();
    const int64_t count = counts_[partition];
    counts_[partition] = 0;
    while (true) {
        const int16_t error = send_once(static_cast<int32_t>(partition), batch, count);
        if (error == 0) return;
        if (client_.timeout_ms() <= kBackoffMs) {
            check_error(error, std::nullopt, fmt::format("{}-{}", options_.topic, partition));
        }
        poll(nullptr, 0, kBackoffMs);
        topic_ = client_.topic(options_.topic);
    }
}

int16_t RecordSender::send_once(int32_t partition, const Buffer& batch, int64_t count) {
    const int32_t leader = leader_of(partition);
    if (leader < 0) return wire_error(ErrorCode::LeaderNotAvailable);
    Connection& connection = client_.node(leader);
    const int16_t version = connection.version_of<wire::ProduceRequest>();
    wire::ProduceRequest request;
    request.acks = options_.acks;
    request.timeout_ms = client_.timeout_ms();
    auto& topic = request.topic_data.emplace_back();
    if (version >= 13)
        topic.topic_id = topic_.topic_id;
    else
        topic.name = options_.topic;
    auto& data = topic.partition_data.emplace_back();
    data.index = partition;
    data.records = BufferChain(batch);
    if (request.acks == 0) {
        connection.tell(request, version, client_.deadline());
        return 0;
    }
    const auto response =
        connection.ask<wire::ProduceResponse>(request, version, client_.deadline());
    for (const auto& answered : response.responses) {
        for (const auto& p : answered.partition_responses) {
            const auto code = error_code_from(p.error_code);
            if (code && leader_may_come(*code)) return p.error_code;
            check_error(p.error_code, p.error_message,
                        fmt::format("{}-{}", options_.topic, p.index));
            if (on_sent_) on_sent_(p.index, p.base_offset, count);
        }
    }
    return 0;
}

int32_t RecordSender::leader_of(int32_t partition) const {
    for (const auto& p : topic_.partitions) {
        if (p.partition_index == partition) return p.leader_id;
    }
    return -1;
}

}  // namespace millrace::cli
