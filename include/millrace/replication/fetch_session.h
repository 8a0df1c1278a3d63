// include/millrace/replication/fetch_session.h: incremental fetch sessions (KIP-227), broker side.
//
// What it is: the cache of sessions and the rules by which a Fetch request opens, continues or
//   closes one, and by which partitions appear in an incremental answer.
// Owner: broker/shard; pure, time and random bits are arguments.
// Promises: at most `slots` sessions; an error leaves every session as it was; the partition order
//   of a session changes only by moving partitions that returned data to its end.
// Sources: org.apache.kafka.server FetchSession, FetchManager, FetchSessionCacheShard;
//   dataplane.md C.2.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/base/rng.h"
#include "millrace/base/time.h"
#include "millrace/base/uuid.h"

namespace millrace::replication {

/// One partition of a Fetch request. `topic_id` is zero when the client names topics.
struct FetchTarget {
    Uuid topic_id;
    std::string topic;
    int32_t partition = 0;
    int64_t fetch_offset = 0;
    int64_t log_start_offset = -1;
    int32_t max_bytes = 0;
    int32_t current_leader_epoch = -1;
    int32_t last_fetched_epoch = -1;
    /// Of a target with an id: the topic's name when the id was known last. A session remembers it.
    std::shared_ptr<const std::string> known_name = {};
};

/// What a session needs to know of the answer for one target.
struct FetchAnswerFacts {
    ErrorCode error = ErrorCode::None;
    int64_t high_watermark = -1;
    int64_t log_start_offset = -1;
    bool has_records = false;
    bool has_preferred_replica = false;
    bool must_tell = false;  // a diverging epoch, or a nearer replica
};

struct FetchSessionRequest {
    int16_t version = 0;
    int32_t session_id = 0;
    int32_t session_epoch = -1;
    bool from_follower = false;
};

/// Names a session's partition: by topic id where the client uses ids, else by name.
struct FetchTargetKey {
    Uuid topic_id;
    std::string topic;  // empty when topic_id is set
    int32_t partition = 0;
    friend bool operator==(const FetchTargetKey&, const FetchTargetKey&) = default;
};
struct FetchTargetKeyHash {
    size_t operator()(const FetchTargetKey& key) const noexcept;
};

class FetchSessionCache;

/// One session. Private to the cache; visible here for its size in memory only.
struct FetchSession {
    struct Entry {
        FetchTarget target;
        int64_t high_watermark = -1;   // last answered, -1 resends
        int64_t log_start_offset = -1;
    };
    int32_t id = 0;
    int32_t next_epoch = 1;
    bool uses_topic_ids = false;
    bool privileged = false;  // a follower's
    Instant created;
    Instant last_used;
    std::list<Entry> entries;
    std::unordered_map<FetchTargetKey, std::list<Entry>::iterator, FetchTargetKeyHash> by_key;
};

/// How one Fetch request relates to the sessions. Lives until the request is answered.
struct FetchContext {
    enum class Kind { Error, Sessionless, Full, Incremental };
    Kind kind = Kind::Sessionless;
    ErrorCode error = ErrorCode::None;  // of Kind::Error
    std::vector<FetchTarget> targets;   // to read, in order
    // Private to FetchSessionCache:
    FetchSessionRequest request;
    int32_t expected_epoch = 0;
};

struct FetchFinish {
    ErrorCode error = ErrorCode::None;
    int32_t session_id = 0;
    std::vector<bool> include;  // one per target
};

class FetchSessionCache {
  public:
    FetchSessionCache(uint32_t slots, uint64_t seed);

    /// Step 1 of a Fetch: which partitions are meant.
    FetchContext open(const FetchSessionRequest& request, std::vector<FetchTarget> listed,
                      const std::vector<FetchTarget>& forgotten, Instant now);
    /// Last step: records what is being answered and says what to leave out.
    FetchFinish finish(const FetchContext& context, std::span<const FetchAnswerFacts> answers,
                       Instant now);
    /// A throttled request is answered without topics: see dataplane.md A.4.
    int32_t finish_throttled(const FetchContext& context);

    size_t session_count() const;

  private:
    static constexpr size_t kShards = 8;
    struct CacheShard {
        std::unordered_map<int32_t, std::unique_ptr<FetchSession>> sessions;
    };

    FetchSession* find(int32_t id);
    void close(int32_t id);
    CacheShard& shard_of(int32_t id);
    bool make_room(CacheShard& shard, bool privileged, size_t partitions, Instant now);
    int32_t create(const FetchContext& context, std::span<const FetchAnswerFacts> answers,
                   Instant now);
    FetchFinish finish_incremental(const FetchContext& context,
                                   std::span<const FetchAnswerFacts> answers);

    uint32_t slots_per_shard_;
    Rng rng_;
    size_t next_shard_ = 0;
    CacheShard shards_[kShards];
};

}  // namespace millrace::replication
