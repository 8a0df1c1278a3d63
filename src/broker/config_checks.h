// src/broker/config_checks.h: the rules between config keys, in Kafka's order.
#pragma once

#include <string>
#include <vector>

#include "broker/config_listeners.h"
#include "broker/config_reader.h"

namespace millrace::broker {

/// Every broken rule, in Kafka's order and with its sentence; the first is the one Kafka reports.
/// Rules of our own (refused keys, protocols that are not served) come last.
std::vector<std::string> broken_rules(const ConfigReader& reader);

/// Unknown, ineffective and deprecated keys.
std::vector<ConfigWarning> config_warnings(const ConfigReader& reader);

}  // namespace millrace::broker
