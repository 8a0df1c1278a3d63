// src/coordinator/timer_queue.h: the deadlines of one machine, by key, behind its one wake-up.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "millrace/base/assert.h"
#include "millrace/base/time.h"

namespace millrace::coordinator {

/// Arming a key replaces its deadline. Heartbeats move a deadline later again and again, so the
/// queue is touched only when the entry at its old place comes up.
template <class Key>
class TimerQueue {
  public:
    void arm(const Key& key, Instant at) {
        auto [it, added] = armed_.try_emplace(key, Deadline{at, at});
        if (!added) {
            it->second.at = at;
            if (at >= it->second.queued_at) return;
            queue_.erase({it->second.queued_at, key});
            it->second.queued_at = at;
        }
        queue_.insert({at, key});
        MILLRACE_ASSERT(queue_.size() == armed_.size(), "one place in the queue per key");
    }
    void cancel(const Key& key) {
        auto it = armed_.find(key);
        if (it == armed_.end()) return;
        queue_.erase({it->second.queued_at, key});
        armed_.erase(it);
    }
    bool armed(const Key& key) const { return armed_.contains(key); }
    size_t size() const { return armed_.size(); }
    void clear() {
        armed_.clear();
        queue_.clear();
    }
    /// Never later than the first deadline.
    Instant wake_at() const { return queue_.empty() ? Instant::never() : queue_.begin()->first; }
    /// Takes the next key whose deadline has come. False: there is none.
    bool pop_due(Instant now, Key& key) {
        while (!queue_.empty() && queue_.begin()->first <= now) {
            auto node = queue_.extract(queue_.begin());
            auto it = armed_.find(node.value().second);
            if (it->second.at <= now) {
                key = it->first;
                armed_.erase(it);
                return true;
            }
            it->second.queued_at = it->second.at;
            node.value().first = it->second.at;
            queue_.insert(std::move(node));
        }
        return false;
    }

  private:
    struct Deadline {
        Instant at;
        Instant queued_at;  // where the queue has it: at or before `at`
    };
    std::map<Key, Deadline> armed_;
    std::set<std::pair<Instant, Key>> queue_;
};

}  // namespace millrace::coordinator
