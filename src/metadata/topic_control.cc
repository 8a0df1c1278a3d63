// src/metadata/topic_control.cc: CreateTopics, DeleteTopics, CreatePartitions.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "metadata/commands.h"
#include "metadata/make_records.h"
#include "metadata/placement.h"
#include "metadata/wire_nodes.h"

namespace millrace::metadata {

namespace {

using CreatableTopic = wire::CreateTopicsRequest::CreatableTopic;
using CreatedTopic = wire::CreateTopicsResponse::CreatableTopicResult;

std::vector<NodeId> active_of(const ClusterImage& cluster, const std::vector<NodeId>& replicas) {
    std::vector<NodeId> active;
    for (NodeId node : replicas) {
        const BrokerImage* broker = cluster.broker(node);
        if (broker != nullptr && broker->active()) active.push_back(node);
    }
    return active;
}

/// A new partition led by its first active replica. REQUIRES: `isr` is not empty.
PartitionImage new_partition(const ClusterImage& cluster, std::vector<NodeId> replicas,
                             std::vector<NodeId> isr) {
    PartitionImage partition;
    for (NodeId node : replicas) {
        partition.directories.push_back(default_directory(cluster, node));
    }
    partition.replicas = std::move(replicas);
    partition.leader = isr.front();
    partition.isr = std::move(isr);
    return partition;
}

ApiError none_active(int32_t index) {
    return {ErrorCode::InvalidReplicaAssignment,
            fmt::format("All brokers specified in the manual partition assignment for partition "
                        "{} are fenced or in controlled shutdown.",
                        index)};
}
ApiError cannot_replicate(int16_t factor, const std::string& why) {
    return {ErrorCode::InvalidReplicationFactor,
            fmt::format("Unable to replicate the partition {} time(s): {}", factor, why)};
}
constexpr const char* kNobodyActive = "All brokers are currently fenced or in controlled shutdown.";

/// dataplane.md E.1 rows 10 and 11.
ApiError assign_manually(const CommandContext& context, const CreatableTopic& topic,
                         std::vector<PartitionImage>& partitions) {
    if (topic.replication_factor != -1) {
        return {ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but replication factor was not set "
                "to -1."};
    }
    if (topic.num_partitions != -1) {
        return {ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions was not set to "
                "-1."};
    }
    std::map<int32_t, PartitionImage> by_index;
    std::optional<size_t> factor;
    for (const auto& assignment : topic.assignments) {
        if (by_index.count(assignment.partition_index) != 0) {
            return {ErrorCode::InvalidReplicaAssignment,
                    fmt::format("Found multiple manual partition assignments for partition {}",
                                assignment.partition_index)};
        }
        ApiError error = check_manual_assignment(context, assignment.broker_ids, factor);
        if (error.failed()) return error;
        factor = assignment.broker_ids.size();
        auto replicas = to_nodes(assignment.broker_ids);
        auto isr = active_of(context.image().cluster, replicas);
        if (isr.empty()) return none_active(assignment.partition_index);
        by_index.emplace(
            assignment.partition_index,
            new_partition(context.image().cluster, std::move(replicas), std::move(isr)));
    }
    int32_t expected = 0;
    for (auto& [index, partition] : by_index) {
        if (index != expected++) {
            return {ErrorCode::InvalidReplicaAssignment,
                    "partitions should be a consecutive 0-based integer sequence"};
        }
        partitions.push_back(std::move(partition));
    }
    return {};
}

/// dataplane.md E.1 rows 12 to 14.
ApiError assign_by_placer(const CommandContext& context, ReplicaPlacer& placer,
                          const CreatableTopic& topic, std::vector<PartitionImage>& partitions) {
    if (topic.replication_factor < -1 || topic.replication_factor == 0) {
        return {ErrorCode::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value."};
    }
    if (topic.num_partitions < -1 || topic.num_partitions == 0) {
        return {ErrorCode::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value."};
    }
    const int32_t count =
        topic.num_partitions == -1 ? context.options.default_partitions : topic.num_partitions;
    const int16_t factor = topic.replication_factor == -1
                               ? context.options.default_replication_factor
                               : topic.replication_factor;
    auto placed = placer.place(topic.name, 0, count, factor);
    if (const auto* error = std::get_if<PlacementError>(&placed)) {
        return cannot_replicate(factor, error->message);
    }
    for (auto& replicas : std::get<Placement>(placed)) {
        auto isr = active_of(context.image().cluster, replicas);
        if (isr.empty()) return cannot_replicate(factor, kNobodyActive);
        partitions.push_back(
            new_partition(context.image().cluster, std::move(replicas), std::move(isr)));
    }
    return {};
}

ApiError check_new_name(const CommandContext& context, const CreatableTopic& topic) {
    ApiError error;
    if (auto fault = topic_name_fault(topic.name)) {
        error = {ErrorCode::InvalidTopicException, std::move(*fault)};
    }
    if (const auto form = collision_form(topic.name)) {
        const auto it = context.state.collision_names.lower_bound(std::pair(*form, std::string()));
        if (it != context.state.collision_names.end() && it->first.first == *form) {
            error = {ErrorCode::InvalidTopicException,
                     fmt::format("Topic '{}' collides with existing topic: {}", topic.name,
                                 it->first.second)};
        }
    }
    if (context.image().topics.find(std::string_view(topic.name)) != nullptr) {
        error = {ErrorCode::TopicAlreadyExists,
                 fmt::format("Topic '{}' already exists.", topic.name)};
    }
    return error;
}

ApiError check_no_null_config(const CreatableTopic& topic) {
    std::string nulls;
    for (const auto& config : topic.configs) {
        if (config.value) continue;
        if (!nulls.empty()) nulls += ',';
        nulls += config.name;
    }
    if (nulls.empty()) return {};
    return {ErrorCode::InvalidConfig, "Null value not supported for topic configs: " + nulls};
}

void describe_created(const CommandContext& context, const CreatableTopic& topic,
                      const std::vector<PartitionImage>& partitions, CreatedTopic& result) {
    ConfigMap own;
    for (const auto& config : topic.configs)
        own[config.name] = *config.value;
    result.configs.emplace();
    for (const ConfigEntry& entry : created_topic_entries(own, context.layers())) {
        auto& config = result.configs->emplace_back();
        config.name = entry.name;
        config.value = entry.sensitive ? std::nullopt : entry.value;
        config.read_only = entry.read_only;
        config.config_source = static_cast<int8_t>(entry.source);
        config.is_sensitive = entry.sensitive;
    }
    result.num_partitions = static_cast<int32_t>(partitions.size());
    result.replication_factor = static_cast<int16_t>(partitions.front().replicas.size());
}

/// One topic of the request: its records, or why not.
ApiError create_topic(const CommandContext& context, ReplicaPlacer& placer,
                      const CreatableTopic& topic, CreatedTopic& result,
                      std::vector<Record>& records) {
    ApiError error = check_new_name(context, topic);
    if (!error.failed()) error = check_no_null_config(topic);
    if (error.failed()) return error;
    std::vector<Record> config_records;
    if (!topic.configs.empty()) {
        // Kafka collects the configs in a map: of a key given twice the last counts.
        std::vector<ConfigOp> ops;
        for (const auto& config : topic.configs) {
            const auto same = std::find_if(
                ops.begin(), ops.end(), [&](const ConfigOp& op) { return op.name == config.name; });
            if (same != ops.end()) {
                same->value = config.value;
            } else {
                ops.push_back({config.name, 0, config.value});
            }
        }
        error =
            alter_config(context, {ConfigResource::Topic, topic.name}, ops, true, config_records);
        if (error.failed()) return error;
        append_clear_elr(context, config_records);
    }
    std::vector<PartitionImage> partitions;
    error = topic.assignments.empty() ? assign_by_placer(context, placer, topic, partitions)
                                      : assign_manually(context, topic, partitions);
    if (error.failed()) return error;
    result.topic_id = context.random_uuid();
    describe_created(context, topic, partitions, result);

    wire::TopicRecord topic_record;
    topic_record.name = topic.name;
    topic_record.topic_id = result.topic_id;
    records.emplace_back(std::move(topic_record));
    records.insert(records.end(), std::make_move_iterator(config_records.begin()),
                   std::make_move_iterator(config_records.end()));
    for (size_t i = 0; i < partitions.size(); ++i) {
        records.push_back(
            make_partition_record({result.topic_id, PartitionIndex(static_cast<int32_t>(i))},
                                  partitions[i], context.metadata_version()));
    }
    return {};
}

int64_t partitions_asked(const CommandContext& context, const wire::CreateTopicsRequest& request) {
    int64_t total = 0;
    for (const auto& topic : request.topics) {
        if (!topic.assignments.empty()) {
            total += static_cast<int64_t>(topic.assignments.size());
        } else if (topic.num_partitions == -1) {
            total += context.options.default_partitions;
        } else if (topic.num_partitions > 0) {
            total += topic.num_partitions;
        }
    }
    return total;
}

}  // namespace

ApiError check_manual_assignment(const CommandContext& context, const std::vector<int32_t>& brokers,
                                 std::optional<size_t> replication_factor) {
    const auto bad = [](std::string text) {
        return ApiError{ErrorCode::InvalidReplicaAssignment, std::move(text)};
    };
    if (brokers.empty()) {
        return bad("The manual partition assignment includes an empty replica list.");
    }
    std::vector<int32_t> sorted = brokers;
    std::sort(sorted.begin(), sorted.end());
    for (size_t i = 0; i < sorted.size(); ++i) {
        if (context.image().cluster.broker(NodeId(sorted[i])) == nullptr) {
            return bad(
                fmt::format("The manual partition assignment includes broker {}, but no "
                            "such broker is registered.",
                            sorted[i]));
        }
        if (i > 0 && sorted[i] == sorted[i - 1]) {
            return bad(
                fmt::format("The manual partition assignment includes the broker {} more "
                            "than once.",
                            sorted[i]));
        }
    }
    if (replication_factor && sorted.size() != *replication_factor) {
        return bad(
            fmt::format("The manual partition assignment includes a partition with {} "
                        "replica(s), but this is not consistent with previous partitions, "
                        "which have {} replica(s).",
                        sorted.size(), *replication_factor));
    }
    return {};
}

CommandResult run_command(const CommandContext& context, const wire::CreateTopicsRequest& request) {
    CommandResult result;
    if (partitions_asked(context, request) > kPartitionsPerRequestMax) {
        result.response = error_reply(
            ControllerRequest(request),
            {ErrorCode::PolicyViolation, "Excessively large number of partitions per request."});
        return result;
    }
    // A name given twice is answered once (dataplane.md E.1 row 1).
    std::map<std::string_view, int> times;
    for (const auto& topic : request.topics)
        ++times[topic.name];
    std::set<std::string_view> refused_twice;
    wire::CreateTopicsResponse response;
    ReplicaPlacer placer(context.image().cluster, context.state.indexes, context.rng);
    for (const auto& topic : request.topics) {
        ApiError error;
        CreatedTopic created;
        created.name = topic.name;
        if (times[topic.name] > 1) {
            if (!refused_twice.insert(topic.name).second) continue;
            error = {ErrorCode::InvalidRequest, "Duplicate topic name."};
        } else if (topic.name == "__cluster_metadata") {
            error = {ErrorCode::InvalidRequest,
                     "Creation of internal topic __cluster_metadata is prohibited."};
        } else {
            error = create_topic(context, placer, topic, created, result.records);
        }
        created.error_code = error.number();
        created.error_message = error.message;
        response.topics.push_back(std::move(created));
    }
    if (request.validate_only) result.records.clear();
    result.response = std::move(response);
    return result;
}

namespace {

/// One DeleteTopics request: names and ids, each once, each topic removed at most once.
class Deletion {
  public:
    Deletion(const CommandContext& context, const wire::DeleteTopicsRequest& request)
        : topics_(context.image().topics), wanted_(request.topics) {
        // Requests up to version 5 list names; later ones name or id.
        for (const std::string& name : request.topic_names)
            wanted_.emplace_back().name = name;
        for (const auto& topic : wanted_) {
            if (topic.name) ++name_times_[*topic.name];
            if (!topic.name && !topic.topic_id.is_zero()) ++id_times_[topic.topic_id];
        }
    }

    CommandResult run() {
        std::set<Uuid> done_ids;
        std::set<std::string_view> done_names;
        for (const auto& topic : wanted_) {
            if (topic.name && !topic.topic_id.is_zero()) {
                refuse(topic.name, topic.topic_id,
                       "You may not specify both topic name and topic id.");
            } else if (!topic.name && topic.topic_id.is_zero()) {
                refuse(std::nullopt, kZeroUuid, "Neither topic name nor id were specified.");
            } else if (topic.name) {
                if (done_names.insert(*topic.name).second) by_name(*topic.name);
            } else if (done_ids.insert(topic.topic_id).second) {
                by_id(topic.topic_id);
            }
        }
        result_.response = std::move(response_);
        return std::move(result_);
    }

  private:
    void by_id(const Uuid& id) {
        const TopicImage* found = topics_.find(id);
        if (id_times_[id] > 1) {
            refuse(std::nullopt, id, "Duplicate topic id.");
        } else if (found == nullptr) {
            answer(std::nullopt, id, ApiError::standard(ErrorCode::UnknownTopicId));
        } else if (name_times_.count(found->name) == 0) {
            remove(*found);  // else answered, and refused, under the name
        }
    }
    void by_name(const std::string& name) {
        const TopicImage* found = topics_.find(std::string_view(name));
        if (name_times_[name] > 1) {
            refuse(name, kZeroUuid, "Duplicate topic name.");
        } else if (found == nullptr) {
            answer(name, kZeroUuid, ApiError::standard(ErrorCode::UnknownTopicOrPartition));
        } else if (id_times_.count(found->id) != 0) {
            refuse(name, found->id,
                   "The provided topic name maps to an ID that was already supplied.");
        } else {
            remove(*found);
        }
    }
    void remove(const TopicImage& topic) {
        wire::RemoveTopicRecord record;
        record.topic_id = topic.id;
        result_.records.emplace_back(std::move(record));
        answer(topic.name, topic.id, {});
    }
    void refuse(const std::optional<std::string>& name, const Uuid& id, const char* text) {
        answer(name, id, {ErrorCode::InvalidRequest, text});
    }
    void answer(const std::optional<std::string>& name, const Uuid& id, const ApiError& error) {
        auto& entry = response_.responses.emplace_back();
        entry.name = name;
        entry.topic_id = id;
        entry.error_code = error.number();
        entry.error_message = error.message;
    }

    const TopicsImage& topics_;
    std::vector<wire::DeleteTopicsRequest::DeleteTopicState> wanted_;
    std::map<std::string, int> name_times_;
    std::map<Uuid, int> id_times_;
    CommandResult result_;
    wire::DeleteTopicsResponse response_;
};

}  // namespace

CommandResult run_command(const CommandContext& context, const wire::DeleteTopicsRequest& request) {
    if (context.options.delete_topic_enable) return Deletion(context, request).run();
    CommandResult result;
    result.response = error_reply(ControllerRequest(request),
                                  ApiError::standard(ErrorCode::TopicDeletionDisabled));
    return result;
}

namespace {

ApiError grow_manually(const CommandContext& context,
                       const wire::CreatePartitionsRequest::CreatePartitionsTopic& topic,
                       size_t factor, int32_t first, std::vector<PartitionImage>& partitions) {
    for (const auto& assignment : *topic.assignments) {
        ApiError error = check_manual_assignment(context, assignment.broker_ids, factor);
        if (error.failed()) return error;
        auto replicas = to_nodes(assignment.broker_ids);
        auto isr = active_of(context.image().cluster, replicas);
        if (isr.empty()) return none_active(first + static_cast<int32_t>(partitions.size()));
        partitions.push_back(
            new_partition(context.image().cluster, std::move(replicas), std::move(isr)));
    }
    return {};
}

ApiError grow_topic(const CommandContext& context, ReplicaPlacer& placer,
                    const wire::CreatePartitionsRequest::CreatePartitionsTopic& topic,
                    std::vector<Record>& records) {
    const TopicImage* image = context.image().topics.find(std::string_view(topic.name));
    if (image == nullptr) return ApiError{ErrorCode::UnknownTopicOrPartition, std::nullopt};
    const auto present = static_cast<int32_t>(image->partitions.size());
    if (topic.count == present) {
        return {ErrorCode::InvalidPartitions,
                fmt::format("Topic already has {} partition(s).", present)};
    }
    if (topic.count < present) {
        return {ErrorCode::InvalidPartitions,
                fmt::format("The topic {} currently has {} partition(s); {} would not be an "
                            "increase.",
                            topic.name, present, topic.count)};
    }
    const int32_t additional = topic.count - present;
    if (topic.assignments && topic.assignments->size() != static_cast<size_t>(additional)) {
        return {ErrorCode::InvalidReplicaAssignment,
                fmt::format("Attempted to add {} additional partition(s), but only {} "
                            "assignment(s) were specified.",
                            additional, topic.assignments->size())};
    }
    if (static_cast<size_t>(additional) + records.size() > kRecordsPerBatchMax) {
        return {ErrorCode::PolicyViolation, "Unable to perform excessively large batch operation."};
    }
    if (image->partitions.empty()) {
        return {ErrorCode::UnknownServerError,
                fmt::format("Invalid state: topic {} appears to have no partitions.", topic.name)};
    }
    const size_t factor = image->partitions.begin()->second->replicas.size();
    std::vector<PartitionImage> partitions;
    if (topic.assignments) {
        ApiError error = grow_manually(context, topic, factor, present, partitions);
        if (error.failed()) return error;
    } else {
        auto placed = placer.place(topic.name, present, additional, static_cast<int16_t>(factor));
        if (const auto* error = std::get_if<PlacementError>(&placed)) {
            return {ErrorCode::InvalidReplicationFactor, error->message};
        }
        for (auto& replicas : std::get<Placement>(placed)) {
            auto isr = active_of(context.image().cluster, replicas);
            if (isr.empty()) {
                return cannot_replicate(static_cast<int16_t>(factor), kNobodyActive);
            }
            partitions.push_back(
                new_partition(context.image().cluster, std::move(replicas), std::move(isr)));
        }
    }
    for (size_t i = 0; i < partitions.size(); ++i) {
        records.push_back(
            make_partition_record({image->id, PartitionIndex(present + static_cast<int32_t>(i))},
                                  partitions[i], context.metadata_version()));
    }
    return {};
}

}  // namespace

CommandResult run_command(const CommandContext& context,
                          const wire::CreatePartitionsRequest& request) {
    CommandResult result;
    wire::CreatePartitionsResponse response;
    std::map<std::string_view, int> times;
    for (const auto& topic : request.topics)
        ++times[topic.name];
    std::set<std::string_view> answered;
    ReplicaPlacer placer(context.image().cluster, context.state.indexes, context.rng);
    for (const auto& topic : request.topics) {
        if (!answered.insert(topic.name).second) continue;
        const ApiError error = times[topic.name] > 1
                                   ? ApiError{ErrorCode::InvalidRequest, "Duplicate topic name."}
                                   : grow_topic(context, placer, topic, result.records);
        auto& entry = response.results.emplace_back();
        entry.name = topic.name;
        entry.error_code = error.number();
        entry.error_message = error.message;
    }
    if (request.validate_only) result.records.clear();
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
