// include/millrace/net/posix_disk.h: env::FileSystem on POSIX calls.
#pragma once

#include <memory>

#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/env/disk.h"

namespace millrace::net {

/// Where sync_async runs fdatasync; the Runtime owns one with threads.
class SyncPool {
  public:
    virtual ~SyncPool() = default;
    /// Runs sync(file) away from the shard and `done` with its result on the calling shard. Calls
    /// for one file that wait together are merged into one run.
    virtual void run(std::shared_ptr<void> file, Status (*sync)(void*),
                     MoveFunction<void(Status)> done) = 0;
};

/// Files are opened with O_CLOEXEC. A sync that failed once fails for ever on that File. `syncs`
/// may be null (tools, tests): then sync_async syncs on the spot and calls back at once.
std::unique_ptr<env::FileSystem> make_posix_file_system(SyncPool* syncs);

}  // namespace millrace::net
