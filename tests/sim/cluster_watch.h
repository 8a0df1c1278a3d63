// tests/sim/cluster_watch.h: what must hold between the nodes of a cluster after every event.
//
// Looks into the running nodes (white box), only at the one whose event ran, and reads committed
// bytes straight from the simulated disks. Names as in reliability.md 3.6.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "millrace/metadata/image.h"
#include "sim/cluster.h"

namespace millrace::broker {
class Partition;
struct QuorumStatus;
}  // namespace millrace::broker

namespace millrace::sim {

class ClusterWatch {
  public:
    ClusterWatch(World& world, Cluster& cluster);
    void after_event();
    /// The process on this node ended.
    void on_new_life(int node);
    /// Its end was no clean stop: until it is in sync again the controller does not count on it.
    void on_unclean_end(int node);
    /// The disk lost what was not synced: until the node is in sync again it may lack records.
    void on_lossy_crash(int node) { lossy_.insert(node); }
    /// Nodes without which every partition is in sync drop out of both sets; newest image.
    void forget_whole_nodes();
    /// One bit of that copy was flipped: its bytes are compared no more until it is cured, and the
    /// other replicas have to live.
    struct Rot {
        int node;
        std::string topic;
        int32_t partition;
        std::string folder;
    };
    void on_rot(Rot rot);
    const std::vector<Rot>& rot() const { return rot_; }
    void on_cured() { rot_.clear(); }
    /// A committed batch of a copy on this node: its file, and where its checksummed part lies.
    struct Victim {
        Rot rot;
        std::string file;
        uint64_t from;
        uint64_t size;
    };
    std::optional<Victim> pick_batch(int node, Rng& rng);
    /// Every other node ended cleanly, or is in sync again.
    bool others_clean(int node) const { return unclean_.size() == unclean_.count(node); }
    bool others_whole(int node) const { return lossy_.size() == lossy_.count(node); }

    /// Empty, or what keeps the cluster from being at rest: every partition led and in sync on all
    /// its replicas, one metadata image everywhere.
    std::string unrest();
    /// At rest: the same bytes of every log on all replicas.
    void compare_logs();

    /// Changes of leadership of partitions seen so far.
    uint64_t elections() const { return elections_; }
    uint64_t voter_changes() const { return voter_changes_; }
    uint64_t quorum_elections() const { return static_cast<uint64_t>(raft_leaders_.size()); }
    uint64_t committed_batches() const { return committed_count_; }
    /// Every node asks to become a voter, and must be one in the end.
    bool all_vote = false;
    std::set<std::string> excused_topics;  // may lose records: configured so

  private:
    using PartitionKey = std::pair<Uuid, int32_t>;
    struct Batch {
        int64_t next;
        uint64_t hash;
        int32_t epoch;
        int node;  // who had it first
    };
    /// What was checked of one replica.
    struct Seen {
        int64_t high_watermark = -1;
        int32_t leader_epoch = -1;
        bool leader = false;
        std::string segment;
        uint64_t position = 0;
        int64_t next = -1;  // offset of the batch at `position`
        int32_t last_epoch = -1;
    };
    struct Node {
        std::map<PartitionKey, Seen> partitions;
        int32_t raft_epoch = -1;
        int64_t raft_high_watermark = -1;
        int64_t image_offset = -1;
        raft::VoterSet voters;  // while it leads
    };
    void look_at_quorum(int number, Process& process);
    void check_voters(int number, const broker::QuorumStatus& status, bool same_reign);
    void check_majority(int number, const broker::QuorumStatus& status);
    void look_at_image(int number, const metadata::ImagePtr& image);
    void check_image(int number, const metadata::Image& image);
    void look_at_partition(int number, broker::Partition& partition);
    void check_committed(int number, broker::Partition& partition, Seen& seen, int64_t end);
    bool find_segment(int number, broker::Partition& partition, Seen& seen, int64_t offset);
    void check_followers(int number, broker::Partition& partition);
    std::string copy_text(int number, const Uuid& topic, PartitionIndex index);
    metadata::ImagePtr newest_image();
    std::string name(int number, broker::Partition& partition) const;
    void fail(const char* invariant, const std::string& text) const;
    static bool alive(Process& process);

    World& world_;
    Cluster& cluster_;
    std::map<int, Node> nodes_;
    std::map<int32_t, int> raft_leaders_;                              // by epoch
    std::map<int, int64_t> raft_ends_;                                 // as last seen, by node
    int64_t raft_committed_ = 0;
    std::map<std::pair<PartitionKey, int32_t>, int> leaders_;          // by epoch
    std::map<PartitionKey, std::map<int64_t, Batch>> committed_;       // by base offset
    std::map<PartitionKey, int32_t> partition_epochs_;
    std::map<int64_t, std::pair<int, metadata::ImagePtr>> images_;     // by offset
    bool rotten(int number, broker::Partition& partition) const;
    std::vector<Rot> rot_;
    std::set<int> unclean_;
    std::set<int> lossy_;
    std::map<int, int64_t> ended_epochs_;  // broker epochs of registrations that are over
    uint64_t voter_changes_ = 0;
    uint64_t elections_ = 0;
    uint64_t committed_count_ = 0;
};

}  // namespace millrace::sim
