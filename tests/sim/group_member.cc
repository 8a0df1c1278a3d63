// tests/sim/group_member.cc: the steps of a classic member; the leader deals partitions round.
#include "sim/group_member.h"

#include <algorithm>

#include "millrace/wire/gen/heartbeat_request.h"
#include "millrace/wire/gen/heartbeat_response.h"
#include "millrace/wire/gen/join_group_request.h"
#include "millrace/wire/gen/leave_group_request.h"
#include "millrace/wire/gen/leave_group_response.h"
#include "millrace/wire/gen/sync_group_request.h"
#include "millrace/wire/gen/sync_group_response.h"

namespace millrace::sim {

namespace {

constexpr Duration kThinkMax = milliseconds(60);
constexpr Duration kHeartbeatEvery = milliseconds(200);

void put(std::string& bytes, uint64_t value, int width) {
    for (int i = width - 1; i >= 0; --i) bytes.push_back(static_cast<char>(value >> (8 * i)));
}

uint32_t get(std::string_view bytes, size_t at) {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
}

void put_topic(std::string& bytes) {
    const std::string topic = kInputTopic;
    put(bytes, 1, 4);
    put(bytes, topic.size(), 2);
    bytes += topic;
}

/// ConsumerProtocolSubscription, version 0.
Buffer subscription() {
    std::string bytes;
    put(bytes, 0, 2);
    put_topic(bytes);
    put(bytes, 0xffffffff, 4);
    return Buffer::copy_of(std::string_view(bytes));
}

/// ConsumerProtocolAssignment, version 0.
Buffer assignment_of(const std::vector<int32_t>& partitions) {
    std::string bytes;
    put(bytes, 0, 2);
    put_topic(bytes);
    put(bytes, partitions.size(), 4);
    for (const int32_t partition : partitions) put(bytes, static_cast<uint32_t>(partition), 4);
    put(bytes, 0xffffffff, 4);
    return Buffer::copy_of(std::string_view(bytes));
}

std::vector<int32_t> partitions_of(std::string_view bytes) {
    std::vector<int32_t> partitions;
    const size_t at = 2 + 4 + 2 + std::string_view(kInputTopic).size();
    if (bytes.size() < at + 4) return partitions;
    const uint32_t count = get(bytes, at);
    for (uint32_t i = 0; i < count && bytes.size() >= at + 8 + 4 * i; ++i) {
        partitions.push_back(static_cast<int32_t>(get(bytes, at + 4 + 4 * i)));
    }
    return partitions;
}

}  // namespace

bool is_coordinator_moving(ErrorCode error) {
    return error == ErrorCode::CoordinatorNotAvailable || error == ErrorCode::NotCoordinator ||
           error == ErrorCode::CoordinatorLoadInProgress || error == ErrorCode::RequestTimedOut;
}

GroupMember::GroupMember(World& world, Servers& servers, GroupModel& model, std::string name)
    : world_(world),
      model_(model),
      rng_(world.rng().fork()),
      client_(world, servers, std::move(name)),
      session_timeout_ms_(static_cast<int32_t>(rng_.between(1000, 3000))),
      rebalance_timeout_ms_(static_cast<int32_t>(rng_.between(600, 3000))) {
    client_.timeout = seconds(9);
}

void GroupMember::think() {
    world_.after(Duration{1} + world_.random_delay(kThinkMax), [this] {
        if (halted_) return;
        act();
        think();
    });
}

void GroupMember::act() {
    if (busy_ || paused()) return;
    if (state_ == State::Out) {
        if (!retired_) join();
    } else if (state_ == State::Joined) {
        sync();
    } else if (retired_ || (!finishing_ && rng_.chance(1, 150))) {
        leave();
    } else if (!finishing_ && rng_.chance(1, 120)) {
        // As a long collection of garbage: it wakes up and does not know what happened.
        paused_until_ = world_.now() + world_.random_delay(milliseconds(2 * session_timeout_ms_));
    } else if (world_.now() >= next_heartbeat_) {
        heartbeat();
    }
}

void GroupMember::join() {
    wire::JoinGroupRequest request;
    request.group_id = model_.name();
    request.session_timeout_ms = session_timeout_ms_;
    request.rebalance_timeout_ms = rebalance_timeout_ms_;
    request.member_id = membership_.member_id;
    request.protocol_type = "consumer";
    for (const char* name : {"range", "roundrobin"}) {
        auto& protocol = request.protocols.emplace_back();
        protocol.name = name;
        protocol.metadata = subscription();
    }
    busy_ = true;
    const int32_t floor = model_.generation();
    client_.call<wire::JoinGroupResponse>(
        request, static_cast<int16_t>(rng_.between(0, 9)),
        [this, floor](std::optional<wire::JoinGroupResponse> answer) {
            busy_ = false;
            if (answer) on_joined(*answer, floor);
        });
}

void GroupMember::on_joined(const wire::JoinGroupResponse& answer, int32_t floor) {
    const auto error = static_cast<ErrorCode>(answer.error_code);
    if (error == ErrorCode::MemberIdRequired) {
        membership_.member_id = answer.member_id;
        return;
    }
    if (error != ErrorCode::None) return on_error("JoinGroup", error);
    model_.on_accepted("JoinGroup", answer.generation_id, floor);
    world_.check(!answer.member_id.empty(), "I20", client_.name() + ": joined without a member id");
    membership_ = {answer.generation_id, answer.member_id};
    protocol_ = answer.protocol_name.value_or("");
    partitions_.clear();
    assignments_.clear();
    if (answer.leader == answer.member_id && !answer.skip_assignment) assign(answer);
    state_ = State::Joined;
}

void GroupMember::assign(const wire::JoinGroupResponse& answer) {
    world_.check(!answer.members.empty(), "I20", client_.name() + ": leads nobody");
    for (const auto& member : answer.members) assignments_.push_back({member.member_id, {}});
    const size_t first = rng_.below(assignments_.size());
    for (int32_t p = 0; p < kInputPartitions; ++p) {
        assignments_[(first + static_cast<size_t>(p)) % assignments_.size()].second.push_back(p);
    }
}

void GroupMember::sync() {
    wire::SyncGroupRequest request;
    request.group_id = model_.name();
    request.generation_id = membership_.generation;
    request.member_id = membership_.member_id;
    const auto version = static_cast<int16_t>(rng_.between(0, 5));
    if (version >= 5) {
        request.protocol_type.emplace("consumer");
        request.protocol_name.emplace(protocol_);
    }
    for (const auto& [member, partitions] : assignments_) {
        auto& assignment = request.assignments.emplace_back();
        assignment.member_id = member;
        assignment.assignment = assignment_of(partitions);
    }
    busy_ = true;
    const int32_t floor = model_.generation();
    client_.call<wire::SyncGroupResponse>(
        request, version, [this, floor](std::optional<wire::SyncGroupResponse> answer) {
            busy_ = false;
            if (!answer) return;
            const auto error = static_cast<ErrorCode>(answer->error_code);
            if (error != ErrorCode::None) return on_error("SyncGroup", error);
            model_.on_accepted("SyncGroup", membership_.generation, floor);
            partitions_ = partitions_of(answer->assignment.view().text());
            model_.on_assigned(membership_.generation, membership_.member_id, partitions_);
            if (world_.trace) {
                world_.say(client_.name() + " is " + membership_.member_id + " in generation " +
                           std::to_string(membership_.generation) + " with " +
                           std::to_string(partitions_.size()) + " partitions");
            }
            state_ = State::Stable;
        });
}

void GroupMember::heartbeat() {
    wire::HeartbeatRequest request;
    request.group_id = model_.name();
    request.generation_id = membership_.generation;
    request.member_id = membership_.member_id;
    busy_ = true;
    next_heartbeat_ = world_.now() + kHeartbeatEvery;
    const int32_t floor = model_.generation();
    client_.call<wire::HeartbeatResponse>(
        request, static_cast<int16_t>(rng_.between(0, 4)),
        [this, floor](std::optional<wire::HeartbeatResponse> answer) {
            busy_ = false;
            if (!answer) return;
            const auto error = static_cast<ErrorCode>(answer->error_code);
            if (error != ErrorCode::None) return on_error("Heartbeat", error);
            model_.on_accepted("Heartbeat", membership_.generation, floor);
        });
}

void GroupMember::leave() {
    wire::LeaveGroupRequest request;
    request.group_id = model_.name();
    const auto version = static_cast<int16_t>(rng_.between(0, 5));
    if (version < 3) {
        request.member_id = membership_.member_id;
    } else {
        request.members.emplace_back().member_id = membership_.member_id;
    }
    busy_ = true;
    client_.call<wire::LeaveGroupResponse>(
        request, version, [this](std::optional<wire::LeaveGroupResponse> answer) {
            busy_ = false;
            if (!answer) return;
            auto error = static_cast<ErrorCode>(answer->error_code);
            if (error == ErrorCode::None && !answer->members.empty()) {
                error = static_cast<ErrorCode>(answer->members[0].error_code);
            }
            if (error != ErrorCode::None) return on_error("LeaveGroup", error);
            state_ = State::Out;
            membership_ = {};
            partitions_.clear();
        });
}

void GroupMember::on_error(const char* what, ErrorCode error) {
    if (world_.trace) world_.say(client_.name() + ": " + what + " got " + error_code_name(error));
    if (is_coordinator_moving(error)) return;
    world_.check(error == ErrorCode::UnknownMemberId || error == ErrorCode::IllegalGeneration ||
                     error == ErrorCode::RebalanceInProgress,
                 "I19", client_.name() + ": " + what + " got " + error_code_name(error));
    if (error == ErrorCode::UnknownMemberId) membership_.member_id.clear();
    state_ = State::Out;
    partitions_.clear();
}

}  // namespace millrace::sim
