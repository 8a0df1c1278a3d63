// tools/cli/shim_groups.h: the parts of kafka-consumer-groups.sh.
#pragma once

#include "cli/group_client.h"
#include "cli/shim_options.h"

namespace millrace::cli {

void shim_describe_groups(GroupClient& groups, const ShimOptions& options);
void shim_reset_offsets(GroupClient& groups, const ShimOptions& options);
void shim_delete_offsets(GroupClient& groups, const ShimOptions& options);

/// --group as often as given, or every consumer group with --all-groups, in Java's order.
std::vector<std::string> shim_group_ids(GroupClient& groups, const ShimOptions& options);
/// "\nError: ..." on standard output, as the tool prints its errors.
void shim_group_error(const std::string& message);
/// The tool wraps what a future threw once more in some places.
[[noreturn]] void shim_group_failure(const Failure& failure, bool wrapped);
/// Pads to a width counted in characters, as Java's "%-15s".
std::string padded(const std::string& text, size_t width);

}  // namespace millrace::cli
