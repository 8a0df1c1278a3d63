// include/millrace/broker/topic_settings.h: a topic's effective configs in the shapes its readers need.
//
// Computed once per topic from the metadata image (or shared by all topics without overrides), held
// by shared pointer by each partition, replaced as a whole when a config changes.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "millrace/broker/config.h"
#include "millrace/record/batch_validate.h"
#include "millrace/storage/log_config.h"

namespace millrace::broker {

/// leader. or follower.replication.throttled.replicas.
struct ThrottledReplicas {
    bool all = false;
    std::vector<std::pair<int32_t, int32_t>> replicas;  // partition and broker, sorted
    bool contains(PartitionIndex partition, NodeId broker) const;
};

struct TopicSettings {
    TopicConfig topic;                                  // every key, typed
    std::shared_ptr<const storage::LogConfig> log;      // what storage needs of it
    record::ProduceRules produce;                       // what validation needs of it
    ThrottledReplicas leader_throttled;
    ThrottledReplicas follower_throttled;
};

std::shared_ptr<const TopicSettings> make_topic_settings(const metadata::ConfigMap& own,
                                                         const metadata::BrokerConfigLayers& layers,
                                                         const BrokerConfig& broker);

}  // namespace millrace::broker
