// src/storage/log_state.h: what a Log is made of; shared by the files that implement it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/rng.h"
#include "millrace/env/background.h"
#include "millrace/storage/log.h"
#include "storage/producer_state.h"
#include "storage/segment.h"

namespace millrace::storage {

/// What a log needs from its store. Absent while a load job works on it.
class LogKeeper {
  public:
    virtual ~LogKeeper() = default;
    /// Removes files (already renamed) after the delay.
    virtual void remove_later(std::vector<std::string> paths, int64_t delay_ms) = 0;
    /// A failure that no caller waits for.
    virtual void on_failure(const Status& status) = 0;
};

/// Work of one flush, free of the log's state so that it may run on another thread.
struct FlushWork {
    env::FileSystem* files = nullptr;
    std::vector<std::shared_ptr<env::File>> open_files;
    std::vector<std::string> paths;        // opened, synced, closed
    std::vector<std::string> directories;  // after the files
    Offset target;                         // the recovery point when it succeeded
    uint32_t generation = 0;
    uint32_t dirty_serial = 0;
    std::vector<Offset> sealed;            // bases of sealed segments it covers
    Status run() const;
    bool single_file() const {
        return open_files.size() == 1 && paths.empty() && directories.empty();
    }
};

struct Log::State {
    State(TopicPartition partition_in, std::string directory, env::FileSystem& files,
          FileCache& cache, std::shared_ptr<const LogConfig> config_in, uint64_t seed);
    ~State();

    TopicPartition partition;
    Uuid topic_id;
    std::shared_ptr<const LogConfig> config;
    FileHome home;
    env::Background* background = nullptr;
    LogKeeper* keeper = nullptr;
    Rng rng;

    std::vector<std::unique_ptr<Segment>> segments;  // by base; the last is the active one
    Offset log_start{0};
    Offset log_end{0};
    Offset recovery_point{0};
    Offset high_watermark{0};
    LeaderEpochs epochs;

    std::unique_ptr<ProducerState> producers;  // null until a producer id is seen
    Offset producers_end{0};                   // state contains everything below
    Offset last_snapshot{-1};
    std::vector<Offset> snapshots;             // offsets of the .snapshot files, rising

    /// Where recent reads ended: the next read of the same reader starts there.
    struct Hint {
        Offset offset = kNoOffset;
        Offset segment_base = kNoOffset;
        uint64_t position = 0;
    };
    std::array<Hint, 4> hints;
    uint8_t next_hint = 0;

    std::vector<Buffer> deferred;  // the active segment's last bytes, not yet written
    size_t deferred_bytes = 0;
    bool failed = false;
    bool damaged = false;  // and failed: see LogStore::adopt_damaged
    bool epochs_unwritten = false; // an epoch began, its file waits for the first batch of it
    bool epochs_dirty = false;     // written, not synced
    bool metadata_dirty = false;
    bool directory_dirty = false;  // files made or renamed since the directory was synced
    bool folder_new = false;       // the folder's own name is not synced
    std::vector<Offset> snapshots_dirty;
    uint32_t dirty_serial = 0;
    uint32_t generation = 0;       // rises with every truncation: flushes under way then say nothing
    WallMs last_flush;
    /// The recovery point that the directory's checkpoint may still name after a truncation below
    /// it; -1: none. While set, the file kLoweredPointFile holds the lower one.
    Offset stale_recovery_point{-1};
    /// Lowest log end that a truncation left since the cleaner asked last.
    std::optional<Offset> lowest_truncation;
    std::shared_ptr<State*> token;  // what a flush under way holds; emptied by the destructor

    Segment& active() { return *segments.back(); }
    const Segment& active() const { return *segments.back(); }
    /// Index of the last segment with base <= offset (the first one when there is none).
    size_t segment_index(Offset offset) const;

    Status fail(Status status);
    Status dead() const;
    /// Fails when the log is dead; else what was deferred is on its way to the disk afterwards.
    Status ready();
    template <class T>
    Result<T> settle(Result<T> result) {
        if (!result.ok()) return fail(result.status());
        return result;
    }

    // log_append.cc
    Result<AppendOutcome> append_as_leader(AppendInput& input);
    Result<FollowerAppendOutcome> append_verbatim(ByteView bytes, LeaderEpoch leader_epoch,
                                                  WallMs now);
    Status write_run(ByteView run);
    Status write_deferred();
    Status finish_batch(const record::BatchView& batch, uint64_t position,
                        const ProducerChange* change);
    Status assign_epoch(LeaderEpoch epoch, Offset start);
    Status write_epochs();
    Status roll_to(Offset base, WallMs now);
    /// Creates a segment and makes it the active one.
    Status add_segment(Offset base, WallMs now, bool first_ever = false);
    int64_t draw_jitter();
    Status take_snapshot();
    ProducerState& producer_state();
    /// A batch read back from disk or replicated: producer state takes it without judging.
    Status replay_batch(const record::BatchView& batch,
                        std::optional<record::EndTxnMarker> marker, Segment* index_into);

    // log_read.cc
    struct Located {
        size_t segment = 0;
        uint64_t position = 0;
    };
    Result<Located> locate(Offset offset);
    Result<ReadOutcome> read(const ReadInput& input);
    Status collect_aborted(size_t segment, uint64_t end_position, Offset fetch_offset,
                           std::vector<AbortedTransaction>& out);
    void remember(Offset offset, Offset segment_base, uint64_t position);
    void forget_positions();

    // log_truncate.cc
    Result<bool> truncate(Offset offset, WallMs now);
    Status truncate_fully(Offset offset, WallMs now);
    /// Positions, flushes under way and cleanings of what lay above `end` say nothing any more.
    void note_truncation(Offset end);
    /// Before bytes below the recovery point go: makes the lower point durable.
    Status lower_recovery_point(Offset offset);
    Status forget_lowered_point();
    Status delete_segments(size_t from, size_t count);
    Status remove_snapshots_if(MoveFunction<bool(Offset)> condition);
    enum class LaterSnapshots { Keep, Remove };
    /// State as of `end`, from the newest snapshot not behind it and the batches since.
    Status rebuild_producers(Offset end, WallMs now, LaterSnapshots later);
    Result<size_t> apply_retention(WallMs now);
    Status raise_log_start(Offset offset);

    // log_flush.cc
    Result<FlushWork> plan_flush(bool closing);
    Status flushed(const FlushWork& work);
    /// Clean stop: writes what is in memory only; what must be synced then, if anything.
    Result<std::optional<FlushWork>> begin_close(WallMs now);
    Status end_close(const std::optional<FlushWork>& work, Status synced);
    void mark_dirty() { ++dirty_serial; }
    void flush_in_background();
    std::shared_ptr<State*> share_token();

    void update_high_watermark(Offset offset);
    Offset stable_offset() const;
    void check_invariants() const;
};

}  // namespace millrace::storage
