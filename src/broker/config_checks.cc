// src/broker/config_checks.cc: the rules between config keys (KafkaConfig.validateValues).
#include "broker/config_checks.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "millrace/record/batch.h"

namespace millrace::broker {
namespace {

using metadata::ConfigEffect;
using metadata::ConfigKey;
using metadata::ConfigResource;

constexpr int64_t kDedupeBytesPerThreadMin = 1024 * 1024;

std::string joined(const std::vector<std::string>& list, const char* between) {
    std::string text;
    for (const std::string& item : list) {
        if (&item != &list.front()) text += between;
        text += item;
    }
    return text;
}

std::vector<std::string> names_of(const std::vector<Listener>& listeners) {
    std::vector<std::string> names;
    for (const Listener& listener : listeners)
        names.push_back(listener.name);
    return names;
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

/// One pass over the rules. `require` is Scala's: its sentences carry a prefix.
class Rules {
  public:
    Rules(const ConfigReader& reader, std::vector<std::string>& broken)
        : reader_(reader), broken_(broken) {
        for (const std::string& role : reader.list("process.roles")) {
            broker_ = broker_ || role == "broker";
            controller_ = controller_ || role == "controller";
        }
        node_id_ = reader.number("node.id");
        for (const std::string& voter : reader.list("controller.quorum.voters")) {
            voters_.insert(parse_quorum_endpoint(voter).id.value);
        }
    }

    void run() {
        if (!contains(reader_.list("group.coordinator.rebalance.protocols"), "classic")) {
            broken_.push_back("Disabling the 'classic' protocol is not supported.");
        }
        const auto codec = static_cast<int>(reader_.number("offsets.topic.compression.codec"));
        if (!record::compression_from_id(codec)) {
            broken_.push_back(fmt::format("Unknown compression type id: {}", codec));
        }
        if (node_id_ != reader_.number("broker.id")) {
            broken_.push_back("You must set `node.id` to the same value as `broker.id`.");
        }
        logs();
        replicas();
        auto plan = plan_listeners(reader_);
        if (plan.ok()) {
            roles(*plan);
            if (broker_) brokers(*plan);
            addresses(*plan);
        } else {
            broken_.push_back(plan.status().message());
        }
        sockets();
        ours(plan.ok() ? &*plan : nullptr);
    }

  private:
    void require(bool condition, std::string sentence) {
        if (!condition) broken_.push_back("requirement failed: " + std::move(sentence));
    }

    void logs() {
        require(reader_.topic_number("segment.ms") >= 1,
                "log.roll.ms must be greater than or equal to 1");
        require(reader_.topic_number("segment.jitter.ms") >= 0,
                "log.roll.jitter.ms must be greater than or equal to 0");
        const int64_t retention_ms = reader_.topic_number("retention.ms");
        require(retention_ms >= 1 || retention_ms == -1,
                "log.retention.ms must be unlimited (-1) or, greater than or equal to 1");
        const int64_t threads = reader_.number("log.cleaner.threads");
        require(threads == 0 || reader_.number("log.cleaner.dedupe.buffer.size") / threads >
                                    kDedupeBytesPerThreadMin,
                "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.");
        if (threads == 0) broken_.push_back("/ by zero");
    }

    void replicas() {
        const int64_t wait = reader_.number("replica.fetch.wait.max.ms");
        require(wait <= reader_.number("replica.socket.timeout.ms"),
                "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to "
                "prevent unnecessary socket timeouts");
        require(wait <= reader_.number("replica.lag.time.max.ms"),
                "replica.fetch.wait.max.ms should always be less than or equal to "
                "replica.lag.time.max.ms to prevent frequent changes in ISR");
    }

    std::string voter_set() const {
        std::string text = "Set(";
        for (const int64_t id : voters_) {
            if (id != *voters_.begin()) text += ", ";
            text += std::to_string(id);
        }
        return text + ")";
    }

    void roles(const ListenerPlan& plan) {
        if (voters_.empty() && reader_.list("controller.quorum.bootstrap.servers").empty()) {
            broken_.push_back(
                "If using process.roles, either controller.quorum.bootstrap.servers must contain "
                "the set of bootstrap controllers or controller.quorum.voters must contain a "
                "parseable set of controllers.");
        }
        if (broker_ && !controller_) {
            broker_only(plan);
        } else if (controller_) {
            if (!broker_) controller_only(plan);
            controller(plan);
        }
    }

    void broker_only(const ListenerPlan& plan) {
        require(!voters_.contains(node_id_),
                fmt::format("If process.roles contains just the 'broker' role, the node id {} must "
                            "not be included in the set of voters controller.quorum.voters={}",
                            node_id_, voter_set()));
        require(plan.controller_listeners.empty(),
                "controller.listener.names must not contain a value appearing in the 'listeners' "
                "configuration when running KRaft with just the broker role");
        for (const std::string& name : plan.controller_names) {
            if (plan.protocols.contains(name)) continue;
            broken_.push_back(fmt::format(
                "Controller listener with name {} defined in controller.listener.names not found "
                "in listener.security.protocol.map  (an explicit security mapping for each "
                "controller listener is required if listener.security.protocol.map is non-empty, "
                "or if there are security protocols other than PLAINTEXT in use)",
                name));
        }
        require(!reader_.flag("controller.quorum.auto.join.enable"),
                "controller.quorum.auto.join.enable is only supported when process.roles contains "
                "the 'controller' role.");
    }

    void controller_only(const ListenerPlan& plan) {
        require(plan.advertised_controllers.size() == plan.listeners.size(),
                "The listeners config must only contain KRaft controller listeners from "
                "controller.listener.names when process.roles=controller");
        if (!reader_.null("inter.broker.listener.name")) {
            require(
                !contains(plan.controller_names, plan.inter_broker_name),
                "controller.listener.names must not contain an explicitly set "
                "inter.broker.listener.name configuration value when process.roles=controller'");
        }
    }

    void controller(const ListenerPlan& plan) {
        require(voters_.empty() || voters_.contains(node_id_),
                fmt::format("If process.roles contains the 'controller' role, the node id {} must "
                            "be included in the set of voters controller.quorum.voters={}",
                            node_id_, voter_set()));
        require(!plan.advertised_controllers.empty(),
                "controller.listener.names must contain at least one value appearing in the "
                "'listeners' configuration when running the KRaft controller role");
        const std::vector<std::string> names = names_of(plan.listeners);
        require(std::all_of(plan.controller_names.begin(), plan.controller_names.end(),
                            [&](const std::string& name) { return contains(names, name); }),
                "controller.listener.names must only contain values appearing in the 'listeners' "
                "configuration when running the KRaft controller role");
    }

    void brokers(const ListenerPlan& plan) {
        const std::vector<std::string> advertised = names_of(plan.advertised_brokers);
        const std::vector<std::string> names = names_of(plan.listeners);
        require(!advertised.empty(),
                "There must be at least one broker advertised listener. Perhaps all listeners "
                "appear in controller.listener.names?");
        require(contains(advertised, plan.inter_broker_name),
                "inter.broker.listener.name must be a listener name defined in "
                "advertised.listeners. The valid options based on currently configured listeners "
                "are " +
                    joined(advertised, ","));
        require(std::all_of(advertised.begin(), advertised.end(),
                            [&](const std::string& name) { return contains(names, name); }),
                fmt::format("advertised.listeners listener names must be equal to or a subset of "
                            "the ones defined in listeners. Found {}. The valid options based on "
                            "the current configuration are {}",
                            joined(advertised, ","), joined(names, ",")));
        const std::vector<std::string> cordoned = reader_.list("cordoned.log.dirs");
        if (contains(cordoned, "*")) {
            require(cordoned.size() == 1,
                    "When cordoned.log.dirs is set to *, it must not contain "
                    "other values");
            return;
        }
        const std::vector<std::string> dirs =
            reader_.list(reader_.null("log.dirs") ? "log.dir" : "log.dirs");
        std::vector<std::string> missing;
        for (const std::string& dir : cordoned) {
            if (!contains(dirs, dir)) missing.push_back(dir);
        }
        require(missing.empty(),
                "All entries in cordoned.log.dirs must be present in log.dirs or "
                "log.dir. Missing entries : " +
                    joined(missing, ", "));
    }

    void addresses(const ListenerPlan& plan) {
        bool wildcard = false;
        for (const auto* list : {&plan.advertised_brokers, &plan.advertised_controllers}) {
            for (const Listener& listener : *list) {
                wildcard = wildcard || listener.host == "0.0.0.0";
            }
        }
        require(!wildcard,
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. "
                "Use a routable IP address.");
        const bool sasl = plan.inter_broker_protocol == SecurityProtocol::SaslPlaintext ||
                          plan.inter_broker_protocol == SecurityProtocol::SaslSsl;
        require(!sasl || contains(reader_.list("sasl.enabled.mechanisms"),
                                  reader_.text("sasl.mechanism.inter.broker.protocol")),
                "sasl.mechanism.inter.broker.protocol must be included in sasl.enabled.mechanisms "
                "when SASL is used for inter-broker communication");
    }

    void sockets() {
        const int64_t queued = reader_.number("queued.max.request.bytes");
        require(queued <= 0 || queued >= reader_.number("socket.request.max.bytes"),
                "queued.max.request.bytes must be larger or equal to socket.request.max.bytes");
        per_ip();
        const int64_t idle = reader_.number("connections.max.idle.ms");
        const int64_t delay = reader_.number("connection.failed.authentication.delay.ms");
        require(idle < 0 || delay < idle,
                fmt::format("connection.failed.authentication.delay.ms={} should always be less "
                            "than connections.max.idle.ms={} to prevent failed authentication "
                            "responses from timing out",
                            delay, idle));
        metadata::BrokerConfigLayers layers;
        layers.static_file = &reader_.raw();
        if (auto refusal = metadata::check_topic_configs({}, layers)) {
            broken_.push_back(refusal->message);
        }
    }

    void per_ip() {
        constexpr const char* kKey = "max.connections.per.ip.overrides";
        const std::string overrides = reader_.text(kKey);
        require(
            reader_.number("max.connections.per.ip") != 0 || !overrides.empty(),
            "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides "
            "property is set.");
        for (const std::string& pair : metadata::split_config_list(overrides)) {
            const size_t colon = pair.rfind(':');
            if (colon == std::string::npos) {
                broken_.push_back(
                    fmt::format("Error parsing configuration property '{}': begin 0, "
                                "end -1, length {}",
                                kKey, pair.size()));
                continue;
            }
            const std::string host = pair.substr(0, colon);
            const bool known = std::all_of(host.begin(), host.end(), [](char c) {
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-%._:").find(c) != std::string_view::npos;
            });
            if (!known) {
                broken_.push_back(fmt::format("{} contains invalid addresses : {}", kKey, host));
            }
            const std::string count = pair.substr(colon + 1);
            if (count.empty() || count.find_first_not_of(" 0123456789") != std::string::npos) {
                broken_.push_back(fmt::format("For input string: \"{}\"", count));
            }
        }
    }

    /// What Kafka would serve and this node does not: said at once, never ignored.
    void ours(const ListenerPlan* plan) {
        for (const auto& [name, text] : reader_.raw()) {
            const ConfigKey* key = metadata::find_config_key(ConfigResource::Broker, name);
            if (key == nullptr || key->effect != ConfigEffect::Refused) continue;
            const char* fallback = key->default_text != nullptr ? key->default_text : "";
            const auto normal = metadata::normal_config_text(*key, text);
            if (!normal || *normal == metadata::normal_config_text(*key, fallback)) continue;
            broken_.push_back(fmt::format("'{}' cannot be {} here. {}", name, *normal, key->doc));
        }
        if (reader_.set("zookeeper.connect")) {
            broken_.push_back(
                "'zookeeper.connect' is set: this node keeps its metadata in a "
                "quorum (KRaft) and cannot use ZooKeeper. Remove the key.");
        }
        domains();
        if (plan == nullptr) return;
        for (const Listener& listener : plan->listeners) {
            if (listener.protocol == SecurityProtocol::Plaintext) continue;
            broken_.push_back(
                fmt::format("Listener {} uses {}, which is not served yet; only "
                            "PLAINTEXT is",
                            listener.name, security_protocol_name(listener.protocol)));
        }
    }

    void domains() {
        const bool fault = !reader_.null("broker.fault.domain");
        const bool update = !reader_.null("broker.update.domain");
        if (fault != update) {
            broken_.push_back(
                "'broker.fault.domain' and 'broker.update.domain' make the rack together: set both "
                "or neither.");
        }
        for (const char* key : {"broker.fault.domain", "broker.update.domain"}) {
            if (reader_.null(key)) continue;
            const std::string text = reader_.text(key);
            if (!text.empty() && text.find('/') == std::string::npos) continue;
            broken_.push_back(fmt::format("'{}' must be a name without '/', not '{}'.", key, text));
        }
    }

    const ConfigReader& reader_;
    std::vector<std::string>& broken_;
    bool broker_ = false;
    bool controller_ = false;
    int64_t node_id_ = -1;
    std::set<int64_t> voters_;
};

void warn_of_roles(const ConfigReader& reader, std::vector<ConfigWarning>& warnings) {
    if (contains(reader.list("process.roles"), "controller")) return;
    for (const char* key : {"num.partitions", "default.replication.factor"}) {
        if (!reader.set(key)) continue;
        warnings.push_back({key,
                            "is a setting of controllers; on a broker alone it only serves "
                            "auto-creation, and Kafka 5.0 will ignore it"});
    }
}

}  // namespace

std::vector<std::string> broken_rules(const ConfigReader& reader) {
    std::vector<std::string> broken;
    Rules(reader, broken).run();
    return broken;
}

std::vector<ConfigWarning> config_warnings(const ConfigReader& reader) {
    std::vector<ConfigWarning> warnings;
    for (const auto& [name, text] : reader.raw()) {
        if (name.starts_with("listener.name.")) continue;
        const ConfigKey* key = metadata::find_config_key(ConfigResource::Broker, name);
        if (key == nullptr) {
            std::string hint = "is not a key of Kafka 4.3 and is ignored";
            const auto near = metadata::nearest_config_keys(ConfigResource::Broker, name);
            if (!near.empty()) hint += "; did you mean '" + near.front() + "'?";
            warnings.push_back({name, hint});
        } else if (key->effect == ConfigEffect::NoEffect &&
                   metadata::normal_config_text(*key, text) !=
                       metadata::normal_config_text(
                           *key, key->default_text != nullptr ? key->default_text : "")) {
            warnings.push_back({name, "has no effect here; it is kept for Kafka's tools"});
        }
    }
    if (reader.set("log.cleaner.enable") && !reader.flag("log.cleaner.enable")) {
        warnings.push_back({"log.cleaner.enable",
                            "is deprecated; with false, compacted topics "
                            "grow for ever"});
    }
    const int64_t heartbeat = reader.number("broker.heartbeat.interval.ms");
    if (heartbeat * 2 > reader.number("broker.session.timeout.ms")) {
        warnings.push_back({"broker.heartbeat.interval.ms",
                            "should be at most half of broker.session.timeout.ms"});
    }
    warn_of_roles(reader, warnings);
    return warnings;
}

}  // namespace millrace::broker
