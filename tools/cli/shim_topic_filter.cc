// tools/cli/shim_topic_filter.cc: topics by a regular expression, as Kafka's tools match them.
#include "cli/shim_topic_filter.h"

#include "cli/cli.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

std::string cleaned(const std::string& raw) {
    std::string text;
    for (const char c : raw) {
        if (c == ' ') continue;
        text += c == ',' ? '|' : c;
    }
    const size_t from = text.find_first_not_of("\"'");
    if (from == std::string::npos) return "";
    return text.substr(from, text.find_last_not_of("\"'") - from + 1);
}

std::regex compiled(const std::string& text) {
    try {
        return std::regex(text);
    } catch (const std::regex_error&) {
        throw Failure{kUsage, text + " is an invalid regex.", ""};
    }
}

}  // namespace

TopicFilter::TopicFilter(const std::string& raw) : pattern_(compiled(cleaned(raw))) {}

bool are_servers(const std::string& text) {
    const auto servers = split(text, ',');
    for (const std::string& server : servers) {
        const size_t colon = server.rfind(':');
        if (colon == std::string::npos || colon + 1 == server.size() ||
            server.find_first_not_of("0123456789", colon + 1) != std::string::npos)
            return false;
    }
    return !servers.empty();
}

}  // namespace millrace::cli
