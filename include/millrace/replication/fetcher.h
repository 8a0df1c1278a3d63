// include/millrace/replication/fetcher.h: what to ask one leader for next; a pure machine.
//
// What it is: the partitions that this broker follows at one other broker, their positions and
//   pauses, and the client side of an incremental fetch session (KIP-227).
// Owner: broker/fetch_driver; one per leader. Never sees records.
// Promises: at most one request in flight; a partition is asked for only at the position that its
//   owner last told; after any failure of the session the next request is a full one.
// Requires: every request ends with on_answered or on_failed; positions are told before either.
// Sources: kafka.server.AbstractFetcherThread, clients FetchSessionHandler; kraft.md 3.5.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/base/uuid.h"

namespace millrace::replication {

struct FetchKey {
    Uuid topic_id;
    PartitionIndex partition;
    friend auto operator<=>(const FetchKey&, const FetchKey&) = default;
};

/// Where a followed log stands, as the leader is told.
struct FetchPosition {
    LeaderEpoch leader_epoch;
    Offset fetch_offset;
    LeaderEpoch last_fetched_epoch = kNoLeaderEpoch;
    Offset log_start;
    friend bool operator==(const FetchPosition&, const FetchPosition&) = default;
};

/// The next request: what is new or changed since the session's last one, and what left it.
struct FetchPlan {
    int32_t session_id = 0;
    int32_t session_epoch = 0;
    std::vector<std::pair<FetchKey, FetchPosition>> changed;
    std::vector<FetchKey> forgotten;
};

class Fetcher {
  public:
    struct Options {
        Duration back_off = seconds(1);  // replica.fetch.backoff.ms
        /// Of the first pause of a partition; each further one is twice as long, up to back_off.
        /// Mostly its leader has not seen the newest metadata yet, and will in a moment.
        Duration back_off_first = milliseconds(20);
    };
    explicit Fetcher(Options options) : options_(options) {}

    /// Follows from here on at `position`; an earlier pause is over.
    void follow(const FetchKey& key, const FetchPosition& position);
    void unfollow(const FetchKey& key);
    bool follows(const FetchKey& key) const { return partitions_.contains(key); }
    bool empty() const { return partitions_.empty(); }
    size_t size() const { return partitions_.size(); }
    /// Of the request in flight; nothing when the partition is new or was moved since.
    std::optional<FetchPosition> asked_for(const FetchKey& key) const;

    /// The log moved on (append, cut, new start).
    void on_position(const FetchKey& key, const FetchPosition& position);
    /// This partition pauses; the others go on.
    void pause(Instant now, const FetchKey& key);
    /// A throttle keeps this partition out of requests until then.
    void hold(const FetchKey& key, Instant until);
    /// This partition waits for new metadata (or its offsets): follow() takes it up again.
    void suspend(const FetchKey& key);

    /// The request to send now; nothing while one is in flight, all pause, or none is followed.
    std::optional<FetchPlan> next(Instant now);
    /// When next() may have something after it had nothing.
    Instant wake_at(Instant now) const;
    /// An answer came. False: the session is broken and nothing in the answer counts.
    bool on_answered(Instant now, ErrorCode error, int32_t session_id);
    /// No answer came: everything pauses, the session starts anew.
    void on_failed(Instant now);

  private:
    struct Entry {
        FetchPosition position;
        std::optional<FetchPosition> asked;  // as the leader's session knows it
        Instant paused_until{};
        Duration pause{};        // the last one, and when it ended
        Instant pause_end{};
        bool suspended = false;
        bool moved = false;  // by follow() since the request in flight was made
    };

    bool may_ask(const Entry& entry, Instant now) const;
    void forget_session();

    Options options_;
    std::map<FetchKey, Entry> partitions_;
    /// Those whose entry may differ from the session; a request costs what changed, not all.
    std::set<FetchKey> touched_;
    std::set<FetchKey> gone_;    // in the session, no longer followed
    size_t asked_count_ = 0;     // entries in the session
    int32_t session_id_ = 0;
    int32_t session_epoch_ = 0;  // of the next request
    bool in_flight_ = false;
    Instant paused_until_{};     // all of it, after a failure
};

}  // namespace millrace::replication
