// src/metadata/acl_control.cc: CreateAcls and DeleteAcls.
#include <fmt/core.h>

#include <set>

#include "metadata/commands.h"

namespace millrace::metadata {

namespace {

// Codes of org.apache.kafka.common.resource and .acl: 0 unknown, 1 any, then the real ones.
constexpr int8_t kAny = 1;
constexpr int8_t kResourceTypeMax = 7;  // USER
constexpr int8_t kOperationMax = 15;    // TWO_PHASE_COMMIT
constexpr int8_t kPatternAny = 1;
constexpr int8_t kPatternMatch = 2;
constexpr int8_t kPatternLiteral = 3;
constexpr int8_t kPatternPrefixed = 4;
constexpr int8_t kDeny = 2;
constexpr int8_t kAllow = 3;

ApiError invalid(std::string text) { return {ErrorCode::InvalidRequest, std::move(text)}; }
const char* any_or_unknown(int8_t code) { return code == kAny ? "ANY" : "UNKNOWN"; }

ApiError check_creation(const wire::CreateAclsRequest::AclCreation& acl) {
    if (acl.resource_type <= kAny || acl.resource_type > kResourceTypeMax) {
        return invalid(fmt::format("Invalid resourceType {}", any_or_unknown(acl.resource_type)));
    }
    if (acl.resource_pattern_type != kPatternLiteral &&
        acl.resource_pattern_type != kPatternPrefixed) {
        const char* name = acl.resource_pattern_type == kPatternMatch
                               ? "MATCH"
                               : any_or_unknown(acl.resource_pattern_type);
        return invalid(fmt::format("Invalid patternType {}", name));
    }
    if (acl.operation <= kAny || acl.operation > kOperationMax) {
        return invalid(fmt::format("Invalid operation {}", any_or_unknown(acl.operation)));
    }
    if (acl.permission_type != kDeny && acl.permission_type != kAllow) {
        return invalid(
            fmt::format("Invalid permissionType {}", any_or_unknown(acl.permission_type)));
    }
    if (acl.resource_name.empty()) return invalid("Resource name should not be empty");
    if (acl.principal.find(':') == std::string::npos) {
        return invalid("Could not parse principal from `" + acl.principal +
                       "` (no colon is present separating the principal type from the principal "
                       "name)");
    }
    return {};
}

using Filter = wire::DeleteAclsRequest::DeleteAclsFilter;

ApiError check_filter(const Filter& filter) {
    const bool pattern_known =
        filter.resource_type_filter >= kAny && filter.resource_type_filter <= kResourceTypeMax &&
        filter.pattern_type_filter >= kPatternAny && filter.pattern_type_filter <= kPatternPrefixed;
    if (!pattern_known) return invalid("Unknown patternFilter.");
    const bool entry_known = filter.operation >= kAny && filter.operation <= kOperationMax &&
                             filter.permission_type >= kAny && filter.permission_type <= kAllow;
    if (!entry_known) return invalid("Unknown entryFilter.");
    return {};
}

/// ResourcePatternFilter.matches: MATCH finds every pattern that would apply to the name.
bool pattern_matches(const Filter& filter, const AclImage& acl) {
    if (filter.resource_type_filter != kAny && filter.resource_type_filter != acl.resource_type) {
        return false;
    }
    const int8_t wanted = filter.pattern_type_filter;
    if (wanted != kPatternAny && wanted != kPatternMatch && wanted != acl.pattern_type) {
        return false;
    }
    if (!filter.resource_name_filter) return true;
    const std::string& name = *filter.resource_name_filter;
    if (wanted == kPatternAny || wanted == acl.pattern_type) return name == acl.resource_name;
    if (acl.pattern_type == kPatternLiteral) {
        return name == acl.resource_name || acl.resource_name == "*";
    }
    return acl.pattern_type == kPatternPrefixed && name.rfind(acl.resource_name, 0) == 0;
}

bool matches(const Filter& filter, const AclImage& acl) {
    if (!pattern_matches(filter, acl)) return false;
    if (filter.principal_filter && *filter.principal_filter != acl.principal) return false;
    if (filter.host_filter && *filter.host_filter != acl.host) return false;
    if (filter.operation != kAny && filter.operation != acl.operation) return false;
    return filter.permission_type == kAny || filter.permission_type == acl.permission;
}

}  // namespace

CommandResult run_command(const CommandContext& context, const wire::CreateAclsRequest& request) {
    CommandResult result;
    wire::CreateAclsResponse response;
    std::set<AclImage> known;  // a binding that exists already writes no record
    for (const auto& [id, acl] : context.image().acls)
        known.insert(*acl);
    for (const auto& creation : request.creations) {
        const ApiError error = check_creation(creation);
        auto& entry = response.results.emplace_back();
        entry.error_code = error.number();
        entry.error_message = error.message;
        if (error.failed()) continue;
        AclImage acl{
            creation.resource_type,  creation.resource_name, creation.resource_pattern_type,
            creation.principal,      creation.host,          creation.operation,
            creation.permission_type};
        if (!known.insert(acl).second) continue;
        wire::AccessControlEntryRecord record;
        record.id = context.random_uuid();
        record.resource_type = acl.resource_type;
        record.resource_name = acl.resource_name;
        record.pattern_type = acl.pattern_type;
        record.principal = acl.principal;
        record.host = acl.host;
        record.operation = acl.operation;
        record.permission_type = acl.permission;
        result.records.emplace_back(std::move(record));
    }
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context, const wire::DeleteAclsRequest& request) {
    CommandResult result;
    wire::DeleteAclsResponse response;
    std::set<Uuid> removed;  // one record each, though several filters may match
    for (const Filter& filter : request.filters) {
        auto& answer = response.filter_results.emplace_back();
        const ApiError error = check_filter(filter);
        answer.error_code = error.number();
        answer.error_message = error.message;
        if (error.failed()) continue;
        for (const auto& [id, acl] : context.image().acls) {
            if (!matches(filter, *acl)) continue;
            removed.insert(id);
            auto& match = answer.matching_acls.emplace_back();
            match.error_message = std::nullopt;
            match.resource_type = acl->resource_type;
            match.resource_name = acl->resource_name;
            match.pattern_type = acl->pattern_type;
            match.principal = acl->principal;
            match.host = acl->host;
            match.operation = acl->operation;
            match.permission_type = acl->permission;
        }
    }
    for (const Uuid& id : removed) {
        wire::RemoveAccessControlEntryRecord record;
        record.id = id;
        result.records.emplace_back(std::move(record));
    }
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
