// include/millrace/replication/follower.h: what a follower does with its leader's answers; pure.
//
// What it is: the rules of one followed partition: where to begin, where to cut after a divergence,
//   what to do about each error, where to go on when the leader's log is elsewhere.
// Owner: broker/partition and broker/fetch_driver; no state of its own.
// Promises: a cut never lies above both logs' common part as far as the two epochs' ends show it.
// Sources: kafka.server.AbstractFetcherThread, ReplicaFetcherThread; KIP-101, KIP-279, KIP-595;
//   kraft.md 3.5.
#pragma once

#include <cstdint>

#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"

namespace millrace::replication {

/// An epoch of a log and where it ends (exclusive); -1 and -1 when the log knows no such epoch.
struct EpochEndPoint {
    LeaderEpoch epoch = kNoLeaderEpoch;
    Offset end_offset = kNoOffset;
    friend bool operator==(const EpochEndPoint&, const EpochEndPoint&) = default;
};

/// Where to cut after the leader said that its log differs. `leader` is the leader's largest epoch
/// not above the follower's last one; `local` the follower's own largest epoch not above that.
Offset divergence_cut(const EpochEndPoint& leader, const EpochEndPoint& local, Offset local_end);

/// What follows from the error of one partition's answer.
enum class FetchVerdict {
    Process,      // no error: append, cut, or go on
    BackOff,      // the leader is not ready for this follower; the same again later
    AskOffsets,   // the position is not in the leader's log: ask where that is
    WaitForImage  // this epoch is over: only newer metadata helps
};
FetchVerdict judge_fetch_error(ErrorCode error);

/// Where a follower goes whose position lies outside its leader's log.
struct Reposition {
    enum class Kind { Truncate, StartAt, Keep } kind = Kind::Keep;
    Offset offset;  // of Truncate (new end) and StartAt (of the emptied log)
};
/// The leader's end lies before the follower's: an unclean election lost the rest; cut. Its start
/// lies behind the follower's end: everything here was deleted there; begin anew. Else fetch on.
Reposition reposition(Offset leader_start, Offset leader_end, Offset local_end);

}  // namespace millrace::replication
