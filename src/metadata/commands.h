// src/metadata/commands.h: every command of the controller: checks, records, reply.
//
// A command changes nothing: it reads the context and returns records and a reply. Overloads are
// found by the request's type; each group lives in its own *_control.cc.
#pragma once

#include "metadata/controller_context.h"

namespace millrace::metadata {

// topic_control.cc
CommandResult run_command(const CommandContext& context, const wire::CreateTopicsRequest& request);
CommandResult run_command(const CommandContext& context, const wire::DeleteTopicsRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::CreatePartitionsRequest& request);
// config_control.cc
CommandResult run_command(const CommandContext& context, const wire::AlterConfigsRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::IncrementalAlterConfigsRequest& request);
// partition_control.cc
CommandResult run_command(const CommandContext& context, const wire::ElectLeadersRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::AlterPartitionRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::AssignReplicasToDirsRequest& request);
// reassignment.cc
CommandResult run_command(const CommandContext& context,
                          const wire::AlterPartitionReassignmentsRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::ListPartitionReassignmentsRequest& request);
// cluster_control.cc
CommandResult run_command(const CommandContext& context,
                          const wire::BrokerRegistrationRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::BrokerHeartbeatRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::UnregisterBrokerRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::ControllerRegistrationRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::AllocateProducerIdsRequest& request);
// feature_control.cc
CommandResult run_command(const CommandContext& context,
                          const wire::UpdateFeaturesRequest& request);
// quota_control.cc
CommandResult run_command(const CommandContext& context,
                          const wire::AlterClientQuotasRequest& request);
// scram_control.cc
CommandResult run_command(const CommandContext& context,
                          const wire::AlterUserScramCredentialsRequest& request);
// acl_control.cc
CommandResult run_command(const CommandContext& context, const wire::CreateAclsRequest& request);
CommandResult run_command(const CommandContext& context, const wire::DeleteAclsRequest& request);
// token_control.cc
CommandResult run_command(const CommandContext& context,
                          const wire::CreateDelegationTokenRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::RenewDelegationTokenRequest& request);
CommandResult run_command(const CommandContext& context,
                          const wire::ExpireDelegationTokenRequest& request);

/// The reply that says `error` for the whole request, in the shape the API has (error_replies.cc).
ControllerResponse error_reply(const ControllerRequest& request, const ApiError& error);

// Pieces that commands and periodic tasks share.

/// Leader and ISR changes for `keys` when `removed` goes, `added` comes, or `unclean` died without
/// a clean shutdown (partition_control.cc).
void update_leaders(const CommandContext& context, const std::vector<PartitionKey>& keys,
                    NodeId removed, NodeId added, NodeId unclean, std::vector<Record>& records);
/// Fences: leader and ISR changes, then the registration change (cluster_control.cc).
void fence_broker(const CommandContext& context, NodeId id, std::vector<Record>& records);
/// At most kElectionsPerSweepMax preferred elections of imbalanced partitions.
std::vector<Record> balance_leaders(const CommandContext& context);
/// At most kElectionsPerSweepMax unclean elections where the topic allows them.
std::vector<Record> elect_unclean_leaders(const CommandContext& context);
/// Reassignments away from brokers that are silent for as long as dead.broker.repair.delay.ms says
/// (repair.cc).
std::vector<Record> repair_dead_brokers(const CommandContext& context);
/// Tokens whose time is over (token_control.cc).
std::vector<Record> expire_tokens(const CommandContext& context);
/// What a new active controller writes (activation.cc); fails when the log's version is not served.
Result<std::vector<Record>> activation_records(const CommandContext& context, bool log_is_empty,
                                               bool& atomic);
/// Checks and applies one resource's incremental changes (config_control.cc).
struct ConfigOp {
    std::string name;
    int8_t op = 0;
    std::optional<std::string> value;
};
ApiError alter_config(const CommandContext& context, const ConfigTarget& target,
                      const std::vector<ConfigOp>& ops, bool newly_created,
                      std::vector<Record>& records);
/// ClearElrRecords for the min.insync.replicas changes among `records`.
void append_clear_elr(const CommandContext& context, std::vector<Record>& records);
/// A replica list given by a person: non-empty, registered, distinct, of the stated factor if any.
ApiError check_manual_assignment(const CommandContext& context, const std::vector<int32_t>& brokers,
                                 std::optional<size_t> replication_factor);
/// Rules for topic names (topic_name.cc); the text that says what is wrong.
std::optional<std::string> topic_name_fault(std::string_view name);

}  // namespace millrace::metadata
