// src/metadata/delta.cc: working copy of an image, and the comparison of two images.
#include "millrace/metadata/delta.h"

#include "metadata/replay.h"

namespace millrace::metadata {

namespace {

/// Calls `differs(key)` for keys that are in one map only or whose values are not the same object.
/// Equal contents behind different pointers are compared by value.
template <class K, class T, class Differs>
void compare(const PersistentMap<K, std::shared_ptr<const T>>& before,
             const PersistentMap<K, std::shared_ptr<const T>>& after, Differs differs) {
    auto x = before.begin();
    auto y = after.begin();
    while (x != before.end() || y != after.end()) {
        if (y == after.end() || (x != before.end() && x->first < y->first)) {
            differs(x->first);
            ++x;
        } else if (x == before.end() || y->first < x->first) {
            differs(y->first);
            ++y;
        } else {
            if (x->second != y->second && !(*x->second == *y->second)) differs(x->first);
            ++x;
            ++y;
        }
    }
}

template <class K, class T>
std::set<K> differing(const PersistentMap<K, std::shared_ptr<const T>>& before,
                      const PersistentMap<K, std::shared_ptr<const T>>& after) {
    std::set<K> keys;
    if (!before.same_version(after)) compare(before, after, [&](const K& k) { keys.insert(k); });
    return keys;
}

void compare_topics(const TopicsImage& before, const TopicsImage& after, Changes& changes) {
    for (const auto& [id, topic] : before.by_id) {
        if (!after.by_id.contains(id)) changes.topics_deleted.emplace(id, topic->name);
    }
    static const PersistentMap<PartitionIndex, PartitionPtr> kNone;
    for (const auto& [id, topic] : after.by_id) {
        const TopicImage* old = before.find(id);
        if (old == topic.get()) continue;
        if (old == nullptr) changes.topics_created.insert(id);
        auto indexes = differing(old ? old->partitions : kNone, topic->partitions);
        if (!indexes.empty()) changes.partitions.emplace(id, std::move(indexes));
    }
}

}  // namespace

bool Changes::empty() const {
    return topics_created.empty() && topics_deleted.empty() && partitions.empty() &&
           brokers.empty() && controllers.empty() && configs.empty() && features.empty() &&
           client_quotas.empty() && acls.empty() && scram.empty() && delegation_tokens.empty() &&
           !producer_ids;
}

Changes difference(const Image& before, const Image& after) {
    Changes changes;
    compare_topics(before.topics, after.topics, changes);
    changes.brokers = differing(before.cluster.brokers, after.cluster.brokers);
    changes.controllers = differing(before.cluster.controllers, after.cluster.controllers);
    changes.configs = differing(before.configs.by_target, after.configs.by_target);
    changes.client_quotas = differing(before.client_quotas, after.client_quotas);
    changes.acls = differing(before.acls, after.acls);
    changes.scram = differing(before.scram, after.scram);
    changes.delegation_tokens = differing(before.delegation_tokens, after.delegation_tokens);
    changes.producer_ids = !(before.producer_ids == after.producer_ids);
    for (const auto& [name, level] : before.features.levels) {
        if (after.features.level(name) != level) changes.features.insert(name);
    }
    for (const auto& [name, level] : after.features.levels) {
        if (before.features.level(name) != level) changes.features.insert(name);
    }
    return changes;
}

Status Delta::replay(const Record& record) {
    Status status = std::visit(Replayer(image_, changes_, open_topic_), record.body);
    if (status.ok()) return status;
    return Status(status.errc(),
                  std::string("replay of ") + record_name(record) + ": " + status.message());
}

}  // namespace millrace::metadata
