// src/base/error_code.cc: names, retriability and default messages of the error numbers.
#include "millrace/base/error_code.h"

#include <cstddef>
#include <iterator>

#include "millrace/base/assert.h"

namespace millrace {
namespace {

struct Row {
    const char* name;
    bool retriable;
    const char* message;
};

/// Indexed by code + 1.
constexpr Row kRows[] = {
    {"UNKNOWN_SERVER_ERROR", false, "unexpected failure inside the server"},
    {"NONE", false, "no error"},
    {"OFFSET_OUT_OF_RANGE", false, "offset lies outside the log of this partition"},
    {"CORRUPT_MESSAGE", true,
     "a record batch is damaged, oversized or lacks a key that compaction needs"},
    {"UNKNOWN_TOPIC_OR_PARTITION", true, "topic or partition is not known to this broker"},
    {"INVALID_FETCH_SIZE", false, "fetch size is not valid"},
    {"LEADER_NOT_AVAILABLE", true, "partition has no leader at the moment"},
    {"NOT_LEADER_OR_FOLLOWER", true,
     "this broker is not the leader, or not a replica, of the partition"},
    {"REQUEST_TIMED_OUT", true, "request did not finish in time"},
    {"BROKER_NOT_AVAILABLE", false, "broker is not available"},
    {"REPLICA_NOT_AVAILABLE", true, "replica is not available on this broker"},
    {"MESSAGE_TOO_LARGE", false, "record batch is larger than the topic allows"},
    {"STALE_CONTROLLER_EPOCH", false, "controller has moved"},
    {"OFFSET_METADATA_TOO_LARGE", false, "offset metadata text is too long"},
    {"NETWORK_EXCEPTION", true, "connection closed before an answer came"},
    {"COORDINATOR_LOAD_IN_PROGRESS", true, "coordinator is still loading its state"},
    {"COORDINATOR_NOT_AVAILABLE", true, "coordinator is not available"},
    {"NOT_COORDINATOR", true, "this broker does not coordinate that group or transaction"},
    {"INVALID_TOPIC_EXCEPTION", false, "topic name is not valid for this operation"},
    {"RECORD_LIST_TOO_LARGE", false, "record batches are larger than a log segment"},
    {"NOT_ENOUGH_REPLICAS", true, "too few in-sync replicas to accept the write"},
    {"NOT_ENOUGH_REPLICAS_AFTER_APPEND", true, "written, but to too few in-sync replicas"},
    {"INVALID_REQUIRED_ACKS", false, "acks must be -1, 0 or 1"},
    {"ILLEGAL_GENERATION", false, "group generation is not the current one"},
    {"INCONSISTENT_GROUP_PROTOCOL", false, "member's protocols do not fit the group"},
    {"INVALID_GROUP_ID", false, "group id is not valid"},
    {"UNKNOWN_MEMBER_ID", false, "member is not known to the group coordinator"},
    {"INVALID_SESSION_TIMEOUT", false, "session timeout is outside the broker's allowed range"},
    {"REBALANCE_IN_PROGRESS", false, "group is rebalancing; rejoin"},
    {"INVALID_COMMIT_OFFSET_SIZE", false, "offset commit is too large"},
    {"TOPIC_AUTHORIZATION_FAILED", false, "not authorized for the topic"},
    {"GROUP_AUTHORIZATION_FAILED", false, "not authorized for the group"},
    {"CLUSTER_AUTHORIZATION_FAILED", false, "not authorized for the cluster"},
    {"INVALID_TIMESTAMP", false, "record timestamp is outside the allowed range"},
    {"UNSUPPORTED_SASL_MECHANISM", false, "SASL mechanism is not enabled"},
    {"ILLEGAL_SASL_STATE", false, "request does not fit the state of SASL authentication"},
    {"UNSUPPORTED_VERSION", false, "API version is not supported"},
    {"TOPIC_ALREADY_EXISTS", false, "topic already exists"},
    {"INVALID_PARTITIONS", false, "partition count is not valid"},
    {"INVALID_REPLICATION_FACTOR", false, "replication factor is not valid for this cluster"},
    {"INVALID_REPLICA_ASSIGNMENT", false, "replica assignment is not valid"},
    {"INVALID_CONFIG", false, "configuration is not valid"},
    {"NOT_CONTROLLER", true, "this node is not the active controller"},
    {"INVALID_REQUEST", false, "request is malformed or does not make sense"},
    {"UNSUPPORTED_FOR_MESSAGE_FORMAT", false,
     "message format on the broker cannot serve this request"},
    {"POLICY_VIOLATION", false, "a configured policy forbids the request"},
    {"OUT_OF_ORDER_SEQUENCE_NUMBER", false, "sequence number is not the next one expected"},
    {"DUPLICATE_SEQUENCE_NUMBER", false, "sequence number was already written"},
    {"INVALID_PRODUCER_EPOCH", false, "producer epoch is old"},
    {"INVALID_TXN_STATE", false, "operation does not fit the state of the transaction"},
    {"INVALID_PRODUCER_ID_MAPPING", false, "producer id does not belong to the transactional id"},
    {"INVALID_TRANSACTION_TIMEOUT", false, "transaction timeout is above the broker's maximum"},
    {"CONCURRENT_TRANSACTIONS", true, "another operation on the same transaction is in progress"},
    {"TRANSACTION_COORDINATOR_FENCED", false,
     "transaction coordinator was replaced by a newer one"},
    {"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false, "not authorized for the transactional id"},
    {"SECURITY_DISABLED", false, "no authorizer is configured"},
    {"OPERATION_NOT_ATTEMPTED", false, "operation was not attempted because another one failed"},
    {"KAFKA_STORAGE_ERROR", true, "the broker's disk failed"},
    {"LOG_DIR_NOT_FOUND", false, "log directory is not configured on this broker"},
    {"SASL_AUTHENTICATION_FAILED", false, "SASL authentication failed"},
    {"UNKNOWN_PRODUCER_ID", false, "producer id has no state on this broker"},
    {"REASSIGNMENT_IN_PROGRESS", false, "a reassignment of the partition is in progress"},
    {"DELEGATION_TOKEN_AUTH_DISABLED", false, "delegation tokens are not enabled"},
    {"DELEGATION_TOKEN_NOT_FOUND", false, "delegation token does not exist"},
    {"DELEGATION_TOKEN_OWNER_MISMATCH", false,
     "principal neither owns nor may renew the delegation token"},
    {"DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false,
     "delegation tokens cannot be requested over this connection"},
    {"DELEGATION_TOKEN_AUTHORIZATION_FAILED", false, "not authorized for the delegation token"},
    {"DELEGATION_TOKEN_EXPIRED", false, "delegation token has expired"},
    {"INVALID_PRINCIPAL_TYPE", false, "principal type is not supported"},
    {"NON_EMPTY_GROUP", false, "group still has members"},
    {"GROUP_ID_NOT_FOUND", false, "group does not exist"},
    {"FETCH_SESSION_ID_NOT_FOUND", true, "fetch session does not exist"},
    {"INVALID_FETCH_SESSION_EPOCH", true, "fetch session epoch is not the expected one"},
    {"LISTENER_NOT_FOUND", true, "leader has no listener of the requested name"},
    {"TOPIC_DELETION_DISABLED", false, "topic deletion is disabled"},
    {"FENCED_LEADER_EPOCH", true, "leader epoch in the request is older than the broker's"},
    {"UNKNOWN_LEADER_EPOCH", true, "leader epoch in the request is newer than the broker's"},
    {"UNSUPPORTED_COMPRESSION_TYPE", false,
     "client cannot read the compression type of the partition"},
    {"STALE_BROKER_EPOCH", false, "broker epoch is not the current one"},
    {"OFFSET_NOT_AVAILABLE", true, "new leader does not yet know its high watermark"},
    {"MEMBER_ID_REQUIRED", false, "join again with the member id given in this answer"},
    {"PREFERRED_LEADER_NOT_AVAILABLE", true, "preferred leader is not available"},
    {"GROUP_MAX_SIZE_REACHED", false, "group is full"},
    {"FENCED_INSTANCE_ID", false, "another member took over the group instance id"},
    {"ELIGIBLE_LEADERS_NOT_AVAILABLE", true, "no eligible leader is available"},
    {"ELECTION_NOT_NEEDED", true, "leader election is not needed"},
    {"NO_REASSIGNMENT_IN_PROGRESS", false, "no reassignment is in progress"},
    {"GROUP_SUBSCRIBED_TO_TOPIC", false, "group is still subscribed to the topic"},
    {"INVALID_RECORD", false, "a record failed validation"},
    {"UNSTABLE_OFFSET_COMMIT", true, "transactional offsets are still pending"},
    {"THROTTLING_QUOTA_EXCEEDED", true, "quota is exceeded"},
    {"PRODUCER_FENCED", false, "a newer producer with the same transactional id took over"},
    {"RESOURCE_NOT_FOUND", false, "resource does not exist"},
    {"DUPLICATE_RESOURCE", false, "resource is named twice"},
    {"UNACCEPTABLE_CREDENTIAL", false, "credential is not acceptable"},
    {"INCONSISTENT_VOTER_SET", false, "sender or receiver is not a voter"},
    {"INVALID_UPDATE_VERSION", false, "update version is not valid"},
    {"FEATURE_UPDATE_FAILED", false, "feature could not be updated"},
    {"PRINCIPAL_DESERIALIZATION_FAILURE", false, "forwarded principal could not be read"},
    {"SNAPSHOT_NOT_FOUND", false, "snapshot does not exist"},
    {"POSITION_OUT_OF_RANGE", false, "position is outside the snapshot"},
    {"UNKNOWN_TOPIC_ID", true, "topic id is not known to this broker"},
    {"DUPLICATE_BROKER_REGISTRATION", false, "broker id is already registered by a running broker"},
    {"BROKER_ID_NOT_REGISTERED", false, "broker id is not registered"},
    {"INCONSISTENT_TOPIC_ID", true, "topic id differs from the one in the log"},
    {"INCONSISTENT_CLUSTER_ID", false, "cluster id differs from this server's"},
    {"TRANSACTIONAL_ID_NOT_FOUND", false, "transactional id does not exist"},
    {"FETCH_SESSION_TOPIC_ID_ERROR", true, "fetch session mixes topic names and topic ids"},
    {"INELIGIBLE_REPLICA", false, "a replica is not eligible for the in-sync set"},
    {"NEW_LEADER_ELECTED", false, "partition was changed and a new leader elected"},
    {"OFFSET_MOVED_TO_TIERED_STORAGE", false, "offset is in tiered storage"},
    {"FENCED_MEMBER_EPOCH", false, "member epoch is fenced; rejoin without partitions"},
    {"UNRELEASED_INSTANCE_ID", false, "instance id is still used by another member"},
    {"UNSUPPORTED_ASSIGNOR", false, "assignor is not supported by the group"},
    {"STALE_MEMBER_EPOCH", false, "member epoch is stale; retry after the next heartbeat"},
    {"MISMATCHED_ENDPOINT_TYPE", false, "request was sent to the wrong type of endpoint"},
    {"UNSUPPORTED_ENDPOINT_TYPE", false, "endpoint type is not supported"},
    {"UNKNOWN_CONTROLLER_ID", false, "controller id is not known"},
    {"UNKNOWN_SUBSCRIPTION_ID", false, "telemetry subscription id is not current"},
    {"TELEMETRY_TOO_LARGE", false, "telemetry payload is too large"},
    {"INVALID_REGISTRATION", false, "broker registration is not valid"},
    {"TRANSACTION_ABORTABLE", false, "transaction must be aborted by the client"},
    {"INVALID_RECORD_STATE", false, "record is not in a state that can be acknowledged"},
    {"SHARE_SESSION_NOT_FOUND", true, "share session does not exist"},
    {"INVALID_SHARE_SESSION_EPOCH", true, "share session epoch is not the expected one"},
    {"FENCED_STATE_EPOCH", false, "share group state epoch is fenced"},
    {"INVALID_VOTER_KEY", false, "voter key does not match this replica"},
    {"DUPLICATE_VOTER", false, "voter is already in the voter set"},
    {"VOTER_NOT_FOUND", false, "voter is not in the voter set"},
    {"INVALID_REGULAR_EXPRESSION", false, "regular expression is not valid"},
    {"REBOOTSTRAP_REQUIRED", false, "client metadata is stale; bootstrap again"},
    {"STREAMS_INVALID_TOPOLOGY", false, "topology is not valid"},
    {"STREAMS_INVALID_TOPOLOGY_EPOCH", false, "topology epoch is not valid"},
    {"STREAMS_TOPOLOGY_FENCED", false, "topology epoch is outdated"},
    {"SHARE_SESSION_LIMIT_REACHED", true, "no room for another share session"},
};
static_assert(std::size(kRows) == kErrorCodeMax - kErrorCodeMin + 1);

const Row& row_of(ErrorCode code) noexcept {
    const int index = static_cast<int>(code) - kErrorCodeMin;
    MILLRACE_ASSERT(index >= 0 && index < static_cast<int>(std::size(kRows)), "known error code");
    return kRows[static_cast<size_t>(index)];
}

}  // namespace

const char* error_code_name(ErrorCode code) noexcept { return row_of(code).name; }

bool error_code_retriable(ErrorCode code) noexcept { return row_of(code).retriable; }

const char* error_code_message(ErrorCode code) noexcept { return row_of(code).message; }

std::optional<ErrorCode> error_code_from(int16_t number) noexcept {
    if (number < kErrorCodeMin || number > kErrorCodeMax) return std::nullopt;
    return static_cast<ErrorCode>(number);
}

}  // namespace millrace
