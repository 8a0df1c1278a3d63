// src/broker/quorum_peers.cc: the quorum's requests to other nodes, and theirs to this one.
#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "broker/peer_call.h"
#include "broker/quorum_driver_impl.h"
#include "millrace/base/log.h"
#include "millrace/env/clock.h"
#include "millrace/env/peers.h"
#include "millrace/wire/gen/api_versions_response.h"

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
raft::RequestFailure failure_of(const Status& status) {
    if (status.errc() == Errc::Disconnected) return raft::RequestFailure::Disconnected;
    if (status.errc() == Errc::Unsupported) return raft::RequestFailure::Unsupported;
    return raft::RequestFailure::NoAnswer;
}

std::string name_of(const env::PeerAddress& peer) {
    return fmt::format("{}:{}", peer.host, peer.port);
}

/// What an operator can do about an error that will not pass by itself; empty where it may.
const char* cure_of(ErrorCode error) {
    if (error == ErrorCode::InconsistentClusterId) {
        return "it belongs to another cluster: correct controller.quorum.bootstrap.servers or "
               "controller.quorum.voters, or the log directory of the node that is wrong";
    }
    if (error == ErrorCode::InvalidVoterKey) {
        return "it is not the voter that is expected there: two nodes share an address or an id, "
               "or its directory was replaced; remove the old voter and add the new one";
    }
    if (error == ErrorCode::InvalidRequest) {
        return "it calls a request of this node invalid: make sure that it is a controller of this "
               "cluster, then compare the releases of both";
    }
    if (error == ErrorCode::UnknownServerError) {
        return "it cannot serve this node: two nodes may have the same node.id";
    }
    return "";
}

ErrorCode error_in(const raft::PeerResponse& response) {
    return std::visit([](const auto& typed) { return typed.error; }, response);
}
}  // namespace

void QuorumDriverImpl::note_problem(const std::string& who, const std::string& text) {
    const Instant now = env_.clock.now();
    if (problems_.size() >= kProblemsMax && !problems_.contains(who)) problems_.clear();
    Problem& problem = problems_[who];
    if (problem.text == text && now < problem.said + kProblemInterval) return;
    problem = {text, now};
    log_warn(kLog, "{}: {}", who, text);
}

void QuorumDriverImpl::send(raft::PeerSend out) {
    env::PeerAddress to;
    const auto bootstrap = static_cast<size_t>(-2 - out.destination.value);
    if (out.destination.value < -1 && bootstrap < config_.bootstrap_servers.size()) {
        to = config_.bootstrap_servers[bootstrap];
    } else if (const raft::Endpoint* endpoint = reachable(out.endpoints, config_.listener)) {
        to.host = endpoint->host;
        to.port = endpoint->port;
    }
    to.purpose = env::PeerPurpose::Quorum;
    Outgoing outgoing{out.correlation, std::move(out.request), 0};
    if (to.port == 0) {
        return fail_later(std::move(outgoing), {Errc::InvalidInput, "no endpoint is known"});
    }
    if (std::holds_alternative<raft::EndQuorumEpochRequest>(outgoing.request)) ++farewells_;
    const bool asks_versions = std::holds_alternative<raft::VersionsRequest>(outgoing.request);
    if (asks_versions || spoken_.contains(to)) return transmit(to, std::move(outgoing));
    std::vector<Outgoing>& queue = unasked_[to];
    queue.push_back(std::move(outgoing));
    if (queue.size() == 1) ask_versions(to);
}

void QuorumDriverImpl::fail_later(Outgoing outgoing, Status why) {
    env_.timers.post([this, alive = alive_, outgoing = std::move(outgoing),
                      why = std::move(why)]() mutable {
        if (*alive) on_answer({}, outgoing, std::move(why));
    });
}

void QuorumDriverImpl::ask_versions(const env::PeerAddress& to) {
    const raft::PeerRequest request = raft::VersionsRequest{};
    BufferChain frame = encode_quorum_request(wire_, next_correlation_++, request,
                                              versions_of(request).newest);
    env_.peers.send(to, std::move(frame), config_.quorum.request_timeout,
                    [this, alive = alive_, to](Result<Buffer> answer) mutable {
                        if (!*alive) return;
                        if (!in_event_) return on_versions(to, std::move(answer));
                        env_.timers.post([this, alive = std::move(alive), to = std::move(to),
                                          answer = std::move(answer)]() mutable {
                            if (*alive) on_versions(to, std::move(answer));
                        });
                    });
}

void QuorumDriverImpl::on_versions(const env::PeerAddress& to, Result<Buffer> frame) {
    std::vector<Outgoing> waiting = std::exchange(unasked_[to], {});
    unasked_.erase(to);
    if (stopped_) return;
    constexpr int16_t kVersion = 4;
    auto answer = frame.ok() ? decode_answer<wire::ApiVersionsResponse>(*frame, kVersion)
                             : Result<wire::ApiVersionsResponse>(frame.status());
    Status problem = answer.status();
    if (answer.ok() && answer->error_code != 0) {
        problem = refused_by_peer(wire::ApiVersionsResponse::kName, answer->error_code);
    }
    if (!problem.ok()) {
        for (const Outgoing& outgoing : waiting) on_answer(to, outgoing, problem);
        return;
    }
    Spoken& spoken = spoken_[to];
    for (const auto& api : answer->api_keys) {
        spoken[api.api_key] = {api.min_version, api.max_version};
    }
    for (Outgoing& outgoing : waiting) transmit(to, std::move(outgoing));
}

void QuorumDriverImpl::transmit(const env::PeerAddress& to, Outgoing outgoing) {
    const QuorumVersions wanted = versions_of(outgoing.request);
    outgoing.version = wanted.newest;
    if (const auto peer = spoken_.find(to); peer != spoken_.end()) {
        const auto range = peer->second.find(static_cast<int16_t>(wanted.key));
        if (range == peer->second.end() || range->second.second < wanted.oldest ||
            range->second.first > wanted.newest) {
            note_problem(name_of(to), fmt::format("speaks no version of API {} that this node "
                                                  "does: all nodes have to run Kafka 4.0 or later",
                                                  static_cast<int>(wanted.key)));
            spoken_.erase(peer);  // asked again: it may be replaced by a newer one
            return fail_later(std::move(outgoing), {Errc::Unsupported, "no common version"});
        }
        outgoing.version = std::min(wanted.newest, range->second.second);
    }
    BufferChain frame =
        encode_quorum_request(wire_, next_correlation_++, outgoing.request, outgoing.version);
    env_.peers.send(
        to, std::move(frame), config_.quorum.request_timeout,
        [this, alive = alive_, to, outgoing = std::move(outgoing)](Result<Buffer> answer) mutable {
            if (!*alive) return;
            if (!in_event_) return on_answer(to, outgoing, std::move(answer));
            env_.timers.post([this, alive = std::move(alive), to = std::move(to),
                              outgoing = std::move(outgoing),
                              answer = std::move(answer)]() mutable {
                if (*alive) on_answer(to, outgoing, std::move(answer));
            });
        });
}

void QuorumDriverImpl::on_answer(const env::PeerAddress& to, const Outgoing& outgoing,
                                 Result<Buffer> frame) {
    if (stopped_) return;
    const bool farewell = std::holds_alternative<raft::EndQuorumEpochRequest>(outgoing.request);
    if (farewell && farewells_ > 0) --farewells_;
    if (!frame.ok()) {
        log_debug(kLog, "{}: {}", name_of(to), frame.status().message());
        spoken_.erase(to);  // who connects there next may be of another release
    }
    Result<raft::PeerResponse> response =
        frame.ok() ? decode_quorum_response(wire_, outgoing.request, outgoing.version, *frame)
                   : frame.status();
    if (frame.ok() && !response.ok()) {
        const bool other_cluster = response.status().message().ends_with(
            error_code_name(ErrorCode::InconsistentClusterId));
        note_problem(name_of(to),
                     fmt::format("an answer cannot be used: {}{}{}", response.status().message(),
                                 other_cluster ? "; " : "",
                                 other_cluster ? cure_of(ErrorCode::InconsistentClusterId) : ""));
    } else if (response.ok() && *cure_of(error_in(*response)) != '\0') {
        const ErrorCode error = error_in(*response);
        note_problem(name_of(to), fmt::format("{}: {}", error_code_name(error), cure_of(error)));
    }
    event([&](Instant now, raft::QuorumOutput& out) {
        if (response.ok()) {
            quorum_->on_response(now, outgoing.correlation, *std::move(response), out);
        } else {
            quorum_->on_request_failed(now, outgoing.correlation, failure_of(response.status()),
                                       out);
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

template <class Response>
bool QuorumDriverImpl::refuse(const char* api, const QuorumCaller& who, ErrorCode error,
                              Reply<Response>& reply) {
    if (stopped_) error = ErrorCode::BrokerNotAvailable;
    if (error == ErrorCode::None) return false;
    if (!stopped_) {
        const char* cause = error == ErrorCode::InconsistentClusterId
                                ? "its sender belongs to another cluster; correct its "
                                  "controller.quorum settings or its log directory"
                                : "it is not about the one partition of the metadata log";
        note_problem(who.peer, fmt::format("{} refused with {}: {}", api, error_code_name(error),
                                           cause));
    }
    Response response;
    response.error_code = static_cast<int16_t>(error);
    reply.send(std::move(response));
    return true;
}

void QuorumDriverImpl::vote(QuorumCaller who, wire::VoteRequest request,
                            Reply<wire::VoteResponse> reply) {
    const auto checked = to_raft(config_.cluster_id, request);
    if (refuse("Vote", who, checked.error, reply)) return;
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
    const auto checked = to_raft(config_.cluster_id, request);
    if (refuse("BeginQuorumEpoch", who, checked.error, reply)) return;
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
    const auto checked = to_raft(config_.cluster_id, who.version, request);
    if (refuse("EndQuorumEpoch", who, checked.error, reply)) return;
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
    const auto checked = to_raft(config_.cluster_id, who.version, request);
    if (refuse("Fetch", who, checked.error, reply)) return;
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
    const auto checked = to_raft(config_.cluster_id, request);
    if (refuse("FetchSnapshot", who, checked.error, reply)) return;
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

void QuorumDriverImpl::add_voter(QuorumCaller who, wire::AddRaftVoterRequest request,
                                 Reply<wire::AddRaftVoterResponse> reply) {
    const auto checked = to_raft(config_.cluster_id, request);
    if (refuse("AddRaftVoter", who, checked.error, reply)) return;
    const auto id = park(raft::VoterChangeResponse(),
                         [reply = std::move(reply)](raft::PeerResponse response) mutable {
                             reply.send(to_add_wire(std::get<raft::VoterChangeResponse>(response)));
                         });
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_add_voter(now, id, checked.request, out);
    });
}

void QuorumDriverImpl::remove_voter(QuorumCaller who, wire::RemoveRaftVoterRequest request,
                                    Reply<wire::RemoveRaftVoterResponse> reply) {
    const auto checked = to_raft(config_.cluster_id, request);
    if (refuse("RemoveRaftVoter", who, checked.error, reply)) return;
    const auto id =
        park(raft::VoterChangeResponse(),
             [reply = std::move(reply)](raft::PeerResponse response) mutable {
                 reply.send(to_remove_wire(std::get<raft::VoterChangeResponse>(response)));
             });
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_remove_voter(now, id, checked.request, out);
    });
}

void QuorumDriverImpl::update_voter(QuorumCaller who, wire::UpdateRaftVoterRequest request,
                                    Reply<wire::UpdateRaftVoterResponse> reply) {
    const auto checked = to_raft(config_.cluster_id, request);
    if (refuse("UpdateRaftVoter", who, checked.error, reply)) return;
    const auto id =
        park(raft::VoterChangeResponse(),
             [who, reply = std::move(reply)](raft::PeerResponse response) mutable {
                 reply.send(to_update_wire(who, std::get<raft::VoterChangeResponse>(response)));
             });
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_update_voter(now, id, checked.request, out);
    });
}

}  // namespace millrace::broker
