// include/millrace/replication/directory_move.h: a replica's way to another directory; pure.
//
// What it is: the order of the steps: copy until little is missing, make that durable, have the
//   controller record the new directory, copy the rest and change over.
// Owner: broker/log_dir_moves, one per partition with a future copy. Never sees bytes.
// Promises: Finish only after the controller's record names the new directory and all but the last
//   bytes are on the device; at most one step in flight.
// Requires: Copy ends with on_copied, Flush with on_flushed, Assign with on_assigned.
// Sources: KIP-113, KIP-858; kafka.server.ReplicaAlterLogDirsThread; dataplane.md F.7.
#pragma once

#include <cstdint>

#include "millrace/base/time.h"

namespace millrace::replication {

class DirectoryMove {
  public:
    enum class Step { Wait, Copy, Flush, Assign, Finish };
    struct Options {
        int64_t near_end_bytes = 256 * 1024;  // so much may be copied within one event
        Duration retry = seconds(1);          // of a request to the controller
    };
    explicit DirectoryMove(Options options) : options_(options) {}

    /// What to do now, with so many bytes missing in the copy; marks it as begun.
    Step next(Instant now, int64_t behind_bytes);
    void on_copied() { busy_ = false; }
    void on_flushed();
    /// The controller answered; without success it is asked again.
    void on_assigned(Instant now, bool accepted);
    /// The metadata names the new directory, or no longer.
    void on_recorded(bool recorded);
    /// The controller may come to believe in the new directory: a cancel has to take that back.
    bool told_controller() const { return told_ || recorded_; }
    /// When next() may have something to do without an event.
    Instant wake_at() const;

  private:
    Options options_;
    bool busy_ = false;
    bool flushed_ = false;
    bool asked_ = false;  // accepted; the record is on its way
    bool told_ = false;
    bool recorded_ = false;
    Instant ask_at_{};
};

}  // namespace millrace::replication
