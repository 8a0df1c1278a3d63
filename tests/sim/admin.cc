// tests/sim/admin.cc: topic changes whose outcome is always found out.
#include "sim/admin.h"

#include "millrace/base/error_code.h"
#include "millrace/wire/gen/create_partitions_request.h"
#include "millrace/wire/gen/create_partitions_response.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/create_topics_response.h"
#include "millrace/wire/gen/delete_records_request.h"
#include "millrace/wire/gen/delete_records_response.h"
#include "millrace/wire/gen/delete_topics_request.h"
#include "millrace/wire/gen/delete_topics_response.h"
#include "millrace/wire/gen/incremental_alter_configs_request.h"
#include "millrace/wire/gen/incremental_alter_configs_response.h"
#include "millrace/wire/gen/metadata_request.h"
#include "millrace/wire/gen/metadata_response.h"

namespace millrace::sim {

namespace {
constexpr int kTriesMax = 300;
constexpr size_t kTopicsMax = 8;
constexpr size_t kPartitionsMax = 6;
/// A name is used again only when no request of the old topic can be on its way.
constexpr Duration kQuietTime = seconds(8);
constexpr int32_t kTimeoutMs = 4000;
}  // namespace

Admin::Admin(World& world, Servers& servers, Model& model)
    : world_(world), model_(model), rng_(world.rng().fork()), client_(world, servers, "admin") {}

void Admin::until_known(const std::string& what, MoveFunction<bool()> attempt) {
    for (int i = 0; i < kTriesMax; ++i) {
        if (attempt()) return;
        world_.run_for(milliseconds(50) + world_.random_delay(milliseconds(300)));
    }
    world_.fail(kExitLiveness, "admin", what + " never had an outcome");
}

std::string Admin::free_name() {
    for (const auto& topic : model_.topics()) {
        if (topic->state != TopicModel::State::Gone) continue;
        bool used = world_.now() < topic->quiet_since + kQuietTime;
        for (const auto& other : model_.topics()) {
            used |= other->name == topic->name && other->state != TopicModel::State::Gone;
            used |= other->name == topic->name && world_.now() < other->quiet_since + kQuietTime;
        }
        if (!used && rng_.chance(1, 2)) return topic->name;
    }
    return "t" + std::to_string(next_name_++);
}

TopicModel& Admin::create_topic(bool durable) {
    wire::CreateTopicsRequest request;
    request.timeout_ms = kTimeoutMs;
    auto& asked = request.topics.emplace_back();
    asked.name = free_name();
    asked.num_partitions = 1 + static_cast<int32_t>(rng_.below(3));
    asked.replication_factor = static_cast<int16_t>(replication_factor);
    const auto set = [&](const char* key, int64_t value) {
        auto& config = asked.configs.emplace_back();
        config.name = key;
        config.value = std::to_string(value);
    };
    if (rng_.chance(4, 5)) set("internal.segment.bytes", rng_.between(200, 6000));
    if (rng_.chance(1, 2)) set("index.interval.bytes", rng_.between(0, 500));
    if (rng_.chance(1, 4)) set("segment.index.bytes", 24 * rng_.between(1, 8));
    if (rng_.chance(1, 4)) set("segment.ms", rng_.between(100, 3000));
    if (durable) set("flush.messages", 1);
    if (min_isr > 1) set("min.insync.replicas", min_isr);
    const bool retention = rng_.chance(1, 3) && !keep_all;
    if (retention && rng_.chance(1, 2)) set("retention.bytes", rng_.between(500, 20'000));
    if (retention && rng_.chance(1, 2)) set("retention.ms", rng_.between(500, 5000));
    set("file.delete.delay.ms", rng_.between(0, 2000));
    TopicModel& topic = model_.add_topic(asked.name, durable, retention,
                                         static_cast<size_t>(asked.num_partitions));
    until_known("create of " + topic.name, [&] {
        const auto answer = client_.call_now<wire::CreateTopicsResponse>(
            request, static_cast<int16_t>(rng_.between(2, 7)));
        if (!answer) return false;
        const auto error = static_cast<ErrorCode>(answer->topics.at(0).error_code);
        if (error != ErrorCode::None && error != ErrorCode::TopicAlreadyExists &&
            error != ErrorCode::RequestTimedOut && error != ErrorCode::NotController &&
            error != ErrorCode::BrokerNotAvailable &&
            error != ErrorCode::InvalidReplicationFactor) {  // the node is fenced while it stops
            world_.fail(kExitSafety, "admin",
                        "create of " + topic.name + " got " + error_code_name(error) + " " +
                            answer->topics[0].error_message.value_or(""));
        }
        return error == ErrorCode::None || error == ErrorCode::TopicAlreadyExists;
    });
    learn_topic(topic);
    return topic;
}

void Admin::learn_topic(TopicModel& topic) {
    wire::MetadataRequest request;
    request.topics.emplace();
    request.topics->emplace_back().name = topic.name;
    request.allow_auto_topic_creation = false;
    until_known("metadata of " + topic.name, [&] {
        const auto answer = client_.call_now<wire::MetadataResponse>(request, 12);
        if (!answer || answer->topics.at(0).error_code != 0) return false;
        // A node that lags behind may still know an older topic of this name.
        for (const auto& other : model_.topics()) {
            if (other->id == answer->topics[0].topic_id) return false;
        }
        topic.id = answer->topics[0].topic_id;
        world_.check(answer->topics[0].partitions.size() == topic.partitions.size(), "admin",
                     topic.name + " has another number of partitions");
        return true;
    });
    topic.state = TopicModel::State::Live;
    world_.say("topic " + topic.name + " is " + topic.id.to_string());
}

void Admin::delete_topic(TopicModel& topic) {
    topic.state = TopicModel::State::Deleting;
    wire::DeleteTopicsRequest request;
    request.timeout_ms = kTimeoutMs;
    const auto version = static_cast<int16_t>(rng_.between(1, 6));
    if (version >= 6) {
        request.topics.emplace_back().topic_id = topic.id;
    } else {
        request.topic_names.push_back(topic.name);
    }
    until_known("delete of " + topic.name, [&] {
        const auto answer = client_.call_now<wire::DeleteTopicsResponse>(request, version);
        if (!answer) return false;
        const auto error = static_cast<ErrorCode>(answer->responses.at(0).error_code);
        return error == ErrorCode::None || error == ErrorCode::UnknownTopicOrPartition ||
               error == ErrorCode::UnknownTopicId;
    });
    topic.state = TopicModel::State::Gone;
    topic.quiet_since = world_.now();
    world_.say("topic " + topic.name + " is deleted");
}

void Admin::add_partitions(TopicModel& topic) {
    wire::CreatePartitionsRequest request;
    request.timeout_ms = kTimeoutMs;
    auto& asked = request.topics.emplace_back();
    asked.name = topic.name;
    asked.assignments.reset();
    asked.count = static_cast<int32_t>(topic.partitions.size()) + 1;
    until_known("more partitions of " + topic.name, [&] {
        const auto answer = client_.call_now<wire::CreatePartitionsResponse>(
            request, static_cast<int16_t>(rng_.between(0, 3)));
        if (!answer) return false;
        const auto error = static_cast<ErrorCode>(answer->results.at(0).error_code);
        return error == ErrorCode::None || error == ErrorCode::InvalidPartitions;
    });
    model_.add_partition(topic, topic.partitions.front()->retention);
}

void Admin::alter_configs(TopicModel& topic) {
    wire::IncrementalAlterConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = 2;  // topic
    resource.resource_name = topic.name;
    auto& config = resource.configs.emplace_back();
    switch (keep_all ? 1 + rng_.below(2) : rng_.below(3)) {
        case 0:
            config.name = "retention.bytes";
            config.value = std::to_string(rng_.between(500, 20'000));
            for (auto& partition : topic.partitions) partition->retention = true;
            break;
        case 1:
            config.name = "internal.segment.bytes";
            config.value = std::to_string(rng_.between(200, 6000));
            break;
        default:
            config.name = "index.interval.bytes";
            config.value = std::to_string(rng_.between(0, 500));
            break;
    }
    until_known("configs of " + topic.name, [&] {
        const auto answer = client_.call_now<wire::IncrementalAlterConfigsResponse>(
            request, static_cast<int16_t>(rng_.between(0, 1)));
        return answer && answer->responses.at(0).error_code == 0;
    });
}

void Admin::delete_records(TopicModel& topic, size_t partition, int64_t offset) {
    PartitionModel& model = *topic.partitions[partition];
    wire::DeleteRecordsRequest request;
    request.timeout_ms = kTimeoutMs;
    auto& asked = request.topics.emplace_back();
    asked.name = topic.name;
    auto& part = asked.partitions.emplace_back();
    part.partition_index = static_cast<int32_t>(partition);
    part.offset = offset;
    model.on_delete_asked(offset);
    const Floor floor = model.floor();
    const auto answer = client_.call_now<wire::DeleteRecordsResponse>(
        request, static_cast<int16_t>(rng_.between(0, 2)));
    if (!answer) return;
    const auto& result = answer->topics.at(0).partitions.at(0);
    if (result.error_code != 0) {
        world_.check(result.error_code != static_cast<int16_t>(ErrorCode::OffsetOutOfRange) ||
                         floor.life != model_.life || model.retention ||
                         offset > floor.high_watermark,
                     "I5", model.name() + ": DeleteRecords below the watermark is out of range");
        return;
    }
    if (floor.life != model_.life) return;
    world_.check(result.low_watermark >= offset, "I5",
                 model.name() + ": DeleteRecords left a lower start");
    model.on_delete_acked(result.low_watermark);
}

void Admin::act() {
    const auto live = model_.live_topics();
    const uint64_t choice = rng_.below(12);
    if (live.empty() || (choice < 2 && live.size() < kTopicsMax)) {
        create_topic(all_durable || rng_.chance(1, 2));
        return;
    }
    TopicModel& topic = *live[rng_.below(live.size())];
    if (choice == 2) delete_topic(topic);
    if (choice == 3 && topic.partitions.size() < kPartitionsMax) add_partitions(topic);
    if (choice == 4 || choice == 5) alter_configs(topic);
    if (choice >= 6 && choice < 9 && !keep_all) {
        const size_t partition = rng_.below(topic.partitions.size());
        const PartitionModel& model = *topic.partitions[partition];
        if (model.visible_end() == 0) return;
        delete_records(topic, partition, rng_.between(model.log_start(), model.visible_end()));
    }
}

}  // namespace millrace::sim
