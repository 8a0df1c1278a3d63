// include/millrace/env/disk.h: files and directories, as storage and the quorum driver see them.
//
// Production: POSIX calls in net/posix_disk. Simulator: a disk that loses unsynced bytes, tears
// writes, flips bits and fills up. Paths are absolute or relative to the process; '/' separates.
// Every failure carries the path in its Status. A failed write_at or sync means the state of the
// file is unknown: the caller takes the log directory offline and never retries (storage rule).
// Calls marked blocking run on the shard's thread and may wait for the device; steady-state code
// uses only write_at (page cache) and sync_async.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"

namespace millrace::env {

enum class OpenMode {
    ReadOnly,       // NotFound when missing
    ReadWrite,      // NotFound when missing
    CreateOrOpen,   // read and write
    CreateNew,      // AlreadyExists when present; read and write
};

/// An open file. Closed when the last shared_ptr goes. Not for use from two shards at once, except
/// read_at and descriptor.
class File : public FileSource {
  public:
    virtual Result<uint64_t> size() = 0;
    /// Writes all of `bytes` or fails. Extends the file; a gap reads as zeros.
    virtual Status write_at(uint64_t offset, ByteView bytes) = 0;
    /// Writes the parts one after the other (pwritev).
    virtual Status write_parts_at(uint64_t offset, std::span<const ByteView> parts) = 0;
    virtual Status truncate(uint64_t size) = 0;
    /// Makes the contents durable (fdatasync). Blocking.
    virtual Status sync() = 0;
    /// The same without blocking; `done` runs on the calling shard, possibly merged with others.
    virtual void sync_async(MoveFunction<void(Status)> done) = 0;
};

struct DirectoryEntry {
    std::string name;
    bool is_directory = false;
};

struct FileInfo {
    bool is_directory = false;
    uint64_t size_bytes = 0;
    WallMs modified;
};

struct SpaceInfo {
    uint64_t total_bytes = 0;
    uint64_t usable_bytes = 0;
};

/// Held until destroyed.
class FileLock {
  public:
    virtual ~FileLock() = default;
};

class FileSystem {
  public:
    virtual ~FileSystem() = default;
    virtual Result<std::shared_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
    /// Replaces `to` atomically.
    virtual Status rename(const std::string& from, const std::string& to) = 0;
    /// Removes a file or an empty directory; NotFound when there is none.
    virtual Status remove(const std::string& path) = 0;
    /// Creates the directory and its parents; fine when it exists.
    virtual Status make_directories(const std::string& path) = 0;
    /// Entries sorted by name, without "." and "..".
    virtual Result<std::vector<DirectoryEntry>> list(const std::string& directory) = 0;
    /// Nothing when there is no such path.
    virtual Result<std::optional<FileInfo>> stat(const std::string& path) = 0;
    virtual Status set_modified(const std::string& path, WallMs modified) = 0;
    /// Takes the write permission away from everybody (a finished metadata snapshot). Without
    /// permissions, as in the simulator, nothing happens.
    virtual Status make_read_only(const std::string& path) {
        static_cast<void>(path);
        return {};
    }
    /// Makes creations, renames and removals inside the directory durable. Blocking.
    virtual Status sync_directory(const std::string& directory) = 0;
    virtual Result<SpaceInfo> space(const std::string& path) = 0;
    /// Creates and locks `path` for this process; Busy when another process holds it.
    virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
};

}  // namespace millrace::env
