// src/api/session_host.cc: receive memory and byte budgets that the sessions of a shard share.
#include <algorithm>
#include <utility>

#include "millrace/api/session.h"
#include "millrace/base/assert.h"
#include "millrace/base/log.h"

namespace millrace::api {
namespace {

const LogChannel kLog{"api"};

}  // namespace

SessionHost::SessionHost(broker::Shard* shard, Options options)
    : shard_(shard), options_(std::move(options)), pool_(kPoolFreeBytesMax) {
    options_.slab_bytes = std::max(options_.slab_bytes, kSlabFrameBytes + kSlabRoomMin);
}

SessionHost::~SessionHost() { MILLRACE_ASSERT(waiting_.empty(), "sessions go before their host"); }

MutableByteView SessionHost::slab_room() {
    if (slab_.empty() || slab_.size() - slab_used_ < kSlabRoomMin) {
        slab_ = pool_.allocate(options_.slab_bytes);
        slab_used_ = 0;
    }
    return {slab_.mutable_data() + slab_used_, slab_.size() - slab_used_};
}

Buffer SessionHost::take_from_slab(size_t bytes) {
    MILLRACE_ASSERT(bytes <= slab_.size() - slab_used_, "received bytes fit the room given");
    Buffer taken = slab_.slice(slab_used_, bytes);
    slab_used_ += bytes;
    return taken;
}

void SessionHost::recycle_slab() {
    if (slab_.unique()) slab_used_ = 0;
}

void SessionHost::wait_for_budget(Session& session) {
    if (session.waiting_for_budget_ || session.closing_) return;
    session.waiting_for_budget_ = true;
    waiting_.push_back(&session);
}

void SessionHost::stop_waiting(Session& session) {
    session.waiting_for_budget_ = false;
    waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), &session), waiting_.end());
}

// Wakes all that wait once both budgets have room again: each asks anew, in the old order.
void SessionHost::wake_waiting() {
    if (waiting_.empty() || !granted(queued_bytes_, options_.queued_request_bytes_max) ||
        !granted(large_bytes_, options_.large_frame_bytes_max)) {
        return;
    }
    std::deque<Session*> woken;
    woken.swap(waiting_);
    for (Session* session : woken) {
        session->waiting_for_budget_ = false;
        session->wake_owner();
    }
}

Instant SessionHost::next_stall() const {
    Instant first = Instant::never();
    if (granted(large_bytes_, options_.large_frame_bytes_max)) return first;
    for (const Session* session : large_) {
        first = std::min(first, session->progress_at_ + kFrameStallMax);
    }
    return first;
}

void SessionHost::close_stalled(Instant now) {
    if (granted(large_bytes_, options_.large_frame_bytes_max)) return;
    for (Session* session : large_) {
        if (now - session->progress_at_ < kFrameStallMax) continue;
        // Where we do not read, the peer is not to blame.
        session->progress_at_ = now;
        if (!session->may_serve()) continue;
        session->now_ = now;
        session->close("a large frame does not arrive while others wait for its memory");
    }
}

bool SessionHost::may_log_close(Instant now) {
    if (now - log_second_ >= seconds(1)) {
        if (unlogged_closes_ > 0) {
            log_warn(kLog, "closed {} more connections for what they sent", unlogged_closes_);
        }
        log_second_ = now;
        close_lines_ = 0;
        unlogged_closes_ = 0;
    }
    if (close_lines_ < kCloseLinesPerSecondMax) {
        close_lines_ += 1;
        return true;
    }
    unlogged_closes_ += 1;
    return false;
}

}  // namespace millrace::api
