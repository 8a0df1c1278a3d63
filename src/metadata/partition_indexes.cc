// src/metadata/partition_indexes.cc: upkeep of the controller's partition indexes.
#include "metadata/partition_indexes.h"

#include <algorithm>

namespace millrace::metadata {

namespace {

bool is_real_directory(const Uuid& id) {
    constexpr uint64_t kReservedBelow = 100;
    return id.high != 0 || id.low >= kReservedBelow;
}

void put(PersistentMap<PartitionKey, bool>& set, const PartitionKey& key, bool before, bool after) {
    if (before == after) return;
    if (after) {
        set.set(key, true);
    } else {
        set.erase(key);
    }
}

/// Moves `key` from the owners of `before` to those of `after`; common ones stay untouched.
template <class Map, class Owner>
void move_members(Map& map, const PartitionKey& key, const std::vector<Owner>& before,
                  const std::vector<Owner>& after) {
    for (const Owner& owner : before) {
        if (std::find(after.begin(), after.end(), owner) == after.end()) map.erase({owner, key});
    }
    for (const Owner& owner : after) {
        if (std::find(before.begin(), before.end(), owner) == before.end()) {
            map.set({owner, key}, true);
        }
    }
}

std::vector<Uuid> real_directories(const PartitionImage* partition) {
    std::vector<Uuid> real;
    if (partition == nullptr) return real;
    for (const Uuid& id : partition->directories) {
        if (is_real_directory(id)) real.push_back(id);
    }
    return real;
}

bool is_imbalanced(const PartitionImage* partition) {
    return partition != nullptr && !partition->replicas.empty() &&
           partition->leader != partition->replicas[0];
}

}  // namespace

template <class Owner>
std::vector<PartitionKey> PartitionIndexes::under(const Members<Owner>& members,
                                                  const Owner& owner) {
    std::vector<PartitionKey> keys;
    const Member<Owner> first{owner, {Uuid{}, PartitionIndex(0)}};
    for (auto it = members.lower_bound(first); it != members.end(); ++it) {
        if (it->first.owner != owner) break;
        keys.push_back(it->first.partition);
    }
    return keys;
}
template std::vector<PartitionKey> PartitionIndexes::under(const Members<NodeId>&, const NodeId&);
template std::vector<PartitionKey> PartitionIndexes::under(const Members<Uuid>&, const Uuid&);

bool PartitionIndexes::has_leaderships(NodeId broker) const {
    const auto first = leaders_.lower_bound(
        Member<NodeId>{broker, {Uuid{}, PartitionIndex(0)}});
    return first != leaders_.end() && first->first.owner == broker;
}

void PartitionIndexes::update(const PartitionKey& key, const PartitionImage* before,
                              const PartitionImage* after) {
    static const std::vector<NodeId> kNone;
    move_members(isr_, key, before ? before->isr : kNone, after ? after->isr : kNone);
    move_members(elr_, key, before ? before->elr : kNone, after ? after->elr : kNone);
    move_members(directories_, key, real_directories(before), real_directories(after));
    const NodeId led_before = before ? before->leader : kNoNode;
    const NodeId led_after = after ? after->leader : kNoNode;
    if (led_before != led_after) {
        if (led_before != kNoNode) leaders_.erase({led_before, key});
        if (led_after != kNoNode) leaders_.set({led_after, key}, true);
    }
    put(leaderless_, key, before && !before->has_leader(), after && !after->has_leader());
    put(imbalanced_, key, is_imbalanced(before), is_imbalanced(after));
    put(reassigning_, key, before && before->is_reassigning(), after && after->is_reassigning());
}

void PartitionIndexes::apply(const Image& before, const Image& after, const Changes& changes) {
    for (const auto& [id, name] : changes.topics_deleted) {
        const TopicImage* topic = before.topics.find(id);
        if (topic == nullptr) continue;  // created and deleted within these changes
        for (const auto& [index, partition] : topic->partitions) {
            update({id, index}, partition.get(), nullptr);
        }
    }
    for (const auto& [id, indexes] : changes.partitions) {
        for (PartitionIndex index : indexes) {
            update({id, index}, before.topics.partition(id, index),
                   after.topics.partition(id, index));
        }
    }
}

}  // namespace millrace::metadata
