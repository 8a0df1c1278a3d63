// include/millrace/broker/fetch_wait.h: long polls: a parked Fetch and the partitions it watches.
//
// A parked Fetch puts one watch into the list of each partition it reads. A partition tells its
// list how many bytes became visible; when enough came, or the deadline passed, the wait wakes its
// owner once, after the current event. There is no global purgatory: what waits hangs on what it
// waits for, and unlinks itself in O(1). Everything stays on one shard.
// Source of the rule: kafka.server.DelayedFetch; dataplane.md C.5.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "millrace/base/move_function.h"
#include "millrace/base/time.h"
#include "millrace/env/timers.h"

namespace millrace::broker {

class FetchWait;

/// One partition's watch by one parked Fetch; a node of an intrusive list.
struct FetchWatch {
    FetchWait* wait = nullptr;
    FetchWatch* previous = nullptr;
    FetchWatch* next = nullptr;
};

/// The parked fetches of one partition. Owned by the partition.
class FetchWatchList {
  public:
    FetchWatchList() = default;
    FetchWatchList(const FetchWatchList&) = delete;
    FetchWatchList& operator=(const FetchWatchList&) = delete;
    ~FetchWatchList();

    bool empty() const { return first_ == nullptr; }
    /// `bytes` more can be read. Use a huge number to say that everybody has to look again
    /// (leadership lost, log truncated or deleted).
    void notify(int64_t bytes);
    /// The node goes away without answering: every parked operation is dropped.
    void abandon_all();

  private:
    friend class FetchWait;
    FetchWatch* first_ = nullptr;
};

inline constexpr int64_t kWakeEveryFetch = INT64_MAX / 2;

/// Owned (shared) by the operation that waits, and, once armed, owner of that operation until it
/// fires. Destroying it unlinks all watches.
class FetchWait : public std::enable_shared_from_this<FetchWait> {
  public:
    FetchWait(env::Timers& timers, int64_t bytes_needed, MoveFunction<void()> wake);
    ~FetchWait();
    FetchWait(const FetchWait&) = delete;
    FetchWait& operator=(const FetchWait&) = delete;

    /// Call before any watch().
    void reserve(size_t partitions) { watches_.reserve(partitions); }
    void watch(FetchWatchList& list);
    void arm(Instant deadline, std::shared_ptr<void> owner);

  private:
    friend class FetchWatchList;
    void on_progress(int64_t bytes);
    void fire();
    void unlink_all();

    env::Timers& timers_;
    int64_t bytes_needed_;
    MoveFunction<void()> wake_;
    std::shared_ptr<void> owner_;
    env::TimerId timer_ = env::kNoTimer;
    bool fired_ = false;
    struct Linked {
        FetchWatch watch;
        FetchWatchList* list = nullptr;
    };
    std::vector<Linked> watches_;  // never reallocated once the first is linked
};

}  // namespace millrace::broker
