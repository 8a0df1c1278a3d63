// src/broker/fetch_driver.cc: plans to requests, answers to partitions, pauses to timers.
#include "broker/fetch_driver.h"

#include <algorithm>
#include <utility>

#include "broker/peer_call.h"
#include "broker/peer_versions.h"
#include "millrace/base/log.h"
#include "millrace/broker/shard.h"
#include "millrace/env/clock.h"
#include "millrace/wire/gen/list_offsets_request.h"
#include "millrace/wire/gen/list_offsets_response.h"

namespace millrace::broker {

using replication::FetchKey;
using replication::FetchPlan;

namespace {
constexpr LogChannel kLog{"replica"};
constexpr int16_t kReplicaStateFrom = 15;
constexpr int64_t kLatest = -1;
constexpr int64_t kEarliest = -2;
}  // namespace

struct FetchDriver::Offsets {
    FetchKey key;
    LeaderEpoch epoch;
    std::string topic;
    std::optional<Offset> start;
    std::optional<Offset> end;
    bool failed = false;
    int answers = 0;
};

FetchDriver::FetchDriver(Shard& shard) : shard_(shard) {}

FetchDriver::~FetchDriver() {
    *alive_ = false;
    stop();
}

void FetchDriver::stop() {
    stopped_ = true;
    for (auto& [node, link] : links_) shard_.env().timers.cancel(link->timer);
    links_.clear();
    followed_.clear();
}

Partition* FetchDriver::partition(const FetchKey& key) const {
    return shard_.partition(key.topic_id, key.partition);
}

FetchDriver::Link& FetchDriver::link_to(NodeId leader) {
    std::unique_ptr<Link>& link = links_[leader];
    if (!link) {
        replication::Fetcher::Options options;
        options.back_off = milliseconds(shard_.config().replica_fetch_backoff_ms);
        link = std::make_unique<Link>(leader, options);
    }
    return *link;
}

void FetchDriver::update(Partition& partition) {
    if (stopped_) return;
    const FetchKey key{partition.topic_id(), partition.name().partition};
    const std::optional<NodeId> leader = partition.followed_leader();
    const auto known = followed_.find(key);
    if (known != followed_.end()) {
        const bool same = leader == known->second.leader &&
                          partition.leader_epoch() == known->second.epoch;
        if (same) return;
        links_.at(known->second.leader)->machine.unfollow(key);
        followed_.erase(known);
    }
    if (leader.has_value()) {
        link_to(*leader).machine.follow(key, partition.follow_position());
        followed_[key] = {*leader, partition.leader_epoch()};
    }
    schedule();
}

void FetchDriver::forget(const Uuid& topic_id, PartitionIndex index) {
    const auto known = followed_.find({topic_id, index});
    if (known == followed_.end()) return;
    links_.at(known->second.leader)->machine.unfollow(known->first);
    followed_.erase(known);
    schedule();
}

void FetchDriver::on_image() { schedule(); }

void FetchDriver::schedule() {
    if (std::exchange(scheduled_, true) || stopped_) return;
    shard_.env().timers.post([this, alive = alive_] {
        if (!*alive) return;
        scheduled_ = false;
        for (auto& [node, link] : links_) pump(*link);
    });
}

std::optional<env::PeerAddress> FetchDriver::address_of(NodeId leader,
                                                        env::PeerPurpose purpose) const {
    const metadata::BrokerImage* broker = shard_.image().cluster.broker(leader);
    const metadata::Endpoint* endpoint =
        broker == nullptr ? nullptr
                          : broker->endpoint(shard_.config().inter_broker_listener_name);
    if (endpoint == nullptr) return std::nullopt;
    return env::PeerAddress{endpoint->host, endpoint->port, purpose};
}

wire::FetchRequest FetchDriver::request_for(const FetchPlan& plan) const {
    const BrokerConfig& config = shard_.config();
    const metadata::BrokerImage* self = shard_.image().cluster.broker(config.node_id);
    wire::FetchRequest request;
    if (fetch_version(shard_.image().features.metadata_version()) >= kReplicaStateFrom) {
        request.replica_state.replica_id = config.node_id.value;
        request.replica_state.replica_epoch = self == nullptr ? -1 : self->epoch.value;
    } else {
        request.replica_id = config.node_id.value;
    }
    request.max_wait_ms = config.replica_fetch_wait_max_ms;
    request.min_bytes = config.replica_fetch_min_bytes;
    request.max_bytes = config.replica_fetch_response_max_bytes;
    request.session_id = plan.session_id;
    request.session_epoch = plan.session_epoch;
    for (const auto& [key, position] : plan.changed) {
        if (request.topics.empty() || request.topics.back().topic_id != key.topic_id) {
            request.topics.emplace_back().topic_id = key.topic_id;
        }
        auto& partition = request.topics.back().partitions.emplace_back();
        partition.partition = key.partition.value;
        partition.current_leader_epoch = position.leader_epoch.value;
        partition.fetch_offset = position.fetch_offset.value;
        partition.last_fetched_epoch = position.last_fetched_epoch.value;
        partition.log_start_offset = position.log_start.value;
        partition.partition_max_bytes = config.replica_fetch_max_bytes;
    }
    for (const FetchKey& key : plan.forgotten) {
        auto& forgotten = request.forgotten_topics_data;
        if (forgotten.empty() || forgotten.back().topic_id != key.topic_id) {
            forgotten.emplace_back().topic_id = key.topic_id;
        }
        forgotten.back().partitions.push_back(key.partition.value);
    }
    return request;
}

/// Replicas in sync are never held: a throttle must not drive them out of the ISR.
void FetchDriver::hold_throttled(Link& link, Instant now) {
    Instant free_at = shard_.replication_quotas().follower.free_at(now);
    if (free_at <= now) return;
    // No longer at once: the rate may be raised meanwhile.
    free_at = std::min(free_at, now + milliseconds(shard_.config().replica_fetch_backoff_ms));
    for (const auto& [key, followed] : followed_) {
        if (followed.leader != link.leader || followed.caught_up) continue;
        const Partition* here = partition(key);
        if (here != nullptr && here->follower_throttled()) link.machine.hold(key, free_at);
    }
}

void FetchDriver::pump(Link& link) {
    if (stopped_ || link.fetch != 0) return;
    const Instant now = shard_.env().clock.now();
    const auto address = address_of(link.leader, env::PeerPurpose::Replication);
    // Without an endpoint there is nobody to ask; the image that brings one comes back here.
    if (!address.has_value()) return;
    hold_throttled(link, now);
    const std::optional<FetchPlan> plan = link.machine.next(now);
    shard_.env().timers.cancel(link.timer);
    link.timer = env::kNoTimer;
    if (!plan.has_value()) {
        const Instant wake_at = link.machine.wake_at(now);
        if (wake_at == Instant::never()) return;
        link.timer = shard_.env().timers.arm(wake_at, [this, &link] {
            link.timer = env::kNoTimer;
            pump(link);
        });
        return;
    }
    link.fetch = next_fetch_++;
    const PeerCallHead head{
        fetch_version(shard_.image().features.metadata_version()), next_correlation_++,
        "broker-" + std::to_string(shard_.config().node_id.value) + "-fetcher-0"};
    call_peer<wire::FetchResponse>(
        shard_.env().peers, *address, head, request_for(*plan),
        milliseconds(shard_.config().replica_socket_timeout_ms),
        [this, alive = alive_, leader = link.leader,
         fetch = link.fetch](Result<wire::FetchResponse> response) {
            if (*alive) on_answer(leader, fetch, std::move(response));
        });
}

void FetchDriver::on_answer(NodeId leader, uint64_t fetch, Result<wire::FetchResponse> response) {
    const auto found = links_.find(leader);
    if (found == links_.end() || found->second->fetch != fetch) return;
    Link& link = *found->second;
    link.fetch = 0;
    const Instant now = shard_.env().clock.now();
    if (response.ok() && !std::exchange(link.reachable, true)) {
        log_info(kLog, "broker {} answers again", leader.value);
    }
    if (!response.ok()) {
        if (std::exchange(link.reachable, false)) {
            log_warn(kLog, "no answer from broker {}: {}", leader.value,
                     response.status().message());
        }
        link.machine.on_failed(now);
    } else if (const auto error = static_cast<ErrorCode>(response->error_code);
               error != ErrorCode::None) {
        log_info(kLog, "broker {} answers a fetch with {}", leader.value, error_code_name(error));
        static_cast<void>(link.machine.on_answered(now, error, 0));
    } else {
        for (auto& topic : response->responses) {
            for (auto& partition : topic.partitions) {
                take(link, {topic.topic_id, PartitionIndex(partition.partition_index)}, partition);
            }
        }
        static_cast<void>(link.machine.on_answered(now, error, response->session_id));
    }
    pump(link);
}

void FetchDriver::take(Link& link, const FetchKey& key,
                       wire::FetchResponsePartitionData& answer) {
    const auto asked = link.machine.asked_for(key);
    Partition* const here = partition(key);
    if (!asked.has_value() || here == nullptr) return;
    const Instant now = shard_.env().clock.now();
    const auto error = static_cast<ErrorCode>(answer.error_code);
    switch (replication::judge_fetch_error(error)) {
        case replication::FetchVerdict::Process: {
            FetchedRecords fetched;
            if (answer.records.has_value()) fetched.records = std::move(*answer.records);
            if (here->follower_throttled()) {
                shard_.replication_quotas().follower.record(
                    now, static_cast<int64_t>(fetched.records.size()));
            }
            fetched.high_watermark = Offset(answer.high_watermark);
            fetched.log_start = Offset(answer.log_start_offset);
            if (answer.diverging_epoch.end_offset >= 0) {
                fetched.diverging = {LeaderEpoch(answer.diverging_epoch.epoch),
                                     Offset(answer.diverging_epoch.end_offset)};
            }
            const FollowResult result = here->on_fetched(*asked, std::move(fetched));
            if (const auto known = followed_.find(key); known != followed_.end()) {
                known->second.caught_up =
                    answer.high_watermark <= here->follow_position().fetch_offset.value;
            }
            if (result == FollowResult::Pause) link.machine.pause(now, key);
            if (result == FollowResult::Failed) link.machine.suspend(key);
            break;
        }
        case replication::FetchVerdict::BackOff:
            log_info(kLog, "{}: broker {} answers {}", here->name().to_string(),
                     link.leader.value, error_code_name(error));
            link.machine.pause(now, key);
            break;
        case replication::FetchVerdict::AskOffsets: ask_offsets(link, key); break;
        case replication::FetchVerdict::WaitForImage: link.machine.suspend(key); break;
    }
    link.machine.on_position(key, here->follow_position());
}

void FetchDriver::ask_offsets(Link& link, const FetchKey& key) {
    link.machine.suspend(key);
    const Partition* here = partition(key);
    log_info(kLog, "{}: offset {} is not in the log of broker {}", here->name().to_string(),
             here->follow_position().fetch_offset.value, link.leader.value);
    auto offsets = std::make_shared<Offsets>();
    offsets->key = key;
    offsets->epoch = here->leader_epoch();
    offsets->topic = here->name().topic;
    ask_offset(link.leader, offsets, true);
    ask_offset(link.leader, offsets, false);
}

void FetchDriver::ask_offset(NodeId leader, const std::shared_ptr<Offsets>& offsets,
                             bool latest) {
    const auto address = address_of(leader, env::PeerPurpose::ReplicaOffsets);
    wire::ListOffsetsRequest request;
    request.replica_id = shard_.config().node_id.value;
    request.timeout_ms = shard_.config().request_timeout_ms;
    auto& topic = request.topics.emplace_back();
    topic.name = offsets->topic;
    auto& partition = topic.partitions.emplace_back();
    partition.partition_index = offsets->key.partition.value;
    partition.current_leader_epoch = offsets->epoch.value;
    partition.timestamp = latest ? kLatest : kEarliest;
    const PeerCallHead head{
        list_offsets_version(shard_.image().features.metadata_version()), next_correlation_++,
        "broker-" + std::to_string(shard_.config().node_id.value) + "-fetcher-0"};
    call_peer<wire::ListOffsetsResponse>(
        shard_.env().peers, address.value_or(env::PeerAddress{}), head, request,
        milliseconds(shard_.config().replica_socket_timeout_ms),
        [this, alive = alive_, leader, offsets,
         latest](const Result<wire::ListOffsetsResponse>& response) {
            if (!*alive) return;
            const bool whole = response.ok() && response->topics.size() == 1 &&
                               response->topics[0].partitions.size() == 1 &&
                               response->topics[0].partitions[0].error_code == 0;
            if (whole) {
                const Offset offset(response->topics[0].partitions[0].offset);
                (latest ? offsets->end : offsets->start) = offset;
            } else {
                offsets->failed = true;
            }
            if (++offsets->answers == 2) on_offsets(leader, *offsets);
        });
}

void FetchDriver::on_offsets(NodeId leader, const Offsets& offsets) {
    const auto followed = followed_.find(offsets.key);
    Partition* const here = partition(offsets.key);
    if (stopped_ || here == nullptr || followed == followed_.end() ||
        followed->second.leader != leader || followed->second.epoch != offsets.epoch) {
        return;
    }
    FollowResult result = FollowResult::Pause;
    if (!offsets.failed) result = here->reposition(*offsets.start, *offsets.end);
    Link& link = *links_.at(leader);
    if (result == FollowResult::Failed) return;
    link.machine.follow(offsets.key, here->follow_position());
    if (result == FollowResult::Pause) {
        link.machine.pause(shard_.env().clock.now(), offsets.key);
    }
    schedule();
}

}  // namespace millrace::broker
