// src/metadata/quota_control.cc: AlterClientQuotas.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "metadata/commands.h"

namespace millrace::metadata {

namespace {

using Entry = wire::AlterClientQuotasRequest::EntryData;

ApiError invalid(std::string text) { return {ErrorCode::InvalidRequest, std::move(text)}; }

// org.apache.kafka.server.config.QuotaConfig: which keys an entity has, and which are integers.
struct QuotaKey {
    const char* name;
    bool for_ip;
    bool integral;
    double max;
};
constexpr double kLongMax = 9.2233720368547758e18;
constexpr QuotaKey kQuotaKeys[] = {
    {"producer_byte_rate", false, true, kLongMax},
    {"consumer_byte_rate", false, true, kLongMax},
    {"request_percentage", false, false, 0},
    {"controller_mutation_rate", false, false, 0},
    {"connection_creation_rate", true, true, 2147483647.0},
};

/// Names of hosts are not resolved here: only an address in text form is accepted.
bool looks_like_ip(std::string_view text) {
    const bool v6 = text.find(':') != std::string_view::npos;
    return std::all_of(text.begin(), text.end(), [&](char c) {
        const bool hex = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        return (c >= '0' && c <= '9') || c == '.' || (v6 && (hex || c == ':'));
    });
}

ApiError check_entity(const Entry& entry, bool& is_ip) {
    if (entry.entity.empty()) return invalid("Invalid empty client quota entity");
    std::set<std::string_view> types;
    const std::optional<std::string>* ip = nullptr;
    for (const auto& part : entry.entity) {
        if (!types.insert(part.entity_type).second) {
            return invalid("Invalid client quota entity, duplicate entity entry " +
                           part.entity_type);
        }
        if (part.entity_type == "ip") {
            ip = &part.entity_name;
        } else if (part.entity_type != "user" && part.entity_type != "client-id") {
            return invalid("Unhandled client quota entity type: " + part.entity_type);
        }
        if (part.entity_name && part.entity_name->empty()) {
            return invalid("Empty " + part.entity_type + " not supported");
        }
    }
    is_ip = ip != nullptr;
    if (!is_ip) return {};
    if (types.size() > 1) {
        return invalid(
            "Invalid quota entity combination, IP entity shouldnot be combined with "
            "User or ClientId");
    }
    if (*ip && !looks_like_ip(**ip)) {
        return invalid(**ip + " is not a valid IP or resolvable host.");
    }
    return {};
}

ApiError check_value(const std::string& key, double value, bool is_ip) {
    const auto* row = std::find_if(std::begin(kQuotaKeys), std::end(kQuotaKeys),
                                   [&](const QuotaKey& k) { return key == k.name; });
    if (row == std::end(kQuotaKeys) || row->for_ip != is_ip) {
        return invalid("Invalid configuration key " + key);
    }
    if (value <= 0.0) return invalid("Quota " + key + " must be greater than 0");
    if (!row->integral) return {};
    if (value > row->max) {
        return invalid(fmt::format("Proposed value for {} is too large for {}.", key,
                                   row->for_ip ? "an INT" : "a LONG"));
    }
    constexpr double kFractionMax = 1e-6;
    if (std::fabs(std::fmod(value, 1.0)) > kFractionMax) {
        return invalid(key + " cannot be a fractional value.");
    }
    return {};
}

ApiError alter_entity(const CommandContext& context, const Entry& entry,
                      std::vector<Record>& records) {
    bool is_ip = false;
    ApiError error = check_entity(entry, is_ip);
    if (error.failed()) return error;
    QuotaEntity entity;
    for (const auto& part : entry.entity)
        entity.push_back({part.entity_type, part.entity_name});
    std::sort(entity.begin(), entity.end());
    const auto* stored = context.image().client_quotas.find(entity);
    std::vector<Record> changes;
    for (const auto& op : entry.ops) {
        const double* present = nullptr;
        if (stored != nullptr) {
            const auto it = (*stored)->find(op.key);
            if (it != (*stored)->end()) present = &it->second;
        }
        if (op.remove) {
            if (present == nullptr) continue;
        } else {
            error = check_value(op.key, op.value, is_ip);
            if (error.failed()) return error;
            if (present != nullptr && *present == op.value) continue;
        }
        wire::ClientQuotaRecord record;
        for (const QuotaEntityPart& part : entity) {
            auto& data = record.entity.emplace_back();
            data.entity_type = part.type;
            data.entity_name = part.name;
        }
        record.key = op.key;
        record.value = op.remove ? 0.0 : op.value;
        record.remove = op.remove;
        changes.emplace_back(std::move(record));
    }
    records.insert(records.end(), std::make_move_iterator(changes.begin()),
                   std::make_move_iterator(changes.end()));
    return {};
}

ApiError check_distinct_keys(const Entry& entry) {
    std::set<std::string_view> keys;
    for (const auto& op : entry.ops) {
        if (!keys.insert(op.key).second) {
            return invalid("Duplicate quota key " + op.key + " not updating quota for this entity");
        }
    }
    return {};
}

}  // namespace

CommandResult run_command(const CommandContext& context,
                          const wire::AlterClientQuotasRequest& request) {
    CommandResult result;
    wire::AlterClientQuotasResponse response;
    for (const Entry& entry : request.entries) {
        ApiError error = check_distinct_keys(entry);
        if (!error.failed()) error = alter_entity(context, entry, result.records);
        auto& answer = response.entries.emplace_back();
        answer.error_code = error.number();
        answer.error_message = error.message;
        for (const auto& part : entry.entity) {
            auto& data = answer.entity.emplace_back();
            data.entity_type = part.entity_type;
            data.entity_name = part.entity_name;
        }
    }
    if (request.validate_only) result.records.clear();
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
