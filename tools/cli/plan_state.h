// tools/cli/plan_state.h: a plan of moves as it is kept in the cluster, and what it says of itself.
//
// Pure: JSON in and out, and answers from what was seen of the cluster. plan_store.h keeps it,
// plan_driver.h carries it out.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/reassign_client.h"
#include "millrace/placement/throttle_note.h"

namespace millrace::cli {

enum class PlanPhase : uint8_t {
    Running,  // a driver works on it, or one did and is gone
    Pausing,  // the driver is to stop behind the wave under way
    Paused,
    Cancelled,  // by a command; what had arrived stays
    Failed,
    Done,
};
const char* phase_name(PlanPhase phase);
bool is_over(PlanPhase phase);

struct PlannedMove {
    TopicPartition partition;
    std::vector<int32_t> from;
    std::vector<int32_t> to;
    std::vector<std::string> log_dirs;  // beside `to`, or empty
    int64_t bytes = 0;                  // of one copy
    int32_t wave = 0;

    std::vector<int32_t> adding() const;
    std::vector<int32_t> removing() const;
};

/// One config that was set for the plan, noted before it is set.
using OwnThrottle = placement::ThrottleNote;

/// The directories that a broker had cordoned of its own when a plan cordoned all of them.
struct Cordon {
    int32_t broker = -1;  // none
    std::optional<std::string> before;
};

struct StoredPlan {
    std::string id;
    PlanPhase phase = PlanPhase::Running;
    std::string by;
    std::string driver;  // who works on it
    int64_t created_ms = 0;
    int64_t beat_ms = 0;  // the driver's last sign of life
    int64_t wave_started_ms = 0;
    int64_t throttle = 0;  // bytes per second and broker, 0 for none
    int64_t throttle_set = 0;  // the rate that the driver has set by now
    int32_t wave = 0;      // under way, or the next one
    std::string undo_of;
    std::string note;
    Cordon cordon;  // until it is taken back
    // One more with every record; of two records with the same number the first one counts.
    int64_t revision = 0;
    std::string writer;  // of this revision, never twice the same
    std::vector<OwnThrottle> throttles;
    std::map<std::string, std::vector<OwnThrottle>> throttle_records;  // the same, by record
    std::vector<PlannedMove> moves;

    int32_t waves() const;
    /// A driver that was seen this long ago is taken for gone.
    static constexpr int64_t kStaleMs = 20'000;
    bool driven(int64_t now_ms) const;
};

/// The records of a plan: its state under its id, what never changes under "id/moves/0" and so on,
/// and notes of throttles (throttle_note.h).
std::string state_json(const StoredPlan& plan);
std::vector<std::pair<std::string, std::string>> move_records(const StoredPlan& plan);
/// Takes in one record, no value for a tombstone; false when it cannot be read. A state counts only
/// when it was made from the one before it: of two commands that write at once the later one in the
/// log has lost. A plan that is over stays over.
bool take_record(const std::string& key, const std::optional<std::string>& value,
                 std::map<std::string, StoredPlan>& plans);

enum class MoveState : uint8_t { Pending, Moving, Done, Drifted, Gone };

/// What a look at the cluster says of the partitions of a plan.
struct PlanView {
    std::map<TopicPartition, std::vector<int32_t>> replicas;
    std::map<TopicPartition, OngoingReassignment> ongoing;
    std::map<TopicPartition, std::vector<int32_t>> isr{};
};
MoveState state_of(const PlannedMove& move, const PlanView& view);

/// Moves under way that must not be taken back: fewer in-sync copies than min.insync.replicas (by
/// topic) would be left, and fewer than there are now.
std::vector<TopicPartition> bound_to_go_on(const std::vector<PlannedMove>& moves,
                                           const PlanView& view,
                                           const std::map<std::string, int32_t>& min_isr);

/// Moves from that wave on whose partitions have other copies by now than the plan knows. Another
/// order of the same copies is no drift: a move that was taken back may leave it.
std::vector<TopicPartition> drifted_moves(const std::vector<PlannedMove>& moves, int32_t wave,
                                          const PlanView& view);

/// Replicas to throttle, by topic: leader list and follower list as "partition:broker".
struct ThrottleLists {
    std::map<std::string, std::set<std::string>> leaders;
    std::map<std::string, std::set<std::string>> followers;
    std::set<int32_t> brokers;
};
ThrottleLists throttle_lists(const StoredPlan& plan);

/// What the worst broker must take or give per second in one wave to keep up with the producers.
struct RateFloor {
    int64_t bytes_per_second = 0;
    int32_t broker = -1;
};
RateFloor rate_floor(const std::vector<PlannedMove>& moves,
                     const std::map<TopicPartition, int64_t>& write_rates);

/// How long the copies take at that rate per broker, waves one after the other, and the broker
/// that is busiest.
struct Eta {
    int64_t seconds = 0;
    int32_t broker = -1;
};
Eta eta_of(const std::vector<PlannedMove>& moves, int64_t bytes_per_second);

/// Puts moves into waves: at most so many new copies on a broker at a time.
void split_waves(std::vector<PlannedMove>& moves, int32_t max_per_broker);

/// "50MB/s", "50 MB", "50000000", "8KiB/s"; nothing when it is no rate.
std::optional<int64_t> parse_rate(const std::string& text);
std::string rate_text(int64_t bytes_per_second);
/// "9m 38s", "2h 05m", "3d 4h".
std::string duration_text(int64_t seconds);

}  // namespace millrace::cli
