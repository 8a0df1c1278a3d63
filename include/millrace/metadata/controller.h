// include/millrace/metadata/controller.h: the controller's command machine.
//
// A command (the decoded request of an admin or broker-to-controller API) becomes metadata records
// and a reply. The records are replayed at once into the machine's own state, so that the next
// command sees them, and handed out for appending; the reply waits until they are committed. If
// leadership is lost, the state goes back to the last committed offset and waiting commands are
// answered NOT_CONTROLLER. A standby replays what is committed and answers NOT_CONTROLLER.
//
// Owner: the control shard of a controller node; one machine per node. It draws no time and no
// randomness of its own: both come in through Tick and the seed. The state is an Image plus
// indexes, all persistent maps, so going back is keeping the old version.
// Source: org.apache.kafka.controller.QuorumController; kraft.md section 2.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/metadata/delta.h"
#include "millrace/metadata/image.h"
#include "millrace/metadata/record.h"
#include "millrace/wire/gen/allocate_producer_ids_request.h"
#include "millrace/wire/gen/allocate_producer_ids_response.h"
#include "millrace/wire/gen/alter_client_quotas_request.h"
#include "millrace/wire/gen/alter_client_quotas_response.h"
#include "millrace/wire/gen/alter_configs_request.h"
#include "millrace/wire/gen/alter_configs_response.h"
#include "millrace/wire/gen/alter_partition_reassignments_request.h"
#include "millrace/wire/gen/alter_partition_reassignments_response.h"
#include "millrace/wire/gen/alter_partition_request.h"
#include "millrace/wire/gen/alter_partition_response.h"
#include "millrace/wire/gen/alter_user_scram_credentials_request.h"
#include "millrace/wire/gen/alter_user_scram_credentials_response.h"
#include "millrace/wire/gen/assign_replicas_to_dirs_request.h"
#include "millrace/wire/gen/assign_replicas_to_dirs_response.h"
#include "millrace/wire/gen/broker_heartbeat_request.h"
#include "millrace/wire/gen/broker_heartbeat_response.h"
#include "millrace/wire/gen/broker_registration_request.h"
#include "millrace/wire/gen/broker_registration_response.h"
#include "millrace/wire/gen/controller_registration_request.h"
#include "millrace/wire/gen/controller_registration_response.h"
#include "millrace/wire/gen/create_acls_request.h"
#include "millrace/wire/gen/create_acls_response.h"
#include "millrace/wire/gen/create_delegation_token_request.h"
#include "millrace/wire/gen/create_delegation_token_response.h"
#include "millrace/wire/gen/create_partitions_request.h"
#include "millrace/wire/gen/create_partitions_response.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/create_topics_response.h"
#include "millrace/wire/gen/delete_acls_request.h"
#include "millrace/wire/gen/delete_acls_response.h"
#include "millrace/wire/gen/delete_topics_request.h"
#include "millrace/wire/gen/delete_topics_response.h"
#include "millrace/wire/gen/elect_leaders_request.h"
#include "millrace/wire/gen/elect_leaders_response.h"
#include "millrace/wire/gen/expire_delegation_token_request.h"
#include "millrace/wire/gen/expire_delegation_token_response.h"
#include "millrace/wire/gen/incremental_alter_configs_request.h"
#include "millrace/wire/gen/incremental_alter_configs_response.h"
#include "millrace/wire/gen/list_partition_reassignments_request.h"
#include "millrace/wire/gen/list_partition_reassignments_response.h"
#include "millrace/wire/gen/renew_delegation_token_request.h"
#include "millrace/wire/gen/renew_delegation_token_response.h"
#include "millrace/wire/gen/unregister_broker_request.h"
#include "millrace/wire/gen/unregister_broker_response.h"
#include "millrace/wire/gen/update_features_request.h"
#include "millrace/wire/gen/update_features_response.h"

namespace millrace::metadata {

/// The request as decoded from the wire (after permission checks, which are the API floor's).
using ControllerRequest = std::variant<
    wire::CreateTopicsRequest, wire::DeleteTopicsRequest, wire::CreatePartitionsRequest,
    wire::AlterConfigsRequest, wire::IncrementalAlterConfigsRequest, wire::ElectLeadersRequest,
    wire::AlterPartitionReassignmentsRequest, wire::ListPartitionReassignmentsRequest,
    wire::AlterClientQuotasRequest, wire::AlterUserScramCredentialsRequest, wire::CreateAclsRequest,
    wire::DeleteAclsRequest, wire::CreateDelegationTokenRequest, wire::RenewDelegationTokenRequest,
    wire::ExpireDelegationTokenRequest, wire::AlterPartitionRequest, wire::UpdateFeaturesRequest,
    wire::BrokerRegistrationRequest, wire::BrokerHeartbeatRequest, wire::UnregisterBrokerRequest,
    wire::AllocateProducerIdsRequest, wire::ControllerRegistrationRequest,
    wire::AssignReplicasToDirsRequest>;
/// Same index as its request.
using ControllerResponse = std::variant<
    wire::CreateTopicsResponse, wire::DeleteTopicsResponse, wire::CreatePartitionsResponse,
    wire::AlterConfigsResponse, wire::IncrementalAlterConfigsResponse, wire::ElectLeadersResponse,
    wire::AlterPartitionReassignmentsResponse, wire::ListPartitionReassignmentsResponse,
    wire::AlterClientQuotasResponse, wire::AlterUserScramCredentialsResponse,
    wire::CreateAclsResponse, wire::DeleteAclsResponse, wire::CreateDelegationTokenResponse,
    wire::RenewDelegationTokenResponse, wire::ExpireDelegationTokenResponse,
    wire::AlterPartitionResponse, wire::UpdateFeaturesResponse, wire::BrokerRegistrationResponse,
    wire::BrokerHeartbeatResponse, wire::UnregisterBrokerResponse,
    wire::AllocateProducerIdsResponse, wire::ControllerRegistrationResponse,
    wire::AssignReplicasToDirsResponse>;

/// Names a waiting command between the machine and its driver, who maps it to a Reply.
using RequestId = uint64_t;

/// What every event brings along.
struct Tick {
    Instant now;     // drives deadlines
    WallMs wall;     // goes into records (tokens)
    Offset log_end;  // the offset the next appended record will get, control batches counted
};

/// Who asks, for the few commands that care.
struct Requester {
    std::string principal;    // "User:alice"
    std::string client_host;  // numeric address of the client; empty: none
    bool token_authenticated = false;
    bool forwarded = true;  // came in an Envelope (or from the broker of this very node)
};

/// One atomic raft append. Values are framed records, to be appended as one batch at base_offset.
struct BatchToAppend {
    Offset base_offset;
    LeaderEpoch epoch;
    std::vector<Buffer> values;
};
struct ControllerReply {
    RequestId id;
    ControllerResponse response;
};
/// The control records of an upgrade of kraft.version, which the quorum appends in one batch.
inline constexpr int64_t kKRaftUpgradeRecords = 2;

/// Carried out in this order; cleared and reused by the driver.
struct ControllerOutput {
    /// Raise kraft.version before anything below: kKRaftUpgradeRecords control records go in front.
    bool upgrade_kraft_version = false;
    std::vector<BatchToAppend> append;
    std::vector<ControllerReply> replies;
    Instant wake_at = Instant::never();
    /// The replayed or generated records contradict the state: this node must stop.
    Status fatal;
};

struct ControllerOptions {
    NodeId node_id;
    /// A broker runs in this process under the same id (combined mode): a new incarnation of it
    /// proves that the old one is gone, so its registration does not wait for the session's end
    /// (Kafka waits 9 s after kill -9 here).
    bool local_broker = false;
    std::string cluster_id;
    uint64_t seed = 1;
    Duration session_timeout = milliseconds(9000);      // broker.session.timeout.ms
    Duration idle_interval = milliseconds(500);         // metadata.max.idle.interval.ms, 0 off
    bool leader_rebalance = true;                       // auto.leader.rebalance.enable
    Duration leader_rebalance_interval = seconds(300);  // leader.imbalance.check.interval.seconds
    Duration unclean_election_interval = milliseconds(300'000);
    int32_t default_partitions = 1;                // num.partitions
    int16_t default_replication_factor = 1;        // default.replication.factor
    bool delete_topic_enable = true;               // delete.topic.enable
    std::vector<NodeId> voters;                    // controllers of the quorum, self too
    int16_t kraft_version = 1;                     // level of the quorum, for feature checks
    /// Why the quorum cannot raise kraft.version now; nothing when it can.
    std::optional<std::string> kraft_upgrade_problem;
    ConfigMap static_config;                       // this node's own file, by Kafka's names
    std::vector<Record> bootstrap;                 // written on the first activation
    std::map<std::string, VersionRange> features;  // what this binary supports
    std::string delegation_token_secret;           // "" : tokens disabled
};

/// The features a 4.3.1 server supports, kraft.md 0.2.
std::map<std::string, VersionRange> supported_features();
/// The FeatureLevelRecords a formatter writes for `metadata_version` (bootstrap.checkpoint), in
/// Kafka's order. `elr` etc. follow the defaults of that release.
std::vector<Record> default_bootstrap_records(int16_t metadata_version);
inline constexpr int16_t kMetadataVersionMin = 7;
inline constexpr int16_t kMetadataVersionLatest = 30;

class Controller {
  public:
    explicit Controller(ControllerOptions options);
    ~Controller();
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    /// One command. On a standby the reply is NOT_CONTROLLER at once.
    void run(const Tick& tick, RequestId id, const Requester& who, ControllerRequest request,
             ControllerOutput& out);

    /// This node leads `epoch` and every record below tick.log_end has been given to on_committed
    /// (raft calls only when caught up). Writes bootstrap records on an empty log.
    void on_leader(const Tick& tick, LeaderEpoch epoch, ControllerOutput& out);
    /// Leadership is gone, or an append failed: state returns to the last committed offset, all
    /// waiting commands are answered NOT_CONTROLLER. The driver resigns in raft for a failed
    /// append.
    void on_resign(const Tick& tick, ControllerOutput& out);

    /// Leading: everything below `high_watermark` is committed; releases replies.
    void on_high_watermark(const Tick& tick, Offset high_watermark, ControllerOutput& out);
    /// Standby: one committed batch in log order; `records` empty for a control batch.
    void on_committed(const Tick& tick, Offset base_offset, Offset last_offset, LeaderEpoch epoch,
                      WallMs timestamp, const std::vector<Record>& records, ControllerOutput& out);
    /// Standby: a snapshot replaces the state.
    void on_snapshot(const ImagePtr& image, ControllerOutput& out);
    /// The quorum's kraft.version, members and readiness for an upgrade, as the options have them.
    void set_quorum(int16_t kraft_version, std::vector<NodeId> voters,
                    std::optional<std::string> kraft_upgrade_problem);
    /// The process of this registration is gone (its connection broke and nobody listens there):
    /// its session ends now, unless it was heard after `since`.
    void on_broker_gone(const Tick& tick, NodeId id, BrokerEpoch epoch, Instant since,
                        ControllerOutput& out);
    /// At or after wake_at: NoOp record, fencing, balancing, sweeps.
    void on_tick(const Tick& tick, ControllerOutput& out);

    bool active() const;
    LeaderEpoch epoch() const;
    /// Next offset on_committed expects on a standby.
    Offset applied_end() const;
    /// Newest state, uncommitted records included (for DescribeX on the controller listener).
    const Image& image() const;
    /// One line for logs and the simulator.
    std::string debug_line() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::metadata
