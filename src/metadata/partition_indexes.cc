// src/metadata/partition_indexes.cc: upkeep of the controller's partition indexes.
#include "metadata/partition_indexes.h"

#include <algorithm>
#include <map>

#include "millrace/base/assert.h"

namespace millrace::metadata {

namespace {

bool is_real_directory(const Uuid& id) {
    constexpr uint64_t kReservedBelow = 100;
    return id.high != 0 || id.low >= kReservedBelow;
}
bool is_imbalanced(const PartitionImage& partition) {
    return !partition.replicas.empty() && partition.leader != partition.replicas[0];
}
bool contains(const std::vector<NodeId>& nodes, NodeId node) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

template <class Counts, class Changes>
void add_counts(Counts& counts, const Changes& changes) {
    for (const auto& [key, change] : changes) {
        if (change == 0) continue;
        const int32_t* present = counts.find(key);
        const int32_t next = (present == nullptr ? 0 : *present) + change;
        MILLRACE_ASSERT(next >= 0, "no partition leaves an index it is not in");
        if (next == 0) {
            counts.erase(key);
        } else {
            counts.set(key, next);
        }
    }
}

template <class Matches>
void collect(const Image& image, const Uuid& topic_id, Matches matches,
             std::vector<PartitionKey>& keys) {
    const TopicImage* topic = image.topics.find(topic_id);
    MILLRACE_ASSERT(topic != nullptr, "an indexed topic exists");
    for (const auto& [index, partition] : topic->partitions) {
        if (matches(*partition)) keys.push_back({topic_id, index});
    }
}

template <class Counts, class Owner, class Matches>
std::vector<PartitionKey> owned(const Image& image, const Counts& counts, const Owner& owner,
                                Matches matches) {
    std::vector<PartitionKey> keys;
    for (auto it = counts.lower_bound(std::pair(owner, Uuid{})); it != counts.end(); ++it) {
        if (it->first.first != owner) break;
        collect(image, it->first.second, matches, keys);
    }
    return keys;
}

template <class Counts, class Matches>
std::vector<PartitionKey> in_topics(const Image& image, const Counts& counts, Matches matches) {
    std::vector<PartitionKey> keys;
    for (const auto& [topic, count] : counts)
        collect(image, topic, matches, keys);
    return keys;
}

}  // namespace

/// What a run of changes adds to and takes from the counts.
struct PartitionIndexes::Tally {
    std::map<std::pair<NodeId, Uuid>, int32_t> isr;
    std::map<std::pair<NodeId, Uuid>, int32_t> leaders;
    std::map<std::pair<NodeId, Uuid>, int32_t> elr;
    std::map<std::pair<Uuid, Uuid>, int32_t> directories;
    std::map<Uuid, int32_t> leaderless;
    std::map<Uuid, int32_t> imbalanced;
    std::map<Uuid, int32_t> reassigning;
    std::map<NodeId, int32_t> replicas;
    std::map<NodeId, int32_t> preferred;

    /// `sign` is 1 for the partition as it becomes, -1 for what it was.
    void count(const Uuid& topic, const PartitionImage* partition, int32_t sign) {
        if (partition == nullptr) return;
        for (NodeId node : partition->replicas)
            replicas[node] += sign;
        if (!partition->replicas.empty()) preferred[partition->replicas.front()] += sign;
        for (NodeId node : partition->isr)
            isr[{node, topic}] += sign;
        for (NodeId node : partition->elr)
            elr[{node, topic}] += sign;
        for (const Uuid& id : partition->directories) {
            if (is_real_directory(id)) directories[{id, topic}] += sign;
        }
        if (partition->has_leader()) {
            leaders[{partition->leader, topic}] += sign;
        } else {
            leaderless[topic] += sign;
        }
        if (is_imbalanced(*partition)) imbalanced[topic] += sign;
        if (partition->is_reassigning()) reassigning[topic] += sign;
    }
};

void PartitionIndexes::add(const Tally& tally) {
    add_counts(isr_, tally.isr);
    add_counts(leaders_, tally.leaders);
    add_counts(elr_, tally.elr);
    add_counts(directories_, tally.directories);
    add_counts(leaderless_, tally.leaderless);
    add_counts(imbalanced_, tally.imbalanced);
    add_counts(reassigning_, tally.reassigning);
    add_counts(replicas_, tally.replicas);
    add_counts(preferred_, tally.preferred);
}

void PartitionIndexes::apply(const Image& before, const Image& after, const Changes& changes) {
    Tally tally;
    for (const auto& [id, name] : changes.topics_deleted) {
        const TopicImage* topic = before.topics.find(id);
        if (topic == nullptr) continue;  // created and deleted within these changes
        for (const auto& [index, partition] : topic->partitions) {
            tally.count(id, partition.get(), -1);
        }
    }
    for (const auto& [id, indexes] : changes.partitions) {
        // An id that was removed and given again (no sane log has it) is counted off above.
        const TopicImage* old = changes.topics_deleted.count(id) ? nullptr : before.topics.find(id);
        for (PartitionIndex index : indexes) {
            tally.count(id, old == nullptr ? nullptr : old->partition(index), -1);
            tally.count(id, after.topics.partition(id, index), 1);
        }
    }
    add(tally);
}

std::vector<PartitionKey> PartitionIndexes::in_isr(const Image& image, NodeId broker) const {
    return owned(image, isr_, broker,
                 [&](const PartitionImage& p) { return contains(p.isr, broker); });
}

std::vector<PartitionKey> PartitionIndexes::in_elr(const Image& image, NodeId broker) const {
    return owned(image, elr_, broker,
                 [&](const PartitionImage& p) { return contains(p.elr, broker); });
}

std::vector<PartitionKey> PartitionIndexes::in_directory(const Image& image,
                                                         const Uuid& directory) const {
    return owned(image, directories_, directory, [&](const PartitionImage& p) {
        return std::find(p.directories.begin(), p.directories.end(), directory) !=
               p.directories.end();
    });
}

bool PartitionIndexes::has_leaderships(NodeId broker) const {
    const auto first = leaders_.lower_bound(std::pair(broker, Uuid{}));
    return first != leaders_.end() && first->first.first == broker;
}

std::vector<PartitionKey> PartitionIndexes::leaderless(const Image& image) const {
    return in_topics(image, leaderless_, [](const PartitionImage& p) { return !p.has_leader(); });
}

std::vector<PartitionKey> PartitionIndexes::imbalanced(const Image& image) const {
    return in_topics(image, imbalanced_, is_imbalanced);
}

std::vector<PartitionKey> PartitionIndexes::reassigning(const Image& image) const {
    return in_topics(image, reassigning_,
                     [](const PartitionImage& p) { return p.is_reassigning(); });
}

int64_t PartitionIndexes::replicas_of(NodeId broker) const {
    const int32_t* count = replicas_.find(broker);
    return count == nullptr ? 0 : *count;
}

int64_t PartitionIndexes::preferred_by(NodeId broker) const {
    const int32_t* count = preferred_.find(broker);
    return count == nullptr ? 0 : *count;
}

}  // namespace millrace::metadata
