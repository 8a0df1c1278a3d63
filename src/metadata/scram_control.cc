// src/metadata/scram_control.cc: AlterUserScramCredentials.
#include <map>
#include <set>

#include "metadata/commands.h"
#include "metadata/make_records.h"
#include "millrace/base/sha2.h"

namespace millrace::metadata {

namespace {

using Request = wire::AlterUserScramCredentialsRequest;

constexpr int8_t kScramSha256 = 1;
constexpr int8_t kScramSha512 = 2;
constexpr int32_t kIterationsMin = 4'096;
constexpr int32_t kIterationsMax = 16'384;

ApiError check_name(const std::string& name, int8_t mechanism) {
    if (name.empty()) return {ErrorCode::UnacceptableCredential, "Username must not be empty"};
    if (mechanism != kScramSha256 && mechanism != kScramSha512) {
        return {ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"};
    }
    return {};
}

ApiError check(const CommandContext& context, const Request::ScramCredentialDeletion& deletion) {
    ApiError error = check_name(deletion.name, deletion.mechanism);
    if (!error.failed() &&
        !context.image().scram.contains(ScramKey(deletion.mechanism, deletion.name))) {
        error = {ErrorCode::ResourceNotFound,
                 "Attempt to delete a user credential that does not exist"};
    }
    return error;
}

ApiError check(const CommandContext&, const Request::ScramCredentialUpsertion& upsertion) {
    ApiError error = check_name(upsertion.name, upsertion.mechanism);
    if (error.failed()) return error;
    if (upsertion.iterations < kIterationsMin) {
        return {ErrorCode::UnacceptableCredential, "Too few iterations"};
    }
    if (upsertion.iterations > kIterationsMax) {
        return {ErrorCode::UnacceptableCredential, "Too many iterations"};
    }
    return {};
}

/// RFC 5802: what the server keeps in place of the salted password.
Record make_credential(const Request::ScramCredentialUpsertion& upsertion) {
    const ShaKind kind = upsertion.mechanism == kScramSha256 ? ShaKind::Sha256 : ShaKind::Sha512;
    const auto mac = [&](std::string_view text) {
        return hmac_sha2(kind, upsertion.salted_password.view(), ByteView(text));
    };
    const auto to_buffer = [](const std::vector<uint8_t>& bytes) {
        return Buffer::copy_of(ByteView(bytes.data(), bytes.size()));
    };
    const auto client_key = mac("Client Key");
    wire::UserScramCredentialRecord record;
    record.name = upsertion.name;
    record.mechanism = upsertion.mechanism;
    record.salt = upsertion.salt;
    record.stored_key = to_buffer(sha2(kind, {client_key.data(), client_key.size()}));
    record.server_key = to_buffer(mac("Server Key"));
    record.iterations = upsertion.iterations;
    return Record(std::move(record));
}

Record make_removal(const Request::ScramCredentialDeletion& deletion) {
    wire::RemoveUserScramCredentialRecord record;
    record.name = deletion.name;
    record.mechanism = deletion.mechanism;
    return Record(std::move(record));
}

}  // namespace

CommandResult run_command(const CommandContext& context, const Request& request) {
    struct User {
        ApiError error;
        std::optional<Record> record;
    };
    std::map<std::string, User> users;
    const auto add = [&](const auto& asked, auto make) {
        auto [it, first] = users.try_emplace(asked.name);
        User& user = it->second;
        if (!first) {
            // One user twice spoils it, unless the first mention was wrong already.
            if (!user.error.failed()) {
                user.error = {ErrorCode::DuplicateResource,
                              "A user credential cannot be altered twice in the same request"};
            }
            return;
        }
        if (context.metadata_version() < kMvScram) {
            user.error = {ErrorCode::UnsupportedVersion,
                          "The current metadata.version does not support SCRAM"};
        } else {
            user.error = check(context, asked);
        }
        if (!user.error.failed()) user.record = make(asked);
    };
    for (const auto& deletion : request.deletions)
        add(deletion, make_removal);
    for (const auto& upsertion : request.upsertions)
        add(upsertion, make_credential);

    CommandResult result;
    wire::AlterUserScramCredentialsResponse response;
    for (auto& [name, user] : users) {
        auto& entry = response.results.emplace_back();
        entry.user = name;
        entry.error_code = user.error.number();
        entry.error_message = user.error.message;
        if (!user.error.failed()) result.records.push_back(std::move(*user.record));
    }
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
