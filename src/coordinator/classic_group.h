// src/coordinator/classic_group.h: one live classic group: members, votes, what waits in it.
//
// Soft state beside the records: a generation reaches the log only when its leader has synced
// (coordinators.md 3.3). Decides nothing about records, timers or replies.
// Source: org.apache.kafka.coordinator.group.classic.ClassicGroup.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/time.h"
#include "millrace/coordinator/coordinator_output.h"
#include "millrace/wire/gen/group_metadata_value.h"
#include "millrace/wire/gen/join_group_request.h"
#include "millrace/wire/gen/join_group_response.h"

namespace millrace::coordinator {

enum class ClassicState { Empty, PreparingRebalance, CompletingRebalance, Stable, Dead };
/// As Kafka prints it: "PreparingRebalance".
const char* classic_state_name(ClassicState state);

inline constexpr const char* kConsumerProtocolType = "consumer";

/// A join or sync that waits.
struct ParkedRequest {
    RequestId id = 0;
    int16_t version = 0;
};

struct ClassicProtocol {
    std::string name;
    Buffer metadata;
    friend bool operator==(const ClassicProtocol&, const ClassicProtocol&) = default;
};
/// Copies the bytes: those of a request are slices of its frame.
std::vector<ClassicProtocol> protocols_of(const wire::JoinGroupRequest& request);

struct ClassicMember {
    std::string id;
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string client_host;
    int32_t rebalance_timeout_ms = 0;
    int32_t session_timeout_ms = 0;
    std::vector<ClassicProtocol> protocols;
    Buffer assignment;
    bool is_new = false;
    uint64_t order = 0;  // of joining the group
    std::optional<ParkedRequest> join;
    std::optional<ParkedRequest> sync;

    bool waits() const { return join.has_value() || sync.has_value(); }
    /// The bytes for a protocol; empty when it is not among them.
    Buffer metadata(const std::string& protocol) const;
};

struct ClassicGroup {
    std::string id;
    std::optional<std::string> protocol_type;
    int32_t generation = 0;
    std::optional<std::string> protocol;
    std::optional<std::string> leader;
    ClassicState state = ClassicState::Empty;
    ClassicState previous_state = ClassicState::Dead;
    std::optional<int64_t> state_timestamp_ms;
    std::map<std::string, ClassicMember> members;
    std::map<std::string, std::string> static_members;  // instance -> member
    std::set<std::string> pending_members;              // told to come back with their id
    std::set<std::string> pending_sync;
    bool new_member_added = false;
    std::optional<std::set<std::string>> subscribed_topics;  // of protocol type "consumer" only
    Duration delay{};            // of the initial rebalance: the running wait,
    Duration delay_remaining{};  // and what may still follow
    uint64_t next_order = 0;
    /// How many members know a protocol: asked at every join, of groups of thousands too.
    std::map<std::string, size_t> supporters;

    /// REQUIRES: a move of the table in coordinators.md 3.1.
    void transition(ClassicState to, WallMs wall);
    bool in(ClassicState a) const { return state == a; }
    bool in(ClassicState a, ClassicState b) const { return state == a || state == b; }
    bool is_simple() const { return !protocol_type && members.empty() && pending_members.empty(); }

    ClassicMember* member(const std::string& member_id);
    const ClassicMember* member(const std::string& member_id) const;
    const std::string* static_member(const std::string& instance) const;
    bool is_leader(const std::string& member_id) const { return leader && *leader == member_id; }
    /// Members as they came.
    std::vector<ClassicMember*> in_order();
    std::vector<const ClassicMember*> in_order() const;
    size_t joined_count() const;
    bool all_joined() const;
    int32_t max_rebalance_timeout_ms() const;

    void add(ClassicMember member);
    /// What `member`, one of this group or not yet, says of itself now.
    void set_protocols(ClassicMember& member, std::vector<ClassicProtocol> protocols);
    void remove(const std::string& member_id);
    /// The slot of `from` goes to `to`: place, assignment and leadership stay.
    void rename(const std::string& from, const std::string& to);

    /// True when a member with these may join: type equal, one protocol known by all.
    bool accepts(const std::string& type, const std::vector<ClassicProtocol>& protocols) const;
    /// The protocol most members want among those all know. REQUIRES: members.
    std::string vote() const;
    /// Decodes what the members subscribe to under the chosen protocol.
    void read_subscriptions();
    bool subscribes_to(const std::string& topic) const;

    std::vector<wire::JoinGroupResponseJoinGroupResponseMember> join_members() const;
    /// The record of this group with the assignments of `assignments` (or the members' own).
    wire::GroupMetadataValue record(const std::map<std::string, Buffer>* assignments) const;
    /// What a loaded record says: Stable with members, else Empty.
    static ClassicGroup from_record(const std::string& id, const wire::GroupMetadataValue& value);

  private:
    void count_protocols(const ClassicMember& changed, bool comes);
    bool all_support(const std::string& name) const;
};

}  // namespace millrace::coordinator
