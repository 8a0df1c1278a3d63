// tests/sim/route.h: what a request is about, for the choice of the node that gets it.
#pragma once

#include "millrace/wire/gen/add_offsets_to_txn_request.h"
#include "millrace/wire/gen/add_partitions_to_txn_request.h"
#include "millrace/wire/gen/delete_records_request.h"
#include "millrace/wire/gen/describe_producers_request.h"
#include "millrace/wire/gen/end_txn_request.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/heartbeat_request.h"
#include "millrace/wire/gen/init_producer_id_request.h"
#include "millrace/wire/gen/join_group_request.h"
#include "millrace/wire/gen/leave_group_request.h"
#include "millrace/wire/gen/list_offsets_request.h"
#include "millrace/wire/gen/offset_commit_request.h"
#include "millrace/wire/gen/offset_fetch_request.h"
#include "millrace/wire/gen/produce_request.h"
#include "millrace/wire/gen/sync_group_request.h"
#include "millrace/wire/gen/txn_offset_commit_request.h"
#include "sim/servers.h"

namespace millrace::sim {

inline Target of_group(const std::string& group) { return {Target::Kind::Group, group, {}, 0}; }
inline Target of_transaction(const std::string& id) {
    return {Target::Kind::Transaction, id, {}, 0};
}

/// Whatever any node can answer, or send on to the controller.
template <class Request>
Target target_of(const Request&) {
    return {};
}
inline Target target_of(const wire::ProduceRequest& r) {
    const auto& topic = r.topic_data.at(0);
    return {Target::Kind::Leader, topic.name, topic.topic_id, topic.partition_data.at(0).index};
}
/// A Fetch of a session may name nothing: its session is where it was.
inline Target target_of(const wire::FetchRequest& r) {
    if (r.topics.empty() || r.session_epoch > 0) return {Target::Kind::AsBefore, {}, {}, 0};
    const auto& topic = r.topics[0];
    return {Target::Kind::Leader, topic.topic, topic.topic_id, topic.partitions.at(0).partition};
}
inline Target target_of(const wire::ListOffsetsRequest& r) {
    const auto& topic = r.topics.at(0);
    return {Target::Kind::Leader, topic.name, {}, topic.partitions.at(0).partition_index};
}
inline Target target_of(const wire::DescribeProducersRequest& r) {
    return {Target::Kind::Leader, r.topics.at(0).name, {}, r.topics[0].partition_indexes.at(0)};
}
inline Target target_of(const wire::DeleteRecordsRequest& r) {
    const auto& topic = r.topics.at(0);
    return {Target::Kind::Leader, topic.name, {}, topic.partitions.at(0).partition_index};
}
inline Target target_of(const wire::JoinGroupRequest& r) { return of_group(r.group_id); }
inline Target target_of(const wire::SyncGroupRequest& r) { return of_group(r.group_id); }
inline Target target_of(const wire::HeartbeatRequest& r) { return of_group(r.group_id); }
inline Target target_of(const wire::LeaveGroupRequest& r) { return of_group(r.group_id); }
inline Target target_of(const wire::OffsetCommitRequest& r) { return of_group(r.group_id); }
inline Target target_of(const wire::OffsetFetchRequest& r) {
    return of_group(r.groups.empty() ? r.group_id : r.groups[0].group_id);
}
inline Target target_of(const wire::TxnOffsetCommitRequest& r) { return of_group(r.group_id); }
inline Target target_of(const wire::InitProducerIdRequest& r) {
    return r.transactional_id ? of_transaction(*r.transactional_id) : Target{};
}
inline Target target_of(const wire::AddPartitionsToTxnRequest& r) {
    return of_transaction(r.v3_and_below_transactional_id);
}
inline Target target_of(const wire::AddOffsetsToTxnRequest& r) {
    return of_transaction(r.transactional_id);
}
inline Target target_of(const wire::EndTxnRequest& r) { return of_transaction(r.transactional_id); }

}  // namespace millrace::sim
