// src/replication/fetcher.cc: positions, pauses and the fetch session of one leader.
#include "millrace/replication/fetcher.h"

#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::replication {

void Fetcher::follow(const FetchKey& key, const FetchPosition& position) {
    Entry& entry = partitions_[key];
    entry = Entry{position, Instant{}, false, in_flight_};
}

void Fetcher::unfollow(const FetchKey& key) { partitions_.erase(key); }

std::optional<FetchPosition> Fetcher::asked_for(const FetchKey& key) const {
    const auto entry = partitions_.find(key);
    const auto asked = session_.find(key);
    if (entry == partitions_.end() || entry->second.moved || asked == session_.end()) {
        return std::nullopt;
    }
    return asked->second;
}

void Fetcher::on_position(const FetchKey& key, const FetchPosition& position) {
    const auto found = partitions_.find(key);
    if (found != partitions_.end()) found->second.position = position;
}

void Fetcher::pause(Instant now, const FetchKey& key) {
    const auto found = partitions_.find(key);
    if (found != partitions_.end()) found->second.paused_until = now + options_.back_off;
}

void Fetcher::hold(const FetchKey& key, Instant until) {
    const auto found = partitions_.find(key);
    if (found == partitions_.end()) return;
    found->second.paused_until = std::max(found->second.paused_until, until);
}

void Fetcher::suspend(const FetchKey& key) {
    const auto found = partitions_.find(key);
    if (found != partitions_.end()) found->second.suspended = true;
}

std::optional<FetchPlan> Fetcher::next(Instant now) {
    if (in_flight_ || now < paused_until_) return std::nullopt;
    FetchPlan plan;
    plan.session_id = session_id_;
    plan.session_epoch = session_epoch_;
    std::map<FetchKey, FetchPosition> asked;
    for (auto& [key, entry] : partitions_) {
        entry.moved = false;
        if (entry.suspended || now < entry.paused_until) continue;
        asked.emplace(key, entry.position);
        const auto known = session_.find(key);
        if (session_epoch_ == 0 || known == session_.end() || known->second != entry.position) {
            plan.changed.emplace_back(key, entry.position);
        }
    }
    if (asked.empty()) return std::nullopt;
    if (session_epoch_ != 0) {
        for (const auto& [key, position] : session_) {
            if (!asked.contains(key)) plan.forgotten.push_back(key);
        }
    }
    session_ = std::move(asked);
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
    } else if (session_id_ != session_id) {
        session_id_ = session_id;
        session_epoch_ = 1;
    } else {
        session_epoch_ = session_epoch_ == INT32_MAX ? 1 : session_epoch_ + 1;
    }
    return true;
}

void Fetcher::on_failed(Instant now) {
    MILLRACE_ASSERT(in_flight_, "a failure of no request");
    in_flight_ = false;
    session_epoch_ = 0;  // with the old id: the leader closes that session and opens another
    session_.clear();
    paused_until_ = now + options_.back_off;
}

}  // namespace millrace::replication
