// src/broker/quorum_peers.cc: the quorum's requests to other nodes, and theirs to this one.
#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "broker/quorum_driver_impl.h"
#include "millrace/base/log.h"
#include "millrace/env/peers.h"

namespace millrace::broker {

namespace {
const LogChannel kLog{"quorum"};
/// KafkaRaftClient.MAX_BATCH_SIZE_BYTES: no answer carries more records, whatever is asked for.
constexpr int32_t kFetchBytesMax = 8 * 1024 * 1024;

const raft::Endpoint* reachable(const raft::Endpoints& endpoints, const std::string& listener) {
    for (const raft::Endpoint& endpoint : endpoints) {
        if (endpoint.listener == listener) return &endpoint;
    }
    return endpoints.empty() ? nullptr : &endpoints.front();
}
}  // namespace

void QuorumDriverImpl::send(raft::PeerSend out) {
    env::PeerAddress to;
    const auto bootstrap = static_cast<size_t>(-2 - out.destination.value);
    if (out.destination.value < -1 && bootstrap < config_.bootstrap_servers.size()) {
        to = config_.bootstrap_servers[bootstrap];
    } else if (const raft::Endpoint* endpoint = reachable(out.endpoints, config_.listener)) {
        to.host = endpoint->host;
        to.port = endpoint->port;
    }
    const uint64_t correlation = out.correlation;
    if (to.port == 0) {
        env_.timers.post([this, alive = alive_, correlation, request = std::move(out.request)] {
            if (!*alive) return;
            on_answer(correlation, request, Status(Errc::Disconnected, "no endpoint is known"));
        });
        return;
    }
    to.purpose = env::PeerPurpose::Quorum;
    if (std::holds_alternative<raft::EndQuorumEpochRequest>(out.request)) ++farewells_;
    BufferChain frame = encode_quorum_request(wire_, next_correlation_++, out.request);
    env_.peers.send(
        to, std::move(frame), config_.quorum.request_timeout,
        [this, alive = alive_, correlation, to,
         request = std::move(out.request)](Result<Buffer> answer) mutable {
            if (!*alive) return;
            if (!answer.ok()) {
                log_debug(kLog, "{}:{}: {}", to.host, to.port, answer.status().message());
            }
            if (!in_event_) {
                return on_answer(correlation, request, std::move(answer));
            }
            env_.timers.post([this, alive = std::move(alive), correlation,
                              request = std::move(request), answer = std::move(answer)]() mutable {
                if (*alive) on_answer(correlation, request, std::move(answer));
            });
        });
}

void QuorumDriverImpl::on_answer(uint64_t correlation, const raft::PeerRequest& request,
                                 Result<Buffer> frame) {
    if (stopped_) return;
    const bool farewell = std::holds_alternative<raft::EndQuorumEpochRequest>(request);
    if (farewell && farewells_ > 0) --farewells_;
    Result<raft::PeerResponse> response =
        frame.ok() ? decode_quorum_response(wire_, request, *frame) : frame.status();
    if (frame.ok() && !response.ok()) {
        log_warn(kLog, "an answer cannot be used: {}", response.status().message());
    }
    event([&](Instant now, raft::QuorumOutput& out) {
        if (response.ok()) {
            quorum_->on_response(now, correlation, *std::move(response), out);
        } else {
            quorum_->on_request_failed(now, correlation, false, out);
        }
    });
    if (on_closed_ && farewells_ == 0) close_now();
}

raft::RequestId QuorumDriverImpl::park(raft::PeerResponse refusal, Answer answer) {
    const raft::RequestId id = next_request_++;
    std::visit([](auto& response) { response.error = ErrorCode::BrokerNotAvailable; }, refusal);
    waiting_.emplace(id, Waiting{std::move(refusal), std::move(answer)});
    return id;
}

void QuorumDriverImpl::answer_ready() {
    while (!ready_.empty()) {
        raft::PeerReply reply = std::move(ready_.front());
        ready_.pop_front();
        const auto found = waiting_.find(reply.id);
        if (found == waiting_.end()) continue;
        Answer answer = std::move(found->second.answer);
        waiting_.erase(found);
        answer(std::move(reply.response));
    }
}

void QuorumDriverImpl::refuse_waiting() {
    std::map<raft::RequestId, Waiting> waiting = std::exchange(waiting_, {});
    for (auto& [id, one] : waiting)
        one.answer(std::move(one.refusal));
}

Result<BufferChain> QuorumDriverImpl::records_for(const raft::FetchResponse& response) {
    BufferChain records;
    if (!response.read_from.has_value() || response.bytes_max <= 0) return records;
    MILLRACE_TRY_ASSIGN(
        auto batches,
        log_->read(*response.read_from, log_->log_end_offset(),
                   static_cast<size_t>(std::min(response.bytes_max, kFetchBytesMax))));
    for (StoredBatch& batch : batches)
        records.append(std::move(batch.bytes));
    return records;
}

std::optional<env::PeerAddress> QuorumDriverImpl::leader_address() const {
    if (!started_ || quorum_->leader_id() == kNoNode ||
        quorum_->leader_id() == config_.quorum.local.id) {
        return std::nullopt;
    }
    const raft::Endpoints endpoints = quorum_->leader_endpoints();
    const raft::Endpoint* endpoint = reachable(endpoints, config_.listener);
    if (endpoint == nullptr) return std::nullopt;
    return env::PeerAddress{endpoint->host, endpoint->port, env::PeerPurpose::Quorum};
}

namespace {

/// The answer to a message that never reached the quorum.
template <class Response>
void refuse(ErrorCode error, Reply<Response>& reply) {
    Response response;
    response.error_code = static_cast<int16_t>(error);
    reply.send(std::move(response));
}

}  // namespace

void QuorumDriverImpl::vote(QuorumCaller who, wire::VoteRequest request,
                            Reply<wire::VoteResponse> reply) {
    auto checked = to_raft(config_.cluster_id, request);
    if (stopped_) checked.error = ErrorCode::BrokerNotAvailable;
    if (checked.error != ErrorCode::None) return refuse(checked.error, reply);
    const auto id = park(raft::VoteResponse(),
                         [who, reply = std::move(reply)](raft::PeerResponse response) mutable {
                             reply.send(to_wire(who, std::get<raft::VoteResponse>(response)));
                         });
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_vote(now, id, checked.request, out);
    });
}

void QuorumDriverImpl::begin_epoch(QuorumCaller who, wire::BeginQuorumEpochRequest request,
                                   Reply<wire::BeginQuorumEpochResponse> reply) {
    auto checked = to_raft(config_.cluster_id, request);
    if (stopped_) checked.error = ErrorCode::BrokerNotAvailable;
    if (checked.error != ErrorCode::None) return refuse(checked.error, reply);
    const auto id =
        park(raft::EpochResponse(),
             [who, reply = std::move(reply)](raft::PeerResponse response) mutable {
                 reply.send(to_begin_wire(who, std::get<raft::EpochResponse>(response)));
             });
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_begin_quorum_epoch(now, id, checked.request, out);
    });
}

void QuorumDriverImpl::end_epoch(QuorumCaller who, wire::EndQuorumEpochRequest request,
                                 Reply<wire::EndQuorumEpochResponse> reply) {
    auto checked = to_raft(config_.cluster_id, who.version, request);
    if (stopped_) checked.error = ErrorCode::BrokerNotAvailable;
    if (checked.error != ErrorCode::None) return refuse(checked.error, reply);
    const auto id = park(raft::EpochResponse(),
                         [who, reply = std::move(reply)](raft::PeerResponse response) mutable {
                             reply.send(to_end_wire(who, std::get<raft::EpochResponse>(response)));
                         });
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_end_quorum_epoch(now, id, checked.request, out);
    });
}

void QuorumDriverImpl::fetch(QuorumCaller who, wire::FetchRequest request,
                             Reply<wire::FetchResponse> reply) {
    auto checked = to_raft(config_.cluster_id, who.version, request);
    if (stopped_) checked.error = ErrorCode::BrokerNotAvailable;
    if (checked.error != ErrorCode::None) return refuse(checked.error, reply);
    const auto id = park(raft::FetchResponse(), [this, who, reply = std::move(reply)](
                                                    raft::PeerResponse response) mutable {
        auto& answer = std::get<raft::FetchResponse>(response);
        Result<BufferChain> records = records_for(answer);
        if (!records.ok()) {
            fail(records.status());
            answer.error = ErrorCode::UnknownServerError;
        }
        reply.send(to_wire(who, answer, records.ok() ? *std::move(records) : BufferChain()));
    });
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_fetch(now, id, checked.request, out);
    });
}

void QuorumDriverImpl::fetch_snapshot(QuorumCaller who, wire::FetchSnapshotRequest request,
                                      Reply<wire::FetchSnapshotResponse> reply) {
    auto checked = to_raft(config_.cluster_id, request);
    if (stopped_) checked.error = ErrorCode::BrokerNotAvailable;
    if (checked.error != ErrorCode::None) return refuse(checked.error, reply);
    const auto id = park(raft::FetchSnapshotResponse(), [this, who, reply = std::move(reply)](
                                                            raft::PeerResponse response) mutable {
        auto& answer = std::get<raft::FetchSnapshotResponse>(response);
        Buffer bytes;
        if (answer.error == ErrorCode::None) {
            Result<Buffer> part = log_->read_snapshot(answer.snapshot_id, answer.position,
                                                      std::min(answer.bytes_max, kFetchBytesMax));
            if (part.ok()) {
                bytes = *std::move(part);
            } else {
                log_error(kLog, "{}", part.status().message());
                answer.error = ErrorCode::SnapshotNotFound;
            }
        }
        reply.send(to_wire(who, answer, std::move(bytes)));
    });
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_fetch_snapshot(now, id, checked.request, out);
    });
}

}  // namespace millrace::broker
