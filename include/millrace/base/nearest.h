// include/millrace/base/nearest.h: names near to a misspelt one, for "did you mean".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// The nearest of `known` (at most three), nearest first; empty when nothing is near. Near is an
/// edit distance (a swap of neighbours counts one) of at most 2 or 40 % of the longer word.
std::vector<std::string> nearest_names(std::string_view name,
                                       const std::vector<std::string>& known);

}  // namespace millrace
