// src/replication/fetcher.cc: positions, pauses and the fetch session of one leader.
#include "millrace/replication/fetcher.h"

#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::replication {

void Fetcher::follow(const FetchKey& key, const FetchPosition& position) {
    Entry& entry = partitions_[key];
    const std::optional<FetchPosition> asked = entry.asked;
    entry = Entry{};
    entry.position = position;
    entry.asked = asked;
    entry.moved = in_flight_;
    touched_.insert(key);
}

void Fetcher::unfollow(const FetchKey& key) {
    const auto found = partitions_.find(key);
    if (found == partitions_.end()) return;
    if (found->second.asked.has_value()) {
        --asked_count_;
        gone_.insert(key);
    }
    partitions_.erase(found);
    touched_.erase(key);
}

std::optional<FetchPosition> Fetcher::asked_for(const FetchKey& key) const {
    const auto entry = partitions_.find(key);
    if (entry == partitions_.end() || entry->second.moved) return std::nullopt;
    return entry->second.asked;
}

void Fetcher::on_position(const FetchKey& key, const FetchPosition& position) {
    const auto found = partitions_.find(key);
    if (found == partitions_.end() || found->second.position == position) return;
    found->second.position = position;
    touched_.insert(key);
}

void Fetcher::pause(Instant now, const FetchKey& key) {
    const auto found = partitions_.find(key);
    if (found == partitions_.end()) return;
    Entry& entry = found->second;
    const bool again = entry.pause.nanos > 0 && now < entry.pause_end + options_.back_off;
    entry.pause = std::min(options_.back_off, again ? entry.pause * 2 : options_.back_off_first);
    entry.pause_end = now + entry.pause;
    hold(key, entry.pause_end);
}

void Fetcher::hold(const FetchKey& key, Instant until) {
    const auto found = partitions_.find(key);
    if (found == partitions_.end()) return;
    found->second.paused_until = std::max(found->second.paused_until, until);
    touched_.insert(key);
}

void Fetcher::suspend(const FetchKey& key) {
    const auto found = partitions_.find(key);
    if (found == partitions_.end()) return;
    found->second.suspended = true;
    touched_.insert(key);
}

bool Fetcher::may_ask(const Entry& entry, Instant now) const {
    return !entry.suspended && now >= entry.paused_until;
}

std::optional<FetchPlan> Fetcher::next(Instant now) {
    if (in_flight_ || now < paused_until_) return std::nullopt;
    // Without anybody to ask for nothing is sent, and the session stays as the leader knows it.
    size_t count = asked_count_;
    for (const FetchKey& key : touched_) {
        const Entry& entry = partitions_.at(key);
        if (entry.asked.has_value()) --count;
        if (may_ask(entry, now)) ++count;
    }
    if (count == 0) return std::nullopt;
    FetchPlan plan;
    plan.session_id = session_id_;
    plan.session_epoch = session_epoch_;
    for (auto at = touched_.begin(); at != touched_.end();) {
        Entry& entry = partitions_.at(*at);
        entry.moved = false;
        if (!may_ask(entry, now)) {
            if (entry.asked.has_value()) plan.forgotten.push_back(*at);
            entry.asked.reset();
            ++at;
            continue;
        }
        if (entry.asked != entry.position) plan.changed.emplace_back(*at, entry.position);
        entry.asked = entry.position;
        gone_.erase(*at);  // it came back before the leader was told
        at = touched_.erase(at);
    }
    plan.forgotten.insert(plan.forgotten.end(), gone_.begin(), gone_.end());
    gone_.clear();
    asked_count_ = count;
    in_flight_ = true;
    return plan;
}

Instant Fetcher::wake_at(Instant now) const {
    if (in_flight_) return Instant::never();
    Instant earliest = Instant::never();
    for (const auto& [key, entry] : partitions_) {
        if (!entry.suspended) earliest = std::min(earliest, std::max(entry.paused_until, now));
    }
    return earliest == Instant::never() ? earliest : std::max(earliest, paused_until_);
}

bool Fetcher::on_answered(Instant now, ErrorCode error, int32_t session_id) {
    MILLRACE_ASSERT(in_flight_, "an answer to no request");
    if (error != ErrorCode::None) {
        // A session that the leader forgot is opened again at once; anything else waits.
        const bool forgotten = error == ErrorCode::FetchSessionIdNotFound ||
                               error == ErrorCode::InvalidFetchSessionEpoch ||
                               error == ErrorCode::FetchSessionTopicIdError;
        on_failed(now);
        if (forgotten) {
            paused_until_ = Instant{};
            session_id_ = 0;
        }
        return false;
    }
    in_flight_ = false;
    if (session_id == 0) {
        session_id_ = session_epoch_ = 0;  // the leader keeps no session: full requests
        forget_session();
    } else if (session_id_ != session_id) {
        session_id_ = session_id;
        session_epoch_ = 1;
    } else {
        session_epoch_ = session_epoch_ == INT32_MAX ? 1 : session_epoch_ + 1;
    }
    return true;
}

void Fetcher::forget_session() {
    for (auto& [key, entry] : partitions_) {
        entry.asked.reset();
        touched_.insert(key);
    }
    gone_.clear();
    asked_count_ = 0;
}

void Fetcher::on_failed(Instant now) {
    MILLRACE_ASSERT(in_flight_, "a failure of no request");
    in_flight_ = false;
    session_epoch_ = 0;  // with the old id: the leader closes that session and opens another
    forget_session();
    paused_until_ = now + options_.back_off;
}

}  // namespace millrace::replication
