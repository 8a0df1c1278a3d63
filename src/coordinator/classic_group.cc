// src/coordinator/classic_group.cc: members and votes of a classic group, to and from its record.
#include "coordinator/classic_group.h"

#include <algorithm>

#include "coordinator/consumer_protocol.h"
#include "millrace/base/assert.h"

namespace millrace::coordinator {

const char* classic_state_name(ClassicState state) {
    switch (state) {
        case ClassicState::Empty: return "Empty";
        case ClassicState::PreparingRebalance: return "PreparingRebalance";
        case ClassicState::CompletingRebalance: return "CompletingRebalance";
        case ClassicState::Stable: return "Stable";
        case ClassicState::Dead: return "Dead";
    }
    MILLRACE_UNREACHABLE("a state of a classic group");
}

std::vector<ClassicProtocol> protocols_of(const wire::JoinGroupRequest& request) {
    std::vector<ClassicProtocol> protocols;
    protocols.reserve(request.protocols.size());
    for (const auto& protocol : request.protocols) {
        protocols.push_back({protocol.name, Buffer::copy_of(protocol.metadata.view())});
    }
    return protocols;
}

Buffer ClassicMember::metadata(const std::string& protocol) const {
    for (const ClassicProtocol& p : protocols) {
        if (p.name == protocol) return p.metadata;
    }
    return {};
}

namespace {

bool may_move(ClassicState from, ClassicState to) {
    switch (to) {
        case ClassicState::Empty: return from == ClassicState::PreparingRebalance;
        case ClassicState::PreparingRebalance:
            return from == ClassicState::Empty || from == ClassicState::CompletingRebalance ||
                   from == ClassicState::Stable;
        case ClassicState::CompletingRebalance: return from == ClassicState::PreparingRebalance;
        case ClassicState::Stable: return from == ClassicState::CompletingRebalance;
        case ClassicState::Dead: return true;
    }
    return false;
}

}  // namespace

void ClassicGroup::transition(ClassicState to, WallMs wall) {
    MILLRACE_ASSERT(may_move(state, to), "a classic group moves along its table");
    previous_state = state;
    state = to;
    state_timestamp_ms = wall.value;
}

ClassicMember* ClassicGroup::member(const std::string& member_id) {
    auto it = members.find(member_id);
    return it == members.end() ? nullptr : &it->second;
}
const ClassicMember* ClassicGroup::member(const std::string& member_id) const {
    auto it = members.find(member_id);
    return it == members.end() ? nullptr : &it->second;
}
const std::string* ClassicGroup::static_member(const std::string& instance) const {
    auto it = static_members.find(instance);
    return it == static_members.end() ? nullptr : &it->second;
}

namespace {

template <class Members, class Pointer>
std::vector<Pointer> sorted_by_order(Members& members) {
    std::vector<Pointer> result;
    result.reserve(members.size());
    for (auto& [id, member] : members)
        result.push_back(&member);
    std::sort(result.begin(), result.end(),
              [](const ClassicMember* a, const ClassicMember* b) { return a->order < b->order; });
    return result;
}

}  // namespace

std::vector<ClassicMember*> ClassicGroup::in_order() {
    return sorted_by_order<decltype(members), ClassicMember*>(members);
}
std::vector<const ClassicMember*> ClassicGroup::in_order() const {
    return sorted_by_order<const decltype(members), const ClassicMember*>(members);
}

size_t ClassicGroup::joined_count() const {
    return static_cast<size_t>(std::count_if(
        members.begin(), members.end(), [](const auto& e) { return e.second.join.has_value(); }));
}
bool ClassicGroup::all_joined() const {
    // Asked at every join: stops at the first who is missing instead of counting everybody.
    return pending_members.empty() &&
           std::all_of(members.begin(), members.end(),
                       [](const auto& e) { return e.second.join.has_value(); });
}

int32_t ClassicGroup::max_rebalance_timeout_ms() const {
    int32_t longest = 0;
    for (const auto& [member_id, m] : members)
        longest = std::max(longest, m.rebalance_timeout_ms);
    return longest;
}

void ClassicGroup::add(ClassicMember added) {
    if (!leader) leader = added.id;
    if (added.instance_id) static_members[*added.instance_id] = added.id;
    pending_members.erase(added.id);
    added.order = next_order++;
    const std::string key = added.id;
    if (const ClassicMember* before = member(key)) count_protocols(*before, false);
    count_protocols(added, true);
    members.insert_or_assign(key, std::move(added));
}

void ClassicGroup::count_protocols(const ClassicMember& changed, bool comes) {
    std::set<std::string_view> names;  // a member may list one twice
    for (const ClassicProtocol& p : changed.protocols) {
        if (!names.insert(p.name).second) continue;
        size_t& known = supporters[p.name];
        known = comes ? known + 1 : known - 1;
        if (known == 0) supporters.erase(p.name);
    }
}

bool ClassicGroup::all_support(const std::string& name) const {
    const auto known = supporters.find(name);
    return known != supporters.end() && known->second == members.size();
}

void ClassicGroup::set_protocols(ClassicMember& changed, std::vector<ClassicProtocol> known) {
    const bool counted = member(changed.id) == &changed;
    if (counted) count_protocols(changed, false);
    changed.protocols = std::move(known);
    if (counted) count_protocols(changed, true);
}

void ClassicGroup::remove(const std::string& member_id) {
    auto it = members.find(member_id);
    if (it == members.end()) return;
    MILLRACE_ASSERT(!it->second.waits(), "what waits is answered before its member goes");
    if (it->second.instance_id) {
        auto mapped = static_members.find(*it->second.instance_id);
        if (mapped != static_members.end() && mapped->second == member_id) {
            static_members.erase(mapped);
        }
    }
    count_protocols(it->second, false);
    members.erase(it);
    pending_members.erase(member_id);
    pending_sync.erase(member_id);
    if (!is_leader(member_id)) return;
    leader.reset();
    const auto rest = in_order();
    if (!rest.empty()) leader = rest.front()->id;
}

void ClassicGroup::rename(const std::string& from, const std::string& to) {
    auto node = members.extract(from);
    MILLRACE_ASSERT(!node.empty(), "the member that is replaced is there");
    node.key() = to;
    node.mapped().id = to;
    if (node.mapped().instance_id) static_members[*node.mapped().instance_id] = to;
    members.insert(std::move(node));
    if (pending_sync.erase(from) > 0) pending_sync.insert(to);
    if (is_leader(from)) leader = to;
}

bool ClassicGroup::accepts(const std::string& type,
                           const std::vector<ClassicProtocol>& wanted) const {
    if (type.empty() || wanted.empty()) return state == ClassicState::Dead;
    if (members.empty()) return true;
    if (!protocol_type || *protocol_type != type) return false;
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](const ClassicProtocol& p) { return all_support(p.name); });
}

std::string ClassicGroup::vote() const {
    MILLRACE_ASSERT(!members.empty(), "somebody votes");
    // What all know is among what anybody knows: looked up once, not once for each member.
    std::map<std::string, size_t> votes;
    for (const ClassicProtocol& p : members.begin()->second.protocols) {
        if (all_support(p.name)) votes.emplace(p.name, 0);
    }
    for (const auto& [member_id, m] : members) {
        for (const ClassicProtocol& p : m.protocols) {
            const auto vote = votes.find(p.name);
            if (vote == votes.end()) continue;
            ++vote->second;
            break;
        }
    }
    // A tie goes to what the leader lists first (Kafka's choice depends on a hash order).
    const ClassicMember* first = leader ? member(*leader) : nullptr;
    if (first == nullptr) first = in_order().front();
    std::string chosen;
    size_t most = 0;
    for (const ClassicProtocol& p : first->protocols) {
        auto it = votes.find(p.name);
        if (it == votes.end() || it->second <= most) continue;
        chosen = p.name;
        most = it->second;
    }
    return chosen;
}

void ClassicGroup::read_subscriptions() {
    subscribed_topics.reset();
    if (!protocol_type || *protocol_type != kConsumerProtocolType) return;
    if (members.empty()) {
        subscribed_topics.emplace();
        return;
    }
    if (!protocol) return;
    std::set<std::string> topics;
    for (const auto& [member_id, m] : members) {
        const auto subscription = parse_subscription(m.metadata(*protocol));
        if (!subscription) return;  // then it counts as subscribed to everything
        topics.insert(subscription->topics.begin(), subscription->topics.end());
    }
    subscribed_topics = std::move(topics);
}

bool ClassicGroup::subscribes_to(const std::string& topic) const {
    if (!subscribed_topics) return state != ClassicState::Empty;
    return subscribed_topics->contains(topic);
}

std::vector<wire::JoinGroupResponseJoinGroupResponseMember> ClassicGroup::join_members() const {
    std::vector<wire::JoinGroupResponseJoinGroupResponseMember> result;
    for (const ClassicMember* m : in_order()) {
        wire::JoinGroupResponseJoinGroupResponseMember entry;
        entry.member_id = m->id;
        entry.group_instance_id = m->instance_id;
        entry.metadata = m->metadata(protocol.value_or(""));
        result.push_back(std::move(entry));
    }
    return result;
}

wire::GroupMetadataValue ClassicGroup::record(
    const std::map<std::string, Buffer>* assignments) const {
    wire::GroupMetadataValue value;
    value.protocol_type = protocol_type.value_or("");
    value.generation = generation;
    value.protocol = protocol;
    value.leader = leader;
    value.current_state_timestamp = state_timestamp_ms.value_or(-1);
    for (const ClassicMember* m : in_order()) {
        wire::GroupMetadataValueMemberMetadata entry;
        entry.member_id = m->id;
        entry.group_instance_id = m->instance_id;
        entry.client_id = m->client_id;
        entry.client_host = m->client_host;
        entry.rebalance_timeout = m->rebalance_timeout_ms;
        entry.session_timeout = m->session_timeout_ms;
        entry.subscription = m->metadata(protocol.value_or(""));
        entry.assignment = m->assignment;
        if (assignments != nullptr) {
            auto given = assignments->find(m->id);
            entry.assignment = given == assignments->end() ? Buffer() : given->second;
        }
        value.members.push_back(std::move(entry));
    }
    return value;
}

ClassicGroup ClassicGroup::from_record(const std::string& id,
                                       const wire::GroupMetadataValue& value) {
    ClassicGroup group;
    group.id = id;
    if (!value.protocol_type.empty()) group.protocol_type = value.protocol_type;
    group.generation = value.generation;
    group.protocol = value.protocol;
    group.state = value.members.empty() ? ClassicState::Empty : ClassicState::Stable;
    if (value.current_state_timestamp >= 0) {
        group.state_timestamp_ms = value.current_state_timestamp;
    }
    for (const auto& entry : value.members) {
        ClassicMember m;
        m.id = entry.member_id;
        m.instance_id = entry.group_instance_id;
        m.client_id = entry.client_id;
        m.client_host = entry.client_host;
        m.session_timeout_ms = entry.session_timeout;
        m.rebalance_timeout_ms =
            entry.rebalance_timeout == -1 ? entry.session_timeout : entry.rebalance_timeout;
        m.protocols = {{value.protocol.value_or(""), entry.subscription}};
        m.assignment = entry.assignment;
        group.add(std::move(m));
    }
    group.leader = value.leader;
    group.read_subscriptions();
    return group;
}

}  // namespace millrace::coordinator
