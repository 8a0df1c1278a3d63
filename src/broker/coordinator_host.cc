// src/broker/coordinator_host.cc: which machine serves a key, and what transactions ask of the node.
#include "millrace/broker/coordinator_host.h"

#include <utility>

#include "broker/coordinator_host_impl.h"
#include "millrace/base/log.h"
#include "millrace/broker/controller_link.h"

namespace millrace::broker {

namespace {
constexpr LogChannel kLog{"coordinator"};
/// Kafka asks the controller for internal topics with this deadline.
constexpr int32_t kCreateTimeoutMs = 30'000;

using coordinator::GroupCoordinator;
using coordinator::TransactionCoordinator;
using coordinator::TxnOutput;

struct InternalTopic {
    const char* name;
    const char* partitions_key;
    const char* replicas_key;
    const char* load_bytes_key;
};
constexpr InternalTopic kTopics[] = {
    {kOffsetsTopic, "offsets.topic.num.partitions", "offsets.topic.replication.factor",
     "offsets.load.buffer.size"},
    {kTransactionsTopic, "transaction.state.log.num.partitions",
     "transaction.state.log.replication.factor", "transaction.state.log.load.buffer.size"},
};
const InternalTopic& topic_of(CoordinatorKind kind) { return kTopics[static_cast<size_t>(kind)]; }

std::vector<std::pair<std::string, std::string>> topic_configs(CoordinatorKind kind,
                                                               const BrokerConfig& config) {
    if (kind == CoordinatorKind::Group) {
        return {{"cleanup.policy", "compact"},
                {"compression.type", "producer"},
                {"segment.bytes", config.text("offsets.topic.segment.bytes")}};
    }
    return {{"cleanup.policy", "compact"},
            {"compression.type", "uncompressed"},
            {"min.insync.replicas", config.text("transaction.state.log.min.isr")},
            {"segment.bytes", config.text("transaction.state.log.segment.bytes")},
            {"unclean.leader.election.enable", "false"}};
}

size_t load_bytes(const BrokerConfig& config, CoordinatorKind kind) {
    return static_cast<size_t>(config.number(topic_of(kind).load_bytes_key));
}

}  // namespace

CoordinatorHost::Impl::Impl(Shard& s)
    : shard(s),
      group_settings(std::make_shared<const coordinator::GroupSettings>(
          make_group_settings(s.config()))),
      groups(s, kOffsetsTopic, load_bytes(s.config(), CoordinatorKind::Group),
             {[this](PartitionIndex, LeaderEpoch) {
                  return std::make_unique<GroupCoordinator>(group_settings, shard.rng().next());
              },
              nullptr,
              make_offsets_compression(s.config())}),
      txns(s, kTransactionsTopic, load_bytes(s.config(), CoordinatorKind::Transaction),
           {[this](PartitionIndex, LeaderEpoch) {
                return std::make_unique<TransactionCoordinator>(
                    make_txn_options(shard.config(), transaction_version()));
            },
            [this](PartitionIndex index, TxnOutput& out) { carry_out_txn(index, out); }}),
      consumer_groups(serves_consumer_groups(s.config())),
      add_retry_delay(
          milliseconds(s.config().number("add.partitions.to.txn.retry.backoff.ms"))),
      add_retry_max(
          milliseconds(s.config().number("add.partitions.to.txn.retry.backoff.max.ms"))) {}

CoordinatorHost::CoordinatorHost(Shard& shard) : impl_(std::make_unique<Impl>(shard)) {}
CoordinatorHost::~CoordinatorHost() = default;

void CoordinatorHost::Impl::note_partition_count(CoordinatorKind kind) {
    const metadata::TopicImage* topic =
        shard.image().topics.find(std::string_view(topic_of(kind).name));
    if (topic == nullptr) return;
    KeySpace& space = key_spaces[static_cast<size_t>(kind)];
    const auto count = static_cast<int32_t>(topic->partitions.size());
    if (space.topic_id != topic->id) space = {topic->id, count, count};
    if (std::exchange(space.seen, count) == count) return;
    log_warn(kLog, "{} has {} partitions now; keys stay on the first {} until this node restarts",
             topic->name, count, space.count);
}

void CoordinatorHost::on_image() {
    impl_->note_partition_count(CoordinatorKind::Group);
    impl_->note_partition_count(CoordinatorKind::Transaction);
    const int16_t level = impl_->transaction_version();
    impl_->groups.on_image();
    impl_->txns.on_image();
    const metadata::ImagePtr image = impl_->shard.image_pointer();
    impl_->groups.for_each([&](GroupCoordinator& machine, const Tick& tick,
                               GroupCoordinator::Output& out) {
        machine.on_image(tick, image, out);
    });
    impl_->txns.for_each_machine(
        [level](TransactionCoordinator& machine) { machine.set_transaction_version(level); });
}

void CoordinatorHost::stop() {
    impl_->groups.stop();
    impl_->txns.stop();
}

PartitionIndex CoordinatorHost::partition_of(CoordinatorKind kind, std::string_view key) const {
    const InternalTopic& internal = topic_of(kind);
    const metadata::TopicImage* topic =
        impl_->shard.image().topics.find(std::string_view(internal.name));
    const Impl::KeySpace& space = impl_->key_spaces[static_cast<size_t>(kind)];
    const auto count = [&] {
        if (topic == nullptr) {
            return static_cast<int32_t>(impl_->shard.config().number(internal.partitions_key));
        }
        return topic->id == space.topic_id ? space.count
                                           : static_cast<int32_t>(topic->partitions.size());
    };
    return PartitionIndex(coordinator::coordinator_partition(key, count()));
}

CoordinatorHost::Route CoordinatorHost::route(CoordinatorKind kind, std::string_view key) const {
    if (!impl_->shard.logs_taken_over()) return {ErrorCode::CoordinatorNotAvailable, {}};
    const PartitionIndex index = partition_of(kind, key);
    const bool led = kind == CoordinatorKind::Group ? impl_->groups.leads(index)
                                                    : impl_->txns.leads(index);
    return {led ? ErrorCode::None : ErrorCode::NotCoordinator, index};
}

CoordinatorHost::Found CoordinatorHost::find(CoordinatorKind kind, std::string_view key) {
    const metadata::Image& image = impl_->shard.image();
    const metadata::TopicImage* topic =
        image.topics.find(std::string_view(topic_of(kind).name));
    if (topic == nullptr) {
        create_topic(kind);
        return {ErrorCode::CoordinatorNotAvailable, kNoNode};
    }
    const metadata::PartitionImage* state = topic->partition(partition_of(kind, key));
    const metadata::BrokerImage* leader =
        state == nullptr ? nullptr : image.cluster.broker(state->leader);
    if (leader == nullptr || leader->fenced) {
        return {ErrorCode::CoordinatorNotAvailable, kNoNode};
    }
    return {ErrorCode::None, leader->id};
}

void CoordinatorHost::create_topic(CoordinatorKind kind) {
    bool& creating = impl_->creating[static_cast<size_t>(kind)];
    if (std::exchange(creating, true)) return;
    const InternalTopic& internal = topic_of(kind);
    const BrokerConfig& config = impl_->shard.config();
    wire::CreateTopicsRequest request;
    request.timeout_ms = kCreateTimeoutMs;
    auto& topic = request.topics.emplace_back();
    topic.name = internal.name;
    topic.num_partitions = static_cast<int32_t>(config.number(internal.partitions_key));
    topic.replication_factor = static_cast<int16_t>(config.number(internal.replicas_key));
    for (auto& [name, value] : topic_configs(kind, config)) {
        auto& entry = topic.configs.emplace_back();
        entry.name = name;
        entry.value = std::move(value);
    }
    impl_->shard.controller().run(
        std::move(request), {},
        Reply<metadata::ControllerResponse>([this, guard = impl_->alive, kind](auto response) {
            if (!*guard) return;
            impl_->creating[static_cast<size_t>(kind)] = false;
            ErrorCode& before = impl_->create_error[static_cast<size_t>(kind)];
            const auto& answer = std::get<wire::CreateTopicsResponse>(response);
            for (const auto& created : answer.topics) {
                const auto error = static_cast<ErrorCode>(created.error_code);
                const bool good =
                    error == ErrorCode::None || error == ErrorCode::TopicAlreadyExists;
                if (!good && error != before) {
                    log_warn(kLog, "{} cannot be created: {} {}", created.name,
                             error_code_name(error), created.error_message.value_or(""));
                }
                before = good ? ErrorCode::None : error;
            }
        }));
}

bool CoordinatorHost::consumer_groups() const { return impl_->consumer_groups; }

void CoordinatorHost::run_group(PartitionIndex partition, GroupCall call,
                                Reply<coordinator::GroupResponse> reply,
                                storage::VerificationGuard guard) {
    impl_->groups.run(partition, std::move(call), std::move(reply), guard);
}

std::vector<PartitionIndex> CoordinatorHost::group_partitions() const {
    return impl_->groups.partitions();
}

void CoordinatorHost::run_txn(PartitionIndex partition, TxnCall call,
                              Reply<coordinator::TxnResponse> reply) {
    if (!impl_->txns.leads(partition)) {
        coordinator::TxnResponse response;
        response.error = ErrorCode::NotCoordinator;
        return reply.send(std::move(response));
    }
    impl_->txns.run(partition, std::move(call), std::move(reply));
}

std::vector<const TransactionCoordinator*> CoordinatorHost::txn_machines() const {
    std::vector<const TransactionCoordinator*> machines;
    for (const PartitionIndex index : impl_->txns.partitions()) {
        machines.push_back(impl_->txns.machine(index));
    }
    return machines;
}

const TransactionCoordinator* CoordinatorHost::txn_machine(PartitionIndex partition) const {
    return impl_->txns.machine(partition);
}

}  // namespace millrace::broker
