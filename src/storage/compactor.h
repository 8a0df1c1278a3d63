// src/storage/compactor.h: the inside of one cleaning: reading, mapping, rewriting, swapping.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "millrace/storage/cleaner.h"
#include "storage/cleaner_filter.h"
#include "storage/cleaner_selection.h"
#include "storage/log_state.h"

namespace millrace::storage {

/// Reads the batches of one sealed file in order, whole and with a good checksum.
class BatchSource {
  public:
    /// Walks [from, size) of the file at `path`; every batch must lie in [base, end).
    static Result<std::unique_ptr<BatchSource>> open(env::FileSystem& files, std::string path,
                                                     uint64_t from, uint64_t size, Offset base,
                                                     Offset end, size_t chunk_bytes);
    /// The view lives until the next call; nothing at the end. Corrupt: no good batch there.
    Result<std::optional<record::BatchView>> next();

  private:
    BatchSource(std::shared_ptr<env::File> file, std::string path, uint64_t from, uint64_t size,
                Offset base, Offset end, size_t chunk_bytes)
        : file_(std::move(file)), path_(std::move(path)), base_(base), end_(end),
          scanner_(*file_, from, size, chunk_bytes) {}
    Status corrupt(const char* reason) const;

    std::shared_ptr<env::File> file_;
    std::string path_;
    Offset base_;
    Offset end_;
    BatchScanner scanner_;
    std::vector<uint8_t> large_;  // a batch above the chunk
};

struct LogCompaction::Inner {
    Inner(env::FileSystem& files_in, Log::State& log, const CleaningPlan& plan_in,
          const CleanerMemory& memory_in, WallMs now_in);

    /// A transaction index as it was when the cleaning was planned; it only grows.
    struct TxnFile {
        Offset base;
        uint32_t entries = 0;
    };
    enum class Phase { Begin, Map, Clean, AwaitSwap, Done };

    // compactor.cc: off the shard
    Result<Step> step(uint64_t budget_bytes);
    Status advance();
    Status read_aborted();
    std::vector<AbortedEntry> aborted_since(Offset offset) const;
    Result<std::unique_ptr<BatchSource>> open_source(size_t index, uint64_t from);
    Offset end_of_source(size_t index) const;
    Status map_next();
    Status map_records(const record::BatchView& batch, bool& full);
    Status finish_map();
    Status begin_group();
    Status clean_next();
    Status take(const record::BatchView& batch);
    Status write_out();
    Status finish_group();
    void discard();

    // compactor_swap.cc: on the shard
    void refresh_last_records(const Log::State& log);
    bool overtaken() const;
    std::optional<size_t> find_group(const Log::State& log) const;
    Status swap();
    Status swap_files(Log::State& log, size_t at);

    env::FileSystem& files;
    const CleaningPlan plan;
    const CleanerMemory memory;
    const WallMs now;
    const std::shared_ptr<const LogConfig> config;
    const std::shared_ptr<Log::State*> token;
    const uint32_t generation;
    std::vector<CleanerSegment> sources;  // sealed segments below plan.first_uncleanable
    std::vector<TxnFile> txn_files;
    size_t first_dirty_source = 0;
    uint64_t first_dirty_position = 0;
    LastRecords last_records;

    FileCache cache;          // of this cleaning's own files
    FileHome live_home;
    FileHome cleaned_home;
    Phase phase = Phase::Begin;
    bool directory_dirty = false;
    uint64_t spent_bytes = 0;  // by the step under way
    std::vector<AbortedEntry> aborted;
    std::optional<OffsetMap> map;
    std::optional<CleanedTransactions> txns;
    std::optional<CleanerFilter> filter;
    std::vector<SegmentGroup> groups;
    size_t group = 0;
    size_t source = 0;        // being read
    std::unique_ptr<BatchSource> reader;
    std::unique_ptr<Segment> cleaned;
    uint64_t cleaned_bytes = 0;
    std::vector<uint8_t> out;  // batches not written yet
    Offset end_offset = kNoOffset;
    CleanerStats stats;
};

}  // namespace millrace::storage
