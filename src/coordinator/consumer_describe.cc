// src/coordinator/consumer_describe.cc: ConsumerGroupDescribe.
//
// Source: coordinators.md 4.8; ConsumerGroup.asDescribedGroup.
#include <fmt/core.h>

#include "coordinator/consumer_group.h"

namespace millrace::coordinator {

namespace {

using Response = wire::ConsumerGroupDescribeResponse;

/// Topics that are gone are left out.
Response::Assignment named(const metadata::Image& image, const Partitions& partitions) {
    Response::Assignment assignment;
    for (const auto& [id, list] : partitions) {
        const metadata::TopicImage* topic = image.topics.find(id);
        if (topic == nullptr || list.empty()) continue;
        auto& into = assignment.topic_partitions.emplace_back();
        into.topic_id = id;
        into.topic_name = topic->name;
        into.partitions.assign(list.begin(), list.end());
    }
    return assignment;
}

Response::Member describe(const metadata::Image& image, const ConsumerGroup& group,
                          const ConsumerMember& member) {
    Response::Member entry;
    entry.member_id = member.id;
    entry.instance_id = member.metadata.instance_id;
    entry.rack_id = member.metadata.rack_id;
    entry.member_epoch = member.epoch;
    entry.client_id = member.metadata.client_id;
    entry.client_host = member.metadata.client_host;
    entry.subscribed_topic_names = member.metadata.subscribed_topic_names;
    entry.subscribed_topic_regex = member.metadata.subscribed_topic_regex;
    Partitions held = partitions_of(member.assigned);
    for (const auto& [topic, partitions] : partitions_of(member.pending_revocation))
        held[topic].insert(partitions.begin(), partitions.end());
    entry.assignment = named(image, held);
    entry.target_assignment = named(image, group.target_of(member.id));
    entry.member_type = member.uses_classic_protocol() ? 0 : 1;
    return entry;
}

}  // namespace

void describe_consumer_groups(GroupContext& context, RequestId id,
                              const wire::ConsumerGroupDescribeRequest& request, GroupOutput& out) {
    Response response;
    for (const std::string& group_id : request.group_ids) {
        Response::DescribedGroup& answer = response.groups.emplace_back();
        answer.group_id = group_id;
        if (group_id.empty()) {
            answer.error_code = code(ErrorCode::InvalidGroupId);
            answer.error_message.reset();
            continue;
        }
        const Group* known = context.core.committed().find(group_id);
        if (known == nullptr || !known->is_consumer()) {
            answer.error_code = code(ErrorCode::GroupIdNotFound);
            answer.error_message = known == nullptr
                                       ? fmt::format("Group {} not found.", group_id)
                                       : fmt::format("Group {} is not a consumer group.", group_id);
            continue;
        }
        const ConsumerGroup& group = *known->consumer;
        answer.error_message.reset();
        answer.group_state = consumer_phase_name(group.phase());
        answer.group_epoch = group.epoch;
        answer.assignment_epoch = group.target_epoch;
        answer.assignor_name = preferred_assignor(context, group);
        for (const auto& [member_id, member] : group.members)
            answer.members.push_back(describe(*context.image, group, *member));
    }
    out.replies.push_back({id, std::move(response)});
}

}  // namespace millrace::coordinator
