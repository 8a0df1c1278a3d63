// src/api/api_table.cc: the table of served APIs, one row each, by ascending key.
//
// What is not here is not advertised and closes the connection. Versions come from the schemas.
#include <iterator>

#include "millrace/api/dispatch.h"

namespace millrace::api {

void serve_add_offsets_to_txn(ServeCall&&);
void serve_add_partitions_to_txn(ServeCall&&);
void serve_add_raft_voter(ServeCall&&);
void serve_allocate_producer_ids(ServeCall&&);
void serve_alter_client_quotas(ServeCall&&);
void serve_alter_configs(ServeCall&&);
void serve_alter_partition(ServeCall&&);
void serve_alter_partition_reassignments(ServeCall&&);
void serve_alter_replica_log_dirs(ServeCall&&);
void serve_alter_user_scram_credentials(ServeCall&&);
void serve_api_versions(ServeCall&&);
void serve_assign_replicas_to_dirs(ServeCall&&);
void serve_begin_quorum_epoch(ServeCall&&);
void serve_broker_heartbeat(ServeCall&&);
void serve_broker_registration(ServeCall&&);
void serve_consumer_group_describe(ServeCall&&);
void serve_consumer_group_heartbeat(ServeCall&&);
void serve_controller_registration(ServeCall&&);
void serve_create_acls(ServeCall&&);
void serve_create_delegation_token(ServeCall&&);
void serve_create_partitions(ServeCall&&);
void serve_create_topics(ServeCall&&);
void serve_delete_acls(ServeCall&&);
void serve_delete_groups(ServeCall&&);
void serve_delete_records(ServeCall&&);
void serve_delete_topics(ServeCall&&);
void serve_describe_acls(ServeCall&&);
void serve_describe_client_quotas(ServeCall&&);
void serve_describe_cluster(ServeCall&&);
void serve_describe_configs(ServeCall&&);
void serve_describe_delegation_token(ServeCall&&);
void serve_describe_groups(ServeCall&&);
void serve_describe_log_dirs(ServeCall&&);
void serve_describe_producers(ServeCall&&);
void serve_describe_quorum(ServeCall&&);
void serve_describe_topic_partitions(ServeCall&&);
void serve_describe_transactions(ServeCall&&);
void serve_describe_user_scram_credentials(ServeCall&&);
void serve_elect_leaders(ServeCall&&);
void serve_end_quorum_epoch(ServeCall&&);
void serve_end_txn(ServeCall&&);
void serve_envelope(ServeCall&&);
void serve_expire_delegation_token(ServeCall&&);
void serve_fetch(ServeCall&&);
void serve_fetch_snapshot(ServeCall&&);
void serve_find_coordinator(ServeCall&&);
void serve_heartbeat(ServeCall&&);
void serve_incremental_alter_configs(ServeCall&&);
void serve_init_producer_id(ServeCall&&);
void serve_join_group(ServeCall&&);
void serve_leave_group(ServeCall&&);
void serve_list_config_resources(ServeCall&&);
void serve_list_groups(ServeCall&&);
void serve_list_offsets(ServeCall&&);
void serve_list_partition_reassignments(ServeCall&&);
void serve_list_transactions(ServeCall&&);
void serve_metadata(ServeCall&&);
void serve_offset_commit(ServeCall&&);
void serve_offset_delete(ServeCall&&);
void serve_offset_fetch(ServeCall&&);
void serve_offset_for_leader_epoch(ServeCall&&);
void serve_produce(ServeCall&&);
void serve_remove_raft_voter(ServeCall&&);
void serve_renew_delegation_token(ServeCall&&);
void serve_sync_group(ServeCall&&);
void serve_txn_offset_commit(ServeCall&&);
void serve_unregister_broker(ServeCall&&);
void serve_update_features(ServeCall&&);
void serve_update_raft_voter(ServeCall&&);
void serve_vote(ServeCall&&);
void serve_write_txn_markers(ServeCall&&);

namespace {

using wire::ApiKey;

constexpr uint8_t kBroker = static_cast<uint8_t>(ListenerKind::Broker);
constexpr uint8_t kController = static_cast<uint8_t>(ListenerKind::Controller);
constexpr uint8_t kBoth = kBroker | kController;

constexpr ApiRow kRows[] = {
    {ApiKey::Produce, kBroker, serve_produce},
    {ApiKey::Fetch, kBoth, serve_fetch},
    {ApiKey::ListOffsets, kBroker, serve_list_offsets},
    {ApiKey::Metadata, kBroker, serve_metadata},
    {ApiKey::OffsetCommit, kBroker, serve_offset_commit},
    {ApiKey::OffsetFetch, kBroker, serve_offset_fetch},
    {ApiKey::FindCoordinator, kBroker, serve_find_coordinator},
    {ApiKey::JoinGroup, kBroker, serve_join_group},
    {ApiKey::Heartbeat, kBroker, serve_heartbeat},
    {ApiKey::LeaveGroup, kBroker, serve_leave_group},
    {ApiKey::SyncGroup, kBroker, serve_sync_group},
    {ApiKey::DescribeGroups, kBroker, serve_describe_groups},
    {ApiKey::ListGroups, kBroker, serve_list_groups},
    {ApiKey::ApiVersions, kBoth, serve_api_versions},
    {ApiKey::CreateTopics, kBoth, serve_create_topics},
    {ApiKey::DeleteTopics, kBoth, serve_delete_topics},
    {ApiKey::DeleteRecords, kBroker, serve_delete_records},
    {ApiKey::InitProducerId, kBroker, serve_init_producer_id},
    {ApiKey::OffsetForLeaderEpoch, kBroker, serve_offset_for_leader_epoch},
    {ApiKey::AddPartitionsToTxn, kBroker, serve_add_partitions_to_txn},
    {ApiKey::AddOffsetsToTxn, kBroker, serve_add_offsets_to_txn},
    {ApiKey::EndTxn, kBroker, serve_end_txn},
    {ApiKey::WriteTxnMarkers, kBroker, serve_write_txn_markers},
    {ApiKey::TxnOffsetCommit, kBroker, serve_txn_offset_commit},
    {ApiKey::DescribeAcls, kBoth, serve_describe_acls},
    {ApiKey::CreateAcls, kBoth, serve_create_acls},
    {ApiKey::DeleteAcls, kBoth, serve_delete_acls},
    {ApiKey::DescribeConfigs, kBoth, serve_describe_configs},
    {ApiKey::AlterConfigs, kBoth, serve_alter_configs},
    {ApiKey::AlterReplicaLogDirs, kBroker, serve_alter_replica_log_dirs},
    {ApiKey::DescribeLogDirs, kBroker, serve_describe_log_dirs},
    {ApiKey::CreatePartitions, kBoth, serve_create_partitions},
    {ApiKey::CreateDelegationToken, kBoth, serve_create_delegation_token},
    {ApiKey::RenewDelegationToken, kBoth, serve_renew_delegation_token},
    {ApiKey::ExpireDelegationToken, kBoth, serve_expire_delegation_token},
    {ApiKey::DescribeDelegationToken, kBroker, serve_describe_delegation_token},
    {ApiKey::DeleteGroups, kBroker, serve_delete_groups},
    {ApiKey::ElectLeaders, kBoth, serve_elect_leaders},
    {ApiKey::IncrementalAlterConfigs, kBoth, serve_incremental_alter_configs},
    {ApiKey::AlterPartitionReassignments, kBoth, serve_alter_partition_reassignments},
    {ApiKey::ListPartitionReassignments, kBoth, serve_list_partition_reassignments},
    {ApiKey::OffsetDelete, kBroker, serve_offset_delete},
    {ApiKey::DescribeClientQuotas, kBroker, serve_describe_client_quotas},
    {ApiKey::AlterClientQuotas, kBoth, serve_alter_client_quotas},
    {ApiKey::DescribeUserScramCredentials, kBroker, serve_describe_user_scram_credentials},
    {ApiKey::AlterUserScramCredentials, kBoth, serve_alter_user_scram_credentials},
    {ApiKey::Vote, kController, serve_vote},
    {ApiKey::BeginQuorumEpoch, kController, serve_begin_quorum_epoch},
    {ApiKey::EndQuorumEpoch, kController, serve_end_quorum_epoch},
    {ApiKey::DescribeQuorum, kBoth, serve_describe_quorum},
    {ApiKey::AlterPartition, kController, serve_alter_partition},
    {ApiKey::UpdateFeatures, kBoth, serve_update_features},
    {ApiKey::Envelope, kController, serve_envelope},
    {ApiKey::FetchSnapshot, kController, serve_fetch_snapshot},
    {ApiKey::DescribeCluster, kBoth, serve_describe_cluster},
    {ApiKey::DescribeProducers, kBroker, serve_describe_producers},
    {ApiKey::BrokerRegistration, kController, serve_broker_registration},
    {ApiKey::BrokerHeartbeat, kController, serve_broker_heartbeat},
    {ApiKey::UnregisterBroker, kBoth, serve_unregister_broker},
    {ApiKey::DescribeTransactions, kBroker, serve_describe_transactions},
    {ApiKey::ListTransactions, kBroker, serve_list_transactions},
    {ApiKey::AllocateProducerIds, kController, serve_allocate_producer_ids},
    {ApiKey::ConsumerGroupHeartbeat, kBroker, serve_consumer_group_heartbeat},
    {ApiKey::ConsumerGroupDescribe, kBroker, serve_consumer_group_describe},
    {ApiKey::ControllerRegistration, kController, serve_controller_registration},
    {ApiKey::AssignReplicasToDirs, kController, serve_assign_replicas_to_dirs},
    {ApiKey::ListConfigResources, kBroker, serve_list_config_resources},
    {ApiKey::DescribeTopicPartitions, kBroker, serve_describe_topic_partitions},
    {ApiKey::AddRaftVoter, kBoth, serve_add_raft_voter},
    {ApiKey::RemoveRaftVoter, kBoth, serve_remove_raft_voter},
    {ApiKey::UpdateRaftVoter, kController, serve_update_raft_voter},
};

constexpr bool keys_ascend() {
    for (size_t i = 1; i < std::size(kRows); ++i) {
        if (kRows[i - 1].key >= kRows[i].key) return false;
    }
    return true;
}
static_assert(keys_ascend(), "rows by ascending key, each key once");

}  // namespace

ApiTable api_table() { return {kRows, std::size(kRows)}; }

}  // namespace millrace::api
