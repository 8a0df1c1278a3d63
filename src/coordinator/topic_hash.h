// src/coordinator/topic_hash.h: the hash by which a consumer group notices that its topics changed.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "millrace/metadata/image.h"

namespace millrace::coordinator {

/// Of one topic: id, name, partition count, racks of the replicas. 0 for a topic that is not there.
int64_t topic_hash(const metadata::Image& image, const std::string& topic);
/// Of those topics that exist; 0 when none does.
int64_t group_hash(const metadata::Image& image, const std::set<std::string>& topics);

}  // namespace millrace::coordinator
