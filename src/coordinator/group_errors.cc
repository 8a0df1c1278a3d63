// src/coordinator/group_errors.cc: one error for a whole request, in the shape of each response.
#include "coordinator/group_context.h"

namespace millrace::coordinator {

namespace {

template <class Response>
Response with_code(ErrorCode error) {
    Response response;
    response.error_code = code(error);
    return response;
}

GroupResponse refuse(const wire::JoinGroupRequest& r, int16_t version, ErrorCode error) {
    return join_refused(version, r.member_id, error);
}
GroupResponse refuse(const wire::SyncGroupRequest&, int16_t, ErrorCode error) {
    return sync_refused(error);
}
GroupResponse refuse(const wire::HeartbeatRequest&, int16_t, ErrorCode error) {
    // Members survive the loading of their group.
    const bool loading = error == ErrorCode::CoordinatorLoadInProgress;
    return with_code<wire::HeartbeatResponse>(loading ? ErrorCode::None : error);
}
GroupResponse refuse(const wire::LeaveGroupRequest&, int16_t, ErrorCode error) {
    return with_code<wire::LeaveGroupResponse>(error);
}
GroupResponse refuse(const wire::OffsetCommitRequest& r, int16_t, ErrorCode error) {
    return every_partition<wire::OffsetCommitResponse>(r, error);
}
GroupResponse refuse(const wire::TxnOffsetCommitRequest& r, int16_t version, ErrorCode error) {
    constexpr int16_t kLoadInProgressFrom = 2;
    const bool old = version < kLoadInProgressFrom && error == ErrorCode::CoordinatorLoadInProgress;
    return every_partition<wire::TxnOffsetCommitResponse>(
        r, old ? ErrorCode::CoordinatorNotAvailable : error);
}
GroupResponse refuse(const wire::OffsetFetchRequest& r, int16_t, ErrorCode error) {
    wire::OffsetFetchResponse response;
    for (const auto& group : r.groups) {
        auto& answer = response.groups.emplace_back();
        answer.group_id = group.group_id;
        answer.error_code = code(error);
    }
    return response;
}
GroupResponse refuse(const wire::OffsetDeleteRequest&, int16_t, ErrorCode error) {
    return with_code<wire::OffsetDeleteResponse>(error);
}
GroupResponse refuse(const wire::ListGroupsRequest&, int16_t, ErrorCode error) {
    return with_code<wire::ListGroupsResponse>(error);
}
GroupResponse refuse(const wire::DescribeGroupsRequest& r, int16_t, ErrorCode error) {
    wire::DescribeGroupsResponse response;
    for (const std::string& group : r.groups) {
        auto& answer = response.groups.emplace_back();
        answer.group_id = group;
        answer.error_code = code(error);
    }
    return response;
}
GroupResponse refuse(const wire::DeleteGroupsRequest& r, int16_t, ErrorCode error) {
    wire::DeleteGroupsResponse response;
    for (const std::string& group : r.groups_names) {
        auto& result = response.results.emplace_back();
        result.group_id = group;
        result.error_code = code(error);
    }
    return response;
}
GroupResponse refuse(const wire::ConsumerGroupHeartbeatRequest&, int16_t, ErrorCode error) {
    return with_code<wire::ConsumerGroupHeartbeatResponse>(error);
}
GroupResponse refuse(const wire::ConsumerGroupDescribeRequest& r, int16_t, ErrorCode error) {
    wire::ConsumerGroupDescribeResponse response;
    for (const std::string& group : r.group_ids) {
        auto& answer = response.groups.emplace_back();
        answer.group_id = group;
        answer.error_code = code(error);
    }
    return response;
}

}  // namespace

GroupResponse group_error(const GroupRequest& request, int16_t version, ErrorCode error) {
    return std::visit([&](const auto& r) { return refuse(r, version, error); }, request);
}

}  // namespace millrace::coordinator
