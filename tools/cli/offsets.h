// tools/cli/offsets.h: asks leaders for the offsets of a topic.
#pragma once

#include <cstdint>
#include <map>

#include "cli/client.h"

namespace millrace::cli {

inline constexpr int64_t kLatestTimestamp = -1;
inline constexpr int64_t kEarliestTimestamp = -2;

/// Partition to offset at a time or at one of the special times. A partition without leader or
/// without such an offset is left out.
std::map<int32_t, int64_t> list_offsets(Client& client,
                                        const wire::MetadataResponse::MetadataResponseTopic& topic,
                                        int64_t timestamp, bool committed = false);

}  // namespace millrace::cli
