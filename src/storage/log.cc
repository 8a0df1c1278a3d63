// src/storage/log.cc: the door of one partition's log: identity, offsets, epochs, producers.
#include "millrace/storage/log.h"

#include <fmt/core.h>

#include <algorithm>

#include "millrace/base/log.h"
#include "storage/checkpoint_file.h"
#include "storage/log_state.h"

namespace millrace::storage {
namespace {

const LogChannel kChannel{"storage"};

}  // namespace

Log::State::State(TopicPartition partition_in, std::string directory, env::FileSystem& files,
                  FileCache& cache, std::shared_ptr<const LogConfig> config_in, uint64_t seed)
    : partition(std::move(partition_in)), config(std::move(config_in)),
      home{&files, &cache, std::move(directory)}, rng(seed) {
    MILLRACE_ASSERT(config != nullptr, "a log has a configuration");
}

Log::State::~State() {
    if (token) *token = nullptr;
}

size_t Log::State::segment_index(Offset offset) const {
    const auto after = std::upper_bound(
        segments.begin(), segments.end(), offset,
        [](Offset wanted, const auto& segment) { return wanted < segment->base(); });
    return after == segments.begin() ? 0 : static_cast<size_t>(after - segments.begin()) - 1;
}

Status Log::State::fail(Status status) {
    MILLRACE_ASSERT(!status.ok(), "only failures are final");
    if (!failed) {
        failed = true;
        log_error(kChannel, "{}: {}", partition.to_string(), status.to_string());
    }
    return status;
}

Status Log::State::dead() const {
    return {Errc::IoError, fmt::format("{}: failed before", home.directory)};
}

Status Log::State::ready() {
    if (failed) return dead();
    if (deferred.empty()) return {};
    Status status = write_deferred();
    return status.ok() ? status : fail(std::move(status));
}

Offset Log::State::stable_offset() const {
    if (!producers) return high_watermark;
    const std::optional<Offset> unstable = producers->first_unstable_offset();
    if (!unstable) return high_watermark;
    return std::min(high_watermark, std::max(*unstable, log_start));
}

void Log::State::update_high_watermark(Offset offset) {
    high_watermark = std::clamp(offset, log_start, log_end);
    if (producers) producers->on_high_watermark(high_watermark);
}

void Log::State::check_invariants() const {
    MILLRACE_ASSERT(!segments.empty(), "a log has an active segment");
    MILLRACE_ASSERT(log_start <= high_watermark, "log start <= high watermark");
    MILLRACE_ASSERT(high_watermark <= log_end, "high watermark <= log end");
    MILLRACE_ASSERT(recovery_point <= log_end, "recovery point <= log end");
    MILLRACE_ASSERT(segments.back()->base() <= log_end, "the active segment starts in the log");
}

Log::Log(std::unique_ptr<State> state) : state_(std::move(state)) {}
Log::~Log() = default;

const TopicPartition& Log::partition() const { return state_->partition; }
Uuid Log::topic_id() const { return state_->topic_id; }
const std::string& Log::directory() const { return state_->home.directory; }
bool Log::failed() const { return state_->failed; }
bool Log::damaged() const { return state_->damaged; }

Status Log::set_topic_id(Uuid topic_id) {
    State& s = *state_;
    MILLRACE_TRY(s.ready());
    if (s.topic_id == topic_id) return {};
    MILLRACE_ASSERT(s.topic_id.is_zero(), "a log keeps its topic id");
    const std::string text = fmt::format("version: 0\ntopic_id: {}", topic_id.to_string());
    const Status written = replace_file(*s.home.files, s.home.directory, kPartitionMetadataFile,
                                        ByteView(text), Durability::Buffered);
    if (!written.ok()) return s.fail(written);
    s.topic_id = topic_id;
    s.metadata_dirty = true;
    s.directory_dirty = true;
    s.mark_dirty();
    return {};
}

void Log::set_config(std::shared_ptr<const LogConfig> config) {
    MILLRACE_ASSERT(config != nullptr, "a log has a configuration");
    state_->config = std::move(config);
}
const LogConfig& Log::config() const { return *state_->config; }

Offset Log::log_start_offset() const { return state_->log_start; }
Offset Log::log_end_offset() const { return state_->log_end; }
Offset Log::recovery_point() const { return state_->recovery_point; }
Offset Log::high_watermark() const { return state_->high_watermark; }
void Log::set_high_watermark(Offset offset) { state_->update_high_watermark(offset); }
Offset Log::last_stable_offset() const { return state_->stable_offset(); }
std::optional<Offset> Log::first_unstable_offset() const {
    if (!state_->producers) return std::nullopt;
    return state_->producers->first_unstable_offset();
}
uint64_t Log::size_bytes() const {
    uint64_t total = 0;
    for (const auto& segment : state_->segments) total += segment->size_bytes();
    return total;
}
size_t Log::segment_count() const { return state_->segments.size(); }
Offset Log::active_segment_base() const { return state_->active().base(); }
OffsetPosition Log::end_position() const {
    return {state_->log_end, state_->active().base(), state_->active().size_bytes()};
}

Result<AppendOutcome> Log::append(AppendInput input) {
    if (state_->failed) return state_->dead();
    return state_->settle(state_->append_as_leader(input));
}

Status Log::write_out() { return state_->ready(); }
size_t Log::deferred_bytes() const { return state_->deferred_bytes; }

Result<FollowerAppendOutcome> Log::append_as_follower(ByteView batches, LeaderEpoch leader_epoch,
                                                      WallMs now) {
    MILLRACE_TRY(state_->ready());
    return state_->settle(state_->append_verbatim(batches, leader_epoch, now));
}

Status Log::assign_leader_epoch(LeaderEpoch epoch, Offset start) {
    State& s = *state_;
    if (s.failed) return s.dead();
    // The file is written with the epoch's first batch: a node may come to lead thousands of
    // partitions at its start, and an epoch without a batch says nothing that a crash could lose.
    if (s.epochs.assign(epoch, start)) s.epochs_unwritten = true;
    return {};
}

Status Log::roll(WallMs now) {
    State& s = *state_;
    MILLRACE_TRY(s.ready());
    if (s.active().size_bytes() == 0 && s.active().base() == s.log_end) return {};
    Status status = s.roll_to(s.log_end, now);
    return status.ok() ? status : s.fail(std::move(status));
}

Result<ReadOutcome> Log::read(const ReadInput& input) {
    State& s = *state_;
    MILLRACE_TRY(s.ready());
    Result<ReadOutcome> outcome = s.read(input);
    if (outcome.ok() || outcome.status().errc() != Errc::Corrupt) {
        return s.settle(std::move(outcome));
    }
    // Bytes that went bad spoil this read, not the directory.
    log_error(kChannel, "{}: {}", s.partition.to_string(), outcome.status().to_string());
    ReadOutcome corrupt;
    corrupt.error = ErrorCode::CorruptMessage;
    return corrupt;
}

Result<OffsetPosition> Log::position_of(Offset offset) {
    State& s = *state_;
    MILLRACE_TRY(s.ready());
    MILLRACE_ASSERT(offset <= s.log_end, "a position inside the log");
    const auto at = s.locate(offset);
    // Bytes that went bad spoil this look, not the directory.
    if (!at.ok()) return at.status().errc() == Errc::Corrupt ? at.status() : s.fail(at.status());
    return OffsetPosition{offset, s.segments[at->segment]->base(), at->position};
}

const LeaderEpochs& Log::leader_epochs() const { return state_->epochs; }
LeaderEpoch Log::latest_epoch() const {
    const auto latest = state_->epochs.latest();
    return latest ? latest->epoch : kNoLeaderEpoch;
}
EpochEnd Log::end_offset_for(LeaderEpoch epoch) const {
    return state_->epochs.end_offset_for(epoch, state_->log_end);
}

Log::GuardOutcome Log::start_verification(ProducerId id, ProducerEpoch epoch, int32_t sequence,
                                          bool supports_epoch_bump, WallMs now) {
    const auto outcome = state_->producer_state().start_verification(id, epoch, sequence,
                                                                     supports_epoch_bump, now);
    return {outcome.error, outcome.guard};
}

bool Log::has_ongoing_transaction(ProducerId id, ProducerEpoch epoch) const {
    return state_->producers && state_->producers->has_ongoing_transaction(id, epoch);
}

std::optional<ProducerView> Log::producer(ProducerId id) const {
    const ProducerEntry* entry = state_->producers ? state_->producers->find(id) : nullptr;
    if (entry == nullptr) return std::nullopt;
    return ProducerView{entry->epoch, entry->last_sequence(), entry->current_txn_first_offset};
}

std::vector<ActiveProducer> Log::active_producers(WallMs now) const {
    std::vector<ActiveProducer> active;
    if (!state_->producers) return active;
    for (const auto& [id, entry] : state_->producers->producers()) {
        if (ProducerState::expired(entry, now, config().producer_id_expiration_ms)) continue;
        active.push_back({id, entry.epoch, entry.last_sequence(), entry.last_timestamp,
                          entry.coordinator_epoch, entry.current_txn_first_offset});
    }
    return active;
}

void Log::expire_producers(WallMs now) {
    State& s = *state_;
    if (!s.producers) return;
    s.producers->expire(now, config().producer_id_expiration_ms);
}

Result<bool> Log::truncate_to(Offset offset, WallMs now) {
    MILLRACE_TRY(state_->ready());
    return state_->settle(state_->truncate(offset, now));
}

Status Log::truncate_fully_and_start_at(Offset offset, WallMs now) {
    MILLRACE_TRY(state_->ready());
    Status status = state_->truncate_fully(offset, now);
    return status.ok() ? status : state_->fail(std::move(status));
}

Result<ErrorCode> Log::advance_start(Offset offset) {
    State& s = *state_;
    MILLRACE_TRY(s.ready());
    if (offset > s.high_watermark) return ErrorCode::OffsetOutOfRange;
    if (offset <= s.log_start) return ErrorCode::None;
    Status status = s.raise_log_start(offset);
    if (!status.ok()) return s.fail(std::move(status));
    return ErrorCode::None;
}

Result<size_t> Log::delete_old_segments(WallMs now) {
    MILLRACE_TRY(state_->ready());
    return state_->settle(state_->apply_retention(now));
}

}  // namespace millrace::storage
