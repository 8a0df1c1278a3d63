// src/replication/directory_move.cc: the steps of a move between directories.
#include "millrace/replication/directory_move.h"

namespace millrace::replication {

DirectoryMove::Step DirectoryMove::next(Instant now, int64_t behind_bytes) {
    if (busy_) return Step::Wait;
    if (behind_bytes > options_.near_end_bytes) {
        busy_ = true;
        return Step::Copy;
    }
    if (!flushed_) {
        busy_ = true;
        return Step::Flush;
    }
    if (recorded_) return Step::Finish;
    if (asked_ || now < ask_at_) return Step::Wait;
    busy_ = told_ = true;
    return Step::Assign;
}

void DirectoryMove::on_flushed() {
    busy_ = false;
    flushed_ = true;
}

void DirectoryMove::on_assigned(Instant now, bool accepted) {
    busy_ = false;
    asked_ = accepted;
    ask_at_ = now + options_.retry;
}

void DirectoryMove::on_recorded(bool recorded) {
    if (recorded_ && !recorded) asked_ = false;
    recorded_ = recorded;
}

Instant DirectoryMove::wake_at() const {
    const bool waits = flushed_ && !busy_ && !asked_ && !recorded_;
    return waits ? ask_at_ : Instant::never();
}

}  // namespace millrace::replication
