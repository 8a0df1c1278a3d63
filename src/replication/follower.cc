// src/replication/follower.cc: cuts, errors and new beginnings of a followed partition.
#include "millrace/replication/follower.h"

#include <algorithm>

namespace millrace::replication {

Offset divergence_cut(const EpochEndPoint& leader, const EpochEndPoint& local, Offset local_end) {
    // Nothing here is as old as what the leader names: nothing can be shared.
    if (local.epoch == kNoLeaderEpoch || local.end_offset == kNoOffset) {
        return std::min(leader.end_offset, local_end);
    }
    // The leader's epoch is unknown here: drop what came after the older one, then ask again.
    if (local.epoch != leader.epoch) return std::min(local.end_offset, local_end);
    return std::min({leader.end_offset, local.end_offset, local_end});
}

FetchVerdict judge_fetch_error(ErrorCode error) {
    switch (error) {
        case ErrorCode::None: return FetchVerdict::Process;
        case ErrorCode::OffsetOutOfRange: return FetchVerdict::AskOffsets;
        case ErrorCode::FencedLeaderEpoch: return FetchVerdict::WaitForImage;
        default: return FetchVerdict::BackOff;  // of the protocol's many codes
    }
}

Reposition reposition(Offset leader_start, Offset leader_end, Offset local_end) {
    if (leader_end < local_end) return {Reposition::Kind::Truncate, leader_end};
    if (leader_start > local_end) return {Reposition::Kind::StartAt, leader_start};
    return {Reposition::Kind::Keep, local_end};
}

}  // namespace millrace::replication
