// src/storage/file_cache.h: the open files of one shard's logs, least recently used closed first.
//
// Tens of thousands of partitions must live under a descriptor limit, so a segment's files are
// opened when they are touched. A closed file that a FileSlice still refers to stays open until
// the slice goes.
#pragma once

#include <memory>
#include <string>

#include "millrace/env/disk.h"
#include "storage/file_names.h"

namespace millrace::storage {

class FileCache;

/// Place for one open file in the cache's list. Does not move while the file is open.
class FileSlot {
  public:
    FileSlot() = default;
    FileSlot(const FileSlot&) = delete;
    FileSlot& operator=(const FileSlot&) = delete;
    ~FileSlot() { close(); }
    void close();
    bool is_open() const { return file_ != nullptr; }

  private:
    friend class FileCache;
    std::shared_ptr<env::File> file_;
    FileCache* cache_ = nullptr;
    FileSlot* newer_ = nullptr;
    FileSlot* older_ = nullptr;
};

/// REQUIRES: outlives its slots' open times (every slot closed before it goes).
class FileCache {
  public:
    explicit FileCache(size_t open_max) : open_max_(open_max) {}
    FileCache(const FileCache&) = delete;
    FileCache& operator=(const FileCache&) = delete;
    ~FileCache();
    /// The slot's file when it is open; counts as use.
    std::shared_ptr<env::File> use(FileSlot& slot);
    /// Puts a file just opened into its slot and closes the least recently used beyond the limit.
    void put(FileSlot& slot, std::shared_ptr<env::File> file);
    size_t open_count() const { return open_count_; }
    /// Closes the less recently used half, at least one; false when nothing is open. For a process
    /// that ran out of descriptors.
    bool close_half();

  private:
    friend class FileSlot;
    void unlink(FileSlot& slot);
    void link_newest(FileSlot& slot);
    size_t open_max_;
    size_t open_count_ = 0;
    FileSlot* newest_ = nullptr;
    FileSlot* oldest_ = nullptr;
};

/// Where a log's files are and who helps with them; one per log, shared by its segments.
struct FileHome {
    env::FileSystem* files = nullptr;
    FileCache* cache = nullptr;
    std::string directory;
    FileStage stage = FileStage::Live;  // Cleaned while compaction writes a segment
};

/// One file of a segment, opened on demand.
class SegmentFileHandle {
  public:
    SegmentFileHandle(FileHome& home, Offset base, SegmentFile file)
        : home_(&home), base_(base), file_(file) {}
    std::string path() const {
        return join_path(home_->directory, segment_file_name(base_, file_, home_->stage));
    }
    Result<std::shared_ptr<env::File>> open(env::OpenMode mode = env::OpenMode::ReadWrite);
    void close() { slot_.close(); }
    env::FileSystem& files() const { return *home_->files; }

  private:
    FileHome* home_;
    Offset base_;
    SegmentFile file_;
    FileSlot slot_;
};

}  // namespace millrace::storage
