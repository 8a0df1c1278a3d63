// src/broker/coordinator_runner.h: drives the machines of one coordinator topic.
//
// Driver: elections load a machine from its log, slice by slice; every event's output is carried
// out from top to bottom; the watermark is told after the event that moved it. See
// coordinator::CoordinatorMachine for what it owes the machines.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/coordinator_log.h"
#include "millrace/base/log.h"
#include "millrace/base/reply.h"
#include "millrace/broker/shard.h"
#include "millrace/coordinator/coordinator.h"
#include "millrace/env/clock.h"
#include "millrace/env/timers.h"

namespace millrace::broker {

template <class Machine>
class CoordinatorRunner {
  public:
    using Output = typename Machine::Output;
    using Response =
        decltype(std::declval<typename decltype(Output::replies)::value_type>().response);
    using Tick = coordinator::Tick;
    using RequestId = coordinator::RequestId;

    struct Hooks {
        MoveFunction<std::unique_ptr<Machine>(PartitionIndex, LeaderEpoch)> make;
        /// What an output holds beyond batches, replies and the timer.
        MoveFunction<void(PartitionIndex, Output&)> carry_out_rest;
        record::CompressionType compression = record::CompressionType::None;
    };

    CoordinatorRunner(Shard& shard, std::string topic, size_t load_bytes, Hooks hooks)
        : shard_(shard), topic_(std::move(topic)), load_bytes_(load_bytes), hooks_(std::move(hooks)) {}
    ~CoordinatorRunner() {
        *alive_ = false;
        for (auto& [index, led] : led_) {
            shard_.env().timers.cancel(led->timer);
            for (auto& [id, reply] : led->waiting) reply.abandon();
        }
    }

    /// Elections and resignations, from what the shard's partitions lead now.
    void on_image() {
        const metadata::TopicImage* topic = shard_.image().topics.find(std::string_view(topic_));
        std::vector<LedPtr> lost;
        for (auto& [index, led] : led_) {
            const Partition* partition = leading(topic, index);
            if (partition == nullptr || partition->topic_id() != led->topic_id ||
                partition->leader_epoch() != led->epoch) {
                lost.push_back(led);
            }
        }
        for (const LedPtr& led : lost) resign(led);
        if (topic == nullptr) return;
        for (const auto& [index, state] : topic->partitions) {
            Partition* partition = leading(topic, index);
            if (partition == nullptr) continue;
            const auto found = led_.find(index);
            if (found == led_.end()) {
                elect(*partition);
            } else {
                set_limit(*found->second->machine, *partition);
            }
        }
    }
    void stop() {
        const std::map<PartitionIndex, LedPtr> all = led_;
        for (const auto& [index, led] : all) resign(led);
        stopped_ = true;
    }
    /// Gives every machine an event.
    template <class Event>
    void for_each(Event event) {
        const std::map<PartitionIndex, LedPtr> all = led_;
        for (const auto& [index, led] : all) drive(led, event);
    }

    template <class Visit>
    void for_each_machine(Visit visit) {
        for (auto& [index, led] : led_) visit(*led->machine);
    }

    bool leads(PartitionIndex index) const { return led_.contains(index); }
    const Machine* machine(PartitionIndex index) const {
        const auto found = led_.find(index);
        return found == led_.end() ? nullptr : found->second->machine.get();
    }
    std::vector<PartitionIndex> partitions() const {
        std::vector<PartitionIndex> result;
        for (const auto& [index, led] : led_) result.push_back(index);
        return result;
    }

    /// A command: `call(machine, tick, request id, output)`. REQUIRES: leads(index).
    template <class Call>
    void run(PartitionIndex index, Call call, Reply<Response> reply,
             storage::VerificationGuard guard = {}) {
        const LedPtr led = led_.at(index);
        const RequestId id = next_request_++;
        led->waiting.emplace(id, std::move(reply));
        drive(led, [&](Machine& machine, const Tick& tick,
                       Output& out) { call(machine, tick, id, out); },
              guard);
    }
    /// News for a machine; nothing when the leadership is gone.
    template <class Event>
    void tell(PartitionIndex index, Event event) {
        const auto found = led_.find(index);
        if (found == led_.end()) return;
        const LedPtr led = found->second;
        drive(led, std::move(event));
    }

  private:
    struct Led {
        PartitionIndex index;
        Uuid topic_id;
        LeaderEpoch epoch;
        std::unique_ptr<Machine> machine;
        std::map<RequestId, Reply<Response>> waiting;
        env::TimerId timer = env::kNoTimer;
        Offset load_at = kNoOffset;        // while loading: where the next slice starts
        Instant load_started;
        Offset told_high_watermark = kNoOffset;  // none before it is loaded
        int depth = 0;                     // outputs being carried out
        bool told_later = false;           // a task that tells the watermark is under way
        bool gone = false;
    };
    using LedPtr = std::shared_ptr<Led>;
    using ReadyReplies = std::vector<std::pair<Reply<Response>, Response>>;
    static constexpr LogChannel kLog{"coordinator"};

    Tick tick() { return {shard_.env().clock.now(), shard_.env().clock.wall()}; }

    Partition* leading(const metadata::TopicImage* topic, PartitionIndex index) {
        if (topic == nullptr) return nullptr;
        Partition* partition = shard_.partition(topic->id, index);
        return partition != nullptr && partition->is_leader() ? partition : nullptr;
    }

    /// A machine that gathers must know what the topic takes.
    static void set_limit(Machine& machine, const Partition& partition) {
        if constexpr (requires { machine.set_message_bytes_max(size_t{}); }) {
            machine.set_message_bytes_max(
                static_cast<size_t>(partition.settings().topic.max_message_bytes));
        }
    }

    void elect(Partition& partition) {
        if (stopped_) return;
        auto led = std::make_shared<Led>();
        led->index = partition.name().partition;
        led->topic_id = partition.topic_id();
        led->epoch = partition.leader_epoch();
        led->machine = hooks_.make(led->index, led->epoch);
        set_limit(*led->machine, partition);
        led->load_at = partition.log().log_start_offset();
        led->load_started = shard_.env().clock.now();
        led_[led->index] = led;
        partition.set_high_watermark_listener([this, alive = alive_, weak = std::weak_ptr(led)] {
            if (const LedPtr strong = weak.lock(); strong && *alive) note_high_watermark(strong);
        });
        drive(led, [&](Machine& machine, const Tick& now, Output& out) {
            machine.on_elected(now, led->epoch, out);
        });
        if constexpr (requires(Machine& m, Tick t, Output& o) {
                          m.on_image(t, shard_.image_pointer(), o);
                      }) {
            drive(led, [&](Machine& machine, const Tick& now, Output& out) {
                machine.on_image(now, shard_.image_pointer(), out);
            });
        }
        post_slice(led);
    }

    void resign(const LedPtr& led) {
        led_.erase(led->index);
        shard_.env().timers.cancel(led->timer);
        led->timer = env::kNoTimer;
        Output out;
        led->machine->on_resign(tick(), out);
        led->gone = true;
        ReadyReplies ready = take_replies(led, out);
        MILLRACE_ASSERT(led->waiting.empty(), "a machine that resigns answers everybody");
        for (auto& [reply, response] : ready) reply.send(std::move(response));
    }

    // --- loading

    void post_slice(const LedPtr& led) {
        shard_.env().timers.post([this, alive = alive_, led] {
            if (*alive && !led->gone) load_slice(led);
        });
    }

    void load_slice(const LedPtr& led) {
        Partition* partition = shard_.partition(led->topic_id, led->index);
        if (partition == nullptr || !partition->is_leader()) return;
        storage::Log& log = partition->log();
        const Status status = load_part(*led, *partition);
        if (!status.ok()) {
            log_error(kLog, "{}: loading stopped: {}", partition->name().to_string(),
                      status.to_string());
            return drive(led, [](Machine& machine, const Tick& now,
                                 Output& out) { machine.on_load_failed(now, out); });
        }
        if (led->load_at < log.log_end_offset()) {
            log_debug(kLog, "{}: loaded up to offset {} of {}", partition->name().to_string(),
                      led->load_at.value, log.log_end_offset().value);
            return post_slice(led);
        }
        log_info(kLog, "{}: loaded to offset {} in {} ms", partition->name().to_string(),
                 led->load_at.value,
                 (shard_.env().clock.now() - led->load_started).millis());
        led->told_high_watermark = partition->high_watermark();
        drive(led, [&](Machine& machine, const Tick& now, Output& out) {
            machine.on_loaded(now, log.log_end_offset(), partition->high_watermark(), out);
        });
    }

    Status load_part(Led& led, Partition& partition) {
        storage::Log& log = partition.log();
        if (led.load_at >= log.log_end_offset()) return {};
        MILLRACE_TRY_ASSIGN(const LogSlice slice, read_slice(log, led.load_at, load_bytes_));
        record::BatchIterator walk(slice.bytes);
        Output out;  // loading asks for nothing
        while (walk.next()) {
            DecodedBatch batch;
            MILLRACE_TRY(decode_batch(walk.batch(), batch));
            if (batch.loaded.last_offset < led.load_at) continue;
            MILLRACE_TRY(led.machine->on_load_batch(tick(), batch.loaded,
                                                    partition.high_watermark(), out));
        }
        // Compaction may leave nothing behind in front of the log's end.
        led.load_at = slice.next > led.load_at ? slice.next : log.log_end_offset();
        return {};
    }

    // --- events and their outputs

    template <class Event>
    void drive(const LedPtr& led, Event&& event, storage::VerificationGuard guard = {}) {
        if (led->gone) return;
        Output out;
        event(*led->machine, tick(), out);
        carry_out(led, out, guard);
    }

    void carry_out(const LedPtr& led, Output& out, storage::VerificationGuard guard) {
        ++led->depth;
        arm(led, out.wake_at);
        // Taken first: an append may end the leadership, and with it everything that still waits.
        ReadyReplies ready = take_replies(led, out);
        for (const coordinator::CoordinatorBatch& batch : out.append) {
            if (!append(led, batch, guard)) break;
        }
        for (auto& [reply, response] : ready) reply.send(std::move(response));
        if (hooks_.carry_out_rest) hooks_.carry_out_rest(led->index, out);
        if (--led->depth == 0) tell_high_watermark(led);
    }

    /// False: the log did not take it, and nothing after it may be appended.
    bool append(const LedPtr& led, const coordinator::CoordinatorBatch& batch,
                storage::VerificationGuard guard) {
        Partition* partition = shard_.partition(led->topic_id, led->index);
        CoordinatorAppend done{ErrorCode::NotLeaderOrFollower, kNoOffset};
        if (partition != nullptr && !led->gone && partition->leader_epoch() == led->epoch) {
            done = append_coordinator_batch(*partition, batch, guard, builder_, hooks_.compression);
        }
        if (done.error != ErrorCode::None) {
            drive(led, [&](Machine& machine, const Tick& now, Output& out) {
                machine.on_append_failed(now, batch.base_offset, done.error, out);
            });
            return false;
        }
        if (done.base_offset == batch.base_offset) return true;
        // Somebody else wrote into the topic: what was replayed is not where the log has it.
        log_error(kLog, "{}: batch appended at offset {} instead of {}; loading again",
                  partition->name().to_string(), done.base_offset.value, batch.base_offset.value);
        resign(led);
        elect(*partition);
        return false;
    }

    ReadyReplies take_replies(const LedPtr& led, Output& out) {
        ReadyReplies ready;
        ready.reserve(out.replies.size());
        for (auto& reply : out.replies) {
            auto found = led->waiting.extract(reply.id);
            MILLRACE_ASSERT(!found.empty(), "a coordinator's reply nobody waits for");
            ready.emplace_back(std::move(found.mapped()), std::move(reply.response));
        }
        out.replies.clear();
        return ready;
    }

    void arm(const LedPtr& led, Instant when) {
        shard_.env().timers.cancel(led->timer);
        led->timer = env::kNoTimer;
        if (when == Instant::never() || led->gone) return;
        led->timer = shard_.env().timers.arm(when, [this, alive = alive_, led] {
            if (!*alive) return;
            led->timer = env::kNoTimer;
            drive(led, [](Machine& machine, const Tick& now, Output& out) {
                machine.on_tick(now, out);
            });
        });
    }

    void note_high_watermark(const LedPtr& led) {
        // The output that is being carried out tells it at its end.
        if (led->depth > 0 || std::exchange(led->told_later, true)) return;
        shard_.env().timers.post([this, alive = alive_, led] {
            if (!*alive) return;
            led->told_later = false;
            if (led->depth == 0) tell_high_watermark(led);
        });
    }

    void tell_high_watermark(const LedPtr& led) {
        if (led->gone || led->told_high_watermark == kNoOffset) return;
        const Partition* partition = shard_.partition(led->topic_id, led->index);
        // The watermark of another leadership says nothing about our records (KAFKA-20634).
        if (partition == nullptr || partition->leader_epoch() != led->epoch) return;
        const Offset high_watermark = partition->high_watermark();
        if (high_watermark <= led->told_high_watermark) return;
        led->told_high_watermark = high_watermark;
        drive(led, [&](Machine& machine, const Tick& now, Output& out) {
            machine.on_high_watermark(now, high_watermark, out);
        });
    }

    Shard& shard_;
    std::string topic_;
    size_t load_bytes_;
    Hooks hooks_;
    std::map<PartitionIndex, LedPtr> led_;
    RequestId next_request_ = 1;
    record::BatchBuilder builder_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    bool stopped_ = false;
};

}  // namespace millrace::broker
