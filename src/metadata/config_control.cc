// src/metadata/config_control.cc: AlterConfigs and IncrementalAlterConfigs on the controller.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "metadata/commands.h"
#include "metadata/make_records.h"

namespace millrace::metadata {

namespace {

constexpr std::string_view kMinIsr = "min.insync.replicas";
constexpr std::string_view kCordoned = "cordoned.log.dirs";

const wire::ConfigRecord& config_of(const Record& record) {
    return std::get<wire::ConfigRecord>(record.body);
}

/// Length as Java counts it: UTF-16 units.
size_t java_length(std::string_view utf8) {
    size_t units = 0;
    for (const char c : utf8) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte & 0xC0) == 0x80) continue;  // continuation
        units += byte >= 0xF0 ? 2 : 1;
    }
    return units;
}

ApiError invalid_config(std::string text) { return {ErrorCode::InvalidConfig, std::move(text)}; }

/// Sent straight to a controller, the list may only shrink: it knows ids, not paths (KIP-1066).
bool widens_cordon(const CommandContext& context, const ConfigTarget& target,
                   const wire::ConfigRecord& record) {
    if (context.who.forwarded || !record.value || split_config_list(*record.value).empty()) {
        return false;
    }
    const ConfigMap& stored = context.image().configs.of(target);
    const auto it = stored.find(kCordoned);
    const auto present =
        it == stored.end() ? std::vector<std::string>{} : split_config_list(it->second);
    const auto wanted = split_config_list(*record.value);
    return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& dir) {
        return std::find(present.begin(), present.end(), dir) == present.end();
    });
}

/// Rules of single broker keys that do not depend on the other keys.
ApiError check_broker_key(const CommandContext& context, const ConfigTarget& target,
                          const wire::ConfigRecord& record) {
    if (target.type != ConfigResource::Broker) return {};
    if (record.name == kMinIsr && context.elr()) {
        if (!target.name.empty()) {
            return invalid_config(
                "Broker-level min.insync.replicas cannot be altered while ELR is enabled.");
        }
        if (!record.value) {
            return invalid_config(
                "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
        }
    }
    if (record.name == kCordoned) {
        if (context.metadata_version() < kMvCordonedDirectories) {
            return invalid_config(
                "The cordoned.log.dirs configuration value cannot be set because it requires "
                "metadata.version >= 4.3-IV0");
        }
        if (widens_cordon(context, target, record)) {
            return invalid_config(
                "When updating cordoned.log.dirs via controllers,  the new value must be a subset "
                "of the current configuration value.");
        }
    }
    return {};
}

std::optional<int32_t> node_number(std::string_view text) {
    int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return id;
}

ApiError from_check(const ConfigCheck& check) {
    if (!check) return {};
    return {check->error_code, check->message};
}

ApiError check_values(const CommandContext& context, const ConfigTarget& target,
                      const ConfigMap& all) {
    const auto invalid_request = [](const char* text) {
        return ApiError{ErrorCode::InvalidRequest, text};
    };
    switch (target.type) {
        case ConfigResource::Topic:
            if (target.name.empty()) {
                return invalid_request("Default topic resources are not allowed.");
            }
            if (auto fault = topic_name_fault(target.name)) {
                return {ErrorCode::InvalidTopicException, std::move(*fault)};
            }
            return from_check(check_topic_configs(all, context.layers()));
        case ConfigResource::Broker: {
            if (target.name.empty()) return {};
            const auto id = node_number(target.name);
            if (!id) return invalid_request("Unable to parse broker name as a base 10 number.");
            if (*id < 0) return invalid_request("Invalid negative broker ID.");
            return {};
        }
        case ConfigResource::ClientMetrics:
            if (target.name.empty()) return invalid_request("Subscription name can't be empty");
            return from_check(check_client_metrics_configs(all));
        case ConfigResource::Group:
            if (target.name.empty()) {
                return invalid_request("Default group resources are not allowed.");
            }
            return from_check(check_group_configs(all, context.layers()));
        case ConfigResource::BrokerLogger:
        case ConfigResource::Unknown: break;
    }
    return {ErrorCode::InvalidRequest,
            fmt::format("Unknown resource type {}", static_cast<int>(target.type))};
}

ApiError check_exists(const CommandContext& context, const ConfigTarget& target) {
    if (target.type == ConfigResource::Topic &&
        context.image().topics.find(std::string_view(target.name)) == nullptr) {
        return {ErrorCode::UnknownTopicOrPartition,
                fmt::format("The topic '{}' does not exist.", target.name)};
    }
    if (target.type == ConfigResource::Broker && !target.name.empty()) {
        const NodeId id(node_number(target.name).value_or(-1));
        const auto& voters = context.options.voters;
        const bool known = context.image().cluster.broker(id) != nullptr ||
                           context.image().cluster.controller(id) != nullptr ||
                           std::find(voters.begin(), voters.end(), id) != voters.end();
        if (!known) {
            return {ErrorCode::BrokerIdNotRegistered,
                    fmt::format("No node with id {} found.", id.value)};
        }
    }
    return {};
}

/// What the resource would hold, checked (ConfigurationControlManager.validateAlterConfig).
ApiError validate_change(const CommandContext& context, const ConfigTarget& target,
                         const std::vector<Record>& altered, const std::vector<Record>& deleted,
                         bool newly_created) {
    constexpr size_t kValueLengthMax = 32'767;
    ConfigMap all = context.image().configs.of(target);
    for (const Record& change : altered) {
        const wire::ConfigRecord& record = config_of(change);
        ApiError error = check_broker_key(context, target, record);
        if (error.failed()) return error;
        if (!record.value) {
            all.erase(record.name);
        } else if (java_length(*record.value) > kValueLengthMax) {
            return invalid_config(
                "The configuration value cannot be added because it exceeds the maximum value "
                "size of 32767 bytes.");
        } else {
            all[record.name] = *record.value;
        }
    }
    for (const Record& change : deleted) {
        ApiError error = check_broker_key(context, target, config_of(change));
        if (error.failed()) return error;
        all.erase(config_of(change).name);
    }
    ApiError error = check_values(context, target, all);
    if (!error.failed() && !newly_created) error = check_exists(context, target);
    return error;
}

/// An unchanged value writes nothing, except for brokers, which may reload on it (passwords).
bool writes(const ConfigTarget& target, const ConfigMap& stored, const std::string& name,
            const std::optional<std::string>& value) {
    if (target.type == ConfigResource::Broker) return true;
    const auto it = stored.find(name);
    if (it == stored.end()) return value.has_value();
    return !value || it->second != *value;
}

template <class Resource>
std::set<std::pair<int8_t, std::string>> named_twice(const std::vector<Resource>& resources) {
    std::set<std::pair<int8_t, std::string>> seen;
    std::set<std::pair<int8_t, std::string>> twice;
    for (const Resource& r : resources) {
        if (!seen.emplace(r.resource_type, r.resource_name).second) {
            twice.emplace(r.resource_type, r.resource_name);
        }
    }
    return twice;
}

ApiError replace_configs(const CommandContext& context, const ConfigTarget& target,
                         const std::map<std::string, std::optional<std::string>>& wanted,
                         std::vector<Record>& records) {
    const ConfigMap& stored = context.image().configs.of(target);
    std::vector<Record> altered;
    std::vector<Record> deleted;
    for (const auto& [name, value] : wanted) {
        if (writes(target, stored, name, value)) {
            altered.push_back(make_config(target, name, value));
        }
    }
    for (const auto& [name, value] : stored) {
        if (wanted.count(name) == 0) deleted.push_back(make_config(target, name, std::nullopt));
    }
    ApiError error = validate_change(context, target, altered, deleted, false);
    if (error.failed()) return error;
    records.insert(records.end(), altered.begin(), altered.end());
    records.insert(records.end(), deleted.begin(), deleted.end());
    return {};
}

template <class Response, class Resource>
void add_response(Response& response, const Resource& resource, const ApiError& error) {
    auto& entry = response.responses.emplace_back();
    entry.error_code = error.number();
    entry.error_message = error.message;
    entry.resource_type = resource.resource_type;
    entry.resource_name = resource.resource_name;
}

ApiError check_shape(const std::vector<ConfigOp>& ops) {
    std::set<std::string_view> names;
    for (const ConfigOp& op : ops) {
        if (!names.insert(op.name).second) {
            return {ErrorCode::InvalidRequest, "Error due to duplicate config keys"};
        }
    }
    std::string nulls;
    for (const ConfigOp& op : ops) {
        if (op.value || op.op == static_cast<int8_t>(AlterConfigOp::Delete)) continue;
        nulls += nulls.empty() ? op.name : "," + op.name;
    }
    if (nulls.empty()) return {};
    return {ErrorCode::InvalidRequest, "Null value not supported for : " + nulls};
}

const ApiError kResourceTwice{ErrorCode::InvalidRequest, "Each resource must appear at most once."};

}  // namespace

void append_clear_elr(const CommandContext& context, std::vector<Record>& records) {
    if (!context.elr()) return;
    const size_t count = records.size();
    for (size_t i = 0; i < count; ++i) {
        const auto* config = std::get_if<wire::ConfigRecord>(&records[i].body);
        if (config == nullptr || config->name != kMinIsr) continue;
        wire::ClearElrRecord clear;
        if (config->resource_type == static_cast<int8_t>(ConfigResource::Topic)) {
            clear.topic_name = config->resource_name;
        }
        records.emplace_back(std::move(clear));
    }
}

ApiError alter_config(const CommandContext& context, const ConfigTarget& target,
                      const std::vector<ConfigOp>& ops, bool newly_created,
                      std::vector<Record>& records) {
    const ConfigMap& stored = context.image().configs.of(target);
    std::vector<Record> changes;
    for (const ConfigOp& op : ops) {
        const auto it = stored.find(op.name);
        const std::optional<std::string> present =
            it == stored.end() ? std::nullopt : std::optional(it->second);
        std::optional<std::string> next;
        const auto kind = static_cast<AlterConfigOp>(op.op);
        switch (kind) {
            case AlterConfigOp::Set: next = op.value; break;
            case AlterConfigOp::Delete: break;
            case AlterConfigOp::Append:
            case AlterConfigOp::Subtract: {
                ListChange change =
                    change_list_value(target.type, kind, op.name, present, op.value.value_or(""));
                if (change.refusal) return from_check(change.refusal);
                next = std::move(change.value);
                break;
            }
        }
        if (op.op < 0 || op.op > static_cast<int8_t>(AlterConfigOp::Subtract)) {
            return ApiError::standard(ErrorCode::UnknownServerError);
        }
        if (writes(target, stored, op.name, next)) {
            changes.push_back(make_config(target, op.name, next));
        }
    }
    ApiError error = validate_change(context, target, changes, {}, newly_created);
    if (error.failed()) return error;
    records.insert(records.end(), std::make_move_iterator(changes.begin()),
                   std::make_move_iterator(changes.end()));
    return {};
}

CommandResult run_command(const CommandContext& context,
                          const wire::IncrementalAlterConfigsRequest& request) {
    CommandResult result;
    wire::IncrementalAlterConfigsResponse response;
    const auto twice = named_twice(request.resources);
    for (const auto& resource : request.resources) {
        std::vector<ConfigOp> ops;
        for (const auto& config : resource.configs) {
            ops.push_back({config.name, config.config_operation, config.value});
        }
        const ConfigTarget target{static_cast<ConfigResource>(resource.resource_type),
                                  resource.resource_name};
        ApiError error = check_shape(ops);
        if (twice.count({resource.resource_type, resource.resource_name}) != 0) {
            error = kResourceTwice;
        }
        if (!error.failed()) error = alter_config(context, target, ops, false, result.records);
        add_response(response, resource, error);
    }
    append_clear_elr(context, result.records);
    if (request.validate_only) result.records.clear();
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context, const wire::AlterConfigsRequest& request) {
    CommandResult result;
    wire::AlterConfigsResponse response;
    const auto twice = named_twice(request.resources);
    for (const auto& resource : request.resources) {
        std::map<std::string, std::optional<std::string>> wanted;
        std::vector<ConfigOp> ops;
        for (const auto& config : resource.configs) {
            ops.push_back({config.name, 0, config.value});
            wanted[config.name] = config.value;
        }
        ApiError error = check_shape(ops);
        if (twice.count({resource.resource_type, resource.resource_name}) != 0) {
            error = kResourceTwice;
        }
        const ConfigTarget target{static_cast<ConfigResource>(resource.resource_type),
                                  resource.resource_name};
        if (!error.failed()) error = replace_configs(context, target, wanted, result.records);
        add_response(response, resource, error);
    }
    append_clear_elr(context, result.records);
    if (request.validate_only) result.records.clear();
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
