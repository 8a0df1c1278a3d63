// tools/cli/find_coordinator.h: which broker coordinates a group or a transactional id.
#pragma once

#include "cli/client.h"

namespace millrace::cli {

enum class CoordinatorKind : int8_t { Group = 0, Transaction = 1 };

struct Coordinator {
    int32_t node = -1;
    Address address;
};

/// Asks any broker, and asks again until the deadline while the coordinator is not available (its
/// internal topic may be made by this very request).
Coordinator find_coordinator(Client& client, const std::string& key, CoordinatorKind kind);

}  // namespace millrace::cli
