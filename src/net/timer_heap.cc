// src/net/timer_heap.cc: deadlines in order, with cancel in O(log n) and ids that are never reused.
#include "net/timer_heap.h"

#include <utility>

namespace millrace::net {

env::TimerId TimerHeap::arm(Instant when, MoveFunction<void()> fire) {
    uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<uint32_t>(slots_.size());
        slots_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Slot& slot = slots_[index];
    slot.fire = std::move(fire);
    slot.uses += 1;
    slot.armed = true;
    heap_.push_back({});
    put(static_cast<uint32_t>(heap_.size() - 1), {when, index});
    up(slot.place);
    // The use count starts at 1, so no id is kNoTimer.
    return (env::TimerId{slot.uses} << 32) | index;
}

void TimerHeap::cancel(env::TimerId id) {
    const uint32_t index = static_cast<uint32_t>(id);
    if (index >= slots_.size()) return;
    Slot& slot = slots_[index];
    if (!slot.armed || slot.uses != static_cast<uint32_t>(id >> 32)) return;
    remove(slot.place);
    slot.fire = nullptr;
}

MoveFunction<void()> TimerHeap::take_due(Instant now) {
    if (heap_.empty() || heap_.front().when > now) return {};
    Slot& slot = slots_[heap_.front().slot];
    remove(0);
    return std::move(slot.fire);
}

void TimerHeap::remove(uint32_t place) {
    const uint32_t index = heap_[place].slot;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (place < heap_.size()) {
        put(place, last);
        up(place);
        down(slots_[last.slot].place);
    }
    slots_[index].armed = false;
    free_.push_back(index);
}

void TimerHeap::up(uint32_t place) {
    const Entry entry = heap_[place];
    while (place > 0) {
        const uint32_t parent = (place - 1) / 2;
        if (heap_[parent].when <= entry.when) break;
        put(place, heap_[parent]);
        place = parent;
    }
    put(place, entry);
}

void TimerHeap::down(uint32_t place) {
    const Entry entry = heap_[place];
    const uint32_t count = static_cast<uint32_t>(heap_.size());
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= count) break;
        if (child + 1 < count && heap_[child + 1].when < heap_[child].when) child += 1;
        if (entry.when <= heap_[child].when) break;
        put(place, heap_[child]);
        place = child;
    }
    put(place, entry);
}

void TimerHeap::put(uint32_t place, Entry entry) {
    heap_[place] = entry;
    slots_[entry.slot].place = place;
}

}  // namespace millrace::net
