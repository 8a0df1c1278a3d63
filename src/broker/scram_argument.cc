// src/broker/scram_argument.cc: parsing --add-scram and deriving the keys.
#include "broker/scram_argument.h"

#include <fmt/core.h>

#include <charconv>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "millrace/base/sha2.h"

namespace millrace::broker {

namespace {

constexpr int32_t kIterationsDefault = 4096;
constexpr int32_t kIterationsMin = 4096;
constexpr int32_t kIterationsMax = 16384;
constexpr size_t kSaltBytes = 26;

struct Mechanism {
    const char* name;    // on the command line
    const char* symbol;  // in Kafka's messages
    int8_t type;         // in the record
    ShaKind hash;
};
constexpr Mechanism kMechanisms[] = {
    {"SCRAM-SHA-256", "SCRAM_SHA_256", 1, ShaKind::Sha256},
    {"SCRAM-SHA-512", "SCRAM_SHA_512", 2, ShaKind::Sha512},
};

Status invalid(std::string text) { return {Errc::InvalidInput, std::move(text)}; }

std::optional<std::vector<uint8_t>> decode_base64(std::string_view text) {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while (text.ends_with('='))
        text.remove_suffix(1);
    if (text.size() % 4 == 1) return std::nullopt;
    std::vector<uint8_t> out;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const size_t value = kAlphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6) | static_cast<uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<uint8_t>(bits >> count));
        }
    }
    return out;
}

Buffer to_buffer(const std::vector<uint8_t>& bytes) {
    return Buffer::copy_of(ByteView(bytes.data(), bytes.size()));
}

/// "a=b,c=d" without the brackets; quotes around a value go.
Result<std::map<std::string, std::string>> split_components(std::string_view text) {
    std::map<std::string, std::string> components;
    while (!text.empty()) {
        const size_t comma = std::min(text.find(','), text.size());
        const std::string_view one = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        const size_t equals = one.find('=');
        if (equals == std::string_view::npos) {
            return invalid("No equals sign found in SCRAM component: " + std::string(one));
        }
        std::string_view value = one.substr(equals + 1);
        if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) {
            value = value.substr(1, value.size() - 2);
        }
        components[std::string(one.substr(0, equals))] = std::string(value);
    }
    return components;
}

std::optional<std::string> take(std::map<std::string, std::string>& components, const char* key) {
    auto node = components.extract(key);
    if (node.empty()) return std::nullopt;
    return std::move(node.mapped());
}

std::vector<uint8_t> random_salt(Rng& rng) {
    constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
    std::vector<uint8_t> salt(kSaltBytes);
    for (uint8_t& byte : salt)
        byte = static_cast<uint8_t>(kDigits[rng.below(kDigits.size())]);
    return salt;
}

Result<metadata::Record> make_record(const Mechanism& mechanism,
                                     std::map<std::string, std::string> components, Rng& rng) {
    const auto name = take(components, "name");
    if (!name.has_value()) return invalid("You must supply 'name' to add-scram");
    std::vector<uint8_t> salt;
    const auto salt_text = take(components, "salt");
    if (salt_text.has_value()) {
        const auto decoded = decode_base64(*salt_text);
        if (!decoded.has_value()) return invalid("Failed to decode given salt: " + *salt_text);
        salt = *decoded;
    }
    int32_t iterations = kIterationsDefault;
    if (const auto text = take(components, "iterations"); text.has_value()) {
        const char* end = text->data() + text->size();
        const auto [at, error] = std::from_chars(text->data(), end, iterations);
        if (error != std::errc() || at != end) {
            return invalid("Failed to parse iterations count: " + *text);
        }
    }
    const auto password = take(components, "password");
    const auto salted_text = take(components, "saltedpassword");
    std::vector<uint8_t> salted;
    if (!password.has_value()) {
        if (!salted_text.has_value()) {
            return invalid("You must supply one of 'password' or 'saltedpassword' to add-scram");
        }
        if (!salt_text.has_value()) {
            return invalid("You must supply 'salt' with 'saltedpassword' to add-scram");
        }
        const auto decoded = decode_base64(*salted_text);
        if (!decoded.has_value()) {
            return invalid("Failed to decode given saltedPassword: " + *salted_text);
        }
        salted = *decoded;
    }
    if (!components.empty()) {
        std::string names;
        for (const auto& [key, value] : components)
            names += (names.empty() ? "" : ", ") + key;
        return invalid("Unknown SCRAM configurations: " + names);
    }
    if (iterations < kIterationsMin || iterations > kIterationsMax) {
        const bool low = iterations < kIterationsMin;
        return invalid(fmt::format("The 'iterations' value must be {} {} for add-scram using {}",
                                   low ? ">=" : "<=", low ? kIterationsMin : kIterationsMax,
                                   mechanism.symbol));
    }
    if (!salt_text.has_value()) salt = random_salt(rng);
    if (password.has_value()) {
        salted = pbkdf2_sha2(mechanism.hash, ByteView(*password), {salt.data(), salt.size()},
                             iterations);
    }
    const ByteView key(salted.data(), salted.size());
    const auto client_key = hmac_sha2(mechanism.hash, key, ByteView("Client Key"));
    wire::UserScramCredentialRecord record;
    record.name = *name;
    record.mechanism = mechanism.type;
    record.salt = to_buffer(salt);
    record.stored_key =
        to_buffer(sha2(mechanism.hash, ByteView(client_key.data(), client_key.size())));
    record.server_key = to_buffer(hmac_sha2(mechanism.hash, key, ByteView("Server Key")));
    record.iterations = iterations;
    return metadata::Record(std::move(record));
}

}  // namespace

Result<metadata::Record> parse_scram_argument(const std::string& text, Rng& rng) {
    std::string_view input = text;
    while (!input.empty() && input.front() == ' ')
        input.remove_prefix(1);
    while (!input.empty() && input.back() == ' ')
        input.remove_suffix(1);
    const size_t equals = input.find('=');
    if (equals == std::string_view::npos) {
        return invalid("Failed to find equals sign in SCRAM argument '" + std::string(input) + "'");
    }
    const std::string_view name = input.substr(0, equals);
    std::string_view settings = input.substr(equals + 1);
    const Mechanism* mechanism = nullptr;
    for (const Mechanism& one : kMechanisms) {
        if (name == one.name) mechanism = &one;
    }
    if (mechanism == nullptr) {
        return invalid("The add-scram mechanism " + std::string(name) + " is not supported.");
    }
    if (!settings.starts_with('[')) {
        return invalid("Expected configuration string to start with [");
    }
    if (!settings.ends_with(']') || settings.size() < 2) {
        return invalid("Expected configuration string to end with ]");
    }
    MILLRACE_TRY_ASSIGN(auto components, split_components(settings.substr(1, settings.size() - 2)));
    return make_record(*mechanism, std::move(components), rng);
}

}  // namespace millrace::broker
