// tests/sim/consumer.cc: a consumer that compares every record with what was produced.
#include <algorithm>

#include "millrace/base/error_code.h"
#include "millrace/wire/gen/fetch_request.h"
#include "sim/actors.h"

namespace millrace::sim {

namespace {
constexpr uint64_t kTargetsMax = 4;
}

Consumer::Consumer(World& world, Servers& servers, Model& model, std::string name,
                   ActorOptions options)
    : world_(world),
      model_(model),
      rng_(world.rng().fork()),
      options_(options),
      client_(world, servers, std::move(name)),
      version_(static_cast<int16_t>(rng_.between(4, 18))),
      sessions_(version_ >= 7 && rng_.chance(1, 2)) {}

void Consumer::think() {
    world_.after(Duration{1} + world_.random_delay(options_.think_max), [this] { act(); });
}

void Consumer::act() {
    if (finishing_) return;
    if (client_.in_flight() == 0) {
        if (targets_.empty() || rng_.chance(1, 30)) choose();
        if (!targets_.empty()) fetch();
    } else if (rng_.chance(1, 50)) {
        client_.reset();  // goes away while its Fetch is parked
    }
    think();
}

void Consumer::choose() {
    targets_.clear();
    session_id_ = 0;
    session_epoch_ = 0;
    const auto live = model_.live_topics();
    if (live.empty()) return;
    const uint64_t count = 1 + rng_.below(model_.many_nodes ? 1 : kTargetsMax);
    for (uint64_t i = 0; i < count; ++i) {
        TopicModel* topic = live[rng_.below(live.size())];
        const size_t partition = rng_.below(topic->partitions.size());
        const bool there = std::any_of(targets_.begin(), targets_.end(), [&](const Target& t) {
            return t.topic == topic && t.partition == partition;
        });
        if (there) continue;
        const PartitionModel& model = *topic->partitions[partition];
        const int64_t start = model.log_start();
        targets_.push_back({topic, partition, rng_.between(start, std::max(start, model.visible_end()))});
    }
    // A request names the partitions of one topic together.
    std::stable_sort(targets_.begin(), targets_.end(), [](const Target& a, const Target& b) {
        return a.topic->name < b.topic->name;
    });
}

void Consumer::fetch() {
    wire::FetchRequest request;
    request.max_wait_ms = rng_.chance(1, 2) ? 0 : static_cast<int32_t>(rng_.below(700));
    request.min_bytes = static_cast<int32_t>(rng_.below(3) * rng_.below(400));
    request.max_bytes = rng_.chance(1, 3) ? static_cast<int32_t>(rng_.below(600)) : 1 << 20;
    request.isolation_level = static_cast<int8_t>(rng_.below(2));
    request.session_id = session_id_;
    request.session_epoch = sessions_ ? session_epoch_ : -1;
    std::map<PartitionModel*, Floor> floors;
    for (Target& target : targets_) {
        PartitionModel& model = *target.topic->partitions[target.partition];
        floors[&model] = model.floor();
        target.topic->quiet_since = world_.now();
        if (sessions_ && session_epoch_ > 0 && !std::exchange(target.changed, false)) continue;
        if (request.topics.empty() || request.topics.back().topic_id != target.topic->id) {
            auto& topic = request.topics.emplace_back();
            topic.topic = target.topic->name;
            topic.topic_id = target.topic->id;
        }
        auto& partition = request.topics.back().partitions.emplace_back();
        partition.partition = static_cast<int32_t>(target.partition);
        partition.fetch_offset = target.offset;
        partition.partition_max_bytes =
            rng_.chance(1, 3) ? static_cast<int32_t>(rng_.below(500)) : 1 << 20;
    }
    for (auto& topic : request.topics) {
        if (version_ >= 13) topic.topic.clear();
        if (version_ < 13) topic.topic_id = Uuid{};
    }
    if (version_ < 7) request.session_epoch = -1;
    client_.call<wire::FetchResponse>(
        request, version_, [this, floors = std::move(floors)](auto response) {
            on_answer(response, floors);
        });
}

void Consumer::on_answer(const std::optional<wire::FetchResponse>& response,
                         const std::map<PartitionModel*, Floor>& floors) {
    if (!response) {
        session_id_ = session_epoch_ = 0;
        return;
    }
    const auto error = static_cast<ErrorCode>(response->error_code);
    if (error != ErrorCode::None) {
        world_.check(error == ErrorCode::FetchSessionIdNotFound ||
                         error == ErrorCode::InvalidFetchSessionEpoch ||
                         error == ErrorCode::FetchSessionTopicIdError,
                     "I7", client_.name() + ": Fetch got " + error_code_name(error));
        session_id_ = session_epoch_ = 0;
        return;
    }
    if (sessions_) {
        session_id_ = response->session_id;
        session_epoch_ = session_id_ == 0 ? 0 : session_epoch_ + 1;
    }
    bool again = false;
    for (const auto& topic : response->responses) {
        for (const auto& data : topic.partitions) {
            Target* target = find(topic, data.partition_index);
            world_.check(target != nullptr, "wire",
                         client_.name() + ": a Fetch answer for a partition not asked for");
            on_partition(*target, data, floors);
            again |= data.error_code != 0;
        }
    }
    if (again) choose();
}

Consumer::Target* Consumer::find(const wire::FetchResponse::FetchableTopicResponse& topic,
                                 int32_t partition) {
    for (Target& target : targets_) {
        const bool same = version_ >= 13 ? target.topic->id == topic.topic_id
                                         : target.topic->name == topic.topic;
        if (same && target.partition == static_cast<size_t>(partition)) return &target;
    }
    return nullptr;
}

void Consumer::on_partition(Target& target, const wire::FetchResponse::PartitionData& data,
                            const std::map<PartitionModel*, Floor>& floors) {
    PartitionModel& model = *target.topic->partitions[target.partition];
    const auto error = static_cast<ErrorCode>(data.error_code);
    target.topic->quiet_since = world_.now();
    switch (error) {
        case ErrorCode::None: break;
        case ErrorCode::OffsetOutOfRange:
            // The start of the log moved, or a crash cut its end.
            world_.check(target.offset < model.delete_asked() || model.retention ||
                             target.offset > model.visible_end() || model.losses() > 0 ||
                             model_.stale_answers,
                         "I7", model.name() + ": offset " + std::to_string(target.offset) +
                                   " is out of range");
            return;
        case ErrorCode::KafkaStorageError:
        case ErrorCode::NotLeaderOrFollower:
        case ErrorCode::OffsetNotAvailable:
        case ErrorCode::ReplicaNotAvailable:
        case ErrorCode::LeaderNotAvailable:
        case ErrorCode::UnknownTopicOrPartition:
        case ErrorCode::UnknownTopicId:
        case ErrorCode::InconsistentTopicId: return;
        default:
            world_.fail(kExitSafety, "I7",
                        model.name() + ": Fetch got " + error_code_name(error));
    }
    Buffer records;
    if (data.records) {
        Result<Buffer> flat = data.records->flatten();
        records = *std::move(flat);
    }
    const int64_t next = model.on_fetch(target.offset, data.high_watermark, data.log_start_offset,
                                        floors.at(&model), records);
    if (next != target.offset) target.changed = true;
    target.offset = next;
}

}  // namespace millrace::sim
