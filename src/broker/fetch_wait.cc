// src/broker/fetch_wait.cc: linking, waking and unlinking of parked fetches.
#include "millrace/broker/fetch_wait.h"

#include <utility>

#include "millrace/base/assert.h"

namespace millrace::broker {

FetchWatchList::~FetchWatchList() {
    // The partition goes away: whoever waits must look again, and must not unlink from us later.
    while (first_ != nullptr) {
        FetchWait* wait = first_->wait;
        wait->unlink_all();
        wait->on_progress(kWakeEveryFetch);
    }
}

void FetchWatchList::notify(int64_t bytes) {
    for (FetchWatch* watch = first_; watch != nullptr; watch = watch->next) {
        watch->wait->on_progress(bytes);
    }
}

void FetchWatchList::abandon_all() {
    while (first_ != nullptr) {
        FetchWait* wait = first_->wait;
        wait->unlink_all();
        const std::shared_ptr<void> dropped = std::move(wait->owner_);
    }
}

FetchWait::FetchWait(env::Timers& timers, int64_t bytes_needed, MoveFunction<void()> wake)
    : timers_(timers), bytes_needed_(bytes_needed), wake_(std::move(wake)) {}

FetchWait::~FetchWait() {
    timers_.cancel(timer_);
    unlink_all();
}

void FetchWait::watch(FetchWatchList& list) {
    MILLRACE_ASSERT(watches_.size() < watches_.capacity(), "reserve() before watch()");
    Linked& linked = watches_.emplace_back();
    linked.list = &list;
    linked.watch.wait = this;
    linked.watch.next = list.first_;
    if (list.first_ != nullptr) list.first_->previous = &linked.watch;
    list.first_ = &linked.watch;
}

void FetchWait::arm(Instant deadline, std::shared_ptr<void> owner) {
    owner_ = std::move(owner);
    timer_ = timers_.arm(deadline, [self = weak_from_this()] {
        if (const auto alive = self.lock()) alive->fire();
    });
}

void FetchWait::on_progress(int64_t bytes) {
    if (fired_) return;
    bytes_needed_ -= bytes;
    if (bytes_needed_ > 0) return;
    fired_ = true;
    // After the current event: an append must not run another client's Fetch in its middle.
    timers_.post([self = weak_from_this()] {
        if (const auto alive = self.lock()) {
            alive->fired_ = false;
            alive->fire();
        }
    });
}

void FetchWait::fire() {
    if (fired_) return;
    fired_ = true;
    timers_.cancel(timer_);
    timer_ = env::kNoTimer;
    unlink_all();
    const std::shared_ptr<void> owner = std::move(owner_);  // may be the last reference to us
    MoveFunction<void()> wake = std::move(wake_);
    wake();
}

void FetchWait::unlink_all() {
    for (Linked& linked : watches_) {
        if (linked.list == nullptr) continue;
        FetchWatch& watch = linked.watch;
        if (watch.previous != nullptr) {
            watch.previous->next = watch.next;
        } else {
            linked.list->first_ = watch.next;
        }
        if (watch.next != nullptr) watch.next->previous = watch.previous;
        linked.list = nullptr;
    }
}

}  // namespace millrace::broker
