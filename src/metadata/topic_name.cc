// src/metadata/topic_name.cc: which topic names are legal
// (org.apache.kafka.common.internals.Topic).
#include <fmt/core.h>

#include <algorithm>

#include "metadata/commands.h"

namespace millrace::metadata {

std::optional<std::string> topic_name_fault(std::string_view name) {
    constexpr size_t kTopicNameMax = 249;
    constexpr const char* kInvalid = "Topic name is invalid: ";
    if (name.empty()) return fmt::format("{}the empty string is not allowed", kInvalid);
    if (name == "." || name == "..") return fmt::format("{}'{}' is not allowed", kInvalid, name);
    if (name.size() > kTopicNameMax) {
        return fmt::format("{}the length of '{}' is longer than the max allowed length {}",
                           kInvalid, name, kTopicNameMax);
    }
    const auto legal = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    };
    if (!std::all_of(name.begin(), name.end(), legal)) {
        return fmt::format(
            "{}'{}' contains one or more characters other than ASCII "
            "alphanumerics, '.', '_' and '-'",
            kInvalid, name);
    }
    return std::nullopt;
}

}  // namespace millrace::metadata
