// src/coordinator/regex.h: the regular expressions of subscriptions: RE2, whole names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/metadata/image.h"

namespace millrace::coordinator {

/// What is wrong with the expression; nothing when it can be used.
std::optional<std::string> regex_problem(const std::string& regex);
/// Adds the names of the topics that the whole expression matches, ascending, to `names`; looks at
/// `topics_max` topics from `from` on. The topic to go on from, or nothing when all are done; an
/// expression that is not valid matches none.
std::optional<std::string> match_topics(const metadata::Image& image, const std::string& regex,
                                        const std::string& from, size_t topics_max,
                                        std::vector<std::string>& names);

}  // namespace millrace::coordinator
