// tools/cli/dead_hosts.cc: host names compared as people write them.
#include "cli/dead_hosts.h"

#include <fmt/core.h>
#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "cli/plan_request.h"
#include "cli/rack_file.h"

namespace millrace::cli {
namespace {

std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return text;
}

/// Host and port; -1 for none. An IPv6 address with a port stands in brackets.
std::pair<std::string, int> split_port(const std::string& text) {
    const size_t colon = text.rfind(':');
    const bool bracketed = text.starts_with('[');
    if (bracketed && text.ends_with(']')) return {text.substr(1, text.size() - 2), -1};
    if (colon == std::string::npos || (!bracketed && text.find(':') != colon)) return {text, -1};
    int port = -1;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, port);
    if (error != std::errc{} || rest != end) return {text, -1};
    return {bracketed ? text.substr(1, colon - 2) : text.substr(0, colon), port};
}

std::set<std::string> addresses_of(const std::string& host) {
    std::set<std::string> addresses;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return addresses;
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        char text[NI_MAXHOST] = {};
        if (::getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0,
                          NI_NUMERICHOST) == 0)
            addresses.insert(text);
    }
    ::freeaddrinfo(found);
    return addresses;
}

std::vector<const ClusterNode*> nodes_named(const std::string& word,
                                            const std::vector<ClusterNode>& nodes) {
    std::vector<const ClusterNode*> found;
    if (word.find_first_not_of("0123456789") == std::string::npos) {
        for (const ClusterNode& node : nodes) {
            if (std::to_string(node.id) == word) found.push_back(&node);
        }
        return found;
    }
    const auto [host, port] = split_port(lower_case(word));
    std::vector<const ClusterNode*> there;
    for (const ClusterNode& node : nodes) {
        if (port < 0 || node.port == port) there.push_back(&node);
    }
    for (const ClusterNode* node : there) {
        if (same_host(lower_case(node->host), host)) found.push_back(node);
    }
    if (!found.empty() || there.empty()) return found;
    const std::set<std::string> wanted = addresses_of(host);
    for (const ClusterNode* node : there) {
        const std::set<std::string> own = addresses_of(node->host);
        if (std::any_of(own.begin(), own.end(),
                        [&](const std::string& one) { return wanted.contains(one); }))
            found.push_back(node);
    }
    return found;
}

}  // namespace

std::vector<int32_t> brokers_named(const std::string& word, const std::vector<ClusterNode>& nodes) {
    std::vector<int32_t> ids;
    const auto found = nodes_named(word, nodes);
    for (const ClusterNode* node : found) {
        if (!same_host(lower_case(node->host), lower_case(found.front()->host)))
            throw bad_plan_input(
                "usage", fmt::format("'{}' may be {} or {}", word, found.front()->host, node->host),
                "give the whole name");
        ids.push_back(node->id);
    }
    if (!ids.empty()) return ids;
    std::string known;
    for (const ClusterNode& node : nodes)
        known +=
            fmt::format("{}{} ({}:{})", known.empty() ? "" : ", ", node.id, node.host, node.port);
    throw bad_plan_input("usage", fmt::format("no broker on '{}'", word), "there are: " + known);
}

}  // namespace millrace::cli
