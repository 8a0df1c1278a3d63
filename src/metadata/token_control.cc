// src/metadata/token_control.cc: delegation tokens: create, renew, expire, sweep.
#include <algorithm>
#include <limits>

#include "metadata/commands.h"
#include "metadata/make_records.h"
#include "millrace/base/sha2.h"

namespace millrace::metadata {

namespace {

constexpr int64_t kLifetimeMsMax = 7LL * 24 * 3600 * 1000;  // delegation.token.max.lifetime.ms
constexpr int64_t kRenewMs = 24LL * 3600 * 1000;            // delegation.token.expiry.time.ms
constexpr size_t kExpirationsPerSweepMax = 1'000;

int64_t sum(int64_t now, int64_t duration) {
    return now > std::numeric_limits<int64_t>::max() - duration
               ? std::numeric_limits<int64_t>::max()
               : now + duration;
}

/// The secret a client shows: a MAC of the id, so that no record holds it.
std::vector<uint8_t> token_hmac(const CommandContext& context, const std::string& token_id) {
    return hmac_sha2(ShaKind::Sha512, ByteView(context.options.delegation_token_secret),
                     ByteView(token_id));
}

ErrorCode check_enabled(const CommandContext& context) {
    if (context.options.delegation_token_secret.empty()) {
        return ErrorCode::DelegationTokenAuthDisabled;
    }
    if (context.metadata_version() < kMvDelegationTokens) return ErrorCode::UnsupportedVersion;
    return ErrorCode::None;
}

struct FoundToken {
    const std::string* id = nullptr;
    const DelegationTokenImage* token = nullptr;
};
/// Tokens are few; a walk with a MAC each spares an index that would hold secrets.
FoundToken find_token(const CommandContext& context, ByteView hmac) {
    for (const auto& [id, token] : context.image().delegation_tokens) {
        const auto expected = token_hmac(context, id);
        if (equal_in_constant_time(hmac, {expected.data(), expected.size()})) {
            return {&id, token.get()};
        }
    }
    return {};
}

bool may_renew(const CommandContext& context, const DelegationTokenImage& token) {
    return token.owner == context.who.principal ||
           std::find(token.renewers.begin(), token.renewers.end(), context.who.principal) !=
               token.renewers.end();
}

bool is_over(const DelegationTokenImage& token, int64_t now) {
    return token.max_ms < now || token.expiration_ms < now;
}

Record make_token(const std::string& id, const DelegationTokenImage& token) {
    wire::DelegationTokenRecord record;
    record.owner = token.owner;
    record.requester = token.requester;
    record.renewers = token.renewers;
    record.issue_timestamp = token.issue_ms;
    record.max_timestamp = token.max_ms;
    record.expiration_timestamp = token.expiration_ms;
    record.token_id = id;
    return Record(std::move(record));
}
Record make_removal(const std::string& id) {
    wire::RemoveDelegationTokenRecord record;
    record.token_id = id;
    return Record(std::move(record));
}

std::pair<std::string, std::string> split_principal(const std::string& principal) {
    const size_t colon = principal.find(':');
    if (colon == std::string::npos) return {"User", principal};
    return {principal.substr(0, colon), principal.substr(colon + 1)};
}

template <class Response>
CommandResult with_code(Response response, ErrorCode code) {
    response.error_code = static_cast<int16_t>(code);
    CommandResult result;
    result.response = std::move(response);
    return result;
}

}  // namespace

CommandResult run_command(const CommandContext& context,
                          const wire::CreateDelegationTokenRequest& request) {
    std::string owner = context.who.principal;
    if (request.owner_principal_name && !request.owner_principal_name->empty()) {
        owner = request.owner_principal_type.value_or("") + ":" + *request.owner_principal_name;
    }
    wire::CreateDelegationTokenResponse response;
    std::tie(response.principal_type, response.principal_name) = split_principal(owner);
    std::tie(response.token_requester_principal_type, response.token_requester_principal_name) =
        split_principal(context.who.principal);
    const ErrorCode disabled = check_enabled(context);
    if (disabled != ErrorCode::None) return with_code(std::move(response), disabled);
    DelegationTokenImage token;
    for (const auto& renewer : request.renewers) {
        if (renewer.principal_type != "User") {
            return with_code(std::move(response), ErrorCode::InvalidPrincipalType);
        }
        token.renewers.push_back("User:" + renewer.principal_name);
    }
    const int64_t now = context.tick.wall.value;
    const int64_t lifetime = request.max_lifetime_ms > 0
                                 ? std::min(kLifetimeMsMax, request.max_lifetime_ms)
                                 : kLifetimeMsMax;
    token.owner = owner;
    token.requester = context.who.principal;
    token.issue_ms = now;
    token.max_ms = sum(now, lifetime);
    token.expiration_ms = std::min(token.max_ms, sum(now, kRenewMs));
    const std::string id = context.random_uuid().to_string();
    const auto hmac = token_hmac(context, id);
    response.issue_timestamp_ms = now;
    response.expiry_timestamp_ms = token.expiration_ms;
    response.max_timestamp_ms = token.max_ms;
    response.token_id = id;
    response.hmac = Buffer::copy_of(ByteView(hmac.data(), hmac.size()));
    CommandResult result;
    result.records.push_back(make_token(id, token));
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context,
                          const wire::RenewDelegationTokenRequest& request) {
    wire::RenewDelegationTokenResponse response;
    const ErrorCode disabled = check_enabled(context);
    if (disabled != ErrorCode::None) return with_code(std::move(response), disabled);
    const FoundToken found = find_token(context, request.hmac);
    if (found.token == nullptr) {
        return with_code(std::move(response), ErrorCode::DelegationTokenNotFound);
    }
    const int64_t now = context.tick.wall.value;
    if (is_over(*found.token, now)) {
        return with_code(std::move(response), ErrorCode::DelegationTokenExpired);
    }
    if (!may_renew(context, *found.token)) {
        return with_code(std::move(response), ErrorCode::DelegationTokenOwnerMismatch);
    }
    const int64_t period =
        request.renew_period_ms > 0 ? std::min(kRenewMs, request.renew_period_ms) : kRenewMs;
    DelegationTokenImage token = *found.token;
    token.expiration_ms = std::min(token.max_ms, sum(now, period));
    response.expiry_timestamp_ms = token.expiration_ms;
    CommandResult result;
    result.records.push_back(make_token(*found.id, token));
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context,
                          const wire::ExpireDelegationTokenRequest& request) {
    wire::ExpireDelegationTokenResponse response;
    const ErrorCode disabled = check_enabled(context);
    if (disabled != ErrorCode::None) return with_code(std::move(response), disabled);
    const FoundToken found = find_token(context, request.hmac);
    if (found.token == nullptr) {
        return with_code(std::move(response), ErrorCode::DelegationTokenNotFound);
    }
    if (!may_renew(context, *found.token)) {
        return with_code(std::move(response), ErrorCode::DelegationTokenOwnerMismatch);
    }
    const int64_t now = context.tick.wall.value;
    CommandResult result;
    if (request.expiry_time_period_ms < 0) {
        response.expiry_timestamp_ms = now;
        result.records.push_back(make_removal(*found.id));
    } else if (is_over(*found.token, now)) {
        return with_code(std::move(response), ErrorCode::DelegationTokenExpired);
    } else {
        DelegationTokenImage token = *found.token;
        token.expiration_ms = std::min(token.max_ms, sum(now, request.expiry_time_period_ms));
        response.expiry_timestamp_ms = token.expiration_ms;
        result.records.push_back(make_token(*found.id, token));
    }
    result.response = std::move(response);
    return result;
}

std::vector<Record> expire_tokens(const CommandContext& context) {
    std::vector<Record> records;
    for (const auto& [id, token] : context.image().delegation_tokens) {
        if (records.size() >= kExpirationsPerSweepMax) break;
        if (is_over(*token, context.tick.wall.value)) records.push_back(make_removal(id));
    }
    return records;
}

}  // namespace millrace::metadata
