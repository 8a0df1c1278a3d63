// src/raft/machine_debug.cc: what must hold after every event, and the state in one line.
#include <fmt/core.h>

#include "millrace/base/assert.h"
#include "raft/machine.h"

namespace millrace::raft {

const char* role_name(QuorumRole role) noexcept {
    switch (role) {
        case QuorumRole::Unattached: return "Unattached";
        case QuorumRole::Prospective: return "Prospective";
        case QuorumRole::Candidate: return "Candidate";
        case QuorumRole::Leader: return "Leader";
        case QuorumRole::Follower: return "Follower";
        case QuorumRole::Resigned: return "Resigned";
    }
    return "?";
}

void QuorumMachine::check_invariants() const {
    MILLRACE_ASSERT(epoch_.value >= 0, "an epoch is never negative");
    if (high_watermark_.has_value()) {
        MILLRACE_ASSERT(*high_watermark_ <= next_offset(), "commit <= end");
        MILLRACE_ASSERT(*high_watermark_ <= committed_, "what is known was told");
    }
    if (const auto* leader = std::get_if<StateLeader>(&state_)) {
        MILLRACE_ASSERT(leader->synced_end <= leader->appended_end, "synced <= appended");
        MILLRACE_ASSERT(leader->epoch_start_offset < leader->appended_end,
                        "an epoch starts with a record");
        MILLRACE_ASSERT(
            !high_watermark_.has_value() || *high_watermark_ > leader->epoch_start_offset,
            "a leader commits its own epoch first");
        MILLRACE_ASSERT(leader->parked.size() <= kParkedFetchCountMax, "waiters are bounded");
    }
    if (const auto* follower = std::get_if<StateFollower>(&state_)) {
        MILLRACE_ASSERT(follower->leader_id != config_.local.id, "nobody follows himself");
        MILLRACE_ASSERT(!follower->leader_endpoints.empty(), "a follower can reach its leader");
    }
    if (role() == QuorumRole::Prospective || role() == QuorumRole::Candidate) {
        MILLRACE_ASSERT(voted().id == config_.local.id || role() == QuorumRole::Prospective,
                        "a candidate voted for itself");
    }
}

std::string QuorumMachine::debug_line() const {
    const std::string vote = voted().id == kNoNode ? "-" : std::to_string(voted().id.value);
    const std::string leader = leader_id() == kNoNode ? "-" : std::to_string(leader_id().value);
    const std::string mark =
        high_watermark_.has_value() ? std::to_string(high_watermark_->value) : "-";
    std::string voters;
    for (const Voter& voter : history_.last().voters()) {
        voters += (voters.empty() ? "" : ",") + std::to_string(voter.key.id.value);
    }
    return fmt::format("node={} {:<11} epoch={} leader={} voted={} end={} hw={} voters={}",
                       config_.local.id.value, role_name(role()), epoch_.value, leader, vote,
                       next_offset().value, mark, voters);
}

}  // namespace millrace::raft
