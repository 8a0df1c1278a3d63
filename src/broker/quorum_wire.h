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

namespace millrace::broker {

/// Who the two ends are.
struct QuorumWireContext {
    std::string cluster_id;
    std::string listener;   // under whose name endpoints without a name are kept
    std::string client_id;  // raft-client-<id>
};

/// A complete request frame in the version this node speaks.
BufferChain encode_quorum_request(const QuorumWireContext& context, int32_t correlation_id,
                                  const raft::PeerRequest& request);
/// The answer to `request`. Corrupt: it does not parse, or names another topic or partition;
/// Unsupported: the peer does not know the request's version.
Result<raft::PeerResponse> decode_quorum_response(const QuorumWireContext& context,
                                                  const raft::PeerRequest& request,
                                                  const Buffer& frame);

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

wire::VoteResponse to_wire(const QuorumCaller& who, const raft::VoteResponse& response);
wire::BeginQuorumEpochResponse to_begin_wire(const QuorumCaller& who,
                                             const raft::EpochResponse& response);
wire::EndQuorumEpochResponse to_end_wire(const QuorumCaller& who,
                                         const raft::EpochResponse& response);
wire::FetchResponse to_wire(const QuorumCaller& who, const raft::FetchResponse& response,
                            BufferChain records);
wire::FetchSnapshotResponse to_wire(const QuorumCaller& who,
                                    const raft::FetchSnapshotResponse& response, Buffer bytes);

}  // namespace millrace::broker
