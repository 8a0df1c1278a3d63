// src/metadata/image.cc: lookups on the image, and comparison of two images.
#include "millrace/metadata/image.h"

#include <algorithm>

namespace millrace::metadata {

namespace {

const ConfigMap kNoConfigs;

bool contains(const std::vector<NodeId>& nodes, NodeId node) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

/// Compares maps of shared pointers by what they point to.
template <class K, class T>
bool same_values(const PersistentMap<K, std::shared_ptr<const T>>& a,
                 const PersistentMap<K, std::shared_ptr<const T>>& b) {
    if (a.same_version(b)) return true;
    if (a.size() != b.size()) return false;
    for (auto x = a.begin(), y = b.begin(); x != a.end(); ++x, ++y) {
        if (x->first != y->first) return false;
        if (x->second != y->second && !(*x->second == *y->second)) return false;
    }
    return true;
}

bool same_topics(const TopicsImage& a, const TopicsImage& b) {
    if (!(a.ids_by_name == b.ids_by_name) || a.by_id.size() != b.by_id.size()) return false;
    for (auto x = a.by_id.begin(), y = b.by_id.begin(); x != a.by_id.end(); ++x, ++y) {
        if (x->second == y->second) continue;
        if (x->second->name != y->second->name || x->second->id != y->second->id) return false;
        if (!same_values(x->second->partitions, y->second->partitions)) return false;
    }
    return true;
}

}  // namespace

bool PartitionImage::has_replica(NodeId node) const { return contains(replicas, node); }
bool PartitionImage::in_isr(NodeId node) const { return contains(isr, node); }

std::optional<Uuid> PartitionImage::directory_of(NodeId node) const {
    for (size_t i = 0; i < replicas.size() && i < directories.size(); ++i) {
        if (replicas[i] == node) return directories[i];
    }
    return std::nullopt;
}

const PartitionImage* TopicImage::partition(PartitionIndex index) const {
    const PartitionPtr* found = partitions.find(index);
    return found == nullptr ? nullptr : found->get();
}

const TopicImage* TopicsImage::find(std::string_view name) const {
    const Uuid* id = ids_by_name.find(name);
    return id == nullptr ? nullptr : find(*id);
}
const TopicImage* TopicsImage::find(const Uuid& id) const {
    const TopicPtr* found = by_id.find(id);
    return found == nullptr ? nullptr : found->get();
}
const PartitionImage* TopicsImage::partition(const Uuid& id, PartitionIndex index) const {
    const TopicImage* topic = find(id);
    return topic == nullptr ? nullptr : topic->partition(index);
}
const PartitionImage* TopicsImage::partition(std::string_view name, PartitionIndex index) const {
    const TopicImage* topic = find(name);
    return topic == nullptr ? nullptr : topic->partition(index);
}

bool BrokerImage::directory_online(const Uuid& directory) const {
    if (directory == kDirectoryUnassigned || directory == kDirectoryMigrating) return true;
    if (directory == kDirectoryLost) return false;
    if (directories.empty()) return true;
    return std::binary_search(directories.begin(), directories.end(), directory);
}
const Endpoint* BrokerImage::endpoint(std::string_view listener) const {
    for (const Endpoint& endpoint : endpoints) {
        if (endpoint.listener == listener) return &endpoint;
    }
    return nullptr;
}

const BrokerImage* ClusterImage::broker(NodeId id) const {
    const BrokerPtr* found = brokers.find(id);
    return found == nullptr ? nullptr : found->get();
}
const ControllerImage* ClusterImage::controller(NodeId id) const {
    const ControllerPtr* found = controllers.find(id);
    return found == nullptr ? nullptr : found->get();
}

const ConfigMap& ConfigsImage::of(const ConfigTarget& target) const {
    const ConfigMapPtr* found = by_target.find(target);
    return found == nullptr ? kNoConfigs : **found;
}
const ConfigMap& ConfigsImage::topic(std::string_view name) const {
    return of({ConfigResource::Topic, std::string(name)});
}
const ConfigMap& ConfigsImage::broker(std::string_view id_or_empty) const {
    return of({ConfigResource::Broker, std::string(id_or_empty)});
}

int16_t FeaturesImage::level(std::string_view feature) const {
    auto found = levels.find(feature);
    return found == levels.end() ? int16_t{0} : found->second;
}

bool Image::empty() const {
    return features.levels.empty() && cluster.brokers.empty() && cluster.controllers.empty() &&
           topics.by_id.empty() && configs.by_target.empty() && client_quotas.empty() &&
           producer_ids.next_producer_id == 0 && acls.empty() && scram.empty() &&
           delegation_tokens.empty();
}

ImagePtr empty_image() { return std::make_shared<const Image>(); }

bool same_contents(const Image& a, const Image& b) {
    return a.features == b.features && same_values(a.cluster.brokers, b.cluster.brokers) &&
           same_values(a.cluster.controllers, b.cluster.controllers) &&
           same_topics(a.topics, b.topics) &&
           same_values(a.configs.by_target, b.configs.by_target) &&
           same_values(a.client_quotas, b.client_quotas) && a.producer_ids == b.producer_ids &&
           same_values(a.acls, b.acls) && same_values(a.scram, b.scram) &&
           same_values(a.delegation_tokens, b.delegation_tokens);
}

}  // namespace millrace::metadata
