// src/storage/log_store.cc: the logs that one shard has in one log directory.
#include "millrace/storage/log_store.h"

#include <fmt/core.h>

#include <algorithm>

#include "millrace/base/log.h"
#include "millrace/env/background.h"
#include "millrace/env/clock.h"
#include "storage/log_load.h"

namespace millrace::storage {
namespace {

const LogChannel kChannel{"storage"};
constexpr size_t kLoadJobOpenFiles = 16;
/// Logs that one background task syncs at a clean stop; keeps hand-overs between threads rare.
constexpr size_t kCloseBatch = 16;

Status remove_file(env::FileSystem& files, const std::string& path) {
    const Status removed = files.remove(path);
    return removed.errc() == Errc::NotFound ? Status{} : removed;
}

Status remove_folder(env::FileSystem& files, const std::string& folder) {
    Result<std::vector<env::DirectoryEntry>> entries = files.list(folder);
    if (!entries.ok()) {
        return entries.status().errc() == Errc::NotFound ? Status{} : entries.status();
    }
    for (const env::DirectoryEntry& entry : *entries) {
        MILLRACE_TRY(remove_file(files, join_path(folder, entry.name)));
    }
    return remove_file(files, folder);
}

}  // namespace

LogLoadJob::LogLoadJob(env::FileSystem& files, Input input)
    : files_(files), input_(std::move(input)),
      status_(Errc::InvalidInput, "the load job did not run") {}
LogLoadJob::~LogLoadJob() = default;

void LogLoadJob::run(Progress* progress) {
    // A cache of its own: the store's belongs to the shard's thread.
    FileCache cache(kLoadJobOpenFiles);
    Result<std::unique_ptr<Log>> log = load_log(files_, cache, input_, report_, progress);
    if (!log.ok()) {
        status_ = log.status();
        return;
    }
    log_ = std::move(log).value();
    for (const auto& segment : log_->state().segments) segment->close_files();
    log_->state().home.cache = nullptr;
    status_ = {};
}

struct LogStore::Inner final : LogKeeper {
    Inner(const env::Env& env_in, Options options_in)
        : env(env_in), options(std::move(options_in)), cache(options.open_files_max),
          rng(env_in.seed) {}

    void remove_later(std::vector<std::string> paths, int64_t delay_ms) override {
        if (paths.empty()) return;
        const Instant due = env.clock.now() + milliseconds(delay_ms);
        pending.emplace(due, Removal{std::move(paths), false});
    }
    void on_failure(const Status& status) override {
        if (!options.on_failure) return;
        MoveFunction<void(Status)> report = std::move(options.on_failure);
        options.on_failure = nullptr;
        report(status);
    }

    /// A clean stop under way.
    struct Closing {
        std::vector<Log*> logs;
        size_t next = 0;
        size_t running = 0;
        size_t parallel = 1;
        WallMs now;
        Status first;
        MoveFunction<void(Status)> done;
        void note(Status status) {
            if (first.ok()) first = std::move(status);
        }
    };
    struct CloseStep {
        Log* log = nullptr;
        std::optional<FlushWork> work;
        Status status;
    };
    void close_more(const std::shared_ptr<Closing>& closing);
    std::vector<CloseStep> next_close_batch(Closing& closing);

    struct Removal {
        std::vector<std::string> paths;
        bool folders = false;
    };
    using Logs = std::map<TopicPartition, std::unique_ptr<Log>>;
    void remove_now(Removal removal);
    Log* take_in(Logs& where, std::unique_ptr<Log> log);
    Result<Log*> make(Logs& where, const TopicPartition& partition, const std::string& folder_name,
                      Uuid topic_id, std::shared_ptr<const LogConfig> config, WallMs now);
    std::string new_folder_name(const TopicPartition& partition, PartitionFolderKind kind);
    Status move_away(Logs& from, const TopicPartition& partition, PartitionFolderKind kind,
                     std::string& moved);
    Status remove(Logs& from, const TopicPartition& partition, Instant due);
    template <class Visit>
    void for_all(Visit visit) const {
        for (const auto& [partition, log] : logs) visit(partition, *log);
        for (const auto& [partition, log] : futures) visit(partition, *log);
    }

    env::Env env;
    Options options;
    FileCache cache;
    Rng rng;
    Logs logs;
    Logs futures;  // of partitions whose logs are in other directories
    std::multimap<Instant, Removal> pending;
    /// Emptied by the destructor; background work that outlives the store then says nothing.
    std::shared_ptr<Inner*> self = std::make_shared<Inner*>(this);
};

void LogStore::Inner::remove_now(Removal removal) {
    auto work = std::make_shared<Removal>(std::move(removal));
    auto outcome = std::make_shared<Status>();
    env::FileSystem* files = &env.files;
    env.background.run(
        [work, outcome, files] {
            for (const std::string& path : work->paths) {
                *outcome = work->folders ? remove_folder(*files, path) : remove_file(*files, path);
                if (!outcome->ok()) return;
            }
        },
        [outcome, shared = self] {
            if (*shared != nullptr && !outcome->ok()) (*shared)->on_failure(*outcome);
        });
}

Log* LogStore::Inner::take_in(Logs& where, std::unique_ptr<Log> log) {
    Log::State& state = log->state();
    state.home.cache = &cache;
    state.background = &env.background;
    state.keeper = this;
    const auto [at, added] = where.emplace(log->partition(), std::move(log));
    MILLRACE_ASSERT(added, "one log per partition");
    return at->second.get();
}

std::string LogStore::Inner::new_folder_name(const TopicPartition& partition,
                                             PartitionFolderKind kind) {
    const uint64_t high = rng.next();
    return moved_folder_name(partition, Uuid::from_random_bits(high, rng.next()), kind);
}

Status LogStore::Inner::move_away(Logs& from, const TopicPartition& partition,
                                  PartitionFolderKind kind, std::string& moved) {
    const auto at = from.find(partition);
    MILLRACE_ASSERT(at != from.end(), "only a log of this store is moved away");
    const std::string folder = at->second->directory();
    moved = join_path(options.path, new_folder_name(partition, kind));
    for (const auto& segment : at->second->state().segments) segment->close_files();
    from.erase(at);
    return env.files.rename(folder, moved);
}

Status LogStore::Inner::remove(Logs& from, const TopicPartition& partition, Instant due) {
    std::string moved;
    MILLRACE_TRY(move_away(from, partition, PartitionFolderKind::Delete, moved));
    log_info(kChannel, "{}: to be deleted as {}", partition.to_string(), moved);
    pending.emplace(due, Removal{{std::move(moved)}, true});
    return {};
}

Result<Log*> LogStore::Inner::make(Logs& where, const TopicPartition& partition,
                                   const std::string& folder_name, Uuid topic_id,
                                   std::shared_ptr<const LogConfig> config, WallMs now) {
    if (!config) config = options.default_config;
    const std::string folder = join_path(options.path, folder_name);
    MILLRACE_TRY_ASSIGN(const auto there, env.files.stat(folder));
    if (there || logs.contains(partition) || futures.contains(partition)) {
        return Status(Errc::AlreadyExists, folder + ": exists");
    }
    MILLRACE_TRY(env.files.make_directories(folder));
    auto state = std::make_unique<Log::State>(partition, folder, env.files, cache,
                                              std::move(config), rng.next());
    state->folder_new = true;
    state->last_flush = now;
    MILLRACE_TRY(state->add_segment(Offset(0), now, true));
    for (const auto& segment : state->segments) segment->close_files();
    auto log = std::make_unique<Log>(std::move(state));
    if (!topic_id.is_zero()) MILLRACE_TRY(log->set_topic_id(topic_id));
    return take_in(where, std::move(log));
}

LogStore::LogStore(const env::Env& env, Options options)
    : inner_(std::make_unique<Inner>(env, std::move(options))) {}
LogStore::~LogStore() { *inner_->self = nullptr; }

std::unique_ptr<LogLoadJob> LogStore::make_load_job(LogLoadJob::Input input) const {
    return std::make_unique<LogLoadJob>(inner_->env.files, std::move(input));
}

Result<Log*> LogStore::adopt(std::unique_ptr<LogLoadJob> job) {
    if (!job->status().ok()) return job->status();
    MILLRACE_ASSERT(job->log_ != nullptr, "a load job is adopted once");
    return inner_->take_in(inner_->logs, std::move(job->log_));
}

Result<Log*> LogStore::adopt_future(std::unique_ptr<LogLoadJob> job) {
    if (!job->status().ok()) return job->status();
    MILLRACE_ASSERT(job->log_ != nullptr, "a load job is adopted once");
    return inner_->take_in(inner_->futures, std::move(job->log_));
}

Log* LogStore::adopt_damaged(std::unique_ptr<LogLoadJob> job) {
    MILLRACE_ASSERT(job->status().errc() == Errc::Corrupt, "what is damaged did not load");
    const LogLoadJob::Input& input = job->input();
    auto state = std::make_unique<Log::State>(input.partition, input.directory, inner_->env.files,
                                              inner_->cache, input.config, input.seed);
    state->failed = state->damaged = true;
    state->topic_id = job->report().topic_id;
    state->segments.push_back(std::make_unique<Segment>(state->home, Offset(0), input.now, 0));
    state->log_start = input.log_start;
    state->recovery_point = input.recovery_point;
    state->high_watermark = input.high_watermark;
    state->log_end = std::max({input.log_start, input.recovery_point, input.high_watermark});
    return inner_->take_in(inner_->logs, std::make_unique<Log>(std::move(state)));
}

bool LogStore::any_damaged() const {
    return std::any_of(inner_->logs.begin(), inner_->logs.end(),
                       [](const auto& entry) { return entry.second->damaged(); });
}

Result<Log*> LogStore::create(const TopicPartition& partition, Uuid topic_id,
                              std::shared_ptr<const LogConfig> config, WallMs now) {
    return inner_->make(inner_->logs, partition, partition.to_string(), topic_id,
                        std::move(config), now);
}

Result<Log*> LogStore::create_future(const TopicPartition& partition, Uuid topic_id,
                                     std::shared_ptr<const LogConfig> config, WallMs now) {
    return inner_->make(inner_->futures, partition,
                        inner_->new_folder_name(partition, PartitionFolderKind::Future), topic_id,
                        std::move(config), now);
}

Log* LogStore::find_future(const TopicPartition& partition) {
    const auto at = inner_->futures.find(partition);
    return at == inner_->futures.end() ? nullptr : at->second.get();
}

void LogStore::for_each_future(MoveFunction<void(Log&)> visit) {
    for (const auto& [partition, log] : inner_->futures) visit(*log);
}

Result<Log*> LogStore::promote_future(const TopicPartition& partition) {
    Inner& inner = *inner_;
    MILLRACE_ASSERT(inner.futures.contains(partition) && !inner.logs.contains(partition),
                    "a copy takes a place that is free");
    auto node = inner.futures.extract(partition);
    Log* log = node.mapped().get();
    Log::State& state = log->state();
    inner.logs.insert(std::move(node));
    const std::string folder = join_path(inner.options.path, partition.to_string());
    MILLRACE_TRY(log->state().ready());
    for (const auto& segment : state.segments) segment->close_files();
    ++state.generation;  // a flush under way looks for its files under the old name
    state.folder_new = true;
    if (Status status = inner.env.files.rename(log->directory(), folder); !status.ok()) {
        return state.fail(std::move(status));
    }
    state.home.directory = folder;
    if (Status status = inner.env.files.sync_directory(inner.options.path); !status.ok()) {
        return state.fail(std::move(status));
    }
    return log;
}

Status LogStore::remove_future(const TopicPartition& partition, Instant now, Duration delay) {
    return inner_->remove(inner_->futures, partition, now + delay);
}

Log* LogStore::find(const TopicPartition& partition) {
    const auto at = inner_->logs.find(partition);
    return at == inner_->logs.end() ? nullptr : at->second.get();
}

size_t LogStore::size() const { return inner_->logs.size(); }

void LogStore::for_each(MoveFunction<void(Log&)> visit) {
    for (const auto& [partition, log] : inner_->logs) visit(*log);
}

Status LogStore::remove(const TopicPartition& partition, Instant now, Duration delay) {
    return inner_->remove(inner_->logs, partition, now + delay);
}

Status LogStore::set_aside(const TopicPartition& partition) {
    std::string moved;
    MILLRACE_TRY(inner_->move_away(inner_->logs, partition, PartitionFolderKind::Stray, moved));
    log_warn(kChannel, "{}: not of this cluster's metadata, set aside as {}",
             partition.to_string(), moved);
    return {};
}

void LogStore::remove_leftover(const std::string& folder_name) {
    inner_->remove_now({{join_path(inner_->options.path, folder_name)}, true});
}

std::vector<CheckpointEntry> LogStore::recovery_points() const {
    std::vector<CheckpointEntry> entries;
    inner_->for_all([&](const TopicPartition& partition, const Log& log) {
        entries.push_back({partition, log.recovery_point()});
    });
    return entries;
}

std::vector<CheckpointEntry> LogStore::high_watermarks() const {
    std::vector<CheckpointEntry> entries;
    inner_->for_all([&](const TopicPartition& partition, const Log& log) {
        entries.push_back({partition, log.high_watermark()});
    });
    return entries;
}

std::vector<CheckpointEntry> LogStore::log_starts() const {
    std::vector<CheckpointEntry> entries;
    inner_->for_all([&](const TopicPartition& partition, const Log& log) {
        if (log.log_start_offset() > log.state().segments.front()->base()) {
            entries.push_back({partition, log.log_start_offset()});
        }
    });
    return entries;
}

uint64_t LogStore::size_bytes() const {
    uint64_t total = 0;
    inner_->for_all(
        [&](const TopicPartition&, const Log& log) { total += log.size_bytes(); });
    return total;
}

Instant LogStore::wake_at() const {
    return inner_->pending.empty() ? Instant::never() : inner_->pending.begin()->first;
}

void LogStore::tick(Instant now) {
    Inner& inner = *inner_;
    while (!inner.pending.empty() && inner.pending.begin()->first <= now) {
        Inner::Removal removal = std::move(inner.pending.begin()->second);
        inner.pending.erase(inner.pending.begin());
        inner.remove_now(std::move(removal));
    }
}

Status LogStore::close_all(WallMs now) {
    Status first;
    inner_->for_all([&](const TopicPartition&, Log& log) {
        const Status closed = log.close(now);
        if (!closed.ok() && first.ok()) first = closed;
    });
    return first;
}

std::vector<LogStore::Inner::CloseStep> LogStore::Inner::next_close_batch(Closing& closing) {
    std::vector<CloseStep> batch;
    while (closing.next < closing.logs.size() && batch.size() < kCloseBatch) {
        Log* log = closing.logs[closing.next++];
        Log::State& state = log->state();
        Result<std::optional<FlushWork>> work = state.begin_close(closing.now);
        if (!work.ok()) {
            closing.note(state.fail(work.status()));
        } else if (*work) {
            batch.push_back({log, std::move(*work), {}});
        } else {
            closing.note(state.end_close(std::nullopt, {}));
        }
    }
    return batch;
}

void LogStore::Inner::close_more(const std::shared_ptr<Closing>& closing) {
    while (closing->running < closing->parallel && closing->next < closing->logs.size()) {
        auto batch = std::make_shared<std::vector<CloseStep>>(next_close_batch(*closing));
        if (batch->empty()) continue;
        ++closing->running;
        env.background.run(
            [batch] {
                for (CloseStep& step : *batch) step.status = step.work->run();
            },
            [closing, batch, shared = self] {
                if (*shared == nullptr) return;
                --closing->running;
                for (CloseStep& step : *batch) {
                    closing->note(step.log->state().end_close(step.work, std::move(step.status)));
                }
                (*shared)->close_more(closing);
            });
    }
    if (closing->running > 0 || closing->next < closing->logs.size()) return;
    std::exchange(closing->done, nullptr)(closing->first);
}

void LogStore::close_all_async(WallMs now, size_t parallel, MoveFunction<void(Status)> done) {
    MILLRACE_ASSERT(parallel > 0, "somebody has to sync");
    auto closing = std::make_shared<Inner::Closing>();
    inner_->for_all(
        [&](const TopicPartition&, Log& log) { closing->logs.push_back(&log); });
    closing->parallel = parallel;
    closing->now = now;
    closing->done = std::move(done);
    inner_->close_more(closing);
}

}  // namespace millrace::storage
