// src/app/format.h: `millrace storage format|info|random-uuid`, with kafka-storage's flags.
#pragma once

#include <string>
#include <vector>

#include "millrace/broker/config.h"
#include "millrace/broker/storage_format.h"

namespace millrace::app {

/// What the config says about formatting; the command line's part is left at its defaults.
broker::StorageFormatOptions format_options(const broker::BrokerConfig& config);

/// Runs the command behind `millrace storage`; `args` begins with its name. Data goes to standard
/// output, `error:` and `fix:` to standard error. Returns the exit code: 0 done, 1 failed (as in
/// Kafka), 2 the command line or the config is wrong.
int storage_command(const std::vector<std::string>& args);

/// Seeds from the operating system; the only randomness of a format.
Rng system_rng();

}  // namespace millrace::app
