// src/metadata/make_records.cc: versioned records from images and changes.
#include "metadata/make_records.h"

#include "metadata/wire_nodes.h"
#include "millrace/base/assert.h"

namespace millrace::metadata {

namespace {

template <class Body>
void copy_endpoints(const std::vector<Endpoint>& from, std::vector<Body>& to) {
    for (const Endpoint& e : from) {
        Body& endpoint = to.emplace_back();
        endpoint.name = e.listener;
        endpoint.host = e.host;
        endpoint.port = e.port;
        endpoint.security_protocol = e.security_protocol;
    }
}
template <class Body>
void copy_features(const std::map<std::string, VersionRange>& from, std::vector<Body>& to) {
    for (const auto& [name, range] : from) {
        Body& feature = to.emplace_back();
        feature.name = name;
        feature.min_supported_version = range.min;
        feature.max_supported_version = range.max;
    }
}

}  // namespace

int16_t register_broker_version(int16_t metadata_version) {
    if (metadata_version >= kMvCordonedDirectories) return 4;
    if (metadata_version >= kMvDirectories) return 3;
    return metadata_version >= kMvRegisterBroker2 ? 2 : 1;
}

int16_t partition_version(int16_t metadata_version) {
    if (metadata_version >= kMvElr) return 2;
    return metadata_version >= kMvDirectories ? 1 : 0;
}

Record make_partition_record(const PartitionKey& key, const PartitionImage& partition,
                             int16_t metadata_version) {
    MILLRACE_ASSERT(partition.directories.size() == partition.replicas.size(),
                    "a directory for each replica");
    const int16_t version = partition_version(metadata_version);
    wire::PartitionRecord record;
    record.partition_id = key.index.value;
    record.topic_id = key.topic;
    record.replicas = to_numbers(partition.replicas);
    record.isr = to_numbers(partition.isr);
    record.removing_replicas = to_numbers(partition.removing);
    record.adding_replicas = to_numbers(partition.adding);
    record.leader = partition.leader.value;
    record.leader_recovery_state = static_cast<int8_t>(partition.recovery);
    record.leader_epoch = partition.leader_epoch.value;
    record.partition_epoch = partition.partition_epoch;
    if (version >= 1) record.directories = partition.directories;
    if (version >= 2) {
        // Empty lists stay null, which costs no byte.
        if (!partition.elr.empty()) record.eligible_leader_replicas = to_numbers(partition.elr);
        if (!partition.last_known_elr.empty()) {
            record.last_known_elr = to_numbers(partition.last_known_elr);
        }
    }
    return Record(std::move(record), version);
}

Record make_partition_change(const PartitionKey& key, const PartitionChange& change,
                             int16_t metadata_version) {
    const int16_t version = partition_version(metadata_version);
    const auto numbers = [](const std::optional<std::vector<NodeId>>& nodes) {
        return nodes ? std::optional(to_numbers(*nodes)) : std::nullopt;
    };
    wire::PartitionChangeRecord record;
    record.partition_id = key.index.value;
    record.topic_id = key.topic;
    record.isr = numbers(change.isr);
    record.leader = change.leader.value;
    record.replicas = numbers(change.replicas);
    record.removing_replicas = numbers(change.removing);
    record.adding_replicas = numbers(change.adding);
    if (change.recovery) record.leader_recovery_state = static_cast<int8_t>(*change.recovery);
    if (version >= 1) record.directories = change.directories;
    if (version >= 2) {
        record.eligible_leader_replicas = numbers(change.elr);
        record.last_known_elr = numbers(change.last_known_elr);
    }
    return Record(std::move(record), version);
}

Record make_register_broker(const BrokerImage& broker, int16_t metadata_version) {
    const int16_t version = register_broker_version(metadata_version);
    wire::RegisterBrokerRecord record;
    record.broker_id = broker.id.value;
    record.is_migrating_zk_broker = broker.is_migrating_zk;
    record.incarnation_id = broker.incarnation;
    record.broker_epoch = broker.epoch.value;
    copy_endpoints(broker.endpoints, record.end_points);
    copy_features(broker.features, record.features);
    record.rack = broker.rack;
    record.fenced = broker.fenced;
    record.in_controlled_shutdown = broker.in_controlled_shutdown;
    if (version >= 3) record.log_dirs = broker.directories;
    if (version >= 4) record.cordoned_log_dirs = broker.cordoned_directories;
    return Record(std::move(record), version);
}

Record make_register_controller(const ControllerImage& controller) {
    wire::RegisterControllerRecord record;
    record.controller_id = controller.id.value;
    record.incarnation_id = controller.incarnation;
    record.zk_migration_ready = controller.zk_migration_ready;
    copy_endpoints(controller.endpoints, record.end_points);
    copy_features(controller.features, record.features);
    return Record(std::move(record));
}

Record make_feature_level(std::string name, int16_t level) {
    wire::FeatureLevelRecord record;
    record.name = std::move(name);
    record.feature_level = level;
    return Record(std::move(record));
}

Record make_config(const ConfigTarget& target, std::string name, std::optional<std::string> value) {
    wire::ConfigRecord record;
    record.resource_type = static_cast<int8_t>(target.type);
    record.resource_name = target.name;
    record.name = std::move(name);
    record.value = std::move(value);
    return Record(std::move(record));
}

}  // namespace millrace::metadata
