// src/broker/config_listeners.h: listeners, their protocols, and who may use which.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "broker/config_reader.h"
#include "millrace/broker/config.h"

namespace millrace::broker {

using ProtocolMap = std::map<std::string, SecurityProtocol>;

/// Everything the checks and the typed config need to know about listeners.
struct ListenerPlan {
    ProtocolMap protocols;  // effectiveListenerSecurityProtocolMap
    std::vector<std::string> controller_names;
    std::vector<Listener> listeners;
    std::vector<Listener> controller_listeners;
    std::vector<Listener> advertised_brokers;
    std::vector<Listener> advertised_controllers;
    std::string inter_broker_name;
    SecurityProtocol inter_broker_protocol = SecurityProtocol::Plaintext;
};

/// The Status carries Kafka's sentence for the first fault.
Result<ListenerPlan> plan_listeners(const ConfigReader& reader);

/// "id@host:port" or "host:port"; the text has passed the table's validator.
QuorumEndpoint parse_quorum_endpoint(const std::string& text);
bool is_ipv4(std::string_view host);
bool is_ipv6(std::string_view host);

}  // namespace millrace::broker
