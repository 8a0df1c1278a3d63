// src/placement/waves.h: the order of moving, in steps that brokers can bear.
#pragma once

#include "placement/model.h"

namespace millrace::placement {

/// Gives each change its wave: repairs first, then separation, then evenness, then mere order. In a
/// wave no broker takes more than max_moves_per_broker copies, and the bytes stay within
/// max_bytes_in_flight (a larger single partition goes alone). `rank` is parallel to the changes.
void split_into_waves(const Request& request, const std::vector<int>& rank, Plan& plan);

}  // namespace millrace::placement
