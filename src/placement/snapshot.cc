// src/placement/snapshot.cc: rack texts become labels, labels become axes.
#include "millrace/placement/snapshot.h"

#include <algorithm>
#include <string_view>

namespace millrace::placement {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Takes the digits at the front; leading zeros say nothing.
std::string take_number(std::string_view& text) {
    size_t length = 0;
    while (length < text.size() && is_digit(text[length]))
        ++length;
    std::string_view digits = text.substr(0, length);
    text.remove_prefix(length);
    while (digits.size() > 1 && digits.front() == '0')
        digits.remove_prefix(1);
    return std::string(digits);
}

void add_axis(std::vector<std::string>& axes, const std::string& axis) {
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) axes.push_back(axis);
}

}  // namespace

std::vector<Label> labels_of_rack(const std::string& rack) {
    if (rack.empty()) return {};
    std::string_view text = rack;
    if (text.starts_with("FD")) {
        text.remove_prefix(2);
        std::string fd = take_number(text);
        if (!fd.empty() && text.starts_with("UD")) {
            text.remove_prefix(2);
            std::string ud = take_number(text);
            if (!ud.empty() && text.empty()) return {{"fd", fd}, {"ud", ud}};
        }
    } else if (text.starts_with('/')) {
        text.remove_prefix(1);
        const size_t slash = text.find('/');
        if (slash != std::string_view::npos && slash > 0 && slash + 1 < text.size() &&
            text.find('/', slash + 1) == std::string_view::npos) {
            return {{"fd", std::string(text.substr(0, slash))},
                    {"ud", std::string(text.substr(slash + 1))}};
        }
    }
    return {{"rack", rack}};
}

std::vector<std::string> axes_of_labels(const std::vector<Broker>& brokers) {
    std::vector<std::string> found;
    for (const Broker& broker : brokers) {
        for (const Label& label : broker.labels)
            add_axis(found, label.first);
    }
    std::vector<std::string> axes;
    for (const char* first : {"fd", "ud"}) {
        if (std::find(found.begin(), found.end(), first) != found.end()) axes.push_back(first);
    }
    for (const std::string& axis : found)
        add_axis(axes, axis);
    if (axes.empty()) axes.push_back("rack");
    return axes;
}

bool is_internal_topic(const std::string& name) {
    return name == "__consumer_offsets" || name == "__transaction_state" ||
           name == "__share_group_state" || name == "__cluster_metadata" ||
           name.starts_with("__millrace");
}

}  // namespace millrace::placement
