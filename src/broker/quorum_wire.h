// src/broker/quorum_wire.h: the quorum's messages to and from Kafka's wire.
//
// The raft floor speaks in structs about the one partition of the metadata topic; Kafka's messages
// carry topics, partitions and tags around it. Nothing here decides; what a message must satisfy
// before the quorum sees it (cluster, topic, partition) is checked here. Source: kraft.md 1.3-1.8,
// 6.2; org.apache.kafka.raft.RaftUtil.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/raft/messages.h"
#include "millrace/wire/api_key.h"
#include "millrace/wire/gen/api_versions_request.h"

namespace millrace::broker {

/// Who the two ends are.
struct QuorumWireContext {
    std::string cluster_id;
    std::string listener;   // under whose name endpoints without a name are kept
    std::string client_id;  // raft-client-<id>
    int32_t request_timeout_ms = 0;
};

/// The versions in which this node can say `request`; the peer's own decide which it uses.
struct QuorumVersions {
    wire::ApiKey key;
    int16_t oldest = 0;
    int16_t newest = 0;
};
QuorumVersions versions_of(const raft::PeerRequest& request);

/// A complete request frame.
BufferChain encode_quorum_request(const QuorumWireContext& context, int32_t correlation_id,
                                  const raft::PeerRequest& request, int16_t version);
/// The answer to `request`. Corrupt: it does not parse, or names another topic or partition;
/// InvalidInput: the peer refuses the whole request; Cancelled: it is stopping.
Result<raft::PeerResponse> decode_quorum_response(const QuorumWireContext& context,
                                                  const raft::PeerRequest& request, int16_t version,
                                                  const Buffer& frame);
/// The failure that a top-level error is.
Status refused_by_peer(const char* message, int16_t error_code);

/// A request as the quorum understands it, or the error of the whole request.
template <class Request>
struct Checked {
    ErrorCode error = ErrorCode::None;
    Request request;
};
Checked<raft::VoteRequest> to_raft(const std::string& cluster_id, const wire::VoteRequest& message);
Checked<raft::BeginQuorumEpochRequest> to_raft(const std::string& cluster_id,
                                               const wire::BeginQuorumEpochRequest& message);
Checked<raft::EndQuorumEpochRequest> to_raft(const std::string& cluster_id, int16_t version,
                                             const wire::EndQuorumEpochRequest& message);
Checked<raft::FetchRequest> to_raft(const std::string& cluster_id, int16_t version,
                                    const wire::FetchRequest& message);
Checked<raft::FetchSnapshotRequest> to_raft(const std::string& cluster_id,
                                            const wire::FetchSnapshotRequest& message);

Checked<raft::AddVoterRequest> to_raft(const std::string& cluster_id,
                                       const wire::AddRaftVoterRequest& message);
Checked<raft::RemoveVoterRequest> to_raft(const std::string& cluster_id,
                                          const wire::RemoveRaftVoterRequest& message);
Checked<raft::UpdateVoterRequest> to_raft(const std::string& cluster_id,
                                          const wire::UpdateRaftVoterRequest& message);

wire::VoteResponse to_wire(const QuorumCaller& who, const raft::VoteResponse& response);
wire::BeginQuorumEpochResponse to_begin_wire(const QuorumCaller& who,
                                             const raft::EpochResponse& response);
wire::EndQuorumEpochResponse to_end_wire(const QuorumCaller& who,
                                         const raft::EpochResponse& response);
wire::FetchResponse to_wire(const QuorumCaller& who, const raft::FetchResponse& response,
                            BufferChain records);
wire::FetchSnapshotResponse to_wire(const QuorumCaller& who,
                                    const raft::FetchSnapshotResponse& response, Buffer bytes);

wire::AddRaftVoterResponse to_add_wire(const raft::VoterChangeResponse& response);
wire::RemoveRaftVoterResponse to_remove_wire(const raft::VoterChangeResponse& response);
wire::UpdateRaftVoterResponse to_update_wire(const QuorumCaller& who,
                                             const raft::VoterChangeResponse& response);

// What quorum_wire.cc needs of quorum_wire_voters.cc.
wire::AddRaftVoterRequest encode(const QuorumWireContext& context,
                                 const raft::AddVoterRequest& request, int16_t version);
wire::RemoveRaftVoterRequest encode(const QuorumWireContext& context,
                                    const raft::RemoveVoterRequest& request);
wire::UpdateRaftVoterRequest encode(const QuorumWireContext& context,
                                    const raft::UpdateVoterRequest& request);
wire::ApiVersionsRequest encode(const QuorumWireContext& context,
                                const raft::VersionsRequest& request);
/// The answer to a change of voters or to VersionsRequest.
Result<raft::PeerResponse> decode_voter_response(const QuorumWireContext& context,
                                                 const raft::PeerRequest& request, int16_t version,
                                                 const Buffer& frame);

}  // namespace millrace::broker
