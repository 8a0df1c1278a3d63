// tests/support/sim_disk.h: an env::FileSystem in memory that crashes, tears writes and fails.
//
// The simulator's disk, and the disk of storage's crash tests. Every file and directory has two
// images: the present one, which reads see, and the durable one, which a crash falls back to.
// Fault model (tests/README.md):
//  - crash: per 4 KiB page written since the last sync, the new contents, the old ones, or a mix of
//    512-byte sectors survive; a file's size falls back to any size between the two; of a
//    directory's unsynced creations, removals and renames a prefix survives (as with a journal),
//    a rename whole or not at all;
//  - errors: the Nth operation fails (a failed write may leave a part), the disk is full, a hook
//    decides;
//  - bit rot: flip_bit changes both images.
// Deterministic: all choices come from the Rng the caller gives. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/rng.h"
#include "millrace/env/disk.h"

namespace millrace::support {

enum class DiskOp {
    Open,
    Read,
    Create,
    Write,
    Truncate,
    Sync,
    SyncAsync,
    Rename,
    Remove,
    MakeDirectory,
    List,
    Stat,
    SetModified,
    SyncDirectory,
};

enum class CrashStyle {
    DropUnsynced,  // the worst orderly case: only what was synced
    KeepUnsynced,  // the page cache survived
    Random,        // per page, per sector, per directory operation
};

struct SimNode;
class SimFile;

class SimDisk final : public env::FileSystem {
  public:
    static constexpr size_t kPageBytes = 4096;
    static constexpr size_t kSectorBytes = 512;

    SimDisk();
    ~SimDisk() override;
    SimDisk(const SimDisk&) = delete;
    SimDisk& operator=(const SimDisk&) = delete;

    // --- env::FileSystem
    Result<std::shared_ptr<env::File>> open(const std::string& path, env::OpenMode mode) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& path) override;
    Status make_directories(const std::string& path) override;
    Result<std::vector<env::DirectoryEntry>> list(const std::string& directory) override;
    Result<std::optional<env::FileInfo>> stat(const std::string& path) override;
    Status set_modified(const std::string& path, WallMs modified) override;
    Status sync_directory(const std::string& directory) override;
    Result<env::SpaceInfo> space(const std::string& path) override;
    Result<std::unique_ptr<env::FileLock>> lock(const std::string& path) override;

    // --- the world's side
    /// Where completions of sync_async go; without it they wait for run_posted().
    void set_post(MoveFunction<void(MoveFunction<void()>)> post) { post_ = std::move(post); }
    /// Runs what waits, also what that adds; returns how many ran.
    size_t run_posted();
    void set_wall(MoveFunction<WallMs()> wall) { wall_ = std::move(wall); }

    /// Power failure: unsynced state is decided by `style`, open files and locks are dead.
    void crash(CrashStyle style, Rng& rng);
    /// kill -9: open files and locks are dead, everything written stays in the page cache.
    void kill_process();

    // --- faults
    /// Operations that change something (creations, writes, truncations, syncs, renames, removals)
    /// so far; the unit of halt_after and fail_at.
    uint64_t steps() const { return steps_; }
    /// After that many steps in total, nothing works any more, until crash or kill_process.
    void halt_after(uint64_t steps) { halt_after_ = steps; }
    bool halted() const { return halt_after_ && steps_ >= *halt_after_; }
    /// Step number `step` (counted from 1) fails; half of a write's bytes are written.
    void fail_at(uint64_t step, Errc errc) { fail_at_ = {step, errc}; }
    /// Called before every operation, also reads; a Status makes the operation fail.
    using Hook = MoveFunction<std::optional<Status>(DiskOp, const std::string& path)>;
    void set_hook(Hook hook) { hook_ = std::move(hook); }
    void set_capacity_bytes(uint64_t bytes) { capacity_bytes_ = bytes; }
    void clear_faults();
    /// Syncs of paths that contain this succeed without effect; "" ends it. Outlives clear_faults:
    /// a liar is no fault that heals, but a bug that a test of tests plants.
    void lie_about_syncs(std::string part_of_path) { sync_lie_ = std::move(part_of_path); }
    /// Changes one bit of the file, in both images.
    void flip_bit(const std::string& path, uint64_t byte, int bit);
    void flip_random_bit(const std::string& path, Rng& rng);

    // --- for tests
    /// Bytes as a reader without faults sees them; fewer at the end of the file.
    std::string peek(const std::string& path, uint64_t offset, size_t size) const;
    /// The last name up to `at_most` with that suffix; empty when there is none.
    std::string peek_last_name(const std::string& directory, const std::string& at_most,
                               const std::string& suffix) const;
    /// Removes a folder and all that is in it, durably. REQUIRES: no process runs on it.
    void erase_folder(const std::string& path);
    /// Another, empty device in its place. REQUIRES: no process runs on it.
    void replace();
    /// Whole contents; empty when there is no such file.
    std::string contents(const std::string& path);
    void put(const std::string& path, const std::string& contents);  // durable at once
    uint64_t used_bytes() const { return used_pages_ * kPageBytes; }

  private:
    friend class SimFile;
    using NodePtr = std::shared_ptr<SimNode>;
    std::optional<Status> trouble(DiskOp op, const std::string& path, bool changes,
                                  bool* partial = nullptr);
    NodePtr find(const std::string& path) const;
    bool lies(const std::string& path) const {
        return !sync_lie_.empty() && path.find(sync_lie_) != std::string::npos;
    }
    Result<NodePtr> parent_of(const std::string& path, std::string& name) const;
    void crash_node(SimNode& node, CrashStyle style, Rng& rng);
    void post(MoveFunction<void()> task);
    void free_pages(const SimNode& node);
    WallMs wall() { return wall_ ? wall_() : WallMs{0}; }

    NodePtr root_;
    uint64_t incarnation_ = 1;  // open files of an older one are dead
    uint64_t steps_ = 0;
    uint64_t used_pages_ = 0;
    uint64_t capacity_bytes_ = uint64_t{1} << 50;
    std::optional<uint64_t> halt_after_;
    std::optional<std::pair<uint64_t, Errc>> fail_at_;
    Hook hook_;
    std::string sync_lie_;
    MoveFunction<void(MoveFunction<void()>)> post_;
    MoveFunction<WallMs()> wall_;
    std::vector<MoveFunction<void()>> posted_;
    std::map<std::string, uint64_t> locks_;  // path to incarnation
};

}  // namespace millrace::support
