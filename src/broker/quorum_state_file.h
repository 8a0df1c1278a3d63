// src/broker/quorum_state_file.h: the quorum-state file, Kafka's JSON to the byte.
//
// data_version 0 (static voters) lists the voters and has no directory of the vote; 1 is the
// other way round (org.apache.kafka.raft.FileQuorumStateStore, QuorumStateData).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/result.h"
#include "millrace/raft/output.h"
#include "millrace/raft/voter_set.h"

namespace millrace::env {
class FileSystem;
}

namespace millrace::broker {

std::string print_quorum_state(const raft::ElectionState& state, int16_t kraft_version,
                               const raft::VoterSet& voters);
/// Corrupt: not JSON of that shape, or a data_version other than 0 and 1.
Result<raft::ElectionState> parse_quorum_state(std::string_view text);

/// Nothing when there is no file.
Result<std::optional<raft::ElectionState>> read_quorum_state(env::FileSystem& files,
                                                             const std::string& directory);
/// Through quorum-state.tmp, sync, rename, sync of the directory.
Status write_quorum_state(env::FileSystem& files, const std::string& directory,
                          const std::string& text);

}  // namespace millrace::broker
