// tools/cli/cluster_state.h: a live cluster as the commands about brokers and racks see it.
//
// read_cluster() asks; everything else here is worked out from the answer and needs no cluster.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/client.h"
#include "cli/offsets.h"
#include "millrace/placement/planner.h"

namespace millrace::cli {

struct BrokerDir {
    std::string path;
    bool offline = false;
    bool cordoned = false;
    int64_t bytes = 0;  // of partitions
};

/// One broker; the same one is in the snapshot under its id.
struct ClusterBroker {
    int32_t id = 0;
    std::string host;
    int port = 0;
    std::string rack;
    bool fenced = false;
    bool answers = true;  // DescribeLogDirs; false as well for a fenced one, which is not asked
    std::vector<BrokerDir> dirs;
    int64_t leaders = 0;
    int64_t replicas = 0;
    int64_t disk_total = 0;  // 0: not known
    int64_t disk_used = 0;

    bool cordoned() const;  // every directory is
    int disk_percent() const { return static_cast<int>(disk_used * 100 / disk_total); }
    const char* state() const { return fenced ? "down" : cordoned() ? "cordoned" : "up"; }
};

struct ClusterState {
    std::string cluster_id;
    std::vector<ClusterBroker> brokers;  // by id
    placement::Snapshot snapshot;        // fenced brokers are down, cordoned ones cordoned
    std::map<std::string, int32_t> min_isr;
    std::map<TopicPartition, int64_t> write_rates;  // bytes a second; empty when not measured
    int32_t quorum_leader = -1;
    int32_t quorum_epoch = -1;

    /// A Failure with kNotFound when there is none.
    const ClusterBroker& broker(int32_t id) const;
    const placement::Broker& labels_of(int32_t id) const;
};

/// A broker that does not answer within two seconds is one whose directories are unknown. The
/// snapshot's metadata offset is the quorum's high watermark when the reading began.
ClusterState read_cluster(Client& client);

/// How fast the logs of leaders grow, by two looks at them: into the snapshot as bytes_in_rate. A
/// log that became smaller, by retention or compaction, has no rate.
void measure_leader_growth(Client& client, ClusterState& state, int32_t seconds);

/// What a set of partitions is short of.
struct Shortage {
    int64_t topics = 0;
    int64_t partitions = 0;
    int64_t replicas = 0;
    int64_t offline = 0;
    int64_t under_replicated = 0;
    int64_t under_min_isr = 0;  // with a leader, but refusing acks=all
};
Shortage shortage_of(const ClusterState& state);

struct Domain {
    std::string axis;
    std::string value;
    std::string name;  // FD0, UD1, or the plain rack
    std::vector<int32_t> brokers;
    int64_t up = 0;
    int64_t leaders = 0;
    int64_t replicas = 0;
    // What losing it would add to what is already lost.
    std::vector<placement::PartitionName> offline;
    std::vector<placement::PartitionName> under_min_isr;
};
/// By axis, then value; brokers without a label of the axis are in none.
std::vector<Domain> domains_of(const ClusterState& state);

/// How far the partitions are from being spread over the hard axes.
struct Spread {
    int64_t violations = 0;
    std::vector<std::string> topics;  // at most kMaxSpreadTopics
    std::string refused;              // why it cannot be said: a broker without a label
};
inline constexpr size_t kMaxSpreadTopics = 10;
Spread spread_of(const ClusterState& state);

/// "losing FD2 takes 1 partition offline (orders-0); losing FD0 or FD1 takes none", for one axis.
std::string what_if_text(const std::vector<Domain>& domains, const std::string& axis);

/// The grid of fault domains and update domains; empty where brokers have not both.
std::string grid_text(const ClusterState& state, bool utf8);

}  // namespace millrace::cli
