// src/broker/config_listeners.cc: reads listeners and decides their protocols and addresses.
//
// Rules and texts: SocketServerConfigs.listenerListToEndPoints, AbstractKafkaConfig, KafkaConfig.
#include "broker/config_listeners.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace millrace::broker {
namespace {

constexpr int32_t kPortMax = 65'535;

Status fault(std::string text) { return {Errc::InvalidInput, std::move(text)}; }

std::string upper(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return out;
}

/// As Java prints a List.
std::string printed(const std::vector<std::string>& list) {
    std::string text = "[";
    for (const std::string& item : list) {
        if (&item != &list.front()) text += ", ";
        text += item;
    }
    return text + "]";
}

std::optional<SecurityProtocol> protocol_of(std::string_view name) {
    const std::string wanted = upper(name);
    for (auto p : {SecurityProtocol::Plaintext, SecurityProtocol::Ssl,
                   SecurityProtocol::SaslPlaintext, SecurityProtocol::SaslSsl}) {
        if (wanted == security_protocol_name(p)) return p;
    }
    return std::nullopt;
}

bool is_ssl_or_sasl(std::string_view name) {
    return name == "SSL" || name == "SASL_SSL" || name == "SASL_PLAINTEXT";
}

/// NAME://host:port by Kafka's pattern ^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$.
Result<Listener> parse_listener(const std::string& entry) {
    const Status unparsed = fault("Unable to parse " + entry + " to a broker endpoint");
    const size_t scheme = entry.rfind("://");
    const size_t colon = entry.rfind(':');
    if (scheme == std::string::npos || colon < scheme + 3) return unparsed;
    Listener listener;
    listener.name = upper(std::string_view(entry).substr(0, scheme));
    std::string_view host = std::string_view(entry).substr(scheme + 3, colon - scheme - 3);
    if (host.starts_with('[')) host.remove_prefix(1);
    if (host.ends_with(']')) host.remove_suffix(1);
    const bool known = std::all_of(host.begin(), host.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("-%._:").find(c) != std::string_view::npos;
    });
    const std::string port = entry.substr(colon + 1);
    const bool digits =
        port.find_first_not_of("0123456789", port.starts_with('-') ? 1 : 0) == std::string::npos;
    if (!known || port.empty() || port == "-" || !digits) return unparsed;
    const auto [end, error] =
        std::from_chars(port.data(), port.data() + port.size(), listener.port);
    if (error != std::errc()) return fault("For input string: \"" + port + "\"");
    if (listener.port < 0 || listener.port > kPortMax) {
        return fault(fmt::format("port out of range:{} in {}", listener.port, entry));
    }
    listener.host = host;
    return listener;
}

Status check_ports(const std::vector<Listener>& all, const std::vector<std::string>& entries) {
    std::map<int32_t, std::vector<const Listener*>> by_port;
    for (const Listener& listener : all) {
        if (listener.port != 0) by_port[listener.port].push_back(&listener);
    }
    for (const auto& [port, sharing] : by_port) {
        if (sharing.size() < 2) continue;
        std::vector<const Listener*> with_ip;
        for (const Listener* l : sharing) {
            if (is_ipv4(l->host) || is_ipv6(l->host)) with_ip.push_back(l);
        }
        const size_t without_ip = sharing.size() - with_ip.size();
        if (without_ip > 1 || with_ip.empty()) {
            return fault("Each listener must have a different port, listeners: " +
                         printed(entries));
        }
        if (with_ip.size() != 2) {
            return fault(fmt::format(
                "Each listener must have a different port unless exactly one listener has an IPv4 "
                "address and the other IPv6 address, listeners: {}, port: {}",
                printed(entries), port));
        }
        if (without_ip != 0 || is_ipv4(with_ip[0]->host) == is_ipv4(with_ip[1]->host)) {
            return fault(
                fmt::format("If you have two listeners on the same port then one needs to "
                            "be IPv4 and the other IPv6, listeners: {}, port: {}",
                            printed(entries), port));
        }
    }
    return {};
}

Result<std::vector<Listener>> read_entries(const std::vector<std::string>& entries,
                                           const ProtocolMap* protocols, bool distinct_ports) {
    const auto wrapped = [&](const std::string& why) {
        return fault(
            fmt::format("Error creating broker listeners from '{}': {}", printed(entries), why));
    };
    std::vector<Listener> all;
    for (const std::string& entry : entries) {
        auto listener = parse_listener(entry);
        if (!listener.ok()) return wrapped(listener.status().message());
        if (protocols != nullptr) {
            const auto found = protocols->find(listener->name);
            if (found == protocols->end()) {
                return wrapped("No security protocol defined for listener " + listener->name);
            }
            listener->protocol = found->second;
        }
        for (const Listener& other : all) {
            if (other.name != listener->name) continue;
            return wrapped("Each listener must have a different name, listeners: " +
                           printed(entries));
        }
        all.push_back(std::move(*listener));
    }
    if (distinct_ports) {
        if (Status status = check_ports(all, entries); !status.ok()) {
            return wrapped(status.message());
        }
    }
    return all;
}

Result<ProtocolMap> read_protocols(const ConfigReader& reader) {
    constexpr const char* kKey = "listener.security.protocol.map";
    ProtocolMap map;
    for (const std::string& pair : metadata::split_config_list(reader.text(kKey))) {
        const size_t colon = pair.rfind(':');
        if (colon == std::string::npos) {
            return fault(
                fmt::format("Error parsing configuration property '{}': begin 0, end -1, "
                            "length {}",
                            kKey, pair.size()));
        }
        std::string name = pair.substr(0, colon);
        while (!name.empty() && name.back() == ' ')
            name.pop_back();
        std::string value = pair.substr(colon + 1);
        value.erase(0, value.find_first_not_of(' '));
        const auto protocol = protocol_of(value);
        if (!protocol) {
            return fault(fmt::format("Invalid security protocol `{}` defined in {}", value, kKey));
        }
        map[upper(name)] = *protocol;
    }
    if (reader.set(kKey)) return map;
    // Not set: controller listeners are PLAINTEXT unless TLS or SASL appears anywhere.
    const std::vector<std::string> controllers = reader.list("controller.listener.names");
    if (std::any_of(controllers.begin(), controllers.end(), is_ssl_or_sasl)) return map;
    for (const std::string& entry : reader.list("listeners")) {
        const size_t colon = entry.find(':');
        if (colon == std::string::npos) {
            return fault("Unable to parse a listener name from " + entry);
        }
        if (is_ssl_or_sasl(upper(std::string_view(entry).substr(0, colon)))) return map;
    }
    for (const std::string& name : controllers)
        map[name] = SecurityProtocol::Plaintext;
    return map;
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

const Listener* named(const std::vector<Listener>& list, const std::string& name) {
    for (const Listener& listener : list) {
        if (listener.name == upper(name)) return &listener;
    }
    return nullptr;
}

/// KafkaConfig.effectiveAdvertisedControllerListeners.
void advertise_controllers(const ConfigReader& reader, const std::vector<Listener>& advertised,
                           ListenerPlan& plan) {
    for (const std::string& name : plan.controller_names) {
        const Listener* given = named(advertised, name);
        if (given != nullptr && contains(plan.controller_names, given->name)) {
            plan.advertised_controllers.push_back(*given);
            continue;
        }
        const Listener* bound = named(plan.controller_listeners, name);
        if (bound == nullptr) continue;
        Listener shown = *bound;
        const bool wildcard = shown.host.empty() || shown.host == "0.0.0.0";
        if (wildcard) shown.host.clear();  // resolved to the canonical host name at registration
        if (wildcard && name == plan.controller_names.front()) {
            for (const std::string& voter : reader.list("controller.quorum.voters")) {
                const QuorumEndpoint self = parse_quorum_endpoint(voter);
                if (self.id.value != reader.number("node.id")) continue;
                shown.host = self.host;
                shown.port = self.port;
            }
        }
        plan.advertised_controllers.push_back(std::move(shown));
    }
}

Status plan_inter_broker(const ConfigReader& reader, ListenerPlan& plan) {
    if (reader.null("inter.broker.listener.name")) {
        const std::string name = reader.text("security.inter.broker.protocol");
        plan.inter_broker_protocol = *protocol_of(name);
        plan.inter_broker_name = name;
        return {};
    }
    if (reader.set("security.inter.broker.protocol")) {
        return fault(
            "Only one of inter.broker.listener.name and security.inter.broker.protocol "
            "should be set.");
    }
    plan.inter_broker_name = upper(reader.text("inter.broker.listener.name"));
    const auto found = plan.protocols.find(plan.inter_broker_name);
    if (found == plan.protocols.end()) {
        return fault("Listener with name " + plan.inter_broker_name +
                     " defined in inter.broker.listener.name not found in "
                     "listener.security.protocol.map.");
    }
    plan.inter_broker_protocol = found->second;
    return {};
}

}  // namespace

const char* security_protocol_name(SecurityProtocol protocol) {
    switch (protocol) {
        case SecurityProtocol::Plaintext: return "PLAINTEXT";
        case SecurityProtocol::Ssl: return "SSL";
        case SecurityProtocol::SaslPlaintext: return "SASL_PLAINTEXT";
        case SecurityProtocol::SaslSsl: return "SASL_SSL";
    }
    MILLRACE_UNREACHABLE("security protocol");
}

std::string Listener::to_string() const {
    const bool brackets = host.find(':') != std::string::npos;
    return fmt::format("{}://{}{}{}:{}", name, brackets ? "[" : "", host, brackets ? "]" : "",
                       port);
}

bool is_ipv4(std::string_view host) {
    int parts = 0;
    while (true) {
        const size_t dot = host.find('.');
        const std::string_view part = host.substr(0, dot);
        if (part.empty() || part.size() > 3 ||
            part.find_first_not_of("0123456789") != std::string_view::npos) {
            return false;
        }
        int value = 0;
        std::from_chars(part.data(), part.data() + part.size(), value);
        if (value > 255) return false;
        ++parts;
        if (dot == std::string_view::npos) return parts == 4;
        host.remove_prefix(dot + 1);
    }
}

bool is_ipv6(std::string_view host) {
    return host.find(':') != std::string_view::npos &&
           host.find_first_not_of("0123456789abcdefABCDEF:.%") == std::string_view::npos;
}

QuorumEndpoint parse_quorum_endpoint(const std::string& text) {
    QuorumEndpoint endpoint;
    std::string_view rest = text;
    if (const size_t at = rest.find('@'); at != std::string_view::npos) {
        std::from_chars(rest.data(), rest.data() + at, endpoint.id.value);
        rest.remove_prefix(at + 1);
    }
    const size_t colon = rest.rfind(':');
    const std::string_view port = rest.substr(colon + 1);
    std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    std::string_view host = rest.substr(0, colon);
    if (host.starts_with('[')) host.remove_prefix(1);
    if (host.ends_with(']')) host.remove_suffix(1);
    endpoint.host = host;
    return endpoint;
}

Result<std::vector<Listener>> parse_listeners(std::string_view text, std::string_view key) {
    const metadata::ConfigKey* row =
        metadata::find_config_key(metadata::ConfigResource::Broker, key);
    MILLRACE_ASSERT(row != nullptr, "a key of the table");
    MILLRACE_TRY_ASSIGN(const metadata::ConfigValue value,
                        metadata::parse_config_value(*row, text));
    return read_entries(std::get<std::vector<std::string>>(value), nullptr, key == "listeners");
}

Result<ListenerPlan> plan_listeners(const ConfigReader& reader) {
    ListenerPlan plan;
    plan.controller_names = reader.list("controller.listener.names");
    MILLRACE_TRY_ASSIGN(plan.protocols, read_protocols(reader));
    MILLRACE_TRY_ASSIGN(plan.listeners,
                        read_entries(reader.list("listeners"), &plan.protocols, true));
    for (const Listener& listener : plan.listeners) {
        if (contains(plan.controller_names, listener.name)) {
            plan.controller_listeners.push_back(listener);
        }
    }
    for (const std::string& early : reader.list("early.start.listeners")) {
        if (named(plan.listeners, early) != nullptr) continue;
        return fault(
            fmt::format("early.start.listeners contains listener {}, but this is not "
                        "contained in listeners or controller.listener.names",
                        early));
    }
    std::vector<Listener> advertised = plan.listeners;
    if (!reader.null("advertised.listeners")) {
        MILLRACE_TRY_ASSIGN(
            advertised, read_entries(reader.list("advertised.listeners"), &plan.protocols, false));
        advertise_controllers(reader, advertised, plan);
    } else {
        advertise_controllers(reader, {}, plan);
    }
    for (const Listener& listener : advertised) {
        if (!contains(plan.controller_names, listener.name)) {
            plan.advertised_brokers.push_back(listener);
        }
    }
    MILLRACE_TRY(plan_inter_broker(reader, plan));
    return plan;
}

}  // namespace millrace::broker
