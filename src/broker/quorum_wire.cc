// src/broker/quorum_wire.cc: Vote, Begin/EndQuorumEpoch, Fetch and FetchSnapshot of the quorum.
#include "broker/quorum_wire.h"

#include <fmt/core.h>

#include <utility>
#include <variant>

#include "broker/peer_call.h"
#include "broker/quorum_records.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::broker {

namespace {

constexpr const char* kTopicName = "__cluster_metadata";
constexpr int16_t kPreVoteFrom = 2;
constexpr int16_t kHighWatermarkFrom = 18;
constexpr int16_t kEndpointsInFetchFrom = 16;
constexpr int16_t kCandidatesFrom = 1;

int16_t code(ErrorCode error) { return static_cast<int16_t>(error); }
ErrorCode error_of(int16_t number) { return static_cast<ErrorCode>(number); }

const raft::Endpoint* endpoint_for(const QuorumCaller& who, const raft::Endpoints& endpoints) {
    for (const raft::Endpoint& endpoint : endpoints) {
        if (endpoint.listener == who.listener) return &endpoint;
    }
    return nullptr;
}

template <class Response>
void add_leader_endpoint(const QuorumCaller& who, NodeId leader, const raft::Endpoints& endpoints,
                         int16_t from_version, Response& out) {
    const raft::Endpoint* endpoint = endpoint_for(who, endpoints);
    if (who.version < from_version || leader == kNoNode || endpoint == nullptr) return;
    auto& node = out.node_endpoints.emplace_back();
    node.node_id = leader.value;
    node.host = endpoint->host;
    node.port = endpoint->port;
}

template <class Response>
raft::Endpoints leader_endpoints_of(const QuorumWireContext& context, int32_t leader,
                                    const Response& response) {
    raft::Endpoints endpoints;
    for (const auto& node : response.node_endpoints) {
        if (node.node_id != leader || node.port <= 0 || node.port > UINT16_MAX) continue;
        endpoints.push_back({context.listener, node.host, static_cast<uint16_t>(node.port)});
    }
    return endpoints;
}

template <class LeaderEndpoints>
raft::Endpoints endpoints_of(const LeaderEndpoints& listed) {
    raft::Endpoints endpoints;
    for (const auto& endpoint : listed) {
        endpoints.push_back({endpoint.name, endpoint.host, endpoint.port});
    }
    return endpoints;
}

/// The one partition of a message whose topics are named; null when anything else is there.
template <class Message>
auto* only_partition(Message& message) {
    auto& topics = message.topics;
    using Partition = std::remove_reference_t<decltype(topics[0].partitions[0])>;
    Partition* none = nullptr;
    if (topics.size() != 1 || topics[0].topic_name != kTopicName) return none;
    if (topics[0].partitions.size() != 1) return none;
    Partition& partition = topics[0].partitions[0];
    return partition.partition_index == 0 ? &partition : none;
}

template <class Message>
ErrorCode check(const std::string& cluster_id, const Message& message, bool has_partition) {
    if (message.cluster_id.has_value() && *message.cluster_id != cluster_id) {
        return ErrorCode::InconsistentClusterId;
    }
    return has_partition ? ErrorCode::None : ErrorCode::InvalidRequest;
}

template <class Message>
auto& add_partition(Message& message) {
    auto& topic = message.topics.emplace_back();
    topic.topic_name = kTopicName;
    return topic.partitions.emplace_back();
}

wire::VoteRequest encode(const QuorumWireContext& context, const raft::VoteRequest& request) {
    wire::VoteRequest message;
    message.cluster_id = context.cluster_id;
    message.voter_id = request.voter.id.value;
    auto& partition = add_partition(message);
    partition.replica_epoch = request.epoch.value;
    partition.replica_id = request.candidate.id.value;
    partition.replica_directory_id = request.candidate.directory_id;
    partition.voter_directory_id = request.voter.directory_id;
    partition.last_offset_epoch = request.last_epoch.value;
    partition.last_offset = request.end_offset.value;
    partition.pre_vote = request.pre_vote;
    return message;
}

wire::BeginQuorumEpochRequest encode(const QuorumWireContext& context,
                                     const raft::BeginQuorumEpochRequest& request) {
    wire::BeginQuorumEpochRequest message;
    message.cluster_id = context.cluster_id;
    message.voter_id = request.voter.id.value;
    auto& partition = add_partition(message);
    partition.voter_directory_id = request.voter.directory_id;
    partition.leader_id = request.leader_id.value;
    partition.leader_epoch = request.epoch.value;
    for (const raft::Endpoint& endpoint : request.leader_endpoints) {
        auto& entry = message.leader_endpoints.emplace_back();
        entry.name = endpoint.listener;
        entry.host = endpoint.host;
        entry.port = endpoint.port;
    }
    return message;
}

wire::EndQuorumEpochRequest encode(const QuorumWireContext& context,
                                   const raft::EndQuorumEpochRequest& request) {
    wire::EndQuorumEpochRequest message;
    message.cluster_id = context.cluster_id;
    auto& partition = add_partition(message);
    partition.leader_id = request.leader_id.value;
    partition.leader_epoch = request.epoch.value;
    for (const raft::ReplicaKey& candidate : request.preferred_candidates) {
        auto& entry = partition.preferred_candidates.emplace_back();
        entry.candidate_id = candidate.id.value;
        entry.candidate_directory_id = candidate.directory_id;
    }
    return message;
}

wire::FetchRequest encode(const QuorumWireContext& context, const raft::FetchRequest& request) {
    wire::FetchRequest message;
    message.cluster_id = context.cluster_id;
    message.replica_state.replica_id = request.replica.id.value;
    message.max_wait_ms = static_cast<int32_t>(request.max_wait.millis());
    message.max_bytes = request.bytes_max;
    auto& topic = message.topics.emplace_back();
    topic.topic_id = kMetadataTopicId;
    auto& partition = topic.partitions.emplace_back();
    partition.current_leader_epoch = request.current_leader_epoch.value;
    partition.fetch_offset = request.fetch_offset.value;
    partition.last_fetched_epoch = request.last_fetched_epoch.value;
    partition.replica_directory_id = request.replica.directory_id;
    partition.high_watermark = request.high_watermark.value;
    return message;
}

wire::FetchSnapshotRequest encode(const QuorumWireContext& context,
                                  const raft::FetchSnapshotRequest& request) {
    wire::FetchSnapshotRequest message;
    message.cluster_id = context.cluster_id;
    message.replica_id = request.replica.id.value;
    message.max_bytes = request.bytes_max;
    auto& topic = message.topics.emplace_back();
    topic.name = kTopicName;
    auto& partition = topic.partitions.emplace_back();
    partition.current_leader_epoch = request.current_leader_epoch.value;
    partition.snapshot_id.end_offset = request.snapshot_id.end_offset.value;
    partition.snapshot_id.epoch = request.snapshot_id.epoch.value;
    partition.position = request.position;
    partition.replica_directory_id = request.replica.directory_id;
    return message;
}

Status foreign(const char* message) {
    return {Errc::Corrupt, fmt::format("{} does not answer for {}-0", message, kTopicName)};
}

/// Vote, BeginQuorumEpoch and EndQuorumEpoch answer alike.
template <class Out, class Message>
Result<raft::PeerResponse> epoch_answer(const QuorumWireContext& context, const Message& message) {
    Out out;
    if (message.error_code != 0) return refused_by_peer(Message::kName, message.error_code);
    const auto* partition = only_partition(message);
    if (partition == nullptr) return foreign(Message::kName);
    out.error = error_of(partition->error_code);
    out.leader_id = NodeId(partition->leader_id);
    out.epoch = LeaderEpoch(partition->leader_epoch);
    out.leader_endpoints = leader_endpoints_of(context, partition->leader_id, message);
    if constexpr (std::is_same_v<Out, raft::VoteResponse>) {
        out.vote_granted = partition->vote_granted;
    }
    return raft::PeerResponse(std::move(out));
}

/// The whole batches in front, each checked; a last one that was cut short comes again.
Result<std::vector<raft::ReplicatedBatch>> batches_of(const Buffer& bytes) {
    std::vector<raft::ReplicatedBatch> batches;
    record::BatchIterator walk(bytes.view());
    while (walk.next()) {
        const record::BatchView view = walk.batch();
        if (!view.valid_crc()) {
            return {Errc::Corrupt, fmt::format("the leader's batch at offset {} has a bad checksum",
                                               view.base_offset().value)};
        }
        raft::ReplicatedBatch batch;
        batch.base_offset = view.base_offset();
        batch.last_offset = view.last_offset();
        batch.epoch = view.leader_epoch();
        if (view.is_control()) {
            MILLRACE_TRY_ASSIGN(batch.control_records, decode_control_batch(view));
        }
        batch.bytes = bytes.slice(walk.start(), view.size_bytes());
        batches.push_back(std::move(batch));
    }
    return batches;
}

Result<raft::PeerResponse> fetch_answer(const QuorumWireContext& context,
                                        const wire::FetchResponse& message) {
    if (message.error_code != 0) return refused_by_peer("Fetch", message.error_code);
    if (message.responses.size() != 1 || message.responses[0].topic_id != kMetadataTopicId ||
        message.responses[0].partitions.size() != 1) {
        return foreign("Fetch");
    }
    const auto& partition = message.responses[0].partitions[0];
    raft::FetchResponse out;
    out.error = error_of(partition.error_code);
    out.leader_id = NodeId(partition.current_leader.leader_id);
    out.epoch = LeaderEpoch(partition.current_leader.leader_epoch);
    out.leader_endpoints = leader_endpoints_of(context, out.leader_id.value, message);
    out.high_watermark = Offset(partition.high_watermark);
    out.log_start_offset = Offset(partition.log_start_offset);
    if (partition.diverging_epoch.epoch >= 0) {
        out.diverging_epoch = {LeaderEpoch(partition.diverging_epoch.epoch),
                               Offset(partition.diverging_epoch.end_offset)};
    }
    if (partition.snapshot_id.epoch >= 0) {
        out.snapshot_id = {Offset(partition.snapshot_id.end_offset),
                           LeaderEpoch(partition.snapshot_id.epoch)};
    }
    if (partition.records.has_value() && !partition.records->empty()) {
        MILLRACE_TRY_ASSIGN(const Buffer bytes, partition.records->flatten());
        MILLRACE_TRY_ASSIGN(out.batches, batches_of(bytes));
    }
    return raft::PeerResponse(std::move(out));
}

Result<raft::PeerResponse> snapshot_answer(const QuorumWireContext& context,
                                           const wire::FetchSnapshotResponse& message) {
    if (message.error_code != 0) return refused_by_peer("FetchSnapshot", message.error_code);
    if (message.topics.size() != 1 || message.topics[0].partitions.size() != 1) {
        return foreign("FetchSnapshot");
    }
    const auto& partition = message.topics[0].partitions[0];
    raft::FetchSnapshotResponse out;
    out.error = error_of(partition.error_code);
    out.leader_id = NodeId(partition.current_leader.leader_id);
    out.epoch = LeaderEpoch(partition.current_leader.leader_epoch);
    out.leader_endpoints = leader_endpoints_of(context, out.leader_id.value, message);
    out.snapshot_id = {Offset(partition.snapshot_id.end_offset),
                       LeaderEpoch(partition.snapshot_id.epoch)};
    out.size_bytes = partition.size;
    out.position = partition.position;
    MILLRACE_TRY_ASSIGN(out.bytes, partition.unaligned_records.flatten());
    return raft::PeerResponse(std::move(out));
}

}  // namespace

Status refused_by_peer(const char* message, int16_t error_code) {
    const ErrorCode error = error_of(error_code);
    return {error == ErrorCode::BrokerNotAvailable ? Errc::Cancelled : Errc::InvalidInput,
            fmt::format("{}: {}", message, error_code_name(error))};
}

QuorumVersions versions_of(const raft::PeerRequest& request) {
    if (const auto* vote = std::get_if<raft::VoteRequest>(&request)) {
        return {wire::ApiKey::Vote, vote->pre_vote ? kPreVoteFrom : int16_t{1}, 2};
    }
    if (std::holds_alternative<raft::BeginQuorumEpochRequest>(request)) {
        return {wire::ApiKey::BeginQuorumEpoch, 1, 1};
    }
    if (std::holds_alternative<raft::EndQuorumEpochRequest>(request)) {
        return {wire::ApiKey::EndQuorumEpoch, 1, 1};
    }
    if (std::holds_alternative<raft::FetchRequest>(request)) return {wire::ApiKey::Fetch, 17, 18};
    if (std::holds_alternative<raft::FetchSnapshotRequest>(request)) {
        return {wire::ApiKey::FetchSnapshot, 1, 1};
    }
    if (std::holds_alternative<raft::AddVoterRequest>(request)) {
        return {wire::ApiKey::AddRaftVoter, 0, 1};
    }
    if (std::holds_alternative<raft::RemoveVoterRequest>(request)) {
        return {wire::ApiKey::RemoveRaftVoter, 0, 0};
    }
    if (std::holds_alternative<raft::UpdateVoterRequest>(request)) {
        return {wire::ApiKey::UpdateRaftVoter, 0, 0};
    }
    return {wire::ApiKey::ApiVersions, 4, 4};  // the first version that names kraft.version
}

BufferChain encode_quorum_request(const QuorumWireContext& context, int32_t correlation_id,
                                  const raft::PeerRequest& request, int16_t version) {
    return std::visit(
        [&](const auto& typed) {
            using Request = std::decay_t<decltype(typed)>;
            const PeerCallHead head{version, correlation_id, context.client_id};
            if constexpr (std::is_same_v<Request, raft::AddVoterRequest>) {
                return encode_call(head, encode(context, typed, version));
            } else {
                auto message = encode(context, typed);
                if constexpr (std::is_same_v<Request, raft::FetchRequest>) {
                    if (version < kHighWatermarkFrom) {
                        message.topics[0].partitions[0].high_watermark = INT64_MAX;
                    }
                }
                return encode_call(head, message);
            }
        },
        request);
}

Result<raft::PeerResponse> decode_quorum_response(const QuorumWireContext& context,
                                                  const raft::PeerRequest& request, int16_t version,
                                                  const Buffer& frame) {
    if (std::holds_alternative<raft::VoteRequest>(request)) {
        MILLRACE_TRY_ASSIGN(const auto message, decode_answer<wire::VoteResponse>(frame, version));
        return epoch_answer<raft::VoteResponse>(context, message);
    }
    if (std::holds_alternative<raft::BeginQuorumEpochRequest>(request)) {
        MILLRACE_TRY_ASSIGN(const auto message,
                            decode_answer<wire::BeginQuorumEpochResponse>(frame, version));
        return epoch_answer<raft::EpochResponse>(context, message);
    }
    if (std::holds_alternative<raft::EndQuorumEpochRequest>(request)) {
        MILLRACE_TRY_ASSIGN(const auto message,
                            decode_answer<wire::EndQuorumEpochResponse>(frame, version));
        return epoch_answer<raft::EpochResponse>(context, message);
    }
    if (std::holds_alternative<raft::FetchRequest>(request)) {
        MILLRACE_TRY_ASSIGN(const auto message, decode_answer<wire::FetchResponse>(frame, version));
        return fetch_answer(context, message);
    }
    if (std::holds_alternative<raft::FetchSnapshotRequest>(request)) {
        MILLRACE_TRY_ASSIGN(const auto message,
                            decode_answer<wire::FetchSnapshotResponse>(frame, version));
        return snapshot_answer(context, message);
    }
    return decode_voter_response(context, request, version, frame);
}

Checked<raft::VoteRequest> to_raft(const std::string& cluster_id,
                                   const wire::VoteRequest& message) {
    const auto* partition = only_partition(message);
    Checked<raft::VoteRequest> out{check(cluster_id, message, partition != nullptr), {}};
    if (out.error != ErrorCode::None) return out;
    out.request.candidate = {NodeId(partition->replica_id), partition->replica_directory_id};
    out.request.voter = {NodeId(message.voter_id), partition->voter_directory_id};
    out.request.epoch = LeaderEpoch(partition->replica_epoch);
    out.request.last_epoch = LeaderEpoch(partition->last_offset_epoch);
    out.request.end_offset = Offset(partition->last_offset);
    out.request.pre_vote = partition->pre_vote;
    return out;
}

Checked<raft::BeginQuorumEpochRequest> to_raft(const std::string& cluster_id,
                                               const wire::BeginQuorumEpochRequest& message) {
    const auto* partition = only_partition(message);
    Checked<raft::BeginQuorumEpochRequest> out{check(cluster_id, message, partition != nullptr),
                                               {}};
    if (out.error != ErrorCode::None) return out;
    out.request.voter = {NodeId(message.voter_id), partition->voter_directory_id};
    out.request.leader_id = NodeId(partition->leader_id);
    out.request.epoch = LeaderEpoch(partition->leader_epoch);
    out.request.leader_endpoints = endpoints_of(message.leader_endpoints);
    return out;
}

Checked<raft::EndQuorumEpochRequest> to_raft(const std::string& cluster_id, int16_t version,
                                             const wire::EndQuorumEpochRequest& message) {
    const auto* partition = only_partition(message);
    Checked<raft::EndQuorumEpochRequest> out{check(cluster_id, message, partition != nullptr), {}};
    if (out.error != ErrorCode::None) return out;
    out.request.leader_id = NodeId(partition->leader_id);
    out.request.epoch = LeaderEpoch(partition->leader_epoch);
    if (version >= kCandidatesFrom) {
        for (const auto& candidate : partition->preferred_candidates) {
            out.request.preferred_candidates.push_back(
                {NodeId(candidate.candidate_id), candidate.candidate_directory_id});
        }
    } else {
        for (const int32_t id : partition->preferred_successors) {
            out.request.preferred_candidates.push_back({NodeId(id), Uuid{}});
        }
    }
    out.request.leader_endpoints = endpoints_of(message.leader_endpoints);
    return out;
}

Checked<raft::FetchRequest> to_raft(const std::string& cluster_id, int16_t version,
                                    const wire::FetchRequest& message) {
    constexpr int16_t kReplicaStateFrom = 15;
    const bool has_partition = message.topics.size() == 1 &&
                               message.topics[0].topic_id == kMetadataTopicId &&
                               message.topics[0].partitions.size() == 1 &&
                               message.topics[0].partitions[0].partition == 0;
    Checked<raft::FetchRequest> out{check(cluster_id, message, has_partition), {}};
    if (out.error != ErrorCode::None) return out;
    const auto& partition = message.topics[0].partitions[0];
    out.request.replica = {NodeId(version >= kReplicaStateFrom ? message.replica_state.replica_id
                                                               : message.replica_id),
                           partition.replica_directory_id};
    out.request.current_leader_epoch = LeaderEpoch(partition.current_leader_epoch);
    out.request.fetch_offset = Offset(partition.fetch_offset);
    out.request.last_fetched_epoch = LeaderEpoch(partition.last_fetched_epoch);
    out.request.high_watermark = Offset(partition.high_watermark);
    out.request.max_wait = milliseconds(message.max_wait_ms);
    out.request.bytes_max = message.max_bytes;
    return out;
}

Checked<raft::FetchSnapshotRequest> to_raft(const std::string& cluster_id,
                                            const wire::FetchSnapshotRequest& message) {
    const bool has_partition = message.topics.size() == 1 && message.topics[0].name == kTopicName &&
                               message.topics[0].partitions.size() == 1 &&
                               message.topics[0].partitions[0].partition == 0;
    Checked<raft::FetchSnapshotRequest> out{check(cluster_id, message, has_partition), {}};
    if (out.error != ErrorCode::None) return out;
    const auto& partition = message.topics[0].partitions[0];
    out.request.replica = {NodeId(message.replica_id), partition.replica_directory_id};
    out.request.current_leader_epoch = LeaderEpoch(partition.current_leader_epoch);
    out.request.snapshot_id = {Offset(partition.snapshot_id.end_offset),
                               LeaderEpoch(partition.snapshot_id.epoch)};
    out.request.position = partition.position;
    out.request.bytes_max = message.max_bytes;
    return out;
}

wire::VoteResponse to_wire(const QuorumCaller& who, const raft::VoteResponse& response) {
    wire::VoteResponse message;
    auto& partition = add_partition(message);
    partition.error_code = code(response.error);
    partition.leader_id = response.leader_id.value;
    partition.leader_epoch = response.epoch.value;
    partition.vote_granted = response.vote_granted;
    add_leader_endpoint(who, response.leader_id, response.leader_endpoints, 1, message);
    return message;
}

namespace {
template <class Message>
Message epoch_message(const QuorumCaller& who, const raft::EpochResponse& response) {
    Message message;
    auto& partition = add_partition(message);
    partition.error_code = code(response.error);
    partition.leader_id = response.leader_id.value;
    partition.leader_epoch = response.epoch.value;
    add_leader_endpoint(who, response.leader_id, response.leader_endpoints, 1, message);
    return message;
}
}  // namespace

wire::BeginQuorumEpochResponse to_begin_wire(const QuorumCaller& who,
                                             const raft::EpochResponse& response) {
    return epoch_message<wire::BeginQuorumEpochResponse>(who, response);
}

wire::EndQuorumEpochResponse to_end_wire(const QuorumCaller& who,
                                         const raft::EpochResponse& response) {
    return epoch_message<wire::EndQuorumEpochResponse>(who, response);
}

wire::FetchResponse to_wire(const QuorumCaller& who, const raft::FetchResponse& response,
                            BufferChain records) {
    wire::FetchResponse message;
    auto& topic = message.responses.emplace_back();
    topic.topic_id = kMetadataTopicId;
    auto& partition = topic.partitions.emplace_back();
    partition.error_code = code(response.error);
    partition.high_watermark = response.high_watermark.value;
    partition.log_start_offset = response.log_start_offset.value;
    // In every answer, successful ones too: the default epoch -1 would make it look stale.
    partition.current_leader.leader_id = response.leader_id.value;
    partition.current_leader.leader_epoch = response.epoch.value;
    if (response.diverging_epoch.has_value()) {
        partition.diverging_epoch.epoch = response.diverging_epoch->epoch.value;
        partition.diverging_epoch.end_offset = response.diverging_epoch->end_offset.value;
    }
    if (response.snapshot_id.has_value()) {
        partition.snapshot_id.epoch = response.snapshot_id->epoch.value;
        partition.snapshot_id.end_offset = response.snapshot_id->end_offset.value;
    }
    partition.aborted_transactions.reset();
    partition.records = std::move(records);
    add_leader_endpoint(who, response.leader_id, response.leader_endpoints, kEndpointsInFetchFrom,
                        message);
    return message;
}

wire::FetchSnapshotResponse to_wire(const QuorumCaller& who,
                                    const raft::FetchSnapshotResponse& response, Buffer bytes) {
    wire::FetchSnapshotResponse message;
    auto& topic = message.topics.emplace_back();
    topic.name = kTopicName;
    auto& partition = topic.partitions.emplace_back();
    partition.error_code = code(response.error);
    partition.snapshot_id.end_offset = response.snapshot_id.end_offset.value;
    partition.snapshot_id.epoch = response.snapshot_id.epoch.value;
    partition.current_leader.leader_id = response.leader_id.value;
    partition.current_leader.leader_epoch = response.epoch.value;
    partition.size = response.size_bytes;
    partition.position = response.position;
    partition.unaligned_records = BufferChain(std::move(bytes));
    add_leader_endpoint(who, response.leader_id, response.leader_endpoints, 1, message);
    return message;
}

}  // namespace millrace::broker
