// src/replication/fetch_session.cc: opening, continuing, answering and evicting fetch sessions.
#include "millrace/replication/fetch_session.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::replication {

namespace {
constexpr int16_t kFirstVersionWithSessions = 7;
constexpr int16_t kFirstVersionWithTopicIds = 13;
constexpr int32_t kFinalEpoch = -1;
constexpr int32_t kInitialEpoch = 0;
constexpr Duration kMinEvictionAge = seconds(120);  // min.incremental.fetch.session.eviction.ms
constexpr int32_t kIdsPerShard = std::numeric_limits<int32_t>::max() / 8;

FetchTargetKey key_of(const FetchTarget& target) {
    if (!target.topic_id.is_zero()) return {target.topic_id, {}, target.partition};
    return {kZeroUuid, target.topic, target.partition};
}

int32_t epoch_after(int32_t epoch) {
    return epoch == std::numeric_limits<int32_t>::max() ? 1 : epoch + 1;
}
}  // namespace

size_t FetchTargetKeyHash::operator()(const FetchTargetKey& key) const noexcept {
    return std::hash<Uuid>{}(key.topic_id) * 31U + std::hash<std::string>{}(key.topic) * 7U +
           static_cast<size_t>(key.partition);
}

FetchSessionCache::FetchSessionCache(uint32_t slots, uint64_t seed)
    : slots_per_shard_(slots / kShards), rng_(seed) {}

FetchSessionCache::CacheShard& FetchSessionCache::shard_of(int32_t id) {
    return shards_[std::min<size_t>(static_cast<size_t>(id / kIdsPerShard), kShards - 1)];
}

FetchSession* FetchSessionCache::find(int32_t id) {
    if (id <= 0) return nullptr;
    CacheShard& shard = shard_of(id);
    const auto found = shard.sessions.find(id);
    return found == shard.sessions.end() ? nullptr : found->second.get();
}

void FetchSessionCache::close(int32_t id) {
    if (id > 0) shard_of(id).sessions.erase(id);
}

size_t FetchSessionCache::session_count() const {
    size_t count = 0;
    for (const CacheShard& shard : shards_) count += shard.sessions.size();
    return count;
}

FetchContext FetchSessionCache::open(const FetchSessionRequest& request,
                                     std::vector<FetchTarget> listed,
                                     const std::vector<FetchTarget>& forgotten, Instant now) {
    FetchContext context;
    context.request = request;
    if (request.version < kFirstVersionWithSessions || request.session_epoch == kFinalEpoch) {
        if (request.version >= kFirstVersionWithSessions) close(request.session_id);
        context.kind = FetchContext::Kind::Sessionless;
        context.targets = std::move(listed);
        return context;
    }
    if (request.session_epoch == kInitialEpoch) {
        close(request.session_id);
        context.kind = FetchContext::Kind::Full;
        context.targets = std::move(listed);
        return context;
    }
    context.kind = FetchContext::Kind::Error;
    FetchSession* session = find(request.session_id);
    if (session == nullptr) {
        context.error = ErrorCode::FetchSessionIdNotFound;
        return context;
    }
    if (session->next_epoch != request.session_epoch) {
        context.error = ErrorCode::InvalidFetchSessionEpoch;
        return context;
    }
    if (session->uses_topic_ids != (request.version >= kFirstVersionWithTopicIds)) {
        context.error = ErrorCode::FetchSessionTopicIdError;
        return context;
    }
    for (FetchTarget& target : listed) {
        const auto [place, fresh] = session->by_key.try_emplace(key_of(target));
        if (fresh) {
            session->entries.push_back({std::move(target), -1, -1});
            place->second = std::prev(session->entries.end());
        } else {
            target.known_name = std::move(place->second->target.known_name);
            place->second->target = std::move(target);
        }
    }
    for (const FetchTarget& target : forgotten) {
        const auto found = session->by_key.find(key_of(target));
        if (found == session->by_key.end()) continue;
        session->entries.erase(found->second);
        session->by_key.erase(found);
    }
    if (session->entries.empty()) {
        close(request.session_id);
        context.kind = FetchContext::Kind::Sessionless;
        return context;
    }
    session->next_epoch = epoch_after(session->next_epoch);
    session->last_used = now;
    context.kind = FetchContext::Kind::Incremental;
    context.expected_epoch = session->next_epoch;
    context.targets.reserve(session->entries.size());
    for (const FetchSession::Entry& entry : session->entries) {
        context.targets.push_back(entry.target);
    }
    return context;
}

FetchFinish FetchSessionCache::finish(const FetchContext& context,
                                      std::span<const FetchAnswerFacts> answers, Instant now) {
    MILLRACE_ASSERT(answers.size() == context.targets.size(), "one answer per target");
    FetchFinish result;
    switch (context.kind) {
        case FetchContext::Kind::Error: result.error = context.error; return result;
        case FetchContext::Kind::Sessionless: break;
        case FetchContext::Kind::Full: result.session_id = create(context, answers, now); break;
        case FetchContext::Kind::Incremental: return finish_incremental(context, answers);
    }
    result.include.assign(context.targets.size(), true);
    return result;
}

FetchFinish FetchSessionCache::finish_incremental(const FetchContext& context,
                                                  std::span<const FetchAnswerFacts> answers) {
    FetchFinish result;
    result.session_id = context.request.session_id;
    FetchSession* session = find(context.request.session_id);
    if (session == nullptr || session->next_epoch != context.expected_epoch) {
        // Another request of the same session came between: this answer would be misread.
        result.error = ErrorCode::InvalidFetchSessionEpoch;
        return result;
    }
    result.include.assign(context.targets.size(), false);
    for (size_t i = 0; i < answers.size(); ++i) {
        const FetchAnswerFacts& answer = answers[i];
        const auto found = session->by_key.find(key_of(context.targets[i]));
        if (found == session->by_key.end()) continue;
        FetchSession::Entry& entry = *found->second;
        if (!entry.target.known_name) entry.target.known_name = context.targets[i].known_name;
        const bool changed = entry.high_watermark != answer.high_watermark ||
                             entry.log_start_offset != answer.log_start_offset;
        result.include[i] = answer.has_records || changed || answer.has_preferred_replica ||
                            answer.must_tell || answer.error != ErrorCode::None;
        // An error makes the next good answer count as a change.
        entry.high_watermark = answer.error == ErrorCode::None ? answer.high_watermark : -1;
        entry.log_start_offset = answer.log_start_offset;
        if (answer.has_records) {
            session->entries.splice(session->entries.end(), session->entries, found->second);
        }
    }
    return result;
}

int32_t FetchSessionCache::finish_throttled(const FetchContext& context) {
    return context.kind == FetchContext::Kind::Incremental ? context.request.session_id : 0;
}

int32_t FetchSessionCache::create(const FetchContext& context,
                                  std::span<const FetchAnswerFacts> answers, Instant now) {
    if (slots_per_shard_ == 0 || context.targets.empty()) return 0;
    const size_t index = next_shard_++ % kShards;
    CacheShard& shard = shards_[index];
    const bool privileged = context.request.from_follower;
    if (!make_room(shard, privileged, context.targets.size(), now)) return 0;

    auto session = std::make_unique<FetchSession>();
    const int32_t low = std::max<int32_t>(1, static_cast<int32_t>(index) * kIdsPerShard);
    const int32_t high = (static_cast<int32_t>(index) + 1) * kIdsPerShard - 1;
    do {
        session->id = static_cast<int32_t>(rng_.between(low, high));
    } while (shard.sessions.contains(session->id));
    session->uses_topic_ids = context.request.version >= kFirstVersionWithTopicIds;
    session->privileged = privileged;
    session->created = now;
    session->last_used = now;
    for (size_t i = 0; i < context.targets.size(); ++i) {
        const auto [place, fresh] = session->by_key.try_emplace(key_of(context.targets[i]));
        if (!fresh) continue;
        const FetchAnswerFacts& answer = answers[i];
        session->entries.push_back(
            {context.targets[i],
             answer.error == ErrorCode::None ? answer.high_watermark : int64_t{-1},
             answer.log_start_offset});
        place->second = std::prev(session->entries.end());
    }
    const int32_t id = session->id;
    shard.sessions.emplace(id, std::move(session));
    return id;
}

bool FetchSessionCache::make_room(CacheShard& shard, bool privileged, size_t partitions,
                                  Instant now) {
    if (shard.sessions.size() < slots_per_shard_) return true;
    const FetchSession* oldest = nullptr;
    const FetchSession* lowest = nullptr;
    const auto rank = [](const FetchSession& s) {
        return std::tuple(s.privileged, s.entries.size(), s.id);
    };
    // The order of an unordered map does not matter here: both searches have a unique minimum.
    for (const auto& [id, session] : shard.sessions) {
        if (oldest == nullptr || std::tie(session->last_used, session->id) <
                                     std::tie(oldest->last_used, oldest->id)) {
            oldest = session.get();
        }
        const bool aged = session->last_used - session->created > kMinEvictionAge;
        const bool candidate = privileged ? (aged || !session->privileged) : aged;
        if (candidate && (lowest == nullptr || rank(*session) < rank(*lowest))) {
            lowest = session.get();
        }
    }
    if (oldest != nullptr && now - oldest->last_used > kMinEvictionAge) {
        shard.sessions.erase(oldest->id);
        return true;
    }
    if (lowest == nullptr) return false;
    const bool ranks_higher = std::pair(privileged, partitions) >
                              std::pair(lowest->privileged, lowest->entries.size());
    if (!ranks_higher) return false;
    shard.sessions.erase(lowest->id);
    return true;
}

}  // namespace millrace::replication
