// include/millrace/placement/planner.h: a snapshot of the cluster in, a plan of moves out.
//
// What it guarantees, in this order (src/placement/README.md has the model and the proofs): no
// partition below the separation that its brokers allow; least bytes moved; least replica moves;
// with `balance` the least replica spread before bytes; soft axes; then replica spread, leader
// spread and traffic spread among plans of equal cost. Pure and deterministic: equal input, equal
// plan. A wish that cannot be met is refused with the rule and the partitions in the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/placement/snapshot.h"

namespace millrace::placement {

/// Which partitions get a chosen preferred leader.
enum class Leaders : uint8_t { Changed, All, Keep };

struct Request {
    std::vector<std::string> topics;  // empty: all
    bool exclude_internal = false;
    std::vector<std::string> soft_axes;
    std::vector<int32_t> away_from;  // brokers to be emptied
    std::vector<int32_t> dead;       // brokers that are gone
    std::optional<int32_t> replication_factor;
    bool balance = false;
    Leaders leaders = Leaders::Changed;
    /// What a directory may hold at most, in parts per million of its capacity.
    int64_t disk_high_water_ppm = 900'000;
    int32_t max_moves_per_broker = 5;
    int64_t max_bytes_in_flight = int64_t{1} << 40;
};

struct PartitionName {
    std::string topic;
    int32_t partition = 0;
    friend auto operator<=>(const PartitionName&, const PartitionName&) = default;
};

/// A changed partition: another replica set, or only another order.
struct Change {
    PartitionName name;
    std::vector<int32_t> from;
    std::vector<int32_t> to;
    std::vector<std::string> log_dirs;  // beside `to`, "any" where it does not matter; or empty
    std::vector<int32_t> adding;
    std::vector<int32_t> removing;
    int64_t bytes = 0;
    std::string reason;
    int32_t wave = 0;
};

struct Skipped {
    PartitionName name;
    std::string reason;
};

struct Spread {
    int64_t before = 0;
    int64_t after = 0;
};

struct Summary {
    int64_t violations_before = 0;
    int64_t violations_after = 0;
    int64_t replica_moves = 0;
    int64_t bytes_moved = 0;
    int64_t leader_changes = 0;
    Spread replica_spread;
    Spread leader_spread;
    Spread topic_leader_spread;
    bool optimal = true;
    int64_t gap_bytes = 0;  // bytes moved minus a proven lower bound
};

/// What a broker has before and after, for the table of the readable plan.
struct BrokerLine {
    int32_t id = 0;
    std::string labels;
    bool usable = true;
    Spread replicas;
    Spread leaders;
    int64_t bytes_in = 0;
    int64_t bytes_out = 0;
};

struct Plan {
    std::vector<Change> changes;  // by topic and number
    std::vector<std::vector<PartitionName>> waves;
    std::vector<Skipped> skipped;
    std::vector<BrokerLine> brokers;
    Summary summary;
    int64_t partitions_looked_at = 0;
    std::optional<int64_t> metadata_offset;
    std::string hash;  // over metadata offset and every change with its wave
};

/// Why there is no plan.
struct Refusal {
    bool bad_input = false;  // else: what was asked for is not possible
    std::string rule;
    std::string message;
    std::vector<PartitionName> blocking;  // at most kMaxBlocking
    int64_t blocking_total = 0;
};

inline constexpr size_t kMaxBlocking = 100;
inline constexpr size_t kMaxBrokers = 10'000;
inline constexpr size_t kMaxReplicationFactor = 64;
inline constexpr size_t kMaxPartitions = 4'000'000;

struct Outcome {
    std::optional<Refusal> refusal;
    Plan plan;
};

Outcome make_plan(const Snapshot& snapshot, const Request& request);

}  // namespace millrace::placement
