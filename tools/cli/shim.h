// tools/cli/shim.h: Kafka's own scripts, played by this binary.
//
// Called under the name kafka-topics.sh (a symlink), or as `millrace shim kafka-topics.sh`, it
// takes Kafka 4.3.1's options, prints Kafka's text to Kafka's streams and ends with Kafka's exit
// code, without a JVM. What differs on purpose: the wording of --help, and no Java stack traces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/cli.h"

namespace millrace::cli {

/// Thrown where Kafka's tool calls Exit.exit.
struct ShimExit {
    int code = 1;
};

using ShimMain = int (*)(const std::vector<std::string>& words);

/// The shim of that script; nullptr when there is none. A path in front and ".sh" behind may be
/// there or not.
ShimMain find_shim(std::string_view program);

/// Runs it; every failure that is left over is printed as Kafka's tools do.
int run_shim(ShimMain shim, const std::vector<std::string>& words);

void add_shim(CLI::App& root, Context& context);

int shim_topics(const std::vector<std::string>& words);
int shim_consumer_groups(const std::vector<std::string>& words);
int shim_get_offsets(const std::vector<std::string>& words);
int shim_console_consumer(const std::vector<std::string>& words);
int shim_console_producer(const std::vector<std::string>& words);
int shim_reassign_partitions(const std::vector<std::string>& words);

}  // namespace millrace::cli
