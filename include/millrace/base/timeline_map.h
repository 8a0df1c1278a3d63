// include/millrace/base/timeline_map.h: maps and values with speculative writes that can be undone.
//
// A command machine applies its records at once, before they are committed, so that later
// commands see them. If the append fails or leadership is lost, everything after the last
// committed offset must vanish. A Timeline is the shared clock of such containers: mark(offset)
// says "what follows belongs to records from `offset` on"; revert_to(offset) undoes everything
// written since that mark; forget_below(offset) declares the past final and frees its undo log.
//
// Difference to Kafka's timeline package (org.apache.kafka.timeline): that one keeps old tiers
// and can read any snapshot; here only the newest state is readable, and an undo log serves the
// rare revert. A write costs one undo entry; committing costs O(undo entries freed). Readers of
// committed state use images (metadata) or wait in PendingByOffset.
//
// Owner: one machine on one shard. A container registers with its Timeline for life and must be
// destroyed before it.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "millrace/base/assert.h"
#include "millrace/base/ids.h"
#include "millrace/base/move_function.h"

namespace millrace {

class Timeline {
  public:
    Timeline() = default;
    Timeline(const Timeline&) = delete;
    Timeline& operator=(const Timeline&) = delete;

    /// Writes from now on belong to `offset`. REQUIRES: not below the last mark.
    void mark(Offset offset) {
        MILLRACE_ASSERT(offset >= at_, "marks do not go back without a revert");
        at_ = offset;
        keep_undo_ = true;
    }
    /// Writes from now on are final (replay of committed records): no undo entry is kept for them.
    /// REQUIRES: nothing speculative is left.
    void mark_committed(Offset offset) {
        MILLRACE_ASSERT(undo_.empty(), "committed replay over speculative state");
        at_ = offset;
        keep_undo_ = false;
    }
    /// Undoes, newest first, all writes that belong to `offset` or later.
    void revert_to(Offset offset) {
        while (!undo_.empty() && undo_.back().first >= offset) {
            MoveFunction<void()> undo = std::move(undo_.back().second);
            undo_.pop_back();
            undo();
        }
        if (at_ > offset) at_ = offset;
    }
    /// Writes that belong to offsets below `offset` are final.
    void forget_below(Offset offset) {
        while (!undo_.empty() && undo_.front().first < offset)
            undo_.pop_front();
    }
    size_t undo_size() const { return undo_.size(); }
    bool keeps_undo() const { return keep_undo_; }
    void push_undo(MoveFunction<void()> undo) { undo_.emplace_back(at_, std::move(undo)); }

  private:
    std::deque<std::pair<Offset, MoveFunction<void()>>> undo_;
    Offset at_{0};
    bool keep_undo_ = false;
};

/// An ordered map under a Timeline. V is copyable; change a value with set() or update().
template <class K, class V>
class TimelineMap {
  public:
    using Map = std::map<K, V, std::less<>>;
    explicit TimelineMap(Timeline& timeline) : timeline_(&timeline) {}
    TimelineMap(const TimelineMap&) = delete;
    TimelineMap& operator=(const TimelineMap&) = delete;

    template <class Q>
    const V* find(const Q& key) const {
        auto it = map_.find(key);
        return it == map_.end() ? nullptr : &it->second;
    }
    template <class Q>
    bool contains(const Q& key) const {
        return map_.find(key) != map_.end();
    }
    size_t size() const { return map_.size(); }
    bool empty() const { return map_.empty(); }
    auto begin() const { return map_.begin(); }
    auto end() const { return map_.end(); }
    template <class Q>
    auto lower_bound(const Q& key) const {
        return map_.lower_bound(key);
    }

    /// Inserts or replaces.
    void set(const K& key, V value) {
        auto it = map_.find(key);
        if (it == map_.end()) {
            remember(key, std::nullopt);
            map_.emplace(key, std::move(value));
        } else {
            remember(key, std::move(it->second));
            it->second = std::move(value);
        }
    }
    /// Copies the value, lets `change` edit the copy in place, keeps the old one for a revert.
    /// REQUIRES: `key` is there.
    template <class Change>
    void update(const K& key, Change change) {
        auto it = map_.find(key);
        MILLRACE_ASSERT(it != map_.end(), "update of an absent key");
        if (timeline_->keeps_undo()) remember(key, it->second);
        change(it->second);
    }
    /// True when `key` was there.
    bool erase(const K& key) {
        auto it = map_.find(key);
        if (it == map_.end()) return false;
        remember(key, std::move(it->second));
        map_.erase(it);
        return true;
    }
    void clear() {
        while (!map_.empty())
            erase(K(map_.begin()->first));
    }

  private:
    void remember(const K& key, std::optional<V> old) {
        if (!timeline_->keeps_undo()) return;
        timeline_->push_undo([this, key, old = std::move(old)]() mutable {
            if (old) {
                map_.insert_or_assign(key, std::move(*old));
            } else {
                map_.erase(key);
            }
        });
    }

    Timeline* timeline_;
    Map map_;
};

/// One value under a Timeline.
template <class V>
class TimelineValue {
  public:
    explicit TimelineValue(Timeline& timeline, V value = V())
        : timeline_(&timeline), value_(std::move(value)) {}
    TimelineValue(const TimelineValue&) = delete;
    TimelineValue& operator=(const TimelineValue&) = delete;

    const V& get() const { return value_; }
    void set(V value) {
        if (timeline_->keeps_undo()) {
            timeline_->push_undo(
                [this, old = std::move(value_)]() mutable { value_ = std::move(old); });
        }
        value_ = std::move(value);
    }

  private:
    Timeline* timeline_;
    V value_;
};

}  // namespace millrace
