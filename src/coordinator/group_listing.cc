// src/coordinator/group_listing.cc: ListGroups, DescribeGroups and DeleteGroups.
//
// Source: coordinators.md 5.4, 5.6; GroupMetadataManager.listGroups, describeGroups.
#include <fmt/core.h>

#include <algorithm>

#include "coordinator/consumer_group.h"
#include "coordinator/group_context.h"
#include "coordinator/group_records.h"

namespace millrace::coordinator {

namespace {

constexpr int16_t kMissingIsAnErrorFrom = 6;  // of DescribeGroups

std::string lower_trimmed(const std::string& text) {
    std::string result;
    for (const char c : text)
        result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
    while (!result.empty() && is_blank(result.back()))
        result.pop_back();
    size_t from = 0;
    while (from < result.size() && is_blank(result[from]))
        ++from;
    return result.substr(from);
}

/// Nothing given: everything passes. A name nobody knows matches nothing.
bool passes(const std::vector<std::string>& filter, const std::string& name) {
    if (filter.empty()) return true;
    const std::string wanted = lower_trimmed(name);
    return std::any_of(filter.begin(), filter.end(),
                       [&](const std::string& f) { return lower_trimmed(f) == wanted; });
}

wire::DescribeGroupsResponseDescribedGroup describe_missing(const std::string& id, int16_t version,
                                                            std::string message) {
    wire::DescribeGroupsResponseDescribedGroup answer;
    answer.group_id = id;
    answer.group_state = "Dead";
    if (version >= kMissingIsAnErrorFrom) {
        answer.error_code = code(ErrorCode::GroupIdNotFound);
        answer.error_message = std::move(message);
    }
    return answer;
}

wire::DescribeGroupsResponseDescribedGroup describe(const ClassicGroup& group) {
    wire::DescribeGroupsResponseDescribedGroup answer;
    answer.group_id = group.id;
    answer.group_state = classic_state_name(group.state);
    answer.protocol_type = group.protocol_type.value_or("");
    const bool stable = group.in(ClassicState::Stable);
    if (stable) answer.protocol_data = group.protocol.value_or("");
    for (const ClassicMember* m : group.in_order()) {
        auto& member = answer.members.emplace_back();
        member.member_id = m->id;
        member.group_instance_id = m->instance_id;
        member.client_id = m->client_id;
        member.client_host = m->client_host;
        if (!stable) continue;
        member.member_metadata = m->metadata(group.protocol.value_or(""));
        member.member_assignment = m->assignment;
    }
    return answer;
}

ErrorCode check_delete(GroupContext& context, const std::string& id) {
    const Group* group = context.state().find(id);
    if (group == nullptr) return ErrorCode::GroupIdNotFound;
    if (group->is_consumer()) {
        return group->consumer->members.empty() ? ErrorCode::None : ErrorCode::NonEmptyGroup;
    }
    const ClassicGroup& classic = *context.classic(id);
    if (classic.in(ClassicState::Dead)) return ErrorCode::GroupIdNotFound;
    return classic.in(ClassicState::Empty) ? ErrorCode::None : ErrorCode::NonEmptyGroup;
}

}  // namespace

void list_groups(GroupContext& context, RequestId id, const wire::ListGroupsRequest& request,
                 GroupOutput& out) {
    wire::ListGroupsResponse response;
    for (const auto& [group_id, group] : context.core.committed().groups) {
        wire::ListGroupsResponseListedGroup entry;
        entry.group_id = group_id;
        if (group.is_consumer()) {
            entry.group_type = "consumer";
            entry.protocol_type = kConsumerProtocolType;
            entry.group_state = consumer_phase_name(group.consumer->phase());
        } else {
            const ClassicGroup* classic = context.classic(group_id);
            if (classic == nullptr) continue;  // being deleted or converted
            entry.group_type = "classic";
            entry.protocol_type = classic->protocol_type.value_or("");
            entry.group_state = classic_state_name(classic->state);
        }
        if (!passes(request.states_filter, entry.group_state)) continue;
        if (!passes(request.types_filter, entry.group_type)) continue;
        response.groups.push_back(std::move(entry));
    }
    out.replies.push_back({id, std::move(response)});
}

void describe_groups(GroupContext& context, RequestId id, const GroupCaller& caller,
                     const wire::DescribeGroupsRequest& request, GroupOutput& out) {
    wire::DescribeGroupsResponse response;
    for (const std::string& group_id : request.groups) {
        const Group* group = context.core.committed().find(group_id);
        const ClassicGroup* classic =
            group == nullptr || group->is_consumer() ? nullptr : context.classic(group_id);
        if (classic != nullptr) {
            response.groups.push_back(describe(*classic));
            continue;
        }
        const bool other_kind = group != nullptr && group->is_consumer();
        response.groups.push_back(
            describe_missing(group_id, caller.version,
                             other_kind ? fmt::format("Group {} is not a classic group.", group_id)
                                        : fmt::format("Group {} not found.", group_id)));
    }
    out.replies.push_back({id, std::move(response)});
}

void append_group_tombstones(GroupContext& context, const std::string& id, Records& records) {
    const Group* group = context.state().find(id);
    if (group == nullptr) return;
    if (group->is_consumer()) {
        context.forget_consumer_group(id);
        append_consumer_group_tombstones(id, *group->consumer, records);
    } else {
        records.push_back(make_classic_tombstone(id));
    }
}

void delete_groups(GroupContext& context, const Tick& tick, RequestId id,
                   const wire::DeleteGroupsRequest& request, GroupOutput& out) {
    wire::DeleteGroupsResponse response;
    Records records;
    std::set<std::string> seen;
    for (const std::string& group : request.groups_names) {
        if (!seen.insert(group).second) continue;
        auto& result = response.results.emplace_back();
        result.group_id = group;
        const ErrorCode wrong = check_delete(context, group);
        result.error_code = code(wrong);
        if (wrong != ErrorCode::None) continue;
        append_offset_tombstones(context.state(), group, records);
        append_group_tombstones(context, group, records);
        drop_classic_group(context, tick, group, ErrorCode::UnknownMemberId, out);
    }
    auto shape = [seen](ErrorCode e) -> GroupResponse {
        wire::DeleteGroupsResponse refused;
        for (const std::string& group : seen) {
            auto& result = refused.results.emplace_back();
            result.group_id = group;
            result.error_code = code(e);
        }
        return refused;
    };
    // A group may have more offsets than one batch holds; its own tombstones come last.
    context.core.write(
        tick, std::move(records),
        [id, response = std::move(response), shape = std::move(shape)](const Tick&, ErrorCode error,
                                                                       GroupOutput& to) mutable {
            to.replies.push_back(
                {id, error == ErrorCode::None ? GroupResponse(std::move(response)) : shape(error)});
        },
        out, {}, false);
}

}  // namespace millrace::coordinator
