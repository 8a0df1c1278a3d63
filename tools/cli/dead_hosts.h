// tools/cli/dead_hosts.h: the brokers that an operator's words for machines mean.
#pragma once

#include <string>
#include <vector>

#include "cli/reassign_client.h"

namespace millrace::cli {

/// The brokers that a word names: an id, a host in full, its first label or an address of it, or
/// host:port. A Failure where it is nobody, or may be two machines.
std::vector<int32_t> brokers_named(const std::string& word, const std::vector<ClusterNode>& nodes);

}  // namespace millrace::cli
