// src/storage/log_flush.cc: making a log durable: flush, the flush after a roll, clean close.
//
// The recovery point moves to a flush's target only when everything the log needs below it is
// synced: data and indexes of sealed segments, data of the active one, producer snapshots, leader
// epochs, partition.metadata, and the folders that name them.
#include <memory>

#include "storage/file_names.h"
#include "storage/log_state.h"

namespace millrace::storage {

Status FlushWork::run() const {
    for (const auto& file : open_files) MILLRACE_TRY(file->sync());
    for (const std::string& path : paths) {
        Result<std::shared_ptr<env::File>> file = files->open(path, env::OpenMode::ReadWrite);
        if (!file.ok()) {
            if (file.status().errc() == Errc::NotFound) continue;  // retention was faster
            return file.status();
        }
        MILLRACE_TRY((*file)->sync());
    }
    for (const std::string& directory : directories) {
        const Status synced = files->sync_directory(directory);
        if (!synced.ok() && synced.errc() != Errc::NotFound) return synced;
    }
    return {};
}

std::shared_ptr<Log::State*> Log::State::share_token() {
    if (!token) token = std::make_shared<State*>(this);
    return token;
}

Result<FlushWork> Log::State::plan_flush(bool closing) {
    FlushWork work;
    work.files = home.files;
    work.target = log_end;
    work.generation = generation;
    work.dirty_serial = dirty_serial;
    size_t first = segments.size() - 1;
    while (first > 0 && !segments[first - 1]->synced) --first;
    for (size_t i = first; i < segments.size(); ++i) {
        Segment& segment = *segments[i];
        const bool sealed = i + 1 < segments.size();
        if (sealed || closing || recovery_point < log_end) {
            MILLRACE_TRY_ASSIGN(auto file, segment.log_file());
            work.open_files.push_back(std::move(file));
            // Recovery rebuilds it only above the recovery point.
            if (segment.txns().exists()) work.paths.push_back(segment.txns().handle().path());
        }
        if (!sealed && !closing) continue;
        // An empty index that comes back with its preallocated zeros is found and rebuilt.
        if (segment.offsets().file().count() > 0) {
            work.paths.push_back(segment.offsets().file().handle().path());
        }
        if (segment.times().file().count() > 0) {
            work.paths.push_back(segment.times().file().handle().path());
        }
        if (sealed) work.sealed.push_back(segment.base());
    }
    for (const Offset at : snapshots_dirty) {
        work.paths.push_back(
            join_path(home.directory, segment_file_name(at, SegmentFile::Snapshot)));
    }
    if (epochs_dirty) work.paths.push_back(join_path(home.directory, kLeaderEpochFile));
    if (metadata_dirty) work.paths.push_back(join_path(home.directory, kPartitionMetadataFile));
    if (directory_dirty) work.directories.push_back(home.directory);
    if (folder_new) {
        work.directories.push_back(home.directory.substr(0, home.directory.rfind('/')));
    }
    return work;
}

Status Log::State::flushed(const FlushWork& work) {
    if (work.generation != generation) return {};  // truncated meanwhile: what was synced is gone
    for (const Offset base : work.sealed) {
        const size_t index = segment_index(base);
        if (segments[index]->base() == base && index + 1 < segments.size()) {
            segments[index]->synced = true;
        }
    }
    if (work.dirty_serial == dirty_serial) {
        epochs_dirty = metadata_dirty = directory_dirty = folder_new = false;
        snapshots_dirty.clear();
        snapshots_dirty.shrink_to_fit();
    }
    MILLRACE_ASSERT(work.target <= log_end, "without truncation the log only grows");
    recovery_point = std::max(recovery_point, work.target);
    return recovery_point >= stale_recovery_point ? forget_lowered_point() : Status{};
}

void Log::flush_async(MoveFunction<void(Status)> done) {
    State& s = *state_;
    if (Status status = s.ready(); !status.ok()) return done(std::move(status));
    Result<FlushWork> plan = s.plan_flush(false);
    if (!plan.ok()) return done(s.fail(plan.status()));
    auto work = std::make_shared<FlushWork>(std::move(plan).value());
    auto finish = [work, token = s.share_token(), done = std::move(done)](Status status) mutable {
        State* state = *token;
        if (state == nullptr) return done({Errc::Cancelled, "the log is closed"});
        if (status.ok()) status = state->flushed(*work);
        done(status.ok() ? std::move(status) : state->fail(std::move(status)));
    };
    if (work->open_files.empty() && work->paths.empty() && work->directories.empty()) {
        return finish({});
    }
    if (work->single_file()) return work->open_files.front()->sync_async(std::move(finish));
    if (s.background == nullptr) return finish(work->run());
    auto outcome = std::make_shared<Status>();
    s.background->run([work, outcome] { *outcome = work->run(); },
                      [outcome, finish = std::move(finish)]() mutable {
                          finish(std::move(*outcome));
                      });
}

void Log::State::flush_in_background() {
    if (background == nullptr || keeper == nullptr) return;
    Result<FlushWork> plan = plan_flush(false);
    if (!plan.ok()) return keeper->on_failure(fail(plan.status()));
    auto work = std::make_shared<FlushWork>(std::move(plan).value());
    auto outcome = std::make_shared<Status>();
    background->run([work, outcome] { *outcome = work->run(); },
                    [work, outcome, shared = share_token()] {
                        State* state = *shared;
                        if (state == nullptr) return;
                        Status status = outcome->ok() ? state->flushed(*work) : *outcome;
                        if (status.ok()) return;
                        state->keeper->on_failure(state->fail(std::move(status)));
                    });
}

Status Log::flush_blocking() {
    State& s = *state_;
    MILLRACE_TRY(s.ready());
    Result<FlushWork> work = s.plan_flush(false);
    Status status = work.ok() ? work->run() : work.status();
    if (status.ok()) status = s.flushed(*work);
    return status.ok() ? status : s.fail(std::move(status));
}

bool Log::flush_due(WallMs now) {
    State& s = *state_;
    const int64_t unflushed = s.log_end - s.recovery_point;
    if (unflushed <= 0) return false;
    const bool due = unflushed >= s.config->flush_messages ||
                     (s.config->flush_ms < LogConfig::kForever &&
                      now.value - s.last_flush.value >= s.config->flush_ms);
    if (due) s.last_flush = now;
    return due;
}

Result<std::optional<FlushWork>> Log::State::begin_close(WallMs now) {
    if (damaged) return std::optional<FlushWork>{};
    MILLRACE_TRY(ready());
    check_invariants();
    last_flush = now;
    const bool never_used = folder_new && log_end == Offset(0);
    const bool untouched = recovery_point == log_end && !active().offsets().file().preallocated() &&
                           !active().times().file().preallocated() &&
                           (never_used || !directory_dirty);
    if (untouched) return std::optional<FlushWork>{};
    // A partition that never got data: losing its folder in a crash loses nothing, and a node may
    // have thousands of them.
    if (never_used) {
        MILLRACE_TRY(active().seal(*config));
        return std::optional<FlushWork>{};
    }
    MILLRACE_TRY(take_snapshot());
    MILLRACE_TRY(active().seal(*config));
    active().synced = false;
    MILLRACE_TRY_ASSIGN(FlushWork work, plan_flush(true));
    return std::optional(std::move(work));
}

Status Log::State::end_close(const std::optional<FlushWork>& work, Status synced) {
    if (synced.ok() && work) synced = flushed(*work);
    if (!synced.ok()) return fail(std::move(synced));
    for (const auto& segment : segments) segment->close_files();
    return {};
}

Status Log::close(WallMs now) {
    State& s = *state_;
    const Result<std::optional<FlushWork>> work = s.begin_close(now);
    if (!work.ok()) return s.fail(work.status());
    return s.end_close(*work, *work ? (*work)->run() : Status{});
}

}  // namespace millrace::storage
