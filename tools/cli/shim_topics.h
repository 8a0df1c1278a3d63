// tools/cli/shim_topics.h: the parts of kafka-topics.sh.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/client.h"
#include "cli/shim_options.h"

namespace millrace::cli {

/// Names that match the --topic pattern, sorted; all without one.
std::vector<std::string> shim_topic_names(Client& client, const ShimOptions& options);
/// IllegalArgumentException of the tool, as the line it prints.
void shim_ensure_topic(const std::vector<std::string>& found, const ShimOptions& options);
void shim_describe_topics(Client& client, const ShimOptions& options);

}  // namespace millrace::cli
