// src/metadata/controller.cc: active and standby, append and commit, periodic tasks.
#include "millrace/metadata/controller.h"

#include <fmt/core.h>

#include <algorithm>
#include <deque>

#include "metadata/commands.h"
#include "millrace/base/pending_by_offset.h"

namespace millrace::metadata {

class Controller::Impl {
  public:
    explicit Impl(ControllerOptions options)
        : options_(std::move(options)),
          rng_(options_.seed),
          heartbeats_(options_.session_timeout) {}

    void run(const Tick& given, RequestId id, const Requester& who, ControllerRequest request,
             ControllerOutput& out) {
        if (!active_) {
            out.replies.push_back(
                {id, error_reply(request, ApiError::standard(ErrorCode::NotController))});
            return;
        }
        const Tick tick = at_log_end(given);
        note_contact(tick, request);
        const CommandContext context{state_, options_, heartbeats_, rng_, tick, who};
        CommandResult result =
            std::visit([&](const auto& command) { return run_command(context, command); }, request);
        if (result.atomic && result.records.size() > kRecordsPerBatchMax) {
            result.records.clear();
            result.response =
                error_reply(request, {ErrorCode::PolicyViolation,
                                      "Unable to perform excessively large batch operation."});
        }
        note_heartbeat(request, result.response);
        if (result.upgrade_kraft_version) {
            out.upgrade_kraft_version = true;
            next_offset_ = tick.log_end + kKRaftUpgradeRecords;
        }
        const bool wrote = !result.records.empty();
        if (!append(tick, std::move(result.records), out)) return;
        if (result.shutting_down != kNoNode) {
            heartbeats_.note_controlled_shutdown(result.shutting_down, next_offset_ - 1);
        }
        // Without records the reply waits for what it has seen, not for itself.
        if (wrote) {
            pending_.park(next_offset_ - 1, {id, std::move(request), std::move(result.response)});
        } else if (!pending_.empty()) {
            pending_.park(pending_.last_offset(),
                          {id, std::move(request), std::move(result.response)});
        } else {
            out.replies.push_back({id, std::move(result.response)});
        }
        out.wake_at = wake_at();
    }

    void on_leader(const Tick& tick, LeaderEpoch epoch, ControllerOutput& out) {
        MILLRACE_ASSERT(!active_, "one activation at a time");
        MILLRACE_ASSERT(pending_.empty(), "a standby owes no reply");
        MILLRACE_ASSERT(uncommitted_.empty(), "a standby has no speculative state");
        MILLRACE_ASSERT(tick.log_end >= applied_end_, "raft activates only with the whole log");
        active_ = true;
        epoch_ = epoch;
        next_offset_ = tick.log_end;
        committed_end_ = tick.log_end;
        heartbeats_.start(tick.now, state_.image.cluster,
                          options_.local_broker ? options_.node_id : kNoNode);
        next_noop_ =
            options_.idle_interval.nanos > 0 ? tick.now + options_.idle_interval : Instant::never();
        next_balance_ = options_.leader_rebalance ? tick.now + options_.leader_rebalance_interval
                                                  : Instant::never();
        next_unclean_ = tick.now + options_.unclean_election_interval;
        next_tokens_ = tick.now + kTokenSweepInterval;
        next_repair_ = tick.now + kRepairInterval;
        bool atomic = true;
        auto records = activation_records(context(tick), is_empty(), atomic);
        if (!records.ok()) {
            out.fatal = records.status();
            return;
        }
        append(tick, std::move(records).value(), out);
        out.wake_at = wake_at();
    }

    void on_resign(ControllerOutput& out) {
        if (!active_) return;
        active_ = false;
        uncommitted_.clear();
        state_ = committed_;
        applied_end_ = committed_end_;
        heartbeats_.clear();
        std::vector<Waiting> failed;
        pending_.take_all(failed);
        const ApiError error = ApiError::standard(ErrorCode::NotController);
        for (Waiting& waiting : failed) {
            out.replies.push_back({waiting.id, error_reply(waiting.request, error)});
        }
        out.wake_at = Instant::never();
    }

    void on_high_watermark(Offset high_watermark, ControllerOutput& out) {
        if (!active_) return;
        while (!uncommitted_.empty() && uncommitted_.front().end <= high_watermark) {
            committed_ = std::move(uncommitted_.front().state);
            uncommitted_.pop_front();
        }
        MILLRACE_ASSERT(uncommitted_.empty() || uncommitted_.front().end > committed_end_,
                        "speculative states lie above the commit");
        committed_end_ = std::max(committed_end_, high_watermark);
        std::vector<Waiting> done;
        pending_.release(high_watermark, done);
        for (Waiting& waiting : done) {
            out.replies.push_back({waiting.id, std::move(waiting.response)});
        }
        out.wake_at = wake_at();
    }

    void on_committed(Offset base, Offset last, LeaderEpoch epoch, WallMs timestamp,
                      const std::vector<Record>& records, ControllerOutput& out) {
        if (active_) return on_high_watermark(last + 1, out);
        if (last < applied_end_) return;  // the active time has replayed it
        const Status status = state_.replay(records, base);
        if (!status.ok()) {
            out.fatal = Status(status.errc(), fmt::format("metadata batch at offset {}: {}",
                                                          base.value, status.message()));
            return;
        }
        state_.image.provenance = {last, epoch, timestamp};
        committed_ = state_;
        applied_end_ = last + 1;
        committed_end_ = applied_end_;
    }

    void set_quorum(int16_t kraft_version, std::vector<NodeId> voters,
                    std::optional<std::string> kraft_upgrade_problem) {
        options_.kraft_version = kraft_version;
        options_.voters = std::move(voters);
        options_.kraft_upgrade_problem = std::move(kraft_upgrade_problem);
    }

    void on_broker_gone(const Tick& given, NodeId id, BrokerEpoch epoch, Instant since,
                        ControllerOutput& out) {
        if (!active_ || !heartbeats_.end_session(id, epoch, since)) return;
        fence_one(given, id, out);
        out.wake_at = wake_at();
    }

    void on_snapshot(const ImagePtr& image, ControllerOutput& out) {
        if (active_) {
            out.fatal = Status(Errc::Corrupt, "a snapshot was given to the active controller");
            return;
        }
        state_ = ControllerState::of(*image);
        committed_ = state_;
        applied_end_ = image->provenance.offset + 1;
        committed_end_ = applied_end_;
    }

    void on_tick(const Tick& given, ControllerOutput& out) {
        if (!active_) return;
        fence_expired(given, out);
        const Instant now = given.now;
        if (now >= next_balance_) {
            auto records = balance_leaders(context(at_log_end(given)));
            // A full sweep has more to do; otherwise the next interval is soon enough.
            if (records.size() < kElectionsPerSweepMax) {
                next_balance_ = now + options_.leader_rebalance_interval;
            }
            append(given, std::move(records), out);
        }
        if (now >= next_unclean_) {
            auto records = elect_unclean_leaders(context(at_log_end(given)));
            if (records.size() < kElectionsPerSweepMax) {
                next_unclean_ = now + options_.unclean_election_interval;
            }
            append(given, std::move(records), out);
        }
        if (now >= next_repair_) {
            append(given, repair_dead_brokers(context(at_log_end(given))), out);
            next_repair_ = now + kRepairInterval;
        }
        if (now >= next_tokens_) {
            append(given, expire_tokens(context(at_log_end(given))), out);
            next_tokens_ = now + kTokenSweepInterval;
        }
        if (now >= next_noop_) {
            append(given, {Record(wire::NoOpRecord{})}, out);
            next_noop_ = now + options_.idle_interval;
        }
        out.wake_at = wake_at();
    }

    bool active() const { return active_; }
    LeaderEpoch epoch() const { return epoch_; }
    Offset applied_end() const { return applied_end_; }
    const Image& image() const { return state_.image; }
    std::string debug_line() const {
        return fmt::format("controller {} {} epoch {} next {} committed {} waiting {} topics {}",
                           options_.node_id.value, active_ ? "active" : "standby", epoch_.value,
                           next_offset_.value, committed_end_.value, pending_.size(),
                           state_.image.topics.by_id.size());
    }

  private:
    static constexpr Duration kTokenSweepInterval = seconds(3600);
    static constexpr Duration kRepairInterval = seconds(5);

    struct Waiting {
        RequestId id;
        ControllerRequest request;  // for the shape of an error
        ControllerResponse response;
    };
    struct Uncommitted {
        Offset end;
        ControllerState state;
    };

    /// Several batches may be made before the driver moves its log end.
    Tick at_log_end(const Tick& tick) const {
        return {tick.now, tick.wall, std::max(tick.log_end, next_offset_)};
    }
    CommandContext context(const Tick& tick) const {
        static const Requester kSelf{};
        return {state_, options_, heartbeats_, rng_, tick, kSelf};
    }
    bool is_empty() const {
        const ControllerState* state =
            state_.before_transaction ? state_.before_transaction.get() : &state_;
        return state->image.features.metadata_version() == 0 && state->image.empty();
    }

    void note_contact(const Tick& tick, const ControllerRequest& request) {
        if (const auto* beat = std::get_if<wire::BrokerHeartbeatRequest>(&request)) {
            heartbeats_.contact(tick.now, NodeId(beat->broker_id), BrokerEpoch(beat->broker_epoch));
        }
    }
    void note_heartbeat(const ControllerRequest& request, const ControllerResponse& response) {
        const auto* beat = std::get_if<wire::BrokerHeartbeatRequest>(&request);
        if (beat == nullptr) return;
        const auto& answer = std::get<wire::BrokerHeartbeatResponse>(response);
        if (answer.error_code != 0) return;
        heartbeats_.touch(NodeId(beat->broker_id), answer.is_fenced,
                          Offset(beat->current_metadata_offset));
    }

    /// Cuts into batches, replays each and hands it out. False: the node must stop.
    bool append(const Tick& given, std::vector<Record> records, ControllerOutput& out) {
        const Tick tick = at_log_end(given);
        next_offset_ = tick.log_end;
        for (size_t from = 0; from < records.size(); from += kRecordsPerBatchMax) {
            const size_t count = std::min(kRecordsPerBatchMax, records.size() - from);
            const std::span<const Record> part(records.data() + from, count);
            const Status status = state_.replay(part, next_offset_);
            if (!status.ok()) {
                out.fatal = Status(status.errc(), "own records: " + status.message());
                return false;
            }
            BatchToAppend batch{next_offset_, epoch_, {}};
            batch.values.reserve(count);
            for (const Record& record : part)
                batch.values.push_back(encode_record(record));
            out.append.push_back(std::move(batch));
            next_offset_ = next_offset_ + static_cast<int64_t>(count);
            state_.image.provenance = {next_offset_ - 1, epoch_, tick.wall};
            uncommitted_.push_back({next_offset_, state_});
            sync_heartbeats(tick, part);
        }
        return true;
    }

    void sync_heartbeats(const Tick& tick, std::span<const Record> records) {
        const auto sync = [&](int32_t id) {
            heartbeats_.sync(tick.now, state_.image.cluster, NodeId(id));
        };
        for (const Record& record : records) {
            if (const auto* r = std::get_if<wire::RegisterBrokerRecord>(&record.body)) {
                sync(r->broker_id);
            } else if (const auto* c =
                           std::get_if<wire::BrokerRegistrationChangeRecord>(&record.body)) {
                sync(c->broker_id);
            } else if (const auto* u = std::get_if<wire::UnregisterBrokerRecord>(&record.body)) {
                sync(u->broker_id);
            }
        }
    }

    void fence_expired(const Tick& given, ControllerOutput& out) {
        // Each turn fences one, so the number of brokers bounds the loop.
        while (const auto expired = heartbeats_.expired(given.now)) {
            if (!fence_one(given, *expired, out)) return;
        }
    }
    bool fence_one(const Tick& given, NodeId id, ControllerOutput& out) {
        std::vector<Record> records;
        if (state_.image.cluster.broker(id) != nullptr) {
            fence_broker(context(at_log_end(given)), id, records);
        }
        heartbeats_.touch(id, true, Offset(-1));
        return append(given, std::move(records), out);
    }

    Instant wake_at() const {
        return std::min(
            {next_noop_, next_balance_, next_unclean_, next_tokens_, heartbeats_.next_expiry()});
    }

    ControllerOptions options_;
    mutable Rng rng_;
    Heartbeats heartbeats_;
    ControllerState state_;                // newest, speculative part included
    ControllerState committed_;            // at the last commit known
    std::deque<Uncommitted> uncommitted_;  // states after each batch not yet committed
    PendingByOffset<Waiting> pending_;
    bool active_ = false;
    LeaderEpoch epoch_ = kNoLeaderEpoch;
    Offset next_offset_{0};
    Offset committed_end_{0};
    Offset applied_end_{0};
    Instant next_noop_ = Instant::never();
    Instant next_balance_ = Instant::never();
    Instant next_unclean_ = Instant::never();
    Instant next_tokens_ = Instant::never();
    Instant next_repair_ = Instant::never();  // other deadlines wake often enough
};

Controller::Controller(ControllerOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
Controller::~Controller() = default;

void Controller::run(const Tick& tick, RequestId id, const Requester& who,
                     ControllerRequest request, ControllerOutput& out) {
    impl_->run(tick, id, who, std::move(request), out);
}
void Controller::on_leader(const Tick& tick, LeaderEpoch epoch, ControllerOutput& out) {
    impl_->on_leader(tick, epoch, out);
}
void Controller::on_resign(const Tick&, ControllerOutput& out) { impl_->on_resign(out); }
void Controller::on_high_watermark(const Tick&, Offset high_watermark, ControllerOutput& out) {
    impl_->on_high_watermark(high_watermark, out);
}
void Controller::on_committed(const Tick&, Offset base_offset, Offset last_offset,
                              LeaderEpoch epoch, WallMs timestamp,
                              const std::vector<Record>& records, ControllerOutput& out) {
    impl_->on_committed(base_offset, last_offset, epoch, timestamp, records, out);
}
void Controller::on_snapshot(const ImagePtr& image, ControllerOutput& out) {
    impl_->on_snapshot(image, out);
}
void Controller::set_quorum(int16_t kraft_version, std::vector<NodeId> voters,
                            std::optional<std::string> kraft_upgrade_problem) {
    impl_->set_quorum(kraft_version, std::move(voters), std::move(kraft_upgrade_problem));
}
void Controller::on_broker_gone(const Tick& tick, NodeId id, BrokerEpoch epoch, Instant since,
                                ControllerOutput& out) {
    impl_->on_broker_gone(tick, id, epoch, since, out);
}
void Controller::on_tick(const Tick& tick, ControllerOutput& out) { impl_->on_tick(tick, out); }
bool Controller::active() const { return impl_->active(); }
LeaderEpoch Controller::epoch() const { return impl_->epoch(); }
Offset Controller::applied_end() const { return impl_->applied_end(); }
const Image& Controller::image() const { return impl_->image(); }
std::string Controller::debug_line() const { return impl_->debug_line(); }

}  // namespace millrace::metadata
