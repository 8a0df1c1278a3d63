// src/net/timer_heap.h: deadlines in order, with cancel in O(log n) and ids that are never reused.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/base/move_function.h"
#include "millrace/base/time.h"
#include "millrace/env/timers.h"

namespace millrace::net {

/// A binary heap over slots that know their place in it. An id is the slot's number and the count
/// of its uses, so a late cancel never hits a stranger. Single-threaded.
class TimerHeap {
  public:
    env::TimerId arm(Instant when, MoveFunction<void()> fire);
    void cancel(env::TimerId id);
    /// The earliest deadline, or never.
    Instant earliest() const { return heap_.empty() ? Instant::never() : heap_.front().when; }
    /// Takes one callback that is due at `now`; empty when none is.
    MoveFunction<void()> take_due(Instant now);
    size_t size() const { return heap_.size(); }

  private:
    struct Slot {
        MoveFunction<void()> fire;
        uint32_t uses = 0;
        uint32_t place = 0;  // in heap_, when armed
        bool armed = false;
    };
    struct Entry {
        Instant when;
        uint32_t slot;
    };
    void remove(uint32_t place);
    void up(uint32_t place);
    void down(uint32_t place);
    void put(uint32_t place, Entry entry);

    std::vector<Entry> heap_;
    std::vector<Slot> slots_;
    std::vector<uint32_t> free_;
};

}  // namespace millrace::net
