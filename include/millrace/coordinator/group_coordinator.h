// include/millrace/coordinator/group_coordinator.h: the groups and offsets of one partition.
//
// The machine that leads one partition of __consumer_offsets: classic and consumer (KIP-848)
// groups, committed offsets, and the offsets pending in transactions. A request becomes records
// and one reply; joins and syncs wait inside for their group. Requests and responses are the wire
// floor's structs after the API floor's work: permissions checked, topic names and ids resolved
// against the image (both filled in), batches cut to one group.
//
// Owner: broker/coordinator_host, one machine per partition and leadership (CoordinatorMachine in
// coordinator.h says what the driver owes). It draws no time and no randomness of its own.
// Source: coordinators.md 1-5; org.apache.kafka.coordinator.group.GroupCoordinatorShard.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "millrace/coordinator/coordinator_output.h"
#include "millrace/metadata/image.h"
#include "millrace/wire/gen/consumer_group_describe_request.h"
#include "millrace/wire/gen/consumer_group_describe_response.h"
#include "millrace/wire/gen/consumer_group_heartbeat_request.h"
#include "millrace/wire/gen/consumer_group_heartbeat_response.h"
#include "millrace/wire/gen/delete_groups_request.h"
#include "millrace/wire/gen/delete_groups_response.h"
#include "millrace/wire/gen/describe_groups_request.h"
#include "millrace/wire/gen/describe_groups_response.h"
#include "millrace/wire/gen/heartbeat_request.h"
#include "millrace/wire/gen/heartbeat_response.h"
#include "millrace/wire/gen/join_group_request.h"
#include "millrace/wire/gen/join_group_response.h"
#include "millrace/wire/gen/leave_group_request.h"
#include "millrace/wire/gen/leave_group_response.h"
#include "millrace/wire/gen/list_groups_request.h"
#include "millrace/wire/gen/list_groups_response.h"
#include "millrace/wire/gen/offset_commit_request.h"
#include "millrace/wire/gen/offset_commit_response.h"
#include "millrace/wire/gen/offset_delete_request.h"
#include "millrace/wire/gen/offset_delete_response.h"
#include "millrace/wire/gen/offset_fetch_request.h"
#include "millrace/wire/gen/offset_fetch_response.h"
#include "millrace/wire/gen/sync_group_request.h"
#include "millrace/wire/gen/sync_group_response.h"
#include "millrace/wire/gen/txn_offset_commit_request.h"
#include "millrace/wire/gen/txn_offset_commit_response.h"

namespace millrace::coordinator {

/// OffsetFetch always in the shape of v8+, with one entry in `groups`; DescribeGroups,
/// DeleteGroups and ConsumerGroupDescribe may name many groups, all of this partition; ListGroups
/// speaks of this partition only.
using GroupRequest =
    std::variant<wire::JoinGroupRequest, wire::SyncGroupRequest, wire::HeartbeatRequest,
                 wire::LeaveGroupRequest, wire::OffsetCommitRequest, wire::TxnOffsetCommitRequest,
                 wire::OffsetFetchRequest, wire::OffsetDeleteRequest, wire::ListGroupsRequest,
                 wire::DescribeGroupsRequest, wire::DeleteGroupsRequest,
                 wire::ConsumerGroupHeartbeatRequest, wire::ConsumerGroupDescribeRequest>;
/// The answer to end_transaction.
struct MarkerWritten {
    ErrorCode error = ErrorCode::None;
};
/// Same index as its request.
using GroupResponse =
    std::variant<wire::JoinGroupResponse, wire::SyncGroupResponse, wire::HeartbeatResponse,
                 wire::LeaveGroupResponse, wire::OffsetCommitResponse,
                 wire::TxnOffsetCommitResponse, wire::OffsetFetchResponse,
                 wire::OffsetDeleteResponse, wire::ListGroupsResponse, wire::DescribeGroupsResponse,
                 wire::DeleteGroupsResponse, wire::ConsumerGroupHeartbeatResponse,
                 wire::ConsumerGroupDescribeResponse, MarkerWritten>;

/// Who asks.
struct GroupCaller {
    int16_t version = 0;  // of the API
    std::string client_id;
    std::string client_host;  // "/127.0.0.1", as Java prints an address
};

/// The whole request refused, in the shape of its response and version; also for the driver, when
/// there is no machine (NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE).
GroupResponse group_error(const GroupRequest& request, int16_t version, ErrorCode error);

enum class MigrationPolicy { Disabled, Upgrade, Downgrade, Bidirectional };

/// Broker keys by the same names; values as Kafka's defaults.
struct GroupSettings {
    int32_t min_session_timeout_ms = 6000;
    int32_t max_session_timeout_ms = 1'800'000;
    int32_t initial_rebalance_delay_ms = 3000;
    int32_t max_size = INT32_MAX;
    int32_t consumer_session_timeout_ms = 45'000;
    int32_t consumer_min_session_timeout_ms = 45'000;
    int32_t consumer_max_session_timeout_ms = 60'000;
    int32_t consumer_heartbeat_interval_ms = 5'000;
    int32_t consumer_min_heartbeat_interval_ms = 5'000;
    int32_t consumer_max_heartbeat_interval_ms = 15'000;
    int32_t consumer_assignment_interval_ms = 1'000;
    int32_t consumer_min_assignment_interval_ms = 0;
    int32_t consumer_max_assignment_interval_ms = 15'000;
    int32_t consumer_max_size = INT32_MAX;
    std::vector<std::string> consumer_assignors = {"uniform", "range"};
    MigrationPolicy consumer_migration_policy = MigrationPolicy::Bidirectional;
    int32_t consumer_regex_refresh_interval_ms = 600'000;
    int32_t offset_metadata_max_bytes = 4096;
    int64_t offsets_retention_ms = int64_t{10'080} * 60 * 1000;
    int64_t offsets_retention_check_interval_ms = 600'000;
    int32_t offsets_commit_timeout_ms = 5'000;
    int32_t append_linger_ms = 0;  // group.coordinator.append.linger.ms, 0 for -1
};

class GroupCoordinator {
  public:
    using Request = GroupRequest;
    using Response = GroupResponse;
    using Output = CoordinatorOutput<GroupResponse>;

    /// `seed` makes member ids; it must differ between leaderships.
    GroupCoordinator(std::shared_ptr<const GroupSettings> settings, uint64_t seed);
    ~GroupCoordinator();
    GroupCoordinator(const GroupCoordinator&) = delete;
    GroupCoordinator& operator=(const GroupCoordinator&) = delete;

    // Life: see CoordinatorMachine.
    void on_elected(const Tick& tick, LeaderEpoch epoch, Output& out);
    Status on_load_batch(const Tick& tick, const LoadedBatch& batch, Offset high_watermark,
                         Output& out);
    void on_loaded(const Tick& tick, Offset log_end, Offset high_watermark, Output& out);
    void on_load_failed(const Tick& tick, Output& out);
    void on_high_watermark(const Tick& tick, Offset high_watermark, Output& out);
    void on_append_failed(const Tick& tick, Offset base, ErrorCode error, Output& out);
    void on_resign(const Tick& tick, Output& out);
    void on_tick(const Tick& tick, Output& out);
    /// The newest image of the cluster, before and after loading alike.
    void on_image(const Tick& tick, const metadata::ImagePtr& image, Output& out);
    /// max.message.bytes of the partition's topic, at election and whenever it changes.
    void set_message_bytes_max(size_t bytes);

    /// One request, in any phase.
    void run(const Tick& tick, RequestId id, const GroupCaller& caller, GroupRequest request,
             Output& out);
    /// A marker of WriteTxnMarkers for this partition; answered by MarkerWritten.
    void end_transaction(const Tick& tick, RequestId id, const Marker& marker, Output& out);

    /// One line for logs and the simulator.
    std::string debug_line() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::coordinator
