// src/broker/throttle_keeper_driver.cc: a timer, a position in a log, and one request at a time.
#include "broker/throttle_keeper_driver.h"

#include <algorithm>
#include <utility>

#include "broker/coordinator_log.h"
#include "millrace/base/log.h"
#include "millrace/broker/controller_link.h"
#include "millrace/env/clock.h"
#include "millrace/env/timers.h"
#include "millrace/record/batch_builder.h"

namespace millrace::broker {

namespace {

constexpr LogChannel kLog{"throttles"};
constexpr Duration kTick = seconds(1);
constexpr size_t kSliceBytes = size_t{1} << 20;
constexpr int kSlicesPerTick = 8;

std::optional<std::string_view> text_of(const std::optional<ByteView>& bytes) {
    if (!bytes) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(bytes->data), bytes->size);
}

wire::IncrementalAlterConfigsRequest request_of(const ThrottleKeeper::Duty& duty) {
    std::map<metadata::ConfigTarget, std::vector<const ThrottleKeeper::Change*>> by_target;
    for (const ThrottleKeeper::Change& change : duty.changes)
        by_target[change.target].push_back(&change);
    wire::IncrementalAlterConfigsRequest request;
    for (const auto& [target, changes] : by_target) {
        auto& resource = request.resources.emplace_back();
        resource.resource_type = static_cast<int8_t>(target.type);
        resource.resource_name = target.name;
        for (const ThrottleKeeper::Change* change : changes) {
            auto& config = resource.configs.emplace_back();
            config.name = change->key;
            const auto operation = change->value ? metadata::AlterConfigOp::Set
                                                 : metadata::AlterConfigOp::Delete;
            config.config_operation = static_cast<int8_t>(operation);
            config.value = change->value;
        }
    }
    return request;
}

/// False when something is left that another attempt may remove.
bool is_done(const wire::IncrementalAlterConfigsResponse& response) {
    return std::all_of(response.responses.begin(), response.responses.end(), [](const auto& one) {
        const auto error = static_cast<ErrorCode>(one.error_code);
        // Of a topic deleted, or a broker unregistered in the meantime nothing is left either.
        return error == ErrorCode::None || error == ErrorCode::UnknownTopicOrPartition ||
               error == ErrorCode::BrokerIdNotRegistered;
    });
}

}  // namespace

ThrottleKeeperDriver::ThrottleKeeperDriver(Shard& shard) : shard_(shard) {}
ThrottleKeeperDriver::~ThrottleKeeperDriver() {
    *alive_ = false;
    stop();
}

void ThrottleKeeperDriver::start() { arm(); }

void ThrottleKeeperDriver::stop() {
    shard_.env().timers.cancel(timer_);
    timer_ = env::kNoTimer;
}

void ThrottleKeeperDriver::arm() {
    timer_ = shard_.env().timers.arm(shard_.env().clock.now() + kTick, [this] {
        timer_ = env::kNoTimer;
        on_timer();
        arm();
    });
}

void ThrottleKeeperDriver::on_timer() {
    Partition* partition = led_partition();
    if (partition == nullptr) {
        keeper_.reset();
        epoch_ = LeaderEpoch(-1);
        return;
    }
    if (partition->leader_epoch() != epoch_) {
        keeper_.reset();
        epoch_ = partition->leader_epoch();
        position_ = partition->log().log_start_offset();
    }
    if (!read_on(*partition) || busy_) return;
    if (auto duty = keeper_.look(shard_.env().clock.now(), shard_.image())) {
        carry_out(*std::move(duty));
    }
}

Partition* ThrottleKeeperDriver::led_partition() {
    const metadata::TopicImage* topic = shard_.image().topics.find(placement::kPlansTopic);
    if (topic == nullptr) return nullptr;
    Partition* partition = shard_.partition(topic->id, PartitionIndex(0));
    const bool leads = partition != nullptr && partition->is_leader() && !partition->offline();
    return leads ? partition : nullptr;
}

bool ThrottleKeeperDriver::read_on(Partition& partition) {
    const Instant now = shard_.env().clock.now();
    storage::Log& log = partition.log();
    position_ = std::max(position_, log.log_start_offset());
    for (int i = 0; i < kSlicesPerTick && position_ < log.log_end_offset(); ++i) {
        Result<LogSlice> slice = read_slice(log, position_, kSliceBytes);
        if (!slice.ok()) {
            log_warn(kLog, "plans cannot be read: {}", slice.status().to_string());
            return false;
        }
        record::BatchIterator walk(slice->bytes);
        while (walk.next()) {
            DecodedBatch batch;
            // A producer's bytes: what does not decode is no record of a plan.
            if (walk.batch().is_control() || !decode_batch(walk.batch(), batch).ok()) continue;
            for (const auto& record : batch.loaded.records) {
                if (const auto key = text_of(record.key))
                    keeper_.on_record(now, *key, text_of(record.value));
            }
        }
        if (slice->next <= position_) return false;
        position_ = slice->next;
    }
    return position_ >= log.log_end_offset();
}

void ThrottleKeeperDriver::carry_out(ThrottleKeeper::Duty duty) {
    if (duty.changes.empty()) {
        forget_notes(duty);
        return;
    }
    busy_ = true;
    wire::IncrementalAlterConfigsRequest request = request_of(duty);
    shard_.controller().run(
        std::move(request), {},
        Reply<metadata::ControllerResponse>(
            [this, guard = alive_, duty = std::move(duty)](auto response) {
                if (!*guard) return;
                busy_ = false;
                // Else the next look finds it again.
                if (is_done(std::get<wire::IncrementalAlterConfigsResponse>(response)))
                    forget_notes(duty);
            }));
}

void ThrottleKeeperDriver::forget_notes(const ThrottleKeeper::Duty& duty) {
    Partition* partition = led_partition();
    // The next leader finds nothing set, and forgets them.
    if (partition == nullptr || partition->leader_epoch() != epoch_) return;
    record::BatchBuilder builder;
    builder.start({});
    for (const std::string& key : duty.tombstones) {
        record::NewRecord record;
        record.timestamp = shard_.env().clock.wall();
        record.key = ByteView(key);
        builder.append(record);
    }
    const ErrorCode error = partition->append_internal(builder.finish()).error;
    log_info(kLog, "{}: {} throttles left behind are removed{}", duty.plan, duty.changes.size(),
             error == ErrorCode::None ? "" : "; its notes stay");
}

}  // namespace millrace::broker
