// src/metadata/replay.cc: applies cluster, topic and feature records to an image.
#include "metadata/replay.h"

#include <fmt/core.h>

#include <algorithm>

#include "metadata/partition_election.h"
#include "metadata/wire_nodes.h"

namespace millrace::metadata {

namespace {

Status corrupt(std::string message) { return Status(Errc::Corrupt, std::move(message)); }

template <class EndPoints>
std::vector<Endpoint> endpoints_of(const EndPoints& from) {
    std::vector<Endpoint> endpoints;
    endpoints.reserve(from.size());
    for (const auto& e : from)
        endpoints.push_back({e.name, e.host, e.port, e.security_protocol});
    std::sort(endpoints.begin(), endpoints.end(),
              [](const Endpoint& a, const Endpoint& b) { return a.listener < b.listener; });
    return endpoints;
}
template <class Features>
std::map<std::string, VersionRange> features_of(const Features& from) {
    std::map<std::string, VersionRange> features;
    for (const auto& f : from) {
        features[f.name] = {f.min_supported_version, f.max_supported_version};
    }
    return features;
}
std::vector<Uuid> sorted(std::vector<Uuid> ids) {
    std::sort(ids.begin(), ids.end());
    return ids;
}

}  // namespace

PartitionChange to_change(const wire::PartitionChangeRecord& record) {
    const auto nodes = [](const std::optional<std::vector<int32_t>>& numbers) {
        return numbers ? std::optional(to_nodes(*numbers)) : std::nullopt;
    };
    PartitionChange change;
    change.isr = nodes(record.isr);
    change.leader = NodeId(record.leader);
    change.replicas = nodes(record.replicas);
    change.removing = nodes(record.removing_replicas);
    change.adding = nodes(record.adding_replicas);
    change.elr = nodes(record.eligible_leader_replicas);
    change.last_known_elr = nodes(record.last_known_elr);
    change.directories = record.directories;
    if (record.leader_recovery_state >= 0) {
        change.recovery = static_cast<LeaderRecoveryState>(record.leader_recovery_state);
    }
    return change;
}

Status Replayer::operator()(const wire::RegisterBrokerRecord& record) {
    auto broker = std::make_shared<BrokerImage>();
    broker->id = NodeId(record.broker_id);
    broker->epoch = BrokerEpoch(record.broker_epoch);
    broker->incarnation = record.incarnation_id;
    broker->endpoints = endpoints_of(record.end_points);
    broker->features = features_of(record.features);
    broker->rack = record.rack;
    broker->fenced = record.fenced;
    broker->in_controlled_shutdown = record.in_controlled_shutdown;
    broker->is_migrating_zk = record.is_migrating_zk_broker;
    broker->directories = sorted(record.log_dirs);
    if (record.cordoned_log_dirs) broker->cordoned_directories = sorted(*record.cordoned_log_dirs);
    changes_.brokers.insert(broker->id);
    image_.cluster.brokers.set(broker->id, broker);
    return {};
}

Status Replayer::check_registered(NodeId id, BrokerEpoch epoch) const {
    const BrokerImage* broker = image_.cluster.broker(id);
    if (broker == nullptr) return corrupt(fmt::format("broker {} is not registered", id.value));
    if (broker->epoch != epoch) {
        return corrupt(fmt::format("broker {} is registered with epoch {}, not {}", id.value,
                                   broker->epoch.value, epoch.value));
    }
    return {};
}

Status Replayer::operator()(const wire::UnregisterBrokerRecord& record) {
    const NodeId id(record.broker_id);
    MILLRACE_TRY(check_registered(id, BrokerEpoch(record.broker_epoch)));
    image_.cluster.brokers.erase(id);
    changes_.brokers.insert(id);
    return {};
}

Status Replayer::change_registration(NodeId id, BrokerEpoch epoch,
                                     const RegistrationChange& change) {
    MILLRACE_TRY(check_registered(id, epoch));
    auto broker = std::make_shared<BrokerImage>(*image_.cluster.broker(id));
    if (change.fenced != 0) broker->fenced = change.fenced > 0;
    if (change.in_shutdown > 0) broker->in_controlled_shutdown = true;
    if (change.directories != nullptr && !change.directories->empty()) {
        broker->directories = sorted(*change.directories);
    }
    if (change.cordoned != nullptr && *change.cordoned) {
        broker->cordoned_directories = sorted(**change.cordoned);
    }
    changes_.brokers.insert(id);
    image_.cluster.brokers.set(id, std::move(broker));
    return {};
}

Status Replayer::operator()(const wire::FenceBrokerRecord& record) {
    RegistrationChange change;
    change.fenced = 1;
    return change_registration(NodeId(record.id), BrokerEpoch(record.epoch), change);
}
Status Replayer::operator()(const wire::UnfenceBrokerRecord& record) {
    RegistrationChange change;
    change.fenced = -1;
    return change_registration(NodeId(record.id), BrokerEpoch(record.epoch), change);
}
Status Replayer::operator()(const wire::BrokerRegistrationChangeRecord& record) {
    if (record.fenced < -1 || record.fenced > 1) {
        return corrupt(fmt::format("unknown fencing change {}", int{record.fenced}));
    }
    if (record.in_controlled_shutdown < 0 || record.in_controlled_shutdown > 1) {
        return corrupt(fmt::format("unknown controlled shutdown change {}",
                                   int{record.in_controlled_shutdown}));
    }
    return change_registration(NodeId(record.broker_id), BrokerEpoch(record.broker_epoch),
                               {record.fenced, record.in_controlled_shutdown, &record.log_dirs,
                                &record.cordoned_log_dirs});
}

Status Replayer::operator()(const wire::RegisterControllerRecord& record) {
    auto controller = std::make_shared<ControllerImage>();
    controller->id = NodeId(record.controller_id);
    controller->incarnation = record.incarnation_id;
    controller->zk_migration_ready = record.zk_migration_ready;
    controller->endpoints = endpoints_of(record.end_points);
    controller->features = features_of(record.features);
    changes_.controllers.insert(controller->id);
    image_.cluster.controllers.set(controller->id, controller);
    return {};
}

Status Replayer::operator()(const wire::TopicRecord& record) {
    if (image_.topics.ids_by_name.contains(record.name)) {
        return corrupt("topic " + record.name + " exists already");
    }
    if (image_.topics.by_id.contains(record.topic_id)) {
        return corrupt("topic id " + record.topic_id.to_string() + " exists already");
    }
    auto topic = std::make_shared<TopicImage>();
    topic->name = record.name;
    topic->id = record.topic_id;
    image_.topics.by_id.set(topic->id, topic);
    image_.topics.ids_by_name.set(topic->name, topic->id);
    changes_.topics_created.insert(topic->id);
    return {};
}

void Replayer::put_partition(const TopicPtr& topic, PartitionIndex index, PartitionPtr partition) {
    MILLRACE_ASSERT(partition->directories.size() == partition->replicas.size(),
                    "a directory for each replica");
    TopicImage& next = open_topic(topic);
    next.partitions.set(index, std::move(partition));
    changes_.partitions[next.id].insert(index);
}

TopicImage& Replayer::open_topic(const TopicPtr& topic) {
    if (open_topic_ != topic) {
        open_topic_ = std::make_shared<TopicImage>(*topic);
        image_.topics.by_id.set(open_topic_->id, open_topic_);
    }
    return *open_topic_;
}

Status Replayer::operator()(const wire::PartitionRecord& record) {
    const TopicPtr* topic = image_.topics.by_id.find(record.topic_id);
    if (topic == nullptr) {
        return corrupt("no topic with id " + record.topic_id.to_string());
    }
    if (record.partition_id < 0) return corrupt("negative partition index");
    if (!record.directories.empty() && record.directories.size() != record.replicas.size()) {
        return corrupt(fmt::format("{} directories for {} replicas of {}-{}",
                                   record.directories.size(), record.replicas.size(),
                                   (*topic)->name, record.partition_id));
    }
    auto partition = std::make_shared<PartitionImage>();
    partition->replicas = to_nodes(record.replicas);
    partition->directories = record.directories;
    if (partition->directories.empty()) {
        partition->directories.assign(partition->replicas.size(), kDirectoryMigrating);
    }
    partition->isr = to_nodes(record.isr);
    partition->removing = to_nodes(record.removing_replicas);
    partition->adding = to_nodes(record.adding_replicas);
    if (record.eligible_leader_replicas) {
        partition->elr = to_nodes(*record.eligible_leader_replicas);
    }
    if (record.last_known_elr) partition->last_known_elr = to_nodes(*record.last_known_elr);
    partition->leader = NodeId(record.leader);
    partition->leader_epoch = LeaderEpoch(record.leader_epoch);
    partition->partition_epoch = record.partition_epoch;
    partition->recovery = static_cast<LeaderRecoveryState>(record.leader_recovery_state);
    put_partition(TopicPtr(*topic), PartitionIndex(record.partition_id), std::move(partition));
    return {};
}

Status Replayer::operator()(const wire::PartitionChangeRecord& record) {
    const TopicPtr* topic = image_.topics.by_id.find(record.topic_id);
    if (topic == nullptr) {
        return corrupt("no topic with id " + record.topic_id.to_string());
    }
    const PartitionIndex index(record.partition_id);
    const PartitionImage* partition = (*topic)->partition(index);
    if (partition == nullptr) {
        return corrupt(fmt::format("no partition {}-{}", (*topic)->name, index.value));
    }
    auto next = std::make_shared<PartitionImage>(merge_partition(*partition, to_change(record)));
    if (next->directories.size() != next->replicas.size()) {
        return corrupt(fmt::format("{} directories for {} replicas of {}-{}",
                                   next->directories.size(), next->replicas.size(), (*topic)->name,
                                   index.value));
    }
    put_partition(TopicPtr(*topic), index, std::move(next));
    return {};
}

Status Replayer::operator()(const wire::RemoveTopicRecord& record) {
    const TopicPtr* found = image_.topics.by_id.find(record.topic_id);
    if (found == nullptr) {
        return corrupt("no topic with id " + record.topic_id.to_string());
    }
    const TopicPtr topic = *found;
    image_.topics.by_id.erase(topic->id);
    image_.topics.ids_by_name.erase(topic->name);
    const ConfigTarget target{ConfigResource::Topic, topic->name};
    if (image_.configs.by_target.erase(target)) changes_.configs.insert(target);
    changes_.partitions.erase(topic->id);
    // A topic that came and went within these changes never was, for those who compare images.
    if (changes_.topics_created.erase(topic->id) == 0) {
        changes_.topics_deleted.emplace(topic->id, topic->name);
    }
    return {};
}

void Replayer::clear_elr(TopicPtr topic) {
    PartitionChange cleared;
    cleared.elr.emplace();
    cleared.last_known_elr.emplace();
    const auto partitions = topic->partitions;  // this version stays as it is under the edits
    for (const auto& [index, partition] : partitions) {
        if (partition->elr.empty() && partition->last_known_elr.empty()) continue;
        put_partition(topic, index,
                      std::make_shared<PartitionImage>(merge_partition(*partition, cleared)));
        topic = open_topic_;
    }
}

Status Replayer::operator()(const wire::ClearElrRecord& record) {
    if (!record.topic_name.empty()) {
        const Uuid* id = image_.topics.ids_by_name.find(record.topic_name);
        if (id == nullptr) return corrupt("no topic " + record.topic_name);
        clear_elr(TopicPtr(*image_.topics.by_id.find(*id)));
        return {};
    }
    // Walks a version of the map that stays as it is while topics are replaced.
    const auto topics = image_.topics.by_id;
    for (const auto& [id, topic] : topics)
        clear_elr(topic);
    return {};
}

Status Replayer::operator()(const wire::FeatureLevelRecord& record) {
    // The level of kraft.version lives in a control record; one found here means nothing.
    if (record.name == kKraftVersionFeature) return {};
    if (record.feature_level == 0) {
        image_.features.levels.erase(record.name);
    } else {
        image_.features.levels[record.name] = record.feature_level;
    }
    changes_.features.insert(record.name);
    return {};
}

}  // namespace millrace::metadata
