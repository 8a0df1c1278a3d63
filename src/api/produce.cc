// src/api/produce.cc: Produce (0).
//
// Served: v3-13 (v0-2 are advertised and closed, see api_table.cc).
// Behavior: checks in the order of dataplane.md B.1; each partition stands or falls alone; acks=0
// has no answer and closes the connection on any error; acks=-1 waits for the high watermark.
// Version notes: v8 record errors (KIP-467), v10 leader hints (KIP-951), v11 TRANSACTION_ABORTABLE,
// v12 adds partitions to the transaction by itself (KIP-890), v13 topic ids.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "api/lookup.h"
#include "api/serve.h"
#include "api/txn_verification.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/env/clock.h"
#include "millrace/record/batch_validate.h"
#include "millrace/wire/gen/produce_request.h"
#include "millrace/wire/gen/produce_response.h"

namespace millrace::api {

namespace {

using Request = wire::ProduceRequest;
using Response = wire::ProduceResponse;
using PartitionAnswer = Response::PartitionProduceResponse;

/// What the request says of one partition, beside its answer.
struct Part {
    const metadata::TopicImage* topic;
    Buffer records;
    record::ProduceShape shape;
    PartitionAnswer* answer;
    bool refused = false;
    storage::VerificationGuard guard;
};

/// A request between its parts; shared by the partitions it still waits for.
struct ProduceOperation {
    RequestContext context;
    Response response;
    Reply<Response> reply;
    metadata::ImagePtr image;  // what the parts' topics point into
    std::vector<Part> parts;
    size_t waiting = 1;  // partitions, and the handler itself until it is through
    int16_t acks = 0;
    int32_t timeout_ms = 0;
    ~ProduceOperation() { reply.abandon(); }  // only a node that goes away drops a verification
};
using ProduceOperationPtr = std::shared_ptr<ProduceOperation>;

void produce_finish(ProduceOperation& operation) {
    if (--operation.waiting > 0) return;
    if (operation.acks == 0) {
        bool failed = false;
        for (const auto& topic : operation.response.responses) {
            for (const auto& answer : topic.partition_responses) failed |= answer.error_code != 0;
        }
        if (failed) {
            operation.context.close_connection("Produce with acks=0 failed");
        } else {
            operation.context.expect_no_answer();
        }
    }
    operation.reply.send(std::move(operation.response));
}

void set_error(PartitionAnswer& answer, ErrorCode error) {
    answer.error_code = code(error);
    answer.base_offset = -1;
}

/// Kafka names the present leader beside NOT_LEADER_OR_FOLLOWER from v10 on.
void add_leader_hint(ProduceOperation& operation, const metadata::TopicImage& topic,
                     PartitionAnswer& answer) {
    const metadata::Image& image = operation.context.shard().image();
    const metadata::PartitionImage* state = topic.partition(PartitionIndex(answer.index));
    if (state == nullptr || operation.context.version < 10) return;
    answer.current_leader.leader_id = state->leader.value;
    answer.current_leader.leader_epoch = state->leader_epoch.value;
    const auto address = node_address(image, state->leader, operation.context.connection->listener);
    if (!address) return;
    // Each node once: Java clients make a map of them and take a second one for a fault.
    for (const auto& known : operation.response.node_endpoints) {
        if (known.node_id == state->leader.value) return;
    }
    auto& endpoint = operation.response.node_endpoints.emplace_back();
    endpoint.node_id = address->id.value;
    endpoint.host = address->host;
    endpoint.port = address->port;
    endpoint.rack = address->rack;
}

/// Checks 7 and 8 of B.1, then the append. The answer stays in place while the operation lives.
void produce_on_shard(const ProduceOperationPtr& operation, Part& part) {
    broker::Shard& shard = operation->context.shard();
    const metadata::TopicImage* topic = part.topic;
    PartitionAnswer& answer = *part.answer;
    Buffer batch = part.records.size() == part.shape.batch_bytes
                       ? std::move(part.records)
                       : part.records.slice(0, part.shape.batch_bytes);
    if (is_internal_topic(topic->name) && operation->context.client_id() != "__admin_client") {
        return set_error(answer, ErrorCode::InvalidTopicException);
    }
    const Found found = find_partition(shard, topic, answer.index);
    if (found.error != ErrorCode::None) {
        set_error(answer, found.error);
        if (found.error == ErrorCode::NotLeaderOrFollower) {
            add_leader_hint(*operation, *topic, answer);
        }
        return;
    }
    broker::Partition& partition = *found.partition;
    broker::ProduceOutcome outcome = partition.produce(std::move(batch), operation->acks, part.guard);
    answer.error_code = code(outcome.error);
    answer.base_offset = outcome.base_offset;
    answer.log_append_time_ms = outcome.log_append_time_ms;
    answer.log_start_offset = outcome.log_start_offset;
    answer.error_message = std::move(outcome.error_message);
    for (record::RecordError& error : outcome.record_errors) {
        auto& entry = answer.record_errors.emplace_back();
        entry.batch_index = error.batch_index;
        entry.batch_index_error_message = std::move(error.message);
    }
    if (outcome.error == ErrorCode::NotLeaderOrFollower) {
        add_leader_hint(*operation, *topic, answer);
    }
    if (outcome.error != ErrorCode::None || operation->acks == 0) return;
    if (!partition.must_wait(outcome.required, operation->acks)) return;
    ++operation->waiting;
    partition.when_acked(outcome.required, operation->acks,
                         shard.env().clock.now() + milliseconds(std::max(0, operation->timeout_ms)),
                         [operation, &answer](ErrorCode error) {
                             answer.error_code = code(error);  // 7 and 20 keep the offset
                             produce_finish(*operation);
                         });
}

Buffer single_buffer(std::optional<BufferChain>& records) {
    if (!records || records->empty()) return {};
    // A decoded request's records are one slice of its frame.
    Result<Buffer> flat = records->flatten();
    records.reset();
    return flat.ok() ? std::move(*flat) : Buffer{};
}

/// Builds the answer's skeleton and reads each partition's first batch header.
std::vector<Part> split(ProduceOperation& operation, Request& request) {
    broker::Shard& shard = operation.context.shard();
    const int16_t version = operation.context.version;
    size_t count = 0;
    for (const auto& topic : request.topic_data) count += topic.partition_data.size();
    std::vector<Part> parts;
    parts.reserve(count);
    operation.response.responses.reserve(request.topic_data.size());
    for (auto& topic : request.topic_data) {
        const metadata::TopicImage* image =
            version >= 13 ? shard.image().topics.find(topic.topic_id)
                          : shard.image().topics.find(std::string_view(topic.name));
        auto& answers = operation.response.responses.emplace_back();
        answers.name = std::move(topic.name);
        answers.topic_id = topic.topic_id;
        answers.partition_responses.resize(topic.partition_data.size());
        for (size_t i = 0; i < topic.partition_data.size(); ++i) {
            auto& data = topic.partition_data[i];
            Part& part = parts.emplace_back();
            part.topic = image;
            part.answer = &answers.partition_responses[i];
            part.answer->index = data.index;
            part.answer->base_offset = -1;
            part.records = single_buffer(data.records);
            part.shape = record::check_produce_shape(part.records, version);
        }
    }
    return parts;
}

/// Rules that look at all partitions together (B.1 steps 1 and 6). True: everything is answered.
bool refuse_whole_request(const Request& request, std::vector<Part>& parts) {
    for (const Part& part : parts) {
        if (!part.shape.request_error) continue;
        for (Part& other : parts) {
            set_error(*other.answer, ErrorCode::CorruptMessage);
            other.answer->error_message = part.shape.request_error;
        }
        return true;
    }
    const bool transactional = std::any_of(parts.begin(), parts.end(), [](const Part& part) {
        return part.shape.is_transactional;
    });
    if (!transactional || request.transactional_id) return false;
    for (Part& part : parts) set_error(*part.answer, ErrorCode::TransactionalIdAuthorizationFailed);
    return true;
}

/// Steps 2 to 5 for one partition.
ErrorCode check_part(const Part& part, int16_t version) {
    if (part.topic == nullptr) {
        return version >= 13 ? ErrorCode::UnknownTopicId : ErrorCode::UnknownTopicOrPartition;
    }
    if (part.topic->partition(PartitionIndex(part.answer->index)) == nullptr) {
        return ErrorCode::UnknownTopicOrPartition;
    }
    return part.shape.error;
}

/// Step 9: what passed all checks goes to its partition.
void append_parts(const ProduceOperationPtr& operation) {
    const bool acks_valid = operation->acks >= -1 && operation->acks <= 1;
    for (Part& part : operation->parts) {
        if (part.refused) continue;
        if (acks_valid) {
            produce_on_shard(operation, part);
        } else {
            set_error(*part.answer, ErrorCode::InvalidRequiredAcks);
        }
    }
    produce_finish(*operation);
}

void refuse(Part& part, ErrorCode error, std::string message) {
    set_error(*part.answer, error);
    part.answer->error_message = std::move(message);
    part.refused = true;
}

/// The producer of a transactional request; nothing without transactional batches. A request of
/// several producers is refused as a whole.
const Part* transactional_part(std::vector<Part>& parts) {
    const Part* first = nullptr;
    bool mixed = false;
    for (const Part& part : parts) {
        if (part.refused || !part.shape.is_transactional) continue;
        if (first == nullptr) first = &part;
        mixed |= part.shape.producer_id != first->shape.producer_id ||
                 part.shape.producer_epoch != first->shape.producer_epoch;
    }
    if (!mixed) return first;
    for (Part& part : parts) {
        if (part.refused) continue;
        refuse(part, ErrorCode::InvalidProducerIdMapping,
               "Transactional records contained more than one producer ID");
    }
    return nullptr;
}

/// Takes guards for the partitions that have no open transaction of this epoch (KIP-890).
std::set<TopicPartition> take_guards(const ProduceOperationPtr& operation, TxnSupport support) {
    broker::Shard& shard = operation->context.shard();
    std::set<TopicPartition> unverified;
    for (Part& part : operation->parts) {
        if (part.refused || !part.shape.is_transactional) continue;
        const Found found = find_partition(shard, part.topic, part.answer->index);
        if (found.error != ErrorCode::None) continue;  // the append answers it
        const auto guarded = found.partition->log().start_verification(
            part.shape.producer_id, part.shape.producer_epoch,
            record::BatchView(part.records.view()).base_sequence(), support == TxnSupport::Add,
            shard.env().clock.wall());
        if (guarded.error != ErrorCode::None) {
            set_error(*part.answer, guarded.error);
            part.refused = true;
            continue;
        }
        part.guard = guarded.guard;
        if (part.guard.id != 0) unverified.insert(found.partition->name());
    }
    return unverified;
}

void on_verified(const ProduceOperationPtr& operation,
                 const broker::CoordinatorHost::Verified& verified, TxnSupport support) {
    for (Part& part : operation->parts) {
        if (part.refused || part.guard.id == 0) continue;
        const ErrorCode error = verification_error(
            verified, {part.topic->name, PartitionIndex(part.answer->index)}, support);
        if (error == ErrorCode::None) continue;
        if (error == ErrorCode::NotEnoughReplicas) {
            refuse(part, error,
                   std::string("Unable to verify the partition has been added to the transaction. "
                               "Underlying error: ") + error_code_name(verified.error));
        } else if (error == ErrorCode::InvalidTxnState) {
            refuse(part, error, "Partition was not added to the transaction");
        } else {
            set_error(*part.answer, error);
            part.refused = true;
        }
    }
    append_parts(operation);
}

/// Step 8: transactional batches pass the transaction's coordinator first.
void verify_and_append(const ProduceOperationPtr& operation,
                       const std::optional<std::string>& transactional_id) {
    broker::Shard& shard = operation->context.shard();
    const Part* first = transactional_part(operation->parts);
    const TxnSupport support = txn_support(operation->context.version, 11);
    const bool verify = shard.dynamic_settings().transaction_partition_verification_enable ||
                        support == TxnSupport::Add;
    if (first == nullptr || !transactional_id || !verify) return append_parts(operation);
    broker::CoordinatorHost::Verification verification;
    verification.transactional_id = *transactional_id;
    verification.producer = {first->shape.producer_id, first->shape.producer_epoch};
    verification.partitions = take_guards(operation, support);
    verification.add = support == TxnSupport::Add;
    if (verification.partitions.empty()) return append_parts(operation);
    shard.coordinators().verify(
        std::move(verification),
        [operation, support](const broker::CoordinatorHost::Verified& verified) {
            on_verified(operation, verified, support);
        });
}

/// Moves what later entries of a topic hold into its first one, in their order.
void merge_topics(std::vector<Request::TopicProduceData>& topics) {
    std::map<std::pair<std::string_view, Uuid>, size_t> first;
    std::vector<bool> merged(topics.size());
    for (size_t i = 0; i < topics.size(); ++i) {
        const auto [at, added] = first.try_emplace({topics[i].name, topics[i].topic_id}, i);
        merged[i] = !added;
        if (added) continue;
        for (auto& data : topics[i].partition_data) {
            topics[at->second].partition_data.push_back(std::move(data));
        }
    }
    first.clear();  // its keys point into the topics
    size_t kept = 0;
    for (size_t i = 0; i < topics.size(); ++i) {
        if (merged[i]) continue;
        if (kept != i) topics[kept] = std::move(topics[i]);
        ++kept;
    }
    topics.resize(kept);
}

/// Kafka collects a request into maps: of a partition named twice only the last copy counts, and
/// it is answered once.
void merge_repeated(Request& request) {
    auto& topics = request.topic_data;
    if (topics.size() > 1) merge_topics(topics);
    for (size_t i = 0; i < topics.size(); ++i) {
        auto& parts = topics[i].partition_data;
        if (parts.size() < 2) continue;
        std::map<int32_t, size_t> last;
        for (size_t k = 0; k < parts.size(); ++k) last[parts[k].index] = k;
        if (last.size() == parts.size()) continue;
        std::vector<Request::PartitionProduceData> kept;
        kept.reserve(last.size());
        for (size_t k = 0; k < parts.size(); ++k) {
            if (last.at(parts[k].index) == k) kept.push_back(std::move(parts[k]));
        }
        parts = std::move(kept);
    }
}

}  // namespace

void handle_produce(RequestContext&& context, Request request, Reply<Response> reply) {
    merge_repeated(request);
    auto operation = std::make_shared<ProduceOperation>();
    operation->context = std::move(context);
    operation->reply = std::move(reply);
    operation->acks = request.acks;
    operation->timeout_ms = request.timeout_ms;
    operation->image = operation->context.shard().image_pointer();
    const int16_t version = operation->context.version;
    operation->parts = split(*operation, request);
    if (refuse_whole_request(request, operation->parts)) return produce_finish(*operation);
    for (Part& part : operation->parts) {
        const ErrorCode error = check_part(part, version);
        if (error == ErrorCode::None) continue;
        set_error(*part.answer, error);
        part.refused = true;
    }
    verify_and_append(operation, request.transactional_id);
}

void serve_produce(ServeCall&& call) { serve<Request, Response>(std::move(call), handle_produce); }

}  // namespace millrace::api
