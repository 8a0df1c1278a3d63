// src/broker/log_dirs.cc: opening, loading, checkpointing and closing of the log directories.
#include "millrace/broker/log_dirs.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "millrace/base/log.h"
#include "millrace/env/background.h"
#include "millrace/env/clock.h"
#include "millrace/env/disk.h"
#include "millrace/env/timers.h"
#include "millrace/storage/meta_properties.h"

namespace millrace::broker {

namespace {
constexpr LogChannel kLog{"log_dirs"};
/// Partition folders that one background task loads; keeps hand-overs between threads rare.
constexpr size_t kLoadBatch = 64;
}  // namespace

LogDirs::LogDirs(const env::Env& env, const BrokerConfig& config, Events events)
    : env_(env), config_(config), events_(std::move(events)) {}
LogDirs::~LogDirs() = default;

Status LogDirs::open() {
    const auto ensemble = storage::MetaPropertiesEnsemble::load(env_.files, config_.log_dirs);
    MILLRACE_TRY(ensemble.verify_for_start(config_.node_id, config_.metadata_log_dir));
    for (const std::string& path : config_.log_dirs) {
        auto dir = std::make_unique<LogDir>();
        dir->path = path;
        const auto properties = ensemble.log_dirs.find(path);
        if (properties == ensemble.log_dirs.end()) {
            dir->failure = ensemble.empty_log_dirs.contains(path)
                               ? "no meta.properties: the directory is not formatted"
                               : ensemble.error_log_dirs.at(path).to_string();
        } else {
            cluster_id_ = properties->second.cluster_id.value_or("");
            dir->id = properties->second.directory_id.value_or(kZeroUuid);
            const Status status = open_one(*dir);
            if (status.errc() == Errc::Busy || status.errc() == Errc::InvalidInput) return status;
            if (!status.ok()) dir->failure = status.to_string();
        }
        if (!dir->online) {
            log_error(kLog, "{} is offline: {}", path, dir->failure);
            if (path == config_.metadata_log_dir) return {Errc::IoError, dir->failure};
        }
        dirs_.push_back(std::move(dir));
    }
    return {};
}

Status LogDirs::open_one(LogDir& dir) {
    MILLRACE_TRY_ASSIGN(dir.directory, storage::LogDirectory::open(env_.files, dir.path));
    storage::LogStore::Options options;
    options.path = dir.path;
    options.open_files_max = 
        std::max<size_t>(16, config_.log_open_files_max / config_.log_dirs.size());
    options.default_config = std::make_shared<storage::LogConfig>();
    options.on_failure = [this, path = dir.path](const Status& status) { fail(path, status); };
    dir.store = std::make_unique<storage::LogStore>(env_, std::move(options));
    dir.online = true;
    return {};
}

LogDir* LogDirs::find(const Uuid& id) {
    for (const auto& dir : dirs_) {
        if (dir->id == id) return dir.get();
    }
    return nullptr;
}

LogDir* LogDirs::find_path(const std::string& path) {
    for (const auto& dir : dirs_) {
        if (dir->path == path) return dir.get();
    }
    return nullptr;
}

Uuid LogDirs::metadata_directory_id() const {
    for (const auto& dir : dirs_) {
        if (dir->path == config_.metadata_log_dir) return dir->id;
    }
    return kZeroUuid;
}

int64_t LogDirs::previous_broker_epoch() const {
    int64_t epoch = -1;
    for (const auto& dir : dirs_) {
        if (!dir->online || !dir->directory->clean_broker_epoch()) return -1;
        epoch = std::max(epoch, *dir->directory->clean_broker_epoch());
    }
    return epoch;
}

std::vector<Uuid> LogDirs::online_ids() const {
    std::vector<Uuid> ids;
    for (const auto& dir : dirs_) {
        if (dir->online) ids.push_back(dir->id);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
}

std::vector<Uuid> LogDirs::offline_ids() const {
    std::vector<Uuid> ids;
    for (const auto& dir : dirs_) {
        if (!dir->online && !dir->id.is_zero()) ids.push_back(dir->id);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
}

bool LogDirs::any_offline() const {
    return std::any_of(dirs_.begin(), dirs_.end(), [](const auto& dir) { return !dir->online; });
}

/// What is still to be loaded, shared by the tasks in flight.
struct LogDirs::Loading {
    struct PerDir {
        std::vector<storage::LogLoadJob::Input> inputs;
        size_t next = 0;
        size_t loaded = 0;
        size_t running = 0;
    };
    std::vector<PerDir> dirs;
    std::set<std::string> futures;  // folders of copies that are being moved here
    size_t dirs_left = 0;
    Instant next_progress_line{};
    MoveFunction<void()> done;
};

namespace {
constexpr Duration kProgressInterval = seconds(2);

struct DirCheckpoints {
    std::map<TopicPartition, Offset> recovery_points;
    std::map<TopicPartition, Offset> high_watermarks;
    std::map<TopicPartition, Offset> log_starts;
    std::map<TopicPartition, Offset> cleaned;
};

Result<DirCheckpoints> read_checkpoints(const storage::LogDirectory& directory) {
    using storage::CheckpointKind;
    DirCheckpoints all;
    MILLRACE_TRY_ASSIGN(all.recovery_points,
                        directory.read_checkpoint(CheckpointKind::RecoveryPoint));
    MILLRACE_TRY_ASSIGN(all.high_watermarks,
                        directory.read_checkpoint(CheckpointKind::HighWatermark));
    MILLRACE_TRY_ASSIGN(all.log_starts, directory.read_checkpoint(CheckpointKind::LogStart));
    // The cleaner judges its file itself; here it only says which logs were ever compacted.
    auto cleaned = directory.read_checkpoint(CheckpointKind::Cleaner);
    if (cleaned.ok()) all.cleaned = std::move(cleaned).value();
    return all;
}

Offset at_or_zero(const std::map<TopicPartition, Offset>& map, const TopicPartition& partition) {
    const auto found = map.find(partition);
    return found == map.end() ? Offset(0) : found->second;
}
}  // namespace

void LogDirs::load(ConfigFor config_for, MoveFunction<void()> done) {
    auto loading = std::make_shared<Loading>();
    loading->dirs.resize(dirs_.size());
    loading->dirs_left = dirs_.size();
    loading->next_progress_line = env_.clock.now() + kProgressInterval;
    loading->done = std::move(done);
    for (size_t i = 0; i < dirs_.size(); ++i) {
        LogDir& dir = *dirs_[i];
        if (!dir.online) continue;
        Result<DirCheckpoints> checkpoints = read_checkpoints(*dir.directory);
        Status status = checkpoints.ok() ? dir.directory->remove_clean_marker()
                                         : checkpoints.status();
        if (!status.ok()) {
            take_offline(dir, status.to_string());
            continue;
        }
        const bool clean = dir.directory->was_clean();
        size_t live = 0;
        for (const storage::PartitionFolder& folder : dir.directory->folders()) {
            if (folder.kind == storage::PartitionFolderKind::Delete) {
                dir.store->remove_leftover(folder.name);
            }
            const bool future = folder.kind == storage::PartitionFolderKind::Future;
            if (folder.kind != storage::PartitionFolderKind::Live && !future) continue;
            ++live;
            storage::LogLoadJob::Input input;
            input.directory = dir.path + "/" + folder.name;
            input.partition = folder.partition;
            input.config = config_for(folder.partition.topic);
            input.clean = clean;
            input.recovery_point = at_or_zero(checkpoints->recovery_points, folder.partition);
            input.log_start = at_or_zero(checkpoints->log_starts, folder.partition);
            input.high_watermark = at_or_zero(checkpoints->high_watermarks, folder.partition);
            // A log that is compacted no more still has gaps, also above its line: a cleaning may
            // have been cut short.
            // A copy has those of the log that it was made from.
            if (future || checkpoints->cleaned.contains(folder.partition)) {
                input.cleaned_to = Offset(storage::LogConfig::kForever);
            }
            input.now = env_.clock.wall();
            input.seed = env_.seed ^ std::hash<TopicPartition>{}(folder.partition);
            if (future) loading->futures.insert(input.directory);
            loading->dirs[i].inputs.push_back(std::move(input));
        }
        if (live > 0) {
            log_info(kLog, "{}: loading {} partitions after {} stop", dir.path, live,
                     clean ? "a clean" : "an unclean");
        }
    }
    for (size_t i = 0; i < dirs_.size(); ++i) start_jobs(loading, i);
}

void LogDirs::start_jobs(const std::shared_ptr<Loading>& loading, size_t dir_index) {
    Loading::PerDir& work = loading->dirs[dir_index];
    LogDir& dir = *dirs_[dir_index];
    const auto limit = static_cast<size_t>(std::max(1, config_.num_recovery_threads_per_data_dir));
    while (dir.online && work.next < work.inputs.size() && work.running < limit) {
        auto jobs = std::make_shared<std::vector<std::unique_ptr<storage::LogLoadJob>>>();
        while (work.next < work.inputs.size() && jobs->size() < kLoadBatch) {
            jobs->push_back(dir.store->make_load_job(std::move(work.inputs[work.next++])));
        }
        ++work.running;
        env_.background.run([jobs] { for (auto& job : *jobs) job->run(); },
                            [this, loading, dir_index, jobs] {
                                on_batch_loaded(loading, dir_index, std::move(*jobs));
                            });
    }
    if (work.running == 0 && (work.next >= work.inputs.size() || !dir.online)) {
        work.next = work.inputs.size();
        if (--loading->dirs_left == 0) {
            env_.timers.post([loading] { loading->done(); });
        }
    }
}

void LogDirs::on_batch_loaded(const std::shared_ptr<Loading>& loading, size_t dir_index,
                              std::vector<std::unique_ptr<storage::LogLoadJob>> jobs) {
    Loading::PerDir& work = loading->dirs[dir_index];
    LogDir& dir = *dirs_[dir_index];
    --work.running;
    for (auto& job : jobs) {
        if (!dir.online) break;
        const std::string folder = job->input().directory;
        const storage::LoadReport report = job->report();
        const bool future = loading->futures.contains(folder);
        if (job->status().errc() == Errc::Corrupt) {
            if (future) {
                log_warn(kLog, "{} is given up: {}", folder, job->status().message());
                dir.store->remove_leftover(folder.substr(folder.rfind('/') + 1));
            } else {
                on_damaged(dir, std::move(job));
            }
            continue;
        }
        Result<storage::Log*> log = future ? dir.store->adopt_future(std::move(job))
                                           : dir.store->adopt(std::move(job));
        if (!log.ok()) {
            take_offline(dir, folder + ": " + log.status().to_string());
            break;
        }
        ++work.loaded;
        if (report.truncated_bytes > 0 || report.rebuilt_indexes > 0) {
            log_info(kLog, "{}: {} bytes scanned, {} bytes of a torn tail cut, {} indexes rebuilt",
                     folder, report.scanned_bytes, report.truncated_bytes, report.rebuilt_indexes);
        }
    }
    const Instant now = env_.clock.now();
    if (now >= loading->next_progress_line) {
        loading->next_progress_line = now + kProgressInterval;
        log_info(kLog, "{}: {} of {} partitions loaded", dir.path, work.loaded,
                 work.inputs.size());
    }
    start_jobs(loading, dir_index);
}

void LogDirs::on_damaged(LogDir& dir, std::unique_ptr<storage::LogLoadJob> job) {
    log_error(kLog, "{} is offline: {}; its files are left as they are", job->input().directory,
              job->status().message());
    dir.store->adopt_damaged(std::move(job));
}

LogDir* LogDirs::choose(const std::vector<std::string>& cordoned) {
    const bool all_cordoned = std::find(cordoned.begin(), cordoned.end(), "*") != cordoned.end();
    LogDir* best = nullptr;
    LogDir* any = nullptr;
    for (const auto& dir : dirs_) {
        if (!dir->online) continue;
        if (any == nullptr) any = dir.get();
        if (all_cordoned ||
            std::find(cordoned.begin(), cordoned.end(), dir->path) != cordoned.end()) {
            continue;
        }
        if (best == nullptr || dir->store->size() < best->store->size()) best = dir.get();
    }
    return best != nullptr ? best : any;
}

void LogDirs::fail(const std::string& path, const Status& status) {
    for (const auto& dir : dirs_) {
        // A log reports its own folder, a store its directory.
        const bool inside = path == dir->path || path.starts_with(dir->path + "/");
        if (inside && dir->online) take_offline(*dir, status.to_string());
    }
}

void LogDirs::take_offline(LogDir& dir, const std::string& reason) {
    dir.online = false;
    dir.failure = reason;
    log_error(kLog, "log directory {} goes offline: {}", dir.path, reason);
    if (events_.on_offline) events_.on_offline(dir);
    const bool none_left = std::none_of(dirs_.begin(), dirs_.end(),
                                        [](const auto& other) { return other->online; });
    if (dir.path == config_.metadata_log_dir || none_left) {
        events_.on_fatal(Status(
            Errc::IoError, fmt::format("the log directory {} failed ({})", dir.path, reason)));
    }
}

void LogDirs::checkpoint(storage::CheckpointKind kind) {
    // One at a time: LogDirectory's calls must not overlap.
    if (std::find(queued_.begin(), queued_.end(), kind) == queued_.end()) queued_.push_back(kind);
    if (!writing_) write_next_checkpoint();
}

void LogDirs::write_next_checkpoint() {
    if (queued_.empty()) return;
    const storage::CheckpointKind kind = queued_.front();
    queued_.erase(queued_.begin());
    struct Write {
        LogDir* dir;
        std::vector<storage::CheckpointEntry> lines;
        Status status;
    };
    auto writes = std::make_shared<std::vector<Write>>();
    for (const auto& dir : dirs_) {
        if (!dir->online) continue;
        std::vector<storage::CheckpointEntry> lines;
        switch (kind) {
            case storage::CheckpointKind::RecoveryPoint:
                lines = dir->store->recovery_points();
                break;
            case storage::CheckpointKind::HighWatermark:
                lines = dir->store->high_watermarks();
                break;
            case storage::CheckpointKind::LogStart: lines = dir->store->log_starts(); break;
            case storage::CheckpointKind::Cleaner: return;  // the cleaner writes its own
        }
        writes->push_back({dir.get(), std::move(lines), {}});
    }
    writing_ = true;
    env_.background.run(
        [writes, kind] {
            for (Write& write : *writes) {
                write.status = write.dir->directory->write_checkpoint(kind, write.lines);
            }
        },
        [this, writes] {
            writing_ = false;
            for (const Write& write : *writes) {
                if (!write.status.ok()) fail(write.dir->path, write.status);
            }
            write_next_checkpoint();
        });
}

void LogDirs::tick() {
    for (const auto& dir : dirs_) {
        if (dir->online) dir->store->tick(env_.clock.now());
    }
}

Instant LogDirs::wake_at() const {
    Instant when = Instant::never();
    for (const auto& dir : dirs_) {
        if (dir->online) when = std::min(when, dir->store->wake_at());
    }
    return when;
}

void LogDirs::close(int64_t broker_epoch, MoveFunction<void()> done) {
    struct Closing {
        size_t left = 1;  // this call itself
        MoveFunction<void()> done;
    };
    auto closing = std::make_shared<Closing>();
    closing->done = std::move(done);
    const auto one_less = [closing] {
        if (--closing->left == 0) closing->done();
    };
    const auto parallel =
        static_cast<size_t>(std::max(1, config_.num_recovery_threads_per_data_dir));
    for (const auto& dir : dirs_) {
        if (!dir->online) continue;
        ++closing->left;
        auto high_watermarks = std::make_shared<const std::vector<storage::CheckpointEntry>>(
            dir->store->high_watermarks());
        dir->store->close_all_async(env_.clock.wall(), parallel,
                                    [this, one_less, high_watermarks, broker_epoch,
                                     at = dir.get()](Status status) {
                                        end_close(*at, broker_epoch, std::move(status),
                                                  *high_watermarks);
                                        one_less();
                                    });
    }
    one_less();
}

void LogDirs::end_close(LogDir& dir, int64_t broker_epoch, Status status,
                        const std::vector<storage::CheckpointEntry>& high_watermarks) {
    using storage::CheckpointKind;
    if (!dir.online) return;  // failed meanwhile
    const auto write = [&](CheckpointKind kind,
                           const std::vector<storage::CheckpointEntry>& lines) {
        const Status written = dir.directory->write_checkpoint(kind, lines);
        if (status.ok()) status = written;
    };
    write(CheckpointKind::RecoveryPoint, dir.store->recovery_points());
    write(CheckpointKind::LogStart, dir.store->log_starts());
    write(CheckpointKind::HighWatermark, high_watermarks);
    if (status.ok() && dir.store->any_damaged()) {
        log_warn(kLog, "{}: closed, and to be checked again for its damaged logs", dir.path);
    } else {
        if (status.ok()) status = dir.directory->write_clean_marker(broker_epoch);
        if (!status.ok()) {
            log_error(kLog, "{} was not closed cleanly: {}", dir.path, status.to_string());
        }
    }
    dir.online = false;
}

}  // namespace millrace::broker
