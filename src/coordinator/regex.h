// src/coordinator/regex.h: the regular expressions of subscriptions: RE2, whole names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/metadata/image.h"

namespace millrace::coordinator {

/// What is wrong with the expression; nothing when it can be used.
std::optional<std::string> regex_problem(const std::string& regex);
/// Names of all topics that the whole expression matches, ascending. None when it is not valid.
std::vector<std::string> topics_matching(const metadata::Image& image, const std::string& regex);

}  // namespace millrace::coordinator
