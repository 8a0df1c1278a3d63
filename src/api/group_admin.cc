// src/api/group_admin.cc: DescribeGroups (15), ListGroups (16), DeleteGroups (42),
// ConsumerGroupDescribe (69).
//
// Served: v0-6, v0-5, v0-2, v0-1.
// Behavior: coordinators.md 5.4, 5.6, 4.8. Each group is asked of its own machine; answers keep the
//   order of the request. ListGroups asks every machine of this node: one that is loading fails the
//   whole answer, one that has moved away is left out.
// Version notes: 16 filters by state (v4) and type (v5); 15 says GROUP_ID_NOT_FOUND from v6.
// Not done: permissions (there is no authorizer yet), so AuthorizedOperations are all there are.
#include <set>
#include <utility>

#include "api/group_call.h"
#include "api/serve.h"

namespace millrace::api {

namespace {

constexpr int16_t kListTypesFrom = 5;
constexpr int16_t kListStatesFrom = 4;
constexpr int32_t kAllGroupOperations = 3400;  // read, delete, describe, describe and alter configs

/// Asks about each group on its own machine and joins the answers.
template <class Response, class Part, class Make, class Take>
void ask_each(RequestContext& context, const std::vector<std::string>& groups, Make make, Take take,
              Reply<Response> reply, MoveFunction<Response(std::vector<Part>)> finish) {
    auto all = gather<Part, Response>(groups.size(), std::move(reply), std::move(finish));
    for (size_t i = 0; i < groups.size(); ++i) {
        run_group(context, groups[i], make(groups[i]),
                  [all, i, take](coordinator::GroupResponse answer) {
                      all->put(i, take(std::get<Response>(std::move(answer))));
                  });
    }
}

/// The answer of both describing requests, with the caller's operations where they are asked for.
template <class Response>
auto join_descriptions(bool operations) {
    return [operations](std::vector<typename Response::DescribedGroup> parts) {
        Response response;
        response.groups = std::move(parts);
        for (auto& part : response.groups) {
            if (operations && part.error_code == 0) {
                part.authorized_operations = kAllGroupOperations;
            }
        }
        return response;
    };
}

void handle_describe_groups(RequestContext&& context, wire::DescribeGroupsRequest request,
                            Reply<wire::DescribeGroupsResponse> reply) {
    using Response = wire::DescribeGroupsResponse;
    using Part = Response::DescribedGroup;
    ask_each<Response, Part>(
        context, request.groups,
        [](const std::string& group) {
            wire::DescribeGroupsRequest single;
            single.groups = {group};
            return single;
        },
        [](Response response) { return std::move(response.groups.front()); }, std::move(reply),
        join_descriptions<Response>(request.include_authorized_operations));
}

void handle_delete_groups(RequestContext&& context, wire::DeleteGroupsRequest request,
                          Reply<wire::DeleteGroupsResponse> reply) {
    using Response = wire::DeleteGroupsResponse;
    using Part = Response::DeletableGroupResult;
    std::vector<std::string> groups;
    std::set<std::string> seen;
    for (const std::string& group : request.groups_names) {
        if (seen.insert(group).second) groups.push_back(group);
    }
    ask_each<Response, Part>(
        context, groups,
        [](const std::string& group) {
            wire::DeleteGroupsRequest single;
            single.groups_names = {group};
            return single;
        },
        [](Response response) { return std::move(response.results.front()); }, std::move(reply),
        [](std::vector<Part> parts) {
            Response response;
            response.results = std::move(parts);
            return response;
        });
}

void handle_consumer_group_describe(RequestContext&& context,
                                    wire::ConsumerGroupDescribeRequest request,
                                    Reply<wire::ConsumerGroupDescribeResponse> reply) {
    using Response = wire::ConsumerGroupDescribeResponse;
    using Part = Response::DescribedGroup;
    if (!serves_consumer_groups(context)) {
        return reply.send(std::get<Response>(
            coordinator::group_error(request, context.version, ErrorCode::UnsupportedVersion)));
    }
    ask_each<Response, Part>(
        context, request.group_ids,
        [](const std::string& group) {
            wire::ConsumerGroupDescribeRequest single;
            single.group_ids = {group};
            return single;
        },
        [](Response response) { return std::move(response.groups.front()); }, std::move(reply),
        join_descriptions<Response>(request.include_authorized_operations));
}

wire::ListGroupsResponse join_lists(std::vector<wire::ListGroupsResponse> parts, int16_t version) {
    wire::ListGroupsResponse all;
    for (auto& part : parts) {
        const auto error = static_cast<ErrorCode>(part.error_code);
        if (error == ErrorCode::NotCoordinator) continue;
        if (error != ErrorCode::None) {
            wire::ListGroupsResponse refused;
            refused.error_code = part.error_code;
            return refused;
        }
        for (auto& group : part.groups)
            all.groups.push_back(std::move(group));
    }
    for (auto& group : all.groups) {
        if (version < kListStatesFrom) group.group_state.clear();
        if (version < kListTypesFrom) group.group_type.clear();
    }
    return all;
}

void handle_list_groups(RequestContext&& context, wire::ListGroupsRequest request,
                        Reply<wire::ListGroupsResponse> reply) {
    using Response = wire::ListGroupsResponse;
    const int16_t version = context.version;
    broker::CoordinatorHost& host = context.shard().coordinators();
    const std::vector<PartitionIndex> partitions = host.group_partitions();
    auto all = gather<Response, Response>(
        partitions.size(), std::move(reply),
        [version](std::vector<Response> parts) { return join_lists(std::move(parts), version); });
    for (size_t i = 0; i < partitions.size(); ++i) {
        run_on_partition(context, partitions[i], request,
                         [all, i](coordinator::GroupResponse answer) {
                             all->put(i, std::get<Response>(std::move(answer)));
                         });
    }
}

}  // namespace

void serve_consumer_group_describe(ServeCall&& call) {
    serve<wire::ConsumerGroupDescribeRequest, wire::ConsumerGroupDescribeResponse>(
        std::move(call), handle_consumer_group_describe);
}
void serve_describe_groups(ServeCall&& call) {
    serve<wire::DescribeGroupsRequest, wire::DescribeGroupsResponse>(std::move(call),
                                                                     handle_describe_groups);
}
void serve_delete_groups(ServeCall&& call) {
    serve<wire::DeleteGroupsRequest, wire::DeleteGroupsResponse>(std::move(call),
                                                                 handle_delete_groups);
}
void serve_list_groups(ServeCall&& call) {
    serve<wire::ListGroupsRequest, wire::ListGroupsResponse>(std::move(call), handle_list_groups);
}

}  // namespace millrace::api
