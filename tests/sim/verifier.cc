// tests/sim/verifier.cc: reading everything back and comparing it with the model.
#include <algorithm>
#include <set>

#include "millrace/base/error_code.h"
#include "millrace/wire/gen/describe_producers_request.h"
#include "millrace/wire/gen/describe_producers_response.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/fetch_response.h"
#include "millrace/wire/gen/list_offsets_request.h"
#include "millrace/wire/gen/list_offsets_response.h"
#include "millrace/wire/gen/metadata_request.h"
#include "millrace/wire/gen/metadata_response.h"
#include "sim/admin.h"
#include "sim/group_load.h"

namespace millrace::sim {

namespace {
constexpr int64_t kEarliest = -2;
constexpr int64_t kLatest = -1;
constexpr int64_t kMaxTimestamp = -3;
constexpr int kLookups = 6;
constexpr int kMovesMax = 20;
constexpr Duration kMoveTime = milliseconds(300);

/// In a cluster at rest a leader may still go back to its preferred replica.
bool moving(int16_t code) {
    const auto error = static_cast<ErrorCode>(code);
    return error == ErrorCode::NotLeaderOrFollower || error == ErrorCode::OffsetNotAvailable ||
           error == ErrorCode::LeaderNotAvailable;
}
}  // namespace

Verifier::Verifier(World& world, Servers& servers, Model& model, std::string when)
    : world_(world), model_(model), when_(std::move(when)), client_(world, servers, "verifier") {
    client_.timeouts_fail = true;
    client_.timeout = seconds(20);
}

void Verifier::fail(const std::string& invariant, const std::string& text) {
    world_.fail(kExitSafety, invariant, when_ + ": " + text);
}

void Verifier::verify() {
    world_.say("verify " + when_);
    verify_metadata();
    for (TopicModel* topic : model_.live_topics()) {
        for (size_t i = 0; i < topic->partitions.size(); ++i) verify_partition(*topic, i);
    }
}

void Verifier::verify_metadata() {
    wire::MetadataRequest request;
    request.topics.reset();
    const auto answer = client_.call_now<wire::MetadataResponse>(request, 12);
    if (!answer) fail("I26", "Metadata has no answer");
    std::map<std::string, const wire::MetadataResponse::MetadataResponseTopic*> found;
    for (const auto& topic : answer->topics) {
        const std::string name = topic.name.value_or("");
        if (!GroupLoad::owns(name)) found[name] = &topic;
    }
    size_t expected = 0;
    for (TopicModel* topic : model_.live_topics()) {
        ++expected;
        const auto it = found.find(topic->name);
        if (it == found.end()) fail("I10", "topic " + topic->name + " is gone");
        if (it->second->topic_id != topic->id) fail("I10", topic->name + " has another id");
        if (it->second->partitions.size() != topic->partitions.size()) {
            fail("I10", topic->name + " has another number of partitions");
        }
        for (const auto& partition : it->second->partitions) {
            if (partition.error_code != 0 || partition.leader_id < 0) {
                fail("I10", topic->name + " has a partition without leader");
            }
        }
    }
    if (expected != found.size()) fail("I10", "a deleted topic is there");
}

std::pair<int64_t, int64_t> Verifier::list_offset(TopicModel& topic, size_t index,
                                                  int64_t timestamp) {
    wire::ListOffsetsRequest request;
    request.replica_id = -1;
    auto& asked = request.topics.emplace_back();
    asked.name = topic.name;
    auto& partition = asked.partitions.emplace_back();
    partition.partition_index = static_cast<int32_t>(index);
    partition.timestamp = timestamp;
    const auto version = static_cast<int16_t>(world_.rng().between(timestamp == kMaxTimestamp ? 7 : 1, 10));
    auto answer = client_.call_now<wire::ListOffsetsResponse>(request, version);
    for (int tries = 0; answer && tries < kMovesMax && moving(answer->topics.at(0).partitions.at(0).error_code); ++tries) {
        world_.run_for(kMoveTime);
        answer = client_.call_now<wire::ListOffsetsResponse>(request, version);
    }
    if (!answer) fail("I26", "ListOffsets has no answer");
    const auto& result = answer->topics.at(0).partitions.at(0);
    if (result.error_code != 0) {
        fail("I7", topic.partitions[index]->name() + ": ListOffsets got " +
                       error_code_name(static_cast<ErrorCode>(result.error_code)));
    }
    return {result.offset, result.timestamp};
}

void Verifier::verify_partition(TopicModel& topic, size_t index) {
    PartitionModel& model = *topic.partitions[index];
    // Retention may move the start while we read: then once more.
    for (int tries = 0; tries < 5; ++tries) {
        const Floor floor = model.floor();
        const int64_t start = list_offset(topic, index, kEarliest).first;
        const int64_t end = list_offset(topic, index, kLatest).first;
        model.on_offsets(start, end, floor);
        if (start > end) fail("I5", model.name() + ": the log starts behind its end");
        read_all(topic, index, start, end);
        if (model.log_start() > start) continue;
        model.settle(start, end);
        verify_lookups(topic, index, start);
        verify_producers(topic, index, start);
        return;
    }
}

void Verifier::read_all(TopicModel& topic, size_t index, int64_t start, int64_t end) {
    PartitionModel& model = *topic.partitions[index];
    int moves = 0;
    for (int64_t offset = start; offset < end;) {
        wire::FetchRequest request;
        request.session_epoch = -1;
        request.max_bytes = static_cast<int32_t>(world_.rng().between(1, 20'000));
        auto& asked = request.topics.emplace_back();
        const auto version = static_cast<int16_t>(world_.rng().between(4, 18));
        if (version >= 13) {
            asked.topic_id = topic.id;
        } else {
            asked.topic = topic.name;
        }
        auto& partition = asked.partitions.emplace_back();
        partition.partition = static_cast<int32_t>(index);
        partition.fetch_offset = offset;
        partition.partition_max_bytes = static_cast<int32_t>(world_.rng().between(1, 20'000));
        const Floor floor = model.floor();
        const auto answer = client_.call_now<wire::FetchResponse>(request, version);
        if (!answer || answer->error_code != 0) fail("I26", "Fetch has no answer");
        const auto& data = answer->responses.at(0).partitions.at(0);
        const auto error = static_cast<ErrorCode>(data.error_code);
        if (error == ErrorCode::OffsetOutOfRange && model.retention) {
            model.on_offsets(list_offset(topic, index, kEarliest).first, {}, floor);
            if (model.log_start() > offset) return;
        }
        const std::string where = model.name() + " at " + std::to_string(offset);
        if (moving(data.error_code) && ++moves < kMovesMax) {
            world_.run_for(kMoveTime);
            continue;
        }
        if (error != ErrorCode::None) fail("I7", where + ": Fetch got " + error_code_name(error));
        const Result<Buffer> records = data.records ? data.records->flatten() : Buffer();
        const int64_t next = model.on_fetch(offset, data.high_watermark, data.log_start_offset,
                                            floor, *records);
        if (next == offset) fail("I7", where + ": nothing can be read before the end");
        offset = next;
    }
}

/// Retention went on meanwhile: what was read is not what is there.
bool Verifier::start_moved(TopicModel& topic, size_t index, int64_t start) {
    return list_offset(topic, index, kEarliest).first != start;
}

void Verifier::verify_lookups(TopicModel& topic, size_t index, int64_t start) {
    PartitionModel& model = *topic.partitions[index];
    const std::vector<int64_t> all = model.timestamps(start);
    if (all.empty()) return;
    Rng& rng = world_.rng();
    for (int i = 0; i < kLookups; ++i) {
        const int64_t asked = all[rng.below(all.size())] + rng.between(-1, 1);
        const auto expected = model.lookup(start, asked);
        const auto [offset, timestamp] = list_offset(topic, index, asked);
        const bool same = expected ? offset == expected->first && timestamp == expected->second
                                   : offset == -1;
        // Kafka looks into one segment only: where its largest timestamp lies before the start of
        // the log, nothing is found.
        const bool hidden = offset == -1 && start > 0;
        if (!same && !hidden && !start_moved(topic, index, start)) {
            fail("I10", model.name() + ": time " + std::to_string(asked) + " is at offset " +
                            std::to_string(offset) + " (" + std::to_string(timestamp) + "), not " +
                            (expected ? std::to_string(expected->first) : "nowhere"));
        }
    }
    const auto [offset, timestamp] = list_offset(topic, index, kMaxTimestamp);
    const int64_t largest = *std::max_element(all.begin(), all.end());
    if (timestamp < largest && !start_moved(topic, index, start)) {
        fail("I10", model.name() + ": the largest time is " + std::to_string(largest) + ", not " +
                        std::to_string(timestamp) + " at " + std::to_string(offset));
    }
}

void Verifier::verify_producers(TopicModel& topic, size_t index, int64_t start) {
    PartitionModel& model = *topic.partitions[index];
    wire::DescribeProducersRequest request;
    auto& asked = request.topics.emplace_back();
    asked.name = topic.name;
    asked.partition_indexes.push_back(static_cast<int32_t>(index));
    auto answer = client_.call_now<wire::DescribeProducersResponse>(request, 0);
    for (int tries = 0; answer && tries < kMovesMax && moving(answer->topics.at(0).partitions.at(0).error_code); ++tries) {
        world_.run_for(kMoveTime);
        answer = client_.call_now<wire::DescribeProducersResponse>(request, 0);
    }
    if (!answer) fail("I26", "DescribeProducers has no answer");
    const auto& result = answer->topics.at(0).partitions.at(0);
    if (result.error_code != 0) fail("I10", model.name() + ": DescribeProducers failed");
    std::map<int64_t, PartitionModel::ProducerEnd> there;
    for (const auto& producer : result.active_producers) {
        there[producer.producer_id] = {static_cast<int16_t>(producer.producer_epoch),
                                       producer.last_sequence, producer.last_timestamp};
    }
    for (const auto& [id, end] : model.producers(start)) {
        const auto found = there.find(id);
        if (found == there.end()) {
            fail("I10", model.name() + ": producer " + std::to_string(id) + " is forgotten");
        }
        if (found->second.epoch != end.epoch || found->second.last_sequence != end.last_sequence ||
            found->second.last_timestamp != end.last_timestamp) {
            fail("I10", model.name() + ": producer " + std::to_string(id) + " is at sequence " +
                            std::to_string(found->second.last_sequence) + ", not " +
                            std::to_string(end.last_sequence));
        }
    }
}

void Verifier::verify_folders(World& world, Model& model, const std::vector<std::string>& dirs) {
    std::set<std::string> allowed = {"__cluster_metadata-0"};
    for (TopicModel* topic : model.live_topics()) {
        for (size_t i = 0; i < topic->partitions.size(); ++i) {
            allowed.insert(topic->name + "-" + std::to_string(i));
        }
    }
    std::set<std::string> seen;
    for (const std::string& dir : dirs) {
        auto entries = world.disk().list(dir);
        world.check(entries.ok(), "I26", "a log directory is gone");
        for (const env::DirectoryEntry& entry : *entries) {
            if (!entry.is_directory) continue;
            // Kept by design: its topic was deleted while its directory was offline.
            if (entry.name.ends_with("-stray") &&
                !allowed.contains(entry.name.substr(0, entry.name.find('.')))) {
                continue;
            }
            const bool of_groups = GroupLoad::owns(entry.name.substr(0, entry.name.rfind('-')));
            world.check(of_groups || allowed.contains(entry.name), "I26", dir + "/" + entry.name + " was left");
            world.check(seen.insert(entry.name).second, "I26", entry.name + " is there twice");
            auto files = world.disk().list(dir + "/" + entry.name);
            for (const env::DirectoryEntry& file : *files) {
                const bool left = file.name.ends_with(".deleted") || file.name.ends_with(".swap") ||
                                  file.name.ends_with(".cleaned") || file.name.ends_with(".tmp");
                world.check(!left, "I26", entry.name + "/" + file.name + " was left");
            }
        }
    }
}

}  // namespace millrace::sim
