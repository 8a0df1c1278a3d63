// src/api/fetch.cc: Fetch (1).
//
// Served: v4-18.
// Behavior: session, names, reads, then an answer or a long poll (dataplane.md C.1-C.5). Records
// are slices of segment files, never read here.
// Version notes: v7 sessions (KIP-227), v11 the nearest replica (KIP-392), v12 divergence
// (KIP-595), v13 topic ids, v16 leader hints.
// Followers (replica id >= 0) read up to the log end, and their position counts for the ISR; the
// controller listener's Fetch is the quorum's own.
// Not done: quotas.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/fetch_wait.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/env/clock.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/fetch_response.h"

namespace millrace::api {

namespace {

using Request = wire::FetchRequest;
using Response = wire::FetchResponse;
using replication::FetchAnswerFacts;
using replication::FetchContext;
using replication::FetchTarget;

constexpr int16_t kRacksFrom = 11;
/// The value of replica.selector.class that lets consumers read from followers.
constexpr std::string_view kRackAwareSelector =
    "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// One Fetch from its arrival to its answer; kept alive by the long poll's callback.
struct FetchOperation : std::enable_shared_from_this<FetchOperation> {
    RequestContext context;
    Reply<Response> reply;
    FetchContext session;
    NodeId replica{-1};
    BrokerEpoch replica_epoch{-1};
    bool replica_eligible = false;             // the metadata would have it in an ISR
    bool parked_before = false;
    uint64_t follower_calls = 0;               // of the shard, when this was parked
    int8_t isolation_level = 0;
    std::string rack;                          // of a consumer that may read from followers
    int64_t max_bytes = 0;
    int64_t min_bytes = 0;
    Instant deadline;
    bool may_wait = false;
    std::vector<broker::PartitionRead> reads;  // one per session target
    std::vector<NodeId> nearer;                // replicas to read from instead (KIP-392), or -1
    std::vector<bool> unresolved;              // errors of step 3: they do not end the wait
    std::shared_ptr<broker::FetchWait> wait;
    ~FetchOperation() { reply.abandon(); }  // only a node that goes away drops a parked Fetch
};

using OperationPtr = std::shared_ptr<FetchOperation>;

const metadata::TopicImage* topic_of(broker::Shard& shard, const FetchTarget& target) {
    return target.topic_id.is_zero() ? shard.image().topics.find(std::string_view(target.topic))
                                     : shard.image().topics.find(target.topic_id);
}

broker::PartitionFetch fetch_of(const FetchOperation& operation, const FetchTarget& target) {
    broker::PartitionFetch fetch;
    fetch.fetch_offset = target.fetch_offset;
    fetch.current_leader_epoch = target.current_leader_epoch;
    fetch.last_fetched_epoch = target.last_fetched_epoch;
    fetch.replica = operation.replica;
    fetch.replica_epoch = operation.replica_epoch;
    fetch.replica_eligible = operation.replica_eligible;
    fetch.progress = !operation.parked_before;
    fetch.read_committed = operation.isolation_level == 1;
    fetch.leader_only = operation.context.version < 11;
    return fetch;
}

/// A follower outside the ISR gets nothing of a throttled replica while the quota is used up; one
/// inside always does, or the throttle would drive it out.
bool held_back(const FetchOperation& operation, const broker::Partition& partition) {
    if (operation.replica.value < 0 || !partition.leader_throttled()) return false;
    const replication::Leader* leader = partition.leader();
    if (leader == nullptr) return false;
    const std::vector<NodeId>& isr = leader->isr();
    if (std::find(isr.begin(), isr.end(), operation.replica) != isr.end()) return false;
    broker::Shard& shard = operation.context.shard();
    return shard.replication_quotas().leader.exceeded(shard.env().clock.now());
}

/// The follower in the consumer's rack that it had better ask (KIP-392); -1: nobody.
NodeId nearer_replica(FetchOperation& operation, const broker::Partition& partition,
                      const FetchTarget& target) {
    const bool asks = !operation.rack.empty() &&
                      partition.check_epoch(target.current_leader_epoch, true) == ErrorCode::None;
    if (!asks) return kNoNode;
    return partition.nearer_replica(operation.context.shard().image(),
                                    operation.context.connection->listener, operation.rack,
                                    Offset(target.fetch_offset));
}

/// No records, but the marks, as they are here.
broker::PartitionRead read_elsewhere(broker::Partition& partition) {
    broker::PartitionRead read;
    read.high_watermark = partition.high_watermark().value;
    read.last_stable_offset = partition.log().last_stable_offset().value;
    read.log_start_offset = partition.log().log_start_offset().value;
    return read;
}

struct ReadSummary {
    int64_t bytes = 0;
    bool readable = false;  // some partition can give data now or later
    bool answer_now = false;
};

/// Kafka's session knows its topics by name: it looks for the name of an id that is gone.
ErrorCode missing(broker::Shard& shard, const FetchTarget& target, bool topic_known) {
    if (topic_known || target.topic_id.is_zero()) return ErrorCode::UnknownTopicOrPartition;
    if (!target.known_name) return ErrorCode::UnknownTopicId;
    const metadata::TopicImage* successor =
        shard.image().topics.find(std::string_view(*target.known_name));
    return successor != nullptr && successor->partition(PartitionIndex(target.partition)) != nullptr
               ? ErrorCode::InconsistentTopicId
               : ErrorCode::UnknownTopicOrPartition;
}

bool remembers(const FetchContext& session) {
    return session.kind == FetchContext::Kind::Full ||
           session.kind == FetchContext::Kind::Incremental;
}

ReadSummary read_all(FetchOperation& operation) {
    broker::Shard& shard = operation.context.shard();
    ReadSummary summary;
    operation.reads.clear();
    operation.reads.resize(operation.session.targets.size());
    operation.nearer.assign(operation.session.targets.size(), kNoNode);
    operation.unresolved.assign(operation.session.targets.size(), false);
    int64_t budget = operation.max_bytes;
    for (size_t i = 0; i < operation.session.targets.size(); ++i) {
        FetchTarget& target = operation.session.targets[i];
        broker::PartitionRead& read = operation.reads[i];
        const metadata::TopicImage* topic = topic_of(shard, target);
        if (topic == nullptr ||
            topic->partition(PartitionIndex(target.partition)) == nullptr) {
            read.error = missing(shard, target, topic != nullptr);
            if (read.error == ErrorCode::InconsistentTopicId) {
                summary.answer_now = summary.readable = true;
                continue;
            }
            read.aborted.emplace();
            operation.unresolved[i] = true;
            continue;
        }
        if (remembers(operation.session) && !target.topic_id.is_zero() && !target.known_name) {
            target.known_name = std::make_shared<const std::string>(topic->name);
        }
        const Found found = find_partition(shard, topic, target.partition);
        if (found.error != ErrorCode::None) {
            read.error = found.error;
            summary.answer_now = summary.readable = true;
            continue;
        }
        operation.nearer[i] = nearer_replica(operation, *found.partition, target);
        if (operation.nearer[i] != kNoNode) {
            read = read_elsewhere(*found.partition);
            summary.answer_now = summary.readable = true;
            continue;
        }
        broker::PartitionFetch fetch = fetch_of(operation, target);
        fetch.max_bytes = static_cast<int32_t>(
            std::max<int64_t>(0, std::min<int64_t>(target.max_bytes, budget)));
        fetch.min_one_message = summary.bytes == 0;
        if (held_back(operation, *found.partition)) {
            fetch.max_bytes = 0;
            fetch.min_one_message = false;
        }
        read = found.partition->read(fetch);
        summary.readable = true;
        summary.answer_now |= read.error != ErrorCode::None || read.diverging.has_value();
        const auto size = static_cast<int64_t>(read.records.size());
        summary.bytes += size;
        budget -= size;
    }
    return summary;
}

FetchAnswerFacts facts_of(const broker::PartitionRead& read) {
    FetchAnswerFacts facts;
    facts.error = read.error;
    facts.high_watermark = read.high_watermark;
    facts.log_start_offset = read.log_start_offset;
    facts.has_records = !read.records.empty();
    facts.must_tell = read.diverging.has_value();
    return facts;
}

void add_leader_hint(FetchOperation& operation, const FetchTarget& target,
                     Response::PartitionData& data, Response& response) {
    broker::Shard& shard = operation.context.shard();
    const metadata::TopicImage* topic = topic_of(shard, target);
    const metadata::PartitionImage* state =
        topic == nullptr ? nullptr : topic->partition(PartitionIndex(target.partition));
    if (state == nullptr || operation.context.version < 16) return;
    data.current_leader.leader_id = state->leader.value;
    data.current_leader.leader_epoch = state->leader_epoch.value;
    const auto address =
        node_address(shard.image(), state->leader, operation.context.connection->listener);
    if (!address) return;
    // Each node once: Java clients make a map of them and take a second one for a fault.
    for (const auto& known : response.node_endpoints) {
        if (known.node_id == state->leader.value) return;
    }
    auto& endpoint = response.node_endpoints.emplace_back();
    endpoint.node_id = address->id.value;
    endpoint.host = address->host;
    endpoint.port = address->port;
    endpoint.rack = address->rack;
}

void add_partition(FetchOperation& operation, size_t index, Response& response) {
    const FetchTarget& target = operation.session.targets[index];
    broker::PartitionRead& read = operation.reads[index];
    const bool by_id = operation.context.version >= 13;
    const bool same_topic =
        !response.responses.empty() &&
        (by_id ? response.responses.back().topic_id == target.topic_id
               : response.responses.back().topic == target.topic);
    if (!same_topic) {
        auto& topic = response.responses.emplace_back();
        if (by_id) {
            topic.topic_id = target.topic_id;
        } else {
            topic.topic = target.topic;
        }
    }
    auto& data = response.responses.back().partitions.emplace_back();
    data.partition_index = target.partition;
    ErrorCode error = read.error;
    if (error == ErrorCode::KafkaStorageError && operation.context.version <= 5) {
        error = ErrorCode::NotLeaderOrFollower;
    }
    data.error_code = code(error);
    data.high_watermark = read.high_watermark;
    data.last_stable_offset = read.last_stable_offset;
    data.log_start_offset = read.log_start_offset;
    data.preferred_read_replica = operation.nearer[index].value;
    data.records = std::move(read.records);
    data.aborted_transactions.reset();
    if (read.aborted) {
        data.aborted_transactions.emplace();
        for (const storage::AbortedTransaction& aborted : *read.aborted) {
            auto& entry = data.aborted_transactions->emplace_back();
            entry.producer_id = aborted.producer_id.value;
            entry.first_offset = aborted.first_offset.value;
        }
    }
    if (read.diverging) {
        data.diverging_epoch.epoch = read.diverging->epoch.value;
        data.diverging_epoch.end_offset = read.diverging->end_offset.value;
    }
    if (error == ErrorCode::NotLeaderOrFollower || error == ErrorCode::FencedLeaderEpoch) {
        add_leader_hint(operation, target, data, response);
    }
}

void count_throttled(FetchOperation& operation) {
    broker::Shard& shard = operation.context.shard();
    int64_t bytes = 0;
    for (size_t i = 0; i < operation.reads.size(); ++i) {
        if (operation.reads[i].records.empty()) continue;
        const FetchTarget& target = operation.session.targets[i];
        const Found found = find_partition(shard, topic_of(shard, target), target.partition);
        if (found.partition == nullptr || !found.partition->leader_throttled()) continue;
        bytes += static_cast<int64_t>(operation.reads[i].records.size());
    }
    shard.replication_quotas().leader.record(shard.env().clock.now(), bytes);
}

void fetch_finish(FetchOperation& operation) {
    broker::Shard& shard = operation.context.shard();
    if (operation.replica.value >= 0) count_throttled(operation);
    std::vector<FetchAnswerFacts> facts;
    facts.reserve(operation.reads.size());
    for (size_t i = 0; i < operation.reads.size(); ++i) {
        facts.push_back(facts_of(operation.reads[i]));
        // Where to read instead is told in every answer, like a divergence.
        facts.back().must_tell |= operation.nearer[i] != kNoNode;
    }
    const replication::FetchFinish finish =
        shard.fetch_sessions().finish(operation.session, facts, shard.env().clock.now());
    Response response;
    response.error_code = code(finish.error);
    response.session_id = finish.session_id;
    if (finish.error == ErrorCode::None) {
        // What could be read comes first, the partitions nobody knows at the end.
        for (const bool late : {false, true}) {
            for (size_t i = 0; i < operation.reads.size(); ++i) {
                if (finish.include[i] && operation.unresolved[i] == late) {
                    add_partition(operation, i, response);
                }
            }
        }
    }
    operation.reply.send(std::move(response));
}

void park(const OperationPtr& operation, int64_t bytes_there);

/// Reads everything and answers, or parks when there is too little and time left.
void fetch_on_shard(const OperationPtr& operation) {
    const ReadSummary summary = read_all(*operation);
    const bool called = operation->parked_before && operation->replica.value >= 0 &&
                        operation->context.shard().follower_calls() != operation->follower_calls;
    const bool in_time = operation->may_wait && !called &&
                         operation->context.shard().env().clock.now() < operation->deadline;
    if (!in_time || !summary.readable || summary.answer_now ||
        summary.bytes >= operation->min_bytes || !operation->context.connected()) {
        fetch_finish(*operation);
    } else {
        park(operation, summary.bytes);
    }
}

void park(const OperationPtr& operation, int64_t bytes_there) {
    broker::Shard& shard = operation->context.shard();
    operation->reads.clear();
    operation->parked_before = true;
    operation->wait = std::make_shared<broker::FetchWait>(
        shard.env().timers, operation->min_bytes - bytes_there, [weak = operation->weak_from_this()] {
            if (const OperationPtr alive = weak.lock()) fetch_on_shard(alive);
        });
    operation->wait->reserve(operation->session.targets.size() + 2);
    operation->wait->watch(shard.parked_fetches());
    if (operation->replica.value >= 0) {
        operation->follower_calls = shard.follower_calls();
        operation->wait->watch(shard.parked_follower_fetches());
    }
    for (const FetchTarget& target : operation->session.targets) {
        const Found found = find_partition(shard, topic_of(shard, target), target.partition);
        if (found.partition == nullptr) continue;
        operation->wait->watch(found.partition->watches(operation->replica.value >= 0));
    }
    operation->wait->arm(operation->deadline, operation);
}

std::vector<FetchTarget> targets_of(Request& request, int16_t version) {
    std::vector<FetchTarget> targets;
    size_t count = 0;
    for (const auto& topic : request.topics) count += topic.partitions.size();
    targets.reserve(count);
    for (const auto& topic : request.topics) {
        for (const auto& partition : topic.partitions) {
            FetchTarget& target = targets.emplace_back();
            target.topic_id = topic.topic_id;
            if (version < 13) target.topic = topic.topic;
            target.partition = partition.partition;
            target.fetch_offset = partition.fetch_offset;
            target.log_start_offset = partition.log_start_offset;
            target.max_bytes = partition.partition_max_bytes;
            target.current_leader_epoch = partition.current_leader_epoch;
            target.last_fetched_epoch = partition.last_fetched_epoch;
        }
    }
    return targets;
}

std::vector<FetchTarget> forgotten_of(const Request& request) {
    std::vector<FetchTarget> forgotten;
    for (const auto& topic : request.forgotten_topics_data) {
        for (const int32_t index : topic.partitions) {
            FetchTarget& target = forgotten.emplace_back();
            target.topic_id = topic.topic_id;
            target.topic = topic.topic;
            target.partition = index;
        }
    }
    return forgotten;
}

}  // namespace

void handle_fetch(RequestContext&& context, Request request, Reply<Response> reply) {
    broker::Shard& shard = context.shard();
    const Instant now = shard.env().clock.now();
    const int16_t version = context.version;
    if (context.connection->kind == ListenerKind::Controller) {
        return shard.quorum->fetch({version, context.connection->listener,
                                    context.connection->peer()}, std::move(request),
                                   std::move(reply));
    }
    auto operation = std::make_shared<FetchOperation>();
    operation->replica =
        NodeId(version >= 15 ? request.replica_state.replica_id : request.replica_id);
    operation->session = shard.fetch_sessions().open(
        {version, request.session_id, request.session_epoch, operation->replica.value >= 0},
        targets_of(request, version), forgotten_of(request), now);
    if (operation->session.kind == FetchContext::Kind::Error) {
        Response response;
        response.error_code = code(operation->session.error);
        return reply.send(std::move(response));
    }
    if (operation->replica.value >= 0) {
        operation->replica_epoch = BrokerEpoch(version >= 15 ? request.replica_state.replica_epoch
                                                             : -1);
        const metadata::BrokerImage* broker = shard.image().cluster.broker(operation->replica);
        operation->replica_eligible =
            broker != nullptr && broker->active() &&
            (operation->replica_epoch.value < 0 || operation->replica_epoch == broker->epoch);
    }
    if (operation->replica.value < 0 && version >= kRacksFrom && !request.rack_id.empty() &&
        shard.config().text("replica.selector.class") == kRackAwareSelector) {
        operation->rack = std::move(request.rack_id);
    }
    operation->context = std::move(context);
    operation->reply = std::move(reply);
    operation->isolation_level = request.isolation_level;
    operation->max_bytes = std::min(request.max_bytes, shard.config().fetch_max_bytes);
    operation->min_bytes = std::min<int64_t>(request.min_bytes, operation->max_bytes);
    operation->may_wait = request.max_wait_ms > 0;
    operation->deadline = now + milliseconds(std::max(0, request.max_wait_ms));
    fetch_on_shard(operation);
}

void serve_fetch(ServeCall&& call) { serve<Request, Response>(std::move(call), handle_fetch); }

}  // namespace millrace::api
