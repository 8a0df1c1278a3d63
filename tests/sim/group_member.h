// tests/sim/group_member.h: a member of a classic group: joins, syncs, beats, pauses, leaves.
#pragma once

#include <string>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/wire/gen/join_group_response.h"
#include "sim/client.h"
#include "sim/txn_model.h"

namespace millrace::sim {

/// The input topic, as groups see it.
inline constexpr const char* kInputTopic = "input";
inline constexpr int32_t kInputPartitions = 3;

/// What a commit names.
struct Membership {
    int32_t generation = -1;
    std::string member_id;
    friend bool operator==(const Membership&, const Membership&) = default;
};

/// The coordinator is away for a while: ask again.
bool is_coordinator_moving(ErrorCode error);

class GroupMember {
  public:
    GroupMember(World& world, Servers& servers, GroupModel& model, std::string name);
    void start() { think(); }
    /// No pauses and no leaving any more: the group must become stable.
    void finish() { finishing_ = true; }
    /// Leaves for good.
    void retire() { retired_ = true; }
    bool gone() const { return retired_ && state_ == State::Out && !busy_; }
    bool stable() const { return state_ == State::Stable; }
    /// Stops all requests, as the end of a run.
    void halt() { halted_ = true; }
    bool idle() const { return !busy_; }

    const Membership& membership() const { return membership_; }
    const std::vector<int32_t>& partitions() const { return partitions_; }
    /// A commit was refused: it is time to ask how the group stands.
    void suspect() { next_heartbeat_ = world_.now(); }
    bool paused() const { return world_.now() < paused_until_; }
    Client& client() { return client_; }

  private:
    enum class State { Out, Joined, Stable };
    void think();
    void act();
    void join();
    void on_joined(const wire::JoinGroupResponse& answer, int32_t floor);
    void sync();
    void heartbeat();
    void leave();
    void on_error(const char* what, ErrorCode error);
    void assign(const wire::JoinGroupResponse& answer);

    World& world_;
    GroupModel& model_;
    Rng rng_;
    Client client_;
    State state_ = State::Out;
    Membership membership_;
    std::vector<int32_t> partitions_;
    std::string protocol_;
    std::vector<std::pair<std::string, std::vector<int32_t>>> assignments_;  // by the leader
    int32_t session_timeout_ms_;
    int32_t rebalance_timeout_ms_;
    Instant next_heartbeat_{};
    Instant paused_until_{};
    bool busy_ = false;
    bool finishing_ = false;
    bool retired_ = false;
    bool halted_ = false;
};

}  // namespace millrace::sim
