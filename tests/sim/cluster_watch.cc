// tests/sim/cluster_watch.cc: leaders, watermarks, committed bytes and images compared.
#include "sim/cluster_watch.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "millrace/base/endian.h"
#include "millrace/broker/partition.h"
#include "millrace/broker/quorum_driver.h"

namespace millrace::sim {

namespace {

constexpr size_t kBatchHeadBytes = 16;  // base offset, length, leader epoch
constexpr size_t kLengthEndsAt = 12;
constexpr uint64_t kChecksummedFrom = 21;
constexpr size_t kImagesKept = 400;
const char* const kLogSuffix = ".log";

uint64_t hash_of(std::string_view bytes) {
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
    return hash;
}

const uint8_t* bytes_of(const std::string& text, size_t at) {
    return reinterpret_cast<const uint8_t*>(text.data()) + at;
}

template <class Visit>
void each_partition(const metadata::Image& image, Visit visit) {
    for (const auto& [id, topic] : image.topics.by_id) {
        for (const auto& [index, part] : topic->partitions) visit(*topic, index, *part);
    }
}

}  // namespace

ClusterWatch::ClusterWatch(World& world, Cluster& cluster) : world_(world), cluster_(cluster) {}

void ClusterWatch::fail(const char* invariant, const std::string& text) const {
    world_.fail(kExitSafety, invariant, text);
}

bool ClusterWatch::alive(Process& process) {
    return process.started() && process.state() != Process::State::Down;
}

/// Its quorum epoch may go back: what was not durable has not left it.
void ClusterWatch::on_new_life(int node) { nodes_[node] = Node{}; }

void ClusterWatch::after_event() {
    const int number = static_cast<int>(world_.running() >> 32U);
    if (number < 1 || number > cluster_.size()) return;
    Process& process = cluster_.node(number);
    if (!alive(process) || process.disk().halted()) return;
    look_at_quorum(number, process);
    look_at_image(number, process.node().shard().image_pointer());
    process.node().shard().for_each_partition(
        [&](broker::Partition& partition) { look_at_partition(number, partition); });
}

void ClusterWatch::look_at_quorum(int number, Process& process) {
    const broker::QuorumStatus status = process.node().shard().quorum->status();
    Node& known = nodes_[number];
    const std::string who = "node " + std::to_string(number);
    if (status.epoch.value < known.raft_epoch) {
        fail("I3", who + ": the quorum epoch went back to " + std::to_string(status.epoch.value));
    }
    check_voters(number, status, known.raft_epoch == status.epoch.value);
    known.raft_epoch = status.epoch.value;
    if (status.role == raft::QuorumRole::Leader) {
        const auto [it, first] = raft_leaders_.emplace(status.epoch.value, number);
        if (!first && it->second != number) {
            fail("I3", "nodes " + std::to_string(it->second) + " and " + std::to_string(number) +
                           " lead the quorum in epoch " + std::to_string(status.epoch.value));
        }
    }
    // A new leader knows none until a record of its own epoch is committed.
    const bool unknown = status.high_watermark == kNoOffset;
    if (!unknown && status.high_watermark.value < known.raft_high_watermark) {
        fail("I11", who + ": the quorum's watermark went back from " +
                        std::to_string(known.raft_high_watermark) + " to " +
                        std::to_string(status.high_watermark.value));
    }
    if (status.high_watermark > status.log_end_offset) {
        fail("I5", who + ": the quorum's watermark is beyond the log");
    }
    if (!unknown) known.raft_high_watermark = status.high_watermark.value;
    raft_ends_[number] = status.log_end_offset.value;
    if (!unknown && status.high_watermark.value > raft_committed_) check_majority(number, status);
}

/// One at a time, and not before the leader has committed in its epoch.
void ClusterWatch::check_voters(int number, const broker::QuorumStatus& status, bool same_reign) {
    Node& known = nodes_[number];
    const bool leads = status.role == raft::QuorumRole::Leader;
    if (leads && same_reign && !known.voters.empty()) {
        size_t changed = 0;
        const auto differ = [&](const raft::VoterSet& one, const raft::VoterSet& other) {
            for (const raft::Voter& voter : one.voters()) changed += other.is_voter(voter.key) ? 0 : 1;
        };
        differ(known.voters, status.voter_set);
        differ(status.voter_set, known.voters);
        if (changed > 1) fail("I13", "node " + std::to_string(number) + " changed several voters");
        if (changed > 0 && status.high_watermark == kNoOffset) {
            fail("I13", "node " + std::to_string(number) + " changed voters without a commit");
        }
        voter_changes_ += changed;
    }
    known.voters = leads ? status.voter_set : raft::VoterSet{};
}

/// Whoever says first that something is committed: a majority of the voters has it. Of a node that
/// is down counts what it had.
void ClusterWatch::check_majority(int number, const broker::QuorumStatus& status) {
    const int64_t committed = status.high_watermark.value;
    size_t have = 0;
    for (const raft::Voter& voter : status.voter_set.voters()) {
        if (raft_ends_[voter.key.id.value] >= committed) ++have;
    }
    if (have < status.voter_set.majority()) {
        fail("I11", "node " + std::to_string(number) + ": the quorum's watermark is " +
                        std::to_string(committed) + ", only " + std::to_string(have) + " of " +
                        std::to_string(status.voter_set.size()) + " voters have that");
    }
    raft_committed_ = committed;
}

void ClusterWatch::look_at_image(int number, const metadata::ImagePtr& image) {
    Node& known = nodes_[number];
    const int64_t offset = image->provenance.offset.value;
    if (offset == known.image_offset) return;
    if (offset < known.image_offset) {
        fail("I10", "node " + std::to_string(number) + ": the metadata image went back");
    }
    known.image_offset = offset;
    const auto [it, first] = images_.try_emplace(offset, number, image);
    if (first) {
        check_image(number, *image);
    } else if (!metadata::same_contents(*it->second.second, *image)) {
        fail("I10", "nodes " + std::to_string(it->second.first) + " and " +
                        std::to_string(number) + " have different metadata at offset " +
                        std::to_string(offset));
    }
    if (images_.size() > kImagesKept) images_.erase(images_.begin());
}

void ClusterWatch::check_image(int number, const metadata::Image& image) {
    const bool newest = images_.rbegin()->first == image.provenance.offset.value;
    each_partition(image, [&](const metadata::TopicImage& topic, PartitionIndex index,
                              const metadata::PartitionImage& part) {
        const std::string what = "metadata of node " + std::to_string(number) + ": " + topic.name +
                                 "-" + std::to_string(index.value);
        for (const NodeId member : part.isr) {
            if (!part.has_replica(member)) fail("I6", what + ": the ISR is no replica");
        }
        if (part.has_leader() && !part.in_isr(part.leader)) {
            fail("I6", what + ": the leader is not in the ISR");
        }
        for (const NodeId member : part.elr) {
            if (part.in_isr(member)) fail("I6", what + ": in the ISR and in the ELR");
        }
        if (!newest) return;
        int32_t& epoch = partition_epochs_[{topic.id, index.value}];
        if (part.partition_epoch < epoch) fail("I6", what + ": the partition epoch went back");
        epoch = part.partition_epoch;
    });
}

std::string ClusterWatch::name(int number, broker::Partition& partition) const {
    return "node " + std::to_string(number) + ": " + partition.name().topic + "-" +
           std::to_string(partition.name().partition.value);
}

void ClusterWatch::look_at_partition(int number, broker::Partition& partition) {
    if (partition.offline() || partition.log().failed() || partition.log().damaged()) return;
    const PartitionKey key{partition.topic_id(), partition.name().partition.value};
    Seen& seen = nodes_[number].partitions[key];
    const int64_t high_watermark = partition.high_watermark().value;
    const int64_t end = partition.log().log_end_offset().value;
    const int32_t epoch = partition.leader_epoch().value;
    if (end < seen.next) seen.next = -1;  // truncated: look again from the start
    if (partition.is_leader() && (!seen.leader || seen.leader_epoch != epoch)) {
        ++elections_;
        const auto [it, first] = leaders_.emplace(std::pair(key, epoch), number);
        if (!first && it->second != number) {
            fail("I3", name(number, partition) + " leads in epoch " + std::to_string(epoch) +
                           ", as node " + std::to_string(it->second) + " does");
        }
        const auto& committed = committed_[key];
        // What later leaders committed is none of its business: a node that was away for long plays
        // old elections again until its image is of today.
        auto last = committed.rbegin();
        while (last != committed.rend() && last->second.epoch >= epoch) ++last;
        if (last != committed.rend() && end < last->second.next &&
            !excused_topics.contains(partition.name().topic)) {
            fail("I1", name(number, partition) + " became the leader with a log up to " +
                           std::to_string(end) + ", committed is " +
                           std::to_string(last->second.next));
        }
    }
    const bool same_reign = seen.leader_epoch == epoch && seen.leader == partition.is_leader();
    if (same_reign && seen.leader && high_watermark < seen.high_watermark) {
        fail("I5", name(number, partition) + ": the high watermark went back from " +
                       std::to_string(seen.high_watermark) + " to " +
                       std::to_string(high_watermark));
    }
    if (high_watermark > end || partition.log().log_start_offset().value > end) {
        fail("I5", name(number, partition) + ": the watermark " + std::to_string(high_watermark) +
                       " is beyond the log's end " + std::to_string(end));
    }
    const bool moved = high_watermark > seen.high_watermark;
    seen.leader_epoch = epoch;
    seen.leader = partition.is_leader();
    seen.high_watermark = high_watermark;
    if (seen.next < high_watermark && !rotten(number, partition)) check_committed(number, partition, seen, high_watermark);
    if (moved && seen.leader) check_followers(number, partition);
}

/// The segment that holds `offset`, and the position of its start.
bool ClusterWatch::find_segment(int number, broker::Partition& partition, Seen& seen,
                                int64_t offset) {
    const std::string& folder = partition.log().directory();
    const std::string name = cluster_.node(number).disk().peek_last_name(
        folder, fmt::format("{:020}{}", offset, kLogSuffix), kLogSuffix);
    if (name.empty()) return false;
    seen.segment = folder + "/" + name;
    seen.position = 0;
    seen.next = std::strtoll(name.c_str(), nullptr, 10);
    seen.last_epoch = -1;
    return true;
}

void ClusterWatch::check_committed(int number, broker::Partition& partition, Seen& seen,
                                   int64_t end) {
    support::SimDisk& disk = cluster_.node(number).disk();
    const int64_t start = partition.log().log_start_offset().value;
    if (seen.next < start && !find_segment(number, partition, seen, start)) return;
    auto& committed = committed_[{partition.topic_id(), partition.name().partition.value}];
    const bool excused = excused_topics.contains(partition.name().topic);
    while (seen.next < end) {
        const std::string head = disk.peek(seen.segment, seen.position, kBatchHeadBytes);
        if (head.size() < kBatchHeadBytes) {
            const std::string before = seen.segment;
            if (!find_segment(number, partition, seen, seen.next) || seen.segment == before) {
                fail("I7", name(number, partition) + ": no batch at offset " +
                               std::to_string(seen.next) + " below the watermark");
            }
            continue;
        }
        const auto base = load_big<int64_t>(bytes_of(head, 0));
        const auto length = load_big<int32_t>(bytes_of(head, 8));
        const auto epoch = load_big<int32_t>(bytes_of(head, kLengthEndsAt));
        const std::string bytes =
            disk.peek(seen.segment, seen.position, kLengthEndsAt + static_cast<size_t>(length));
        if (base != seen.next || bytes.size() < kLengthEndsAt + static_cast<size_t>(length)) {
            fail("I7", name(number, partition) + ": batch at " + std::to_string(base) +
                           " where " + std::to_string(seen.next) + " was next");
        }
        if (epoch < seen.last_epoch) fail("I4", name(number, partition) + ": epochs decrease");
        const int64_t next = base + 1 + load_big<int32_t>(bytes_of(bytes, 23));
        const uint64_t hash = hash_of(bytes);
        // Below the log's start nobody reads it; a deposed leader's own may stand there.
        if (next <= start) {
            seen.last_epoch = epoch;
            seen.position += bytes.size();
            seen.next = next;
            continue;
        }
        const auto [it, first] = committed.emplace(base, Batch{next, hash, epoch, number});
        if (first) ++committed_count_;
        if (!first && !excused && (it->second.hash != hash || it->second.next != next)) {
            fail("I2", name(number, partition) + ": the committed batch at " +
                           std::to_string(base) + " of epoch " + std::to_string(epoch) +
                           " is not what node " + std::to_string(it->second.node) +
                           " has, of epoch " + std::to_string(it->second.epoch));
        }
        seen.last_epoch = epoch;
        seen.position += bytes.size();
        seen.next = next;
    }
}

/// Who is in the ISR has everything below the watermark.
void ClusterWatch::check_followers(int number, broker::Partition& partition) {
    const replication::Leader* leader = partition.leader();
    if (leader == nullptr || excused_topics.contains(partition.name().topic)) return;
    for (const NodeId member : leader->isr()) {
        if (member.value == number || lossy_.contains(member.value)) continue;
        Process& process = cluster_.node(member.value);
        if (!alive(process) || process.disk().halted()) continue;
        broker::Partition* copy = process.node().shard().partition(partition.topic_id(),
                                                                   partition.name().partition);
        if (copy == nullptr || copy->offline() || copy->log().failed()) continue;
        if (copy->log().log_end_offset() < leader->high_watermark()) {
            fail("I5", name(number, partition) + ": the watermark is " +
                           std::to_string(leader->high_watermark().value) + ", node " +
                           std::to_string(member.value) + " of the ISR has only " +
                           std::to_string(copy->log().log_end_offset().value));
        }
    }
}

metadata::ImagePtr ClusterWatch::newest_image() {
    return images_.empty() ? metadata::empty_image() : images_.rbegin()->second.second;
}

void ClusterWatch::on_unclean_end(int node) {
    unclean_.insert(node);
    const metadata::BrokerImage* broker = newest_image()->cluster.broker(NodeId(node));
    if (broker != nullptr) ended_epochs_[node] = broker->epoch.value;
}

void ClusterWatch::on_rot(Rot rot) {
    lossy_.insert(rot.node);
    unclean_.insert(rot.node);
    rot_.push_back(std::move(rot));
}

bool ClusterWatch::rotten(int number, broker::Partition& partition) const {
    return std::any_of(rot_.begin(), rot_.end(), [&](const Rot& rot) {
        return rot.node == number && rot.topic == partition.name().topic &&
               rot.partition == partition.name().partition.value;
    });
}

std::optional<ClusterWatch::Victim> ClusterWatch::pick_batch(int node, Rng& rng) {
    std::vector<broker::Partition*> copies;
    cluster_.node(node).node().shard().for_each_partition([&](broker::Partition& partition) {
        if (partition.name().topic.starts_with("t") && partition.high_watermark().value > 0 &&
            !partition.offline()) {
            copies.push_back(&partition);
        }
    });
    if (copies.empty()) return std::nullopt;
    broker::Partition& partition = *copies[rng.below(copies.size())];
    const std::string folder = partition.log().directory();
    const int64_t offset = static_cast<int64_t>(
        rng.below(static_cast<uint64_t>(partition.high_watermark().value)));
    Seen seen;
    if (!find_segment(node, partition, seen, offset)) return std::nullopt;
    while (true) {
        const std::string head =
            cluster_.node(node).disk().peek(seen.segment, seen.position, kBatchHeadBytes);
        if (head.size() < kBatchHeadBytes) return std::nullopt;
        const auto size = kLengthEndsAt + static_cast<uint64_t>(load_big<int32_t>(bytes_of(head, 8)));
        if (rng.chance(1, 3)) {
            return Victim{{node, partition.name().topic, partition.name().partition.value, folder},
                          seen.segment,
                          seen.position + kChecksummedFrom,
                          size - kChecksummedFrom};
        }
        seen.position += size;
    }
}

void ClusterWatch::forget_whole_nodes() {
    const metadata::ImagePtr image = newest_image();
    std::set<int> whole;
    for (Process* process : cluster_.all_servers()) {
        if (process->up()) whole.insert(process->site().number);
    }
    for (const Rot& rot : rot_) whole.erase(rot.node);
    each_partition(*image, [&](const metadata::TopicImage&, PartitionIndex,
                               const metadata::PartitionImage& part) {
        for (const NodeId replica : part.replicas) {
            if (!part.in_isr(replica)) whole.erase(replica.value);
        }
    });
    // The image may be older than a node's last end: it must know the registration.
    for (const int node : whole) {
        const metadata::BrokerImage* broker = image->cluster.broker(NodeId(node));
        if (broker == nullptr || !broker->active()) continue;
        if (broker->epoch.value <= ended_epochs_[node]) continue;
        unclean_.erase(node);
        lossy_.erase(node);
    }
}

std::string ClusterWatch::copy_text(int number, const Uuid& topic, PartitionIndex index) {
    broker::Partition* copy = cluster_.node(number).node().shard().partition(topic, index);
    if (copy == nullptr) return " without a copy";
    std::string text = " epoch " + std::to_string(copy->leader_epoch().value) + " log " +
                       std::to_string(copy->log().log_end_offset().value) + " watermark " +
                       std::to_string(copy->high_watermark().value) + " start " +
                       std::to_string(copy->log().log_start_offset().value);
    if (copy->offline()) text += " offline";
    if (const auto leader = copy->followed_leader()) text += " follows " + std::to_string(leader->value);
    if (copy->leader() == nullptr) return text;
    for (const replication::FollowerView& follower : copy->leader()->followers()) {
        text += " (" + std::to_string(follower.id.value) + " has " +
                std::to_string(follower.log_end.value) + ")";
    }
    return text;
}

std::string ClusterWatch::unrest() {
    const metadata::ImagePtr image = newest_image();
    std::string why;
    for (Process* process : cluster_.all_servers()) {
        if (!process->up()) return "node " + std::to_string(process->site().number) + " is not up";
        const metadata::Image& own = process->node().shard().image();
        if (own.provenance.offset != image->provenance.offset) return "the images are not equal";
    }
    if (all_vote && cluster_.voters().size() < cluster_.all_servers().size()) {
        why = "not every node is a voter";
    }
    each_partition(*image, [&](const metadata::TopicImage& topic, PartitionIndex index,
                               const metadata::PartitionImage& part) {
        const std::string what = topic.name + "-" + std::to_string(index.value);
        if (!part.has_leader()) why = what + " has no leader";
        if (part.is_reassigning()) why = what + " is being moved";
        if (part.isr.size() < part.replicas.size()) {
            why = what + " is not in sync: leader " + std::to_string(part.leader.value) + " isr";
            for (const NodeId member : part.isr) why += " " + std::to_string(member.value);
            for (const auto& [id, broker] : image->cluster.brokers) {
                why += "; broker " + std::to_string(id.value) + (broker->fenced ? " fenced" : "") +
                       (broker->in_controlled_shutdown ? " stopping" : "") +
                       copy_text(id.value, topic.id, index);
            }
        }
        int64_t end = -1;
        Offset leader_start{0};
        Offset lowest_start{std::numeric_limits<int64_t>::max()};
        for (const NodeId replica : part.replicas) {
            if (!why.empty()) return;
            broker::Partition* copy =
                cluster_.node(replica.value).node().shard().partition(topic.id, index);
            if (copy == nullptr || copy->offline()) {
                why = what + " is not online on node " + std::to_string(replica.value);
                return;
            }
            const Offset start = copy->log().log_start_offset();
            if (copy->is_leader()) leader_start = start;
            lowest_start = std::min(lowest_start, start);
            const int64_t here = copy->log().log_end_offset().value;
            if (end >= 0 && here != end) why = what + " has several ends";
            if (copy->high_watermark().value != here) {
                why = what + " is not committed on node " + std::to_string(replica.value) + ":" +
                      copy_text(replica.value, topic.id, index);
            }
            end = here;
        }
        if (lowest_start < leader_start) {
            why = what + " starts at " + std::to_string(lowest_start.value) +
                  " on a follower, at " + std::to_string(leader_start.value) + " on the leader";
        }
    });
    return why;
}

void ClusterWatch::compare_logs() {
    for (Process* process : cluster_.all_servers()) {
        const int number = process->site().number;
        process->node().shard().for_each_partition([&](broker::Partition& partition) {
            Seen all;
            check_committed(number, partition, all, partition.high_watermark().value);
            const auto& committed =
                committed_[{partition.topic_id(), partition.name().partition.value}];
            if (!committed.empty() && !excused_topics.contains(partition.name().topic) &&
                partition.log().log_end_offset().value < committed.rbegin()->second.next) {
                fail("I1", name(number, partition) + ": committed records are gone at the end");
            }
        });
    }
}

}  // namespace millrace::sim
