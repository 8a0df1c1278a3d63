// tests/bench/group_members.cc: classic groups whose members behave as clients do.
#include "bench/group_members.h"

#include <cstdio>

#include "millrace/wire/gen/heartbeat_request.h"
#include "millrace/wire/gen/heartbeat_response.h"
#include "millrace/wire/gen/join_group_request.h"
#include "millrace/wire/gen/join_group_response.h"
#include "millrace/wire/gen/leave_group_request.h"
#include "millrace/wire/gen/leave_group_response.h"
#include "millrace/wire/gen/sync_group_request.h"
#include "millrace/wire/gen/sync_group_response.h"

namespace millrace::bench {
namespace {

constexpr int16_t kJoinVersion = 9;
constexpr int16_t kSyncVersion = 5;
constexpr int16_t kHeartbeatVersion = 4;
constexpr int16_t kLeaveVersion = 5;
constexpr int32_t kSessionMs = 600'000;
constexpr int64_t kLookNanos = 5'000'000;
constexpr int64_t kSettleNanosMax = 120'000'000'000;
constexpr size_t kSubscriptionBytes = 64;
constexpr size_t kAssignmentBytes = 64;

constexpr int16_t kIllegalGeneration = 22;
constexpr int16_t kRebalanceInProgress = 27;
constexpr int16_t kMemberIdRequired = 79;

[[noreturn]] void unexpected(const char* what, int16_t error) {
    std::fprintf(stderr, "error: %s: error code %d\n", what, error);
    std::exit(1);
}

Buffer opaque(size_t bytes) { return Buffer::copy_of(std::string(bytes, '\0')); }

}  // namespace

void Member::join() {
    stable_ = false;
    waiting_ = true;
    wire::JoinGroupRequest request;
    request.group_id = group_.name();
    request.session_timeout_ms = kSessionMs;
    request.rebalance_timeout_ms = kSessionMs;
    request.member_id = id_;
    request.protocol_type = "consumer";
    request.protocols.push_back({"range", opaque(kSubscriptionBytes), {}});
    group_.client().ask(connection_, kJoinVersion, request,
                        [this](wire::Reader& reader) { on_joined(reader); });
}

void Member::on_joined(wire::Reader& reader) {
    wire::JoinGroupResponse response;
    if (!response.decode(reader, kJoinVersion)) die("JoinGroup");
    if (response.error_code == kMemberIdRequired) {
        id_ = response.member_id;
        return join();
    }
    if (response.error_code != 0) unexpected("JoinGroup", response.error_code);
    id_ = response.member_id;
    generation_ = response.generation_id;
    std::vector<std::string> everybody;
    if (response.leader == id_) {
        for (const auto& member : response.members) everybody.push_back(member.member_id);
        group_.led(generation_, everybody.size());
    }
    sync(std::move(everybody));
}

void Member::sync(std::vector<std::string> everybody) {
    wire::SyncGroupRequest request;
    request.group_id = group_.name();
    request.generation_id = generation_;
    request.member_id = id_;
    request.protocol_type = "consumer";
    request.protocol_name = "range";
    for (std::string& member : everybody) {
        request.assignments.push_back({std::move(member), opaque(kAssignmentBytes), {}});
    }
    group_.client().ask(connection_, kSyncVersion, request, [this](wire::Reader& reader) {
        wire::SyncGroupResponse response;
        if (!response.decode(reader, kSyncVersion)) die("SyncGroup");
        waiting_ = false;
        stable_ = response.error_code == 0;
        next_look = nanos_now() + kLookNanos;
        rejoin_unless(response.error_code);
    });
}

void Member::rejoin_unless(int16_t error) {
    if (error == 0) return;
    if (error != kRebalanceInProgress && error != kIllegalGeneration) {
        unexpected("membership", error);
    }
    join();
}

void Member::heartbeat(std::function<void(int16_t)> then) {
    waiting_ = true;
    wire::HeartbeatRequest request;
    request.group_id = group_.name();
    request.generation_id = generation_;
    request.member_id = id_;
    group_.client().ask(connection_, kHeartbeatVersion, request,
                        [this, then = std::move(then)](wire::Reader& reader) {
        wire::HeartbeatResponse response;
        if (!response.decode(reader, kHeartbeatVersion)) die("Heartbeat");
        waiting_ = false;
        next_look = nanos_now() + kLookNanos;
        if (then) return then(response.error_code);
        rejoin_unless(response.error_code);
    });
}

void Member::leave(std::function<void()> then) {
    wire::LeaveGroupRequest request;
    request.group_id = group_.name();
    request.members.emplace_back().member_id = id_;
    group_.client().ask(connection_, kLeaveVersion, request,
                        [then = std::move(then)](wire::Reader& reader) {
        wire::LeaveGroupResponse response;
        if (!response.decode(reader, kLeaveVersion)) die("LeaveGroup");
        if (response.error_code != 0) unexpected("LeaveGroup", response.error_code);
        then();
    });
}

Member& Group::add(size_t connection) {
    members_.push_back(std::make_unique<Member>(*this, connection));
    return *members_.back();
}

bool Group::settled() const {
    if (led_size_ != members_.size()) return false;
    return std::all_of(members_.begin(), members_.end(), [this](const auto& member) {
        return member->stable() && member->generation() == led_generation_;
    });
}

void Group::look() {
    const int64_t now = nanos_now();
    for (const auto& member : members_) {
        if (member->stable() && !member->waiting() && member->next_look <= now) {
            member->heartbeat(nullptr);
        }
    }
}

void Group::nudge() {
    for (const auto& member : members_) member->next_look = 0;
}

void Group::settle() {
    const int64_t until = nanos_now() + kSettleNanosMax;
    while (!settled()) {
        if (nanos_now() > until) die("the group does not settle");
        look();
        client_.turn(1);
    }
}

}  // namespace millrace::bench
