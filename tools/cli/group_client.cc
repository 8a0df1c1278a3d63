// tools/cli/group_client.cc: consumer groups over the protocol.
#include "cli/group_client.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>

#include "cli/find_coordinator.h"
#include "millrace/base/endian.h"
#include "millrace/base/nearest.h"
#include "millrace/wire/gen/consumer_group_describe_request.h"
#include "millrace/wire/gen/consumer_group_describe_response.h"
#include "millrace/wire/gen/consumer_protocol_assignment.h"
#include "millrace/wire/gen/delete_groups_request.h"
#include "millrace/wire/gen/delete_groups_response.h"
#include "millrace/wire/gen/describe_groups_request.h"
#include "millrace/wire/gen/describe_groups_response.h"
#include "millrace/wire/gen/list_groups_request.h"
#include "millrace/wire/gen/list_groups_response.h"
#include "millrace/wire/gen/offset_commit_request.h"
#include "millrace/wire/gen/offset_commit_response.h"
#include "millrace/wire/gen/offset_delete_request.h"
#include "millrace/wire/gen/offset_delete_response.h"
#include "millrace/wire/gen/offset_fetch_request.h"
#include "millrace/wire/gen/offset_fetch_response.h"

namespace millrace::cli {
namespace {

constexpr int16_t kNamesHighest = 9;  // OffsetFetch and OffsetCommit name topics up to here

std::vector<TopicPartition> assigned(
    const wire::ConsumerGroupDescribeResponse::Assignment& assignment) {
    std::vector<TopicPartition> partitions;
    for (const auto& topic : assignment.topic_partitions) {
        for (const int32_t partition : topic.partitions)
            partitions.push_back({topic.topic_name, partition});
    }
    return partitions;
}

/// Kafka's states are printed with a capital; the filters are taken in any case.
std::vector<GroupListing> listings_of(const wire::ListGroupsResponse& response, int32_t broker) {
    std::vector<GroupListing> found;
    for (const auto& group : response.groups) {
        found.push_back({group.group_id, group.protocol_type, group.group_state, group.group_type,
                         broker});
    }
    return found;
}

}  // namespace

bool coordinator_may_come(ErrorCode code) {
    return code == ErrorCode::CoordinatorNotAvailable ||
           code == ErrorCode::CoordinatorLoadInProgress || code == ErrorCode::NotCoordinator;
}

void wait_for_coordinator(Client& client, const std::string& group, ErrorCode code) {
    constexpr int kBackoffMs = 100;
    if (client.timeout_ms() <= kBackoffMs) {
        throw Failure{kNoConnection,
                      fmt::format("group '{}' has no coordinator in time ({})", group,
                                  error_code_name(code)),
                      "give it longer with --timeout", wire_error(code), ""};
    }
    poll(nullptr, 0, kBackoffMs);
}

std::optional<std::vector<TopicPartition>> parse_assignment(const Buffer& bytes) {
    std::vector<TopicPartition> partitions;
    if (bytes.empty()) return partitions;
    if (bytes.size() < sizeof(int16_t)) return std::nullopt;
    // A newer version only adds fields at the end.
    const int16_t version = std::clamp(load_big<int16_t>(bytes.data()), int16_t{0},
                                       wire::ConsumerProtocolAssignment::kMaxVersion);
    wire::Reader reader(bytes.slice(sizeof(int16_t), bytes.size() - sizeof(int16_t)));
    wire::ConsumerProtocolAssignment assignment;
    if (!assignment.decode(reader, version)) return std::nullopt;
    for (const auto& topic : assignment.assigned_partitions) {
        for (const int32_t partition : topic.partitions)
            partitions.push_back({topic.topic, partition});
    }
    return partitions;
}

int32_t GroupClient::coordinator(const std::string& group) {
    if (const auto known = coordinators_.find(group); known != coordinators_.end())
        return known->second;
    const Coordinator found = find_coordinator(client_, group, CoordinatorKind::Group);
    addresses_[found.node] = found.address;
    coordinators_[group] = found.node;
    return found.node;
}

int16_t GroupClient::with_coordinator(const std::string& group,
                                      const std::function<int16_t(Connection&)>& attempt) {
    while (true) {
        const int16_t error = attempt(client_.node(coordinator(group)));
        const auto code = error_code_from(error).value_or(ErrorCode::UnknownServerError);
        // An open transaction of the group decides soon (KIP-447).
        const bool unstable = code == ErrorCode::UnstableOffsetCommit;
        if (!coordinator_may_come(code) && !unstable) return error;
        if (!unstable) forget_coordinator(group);
        wait_for_coordinator(client_, group, code);
    }
}

std::vector<GroupListing> GroupClient::list(const std::vector<std::string>& states,
                                            const std::vector<std::string>& types) {
    wire::ListGroupsRequest request;
    request.states_filter = states;
    request.types_filter = types;
    std::vector<GroupListing> found;
    for (const auto& broker : client_.metadata(std::vector<std::string>()).brokers) {
        Connection& connection = client_.node(broker.node_id);
        const int16_t version = connection.version_of<wire::ListGroupsRequest>();
        if (version < 5 && !types.empty()) {
            throw Failure{kFailed, "the broker cannot filter groups by type",
                          "leave --type out: it is older than Kafka 3.8"};
        }
        while (true) {
            const auto response =
                connection.ask<wire::ListGroupsResponse>(request, version, client_.deadline());
            const auto code = error_code_from(response.error_code);
            if (code && coordinator_may_come(*code)) {
                wait_for_coordinator(client_, "(all)", *code);
                continue;
            }
            check_error(response.error_code, std::nullopt, "list of groups");
            const auto part = listings_of(response, broker.node_id);
            found.insert(found.end(), part.begin(), part.end());
            break;
        }
    }
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    return found;
}

std::optional<GroupDescription> GroupClient::describe_consumer(const std::string& group) {
    wire::ConsumerGroupDescribeRequest request;
    request.group_ids = {group};
    wire::ConsumerGroupDescribeResponse response;
    bool served = true;
    const int16_t error = with_coordinator(group, [&](Connection& connection) -> int16_t {
        served = connection.serves<wire::ConsumerGroupDescribeRequest>();
        if (!served) return 0;
        response = connection.ask<wire::ConsumerGroupDescribeResponse>(
            request, connection.version_of<wire::ConsumerGroupDescribeRequest>(),
            client_.deadline());
        return response.groups.empty() ? wire_error(ErrorCode::UnknownServerError)
                                       : response.groups.front().error_code;
    });
    const auto code = error_code_from(error);
    if (!served || code == ErrorCode::GroupIdNotFound || code == ErrorCode::UnsupportedVersion)
        return std::nullopt;
    const auto& found = response.groups.front();
    check_error(error, found.error_message, "group '" + group + "'");
    GroupDescription description;
    description.id = group;
    description.type = "consumer";
    description.state = found.group_state;
    description.protocol_type = "consumer";
    description.assignor = found.assignor_name;
    description.epoch = found.group_epoch;
    description.target_epoch = found.assignment_epoch;
    for (const auto& member : found.members) {
        GroupMember& one = description.members.emplace_back();
        one.id = member.member_id;
        one.instance_id = member.instance_id;
        one.client_id = member.client_id;
        one.host = member.client_host;
        one.assignment = assigned(member.assignment);
        one.target = assigned(member.target_assignment);
        one.epoch = member.member_epoch;
        if (member.member_type >= 0) one.upgraded = member.member_type == 1;
    }
    return description;
}

GroupDescription GroupClient::describe_classic(const std::string& group) {
    wire::DescribeGroupsRequest request;
    request.groups = {group};
    wire::DescribeGroupsResponse response;
    const int16_t error = with_coordinator(group, [&](Connection& connection) -> int16_t {
        response = connection.ask<wire::DescribeGroupsResponse>(
            request, connection.version_of<wire::DescribeGroupsRequest>(), client_.deadline());
        return response.groups.empty() ? wire_error(ErrorCode::UnknownServerError)
                                       : response.groups.front().error_code;
    });
    if (response.groups.empty()) check_error(error, std::nullopt, "group '" + group + "'");
    const auto& found = response.groups.front();
    check_error(error, found.error_message, "group '" + group + "'");
    GroupDescription description;
    description.id = group;
    description.type = "classic";
    description.state = found.group_state;
    description.protocol_type = found.protocol_type;
    description.assignor = found.protocol_data;
    for (const auto& member : found.members) {
        GroupMember& one = description.members.emplace_back();
        one.id = member.member_id;
        one.instance_id = member.group_instance_id;
        one.client_id = member.client_id;
        one.host = member.client_host;
        if (found.protocol_type == "consumer") {
            one.assignment = parse_assignment(member.member_assignment)
                                 .value_or(std::vector<TopicPartition>());
        }
    }
    return description;
}

GroupDescription GroupClient::describe(const std::string& group) {
    auto found = describe_consumer(group);
    GroupDescription description = found ? std::move(*found) : describe_classic(group);
    description.coordinator = coordinator(group);
    description.coordinator_address = addresses_[description.coordinator];
    return description;
}

CommittedOffsets GroupClient::committed(const std::string& group, bool require_stable) {
    CommittedOffsets offsets;
    const int16_t error = with_coordinator(group, [&](Connection& connection) -> int16_t {
        offsets.clear();
        const int16_t version = connection.version_of<wire::OffsetFetchRequest>(kNamesHighest);
        wire::OffsetFetchRequest request;
        request.require_stable = version >= 7 && require_stable;
        const auto take = [&](const auto& topics) {
            for (const auto& topic : topics) {
                for (const auto& p : topic.partitions) {
                    if (p.error_code != 0) return p.error_code;
                    if (p.committed_offset < 0) continue;
                    offsets[{topic.name, p.partition_index}] = {
                        p.committed_offset, p.committed_leader_epoch, p.metadata.value_or("")};
                }
            }
            return int16_t{0};
        };
        if (version < 8) {
            request.group_id = group;
            request.topics.reset();
        } else {
            auto& wanted = request.groups.emplace_back();
            wanted.group_id = group;
            wanted.topics.reset();
        }
        const auto response =
            connection.ask<wire::OffsetFetchResponse>(request, version, client_.deadline());
        if (version < 8)
            return response.error_code != 0 ? response.error_code : take(response.topics);
        if (response.groups.empty()) return wire_error(ErrorCode::UnknownServerError);
        const auto& answer = response.groups.front();
        return answer.error_code != 0 ? answer.error_code : take(answer.topics);
    });
    check_error(error, std::nullopt, "offsets of group '" + group + "'");
    return offsets;
}

void GroupClient::commit(const std::string& group,
                         const std::map<TopicPartition, int64_t>& offsets) {
    wire::OffsetCommitRequest request;
    request.group_id = group;
    for (const auto& [partition, offset] : offsets) {
        if (request.topics.empty() || request.topics.back().name != partition.topic)
            request.topics.emplace_back().name = partition.topic;
        auto& one = request.topics.back().partitions.emplace_back();
        one.partition_index = partition.partition;
        one.committed_offset = offset;
        one.committed_metadata = "";
    }
    std::string refused = "offsets of group '" + group + "'";
    const int16_t error = with_coordinator(group, [&](Connection& connection) -> int16_t {
        const int16_t version = connection.version_of<wire::OffsetCommitRequest>(kNamesHighest);
        const auto response =
            connection.ask<wire::OffsetCommitResponse>(request, version, client_.deadline());
        for (const auto& topic : response.topics) {
            for (const auto& p : topic.partitions) {
                if (p.error_code == 0) continue;
                refused = fmt::format("group '{}', {}-{}", group, topic.name, p.partition_index);
                return p.error_code;
            }
        }
        return 0;
    });
    check_error(error, std::nullopt, refused);
}

int16_t GroupClient::remove(const std::string& group) {
    wire::DeleteGroupsRequest request;
    request.groups_names = {group};
    return with_coordinator(group, [&](Connection& connection) -> int16_t {
        const auto response = connection.ask<wire::DeleteGroupsResponse>(
            request, connection.version_of<wire::DeleteGroupsRequest>(), client_.deadline());
        return response.results.empty() ? wire_error(ErrorCode::UnknownServerError)
                                        : response.results.front().error_code;
    });
}

int16_t GroupClient::remove_offsets(const std::string& group,
                                    const std::set<TopicPartition>& partitions,
                                    std::map<TopicPartition, int16_t>& results) {
    wire::OffsetDeleteRequest request;
    request.group_id = group;
    for (const TopicPartition& partition : partitions) {
        if (request.topics.empty() || request.topics.back().name != partition.topic)
            request.topics.emplace_back().name = partition.topic;
        request.topics.back().partitions.emplace_back().partition_index = partition.partition;
    }
    return with_coordinator(group, [&](Connection& connection) -> int16_t {
        results.clear();
        const auto response = connection.ask<wire::OffsetDeleteResponse>(
            request, connection.version_of<wire::OffsetDeleteRequest>(), client_.deadline());
        for (const auto& topic : response.topics) {
            for (const auto& p : topic.partitions)
                results[{topic.name, p.partition_index}] = p.error_code;
        }
        return response.error_code;
    });
}

Failure unknown_group(GroupClient& groups, const std::string& group) {
    Failure failure{kNotFound,
                    fmt::format("no group '{}' on {}", group, groups.client().cluster_name()), "",
                    wire_error(ErrorCode::GroupIdNotFound), ""};
    std::vector<std::string> known;
    for (const GroupListing& listing : groups.list())
        known.push_back(listing.id);
    const auto near = nearest_names(group, known);
    for (const std::string& candidate : near) {
        failure.fix += failure.fix.empty() ? "did you mean '" : " or '";
        failure.fix += candidate + "'";
    }
    failure.fix += near.empty() ? "millrace group list shows what there is" : "?";
    return failure;
}

}  // namespace millrace::cli
