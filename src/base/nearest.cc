// src/base/nearest.cc: names near to a misspelt one.
#include "millrace/base/nearest.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr size_t kNearestMax = 3;

/// Levenshtein's distance with transposition of neighbours as one step.
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> before_last(b.size() + 1);
    std::vector<size_t> last(b.size() + 1);
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
        std::swap(before_last, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::vector<std::string> nearest_names(std::string_view name,
                                       const std::vector<std::string>& known) {
    struct Candidate {
        size_t distance;
        const std::string* text;
    };
    std::vector<Candidate> near;
    for (const std::string& k : known) {
        const size_t longer = std::max(k.size(), name.size());
        const size_t bound = std::max<size_t>(2, longer * 2 / 5);
        const size_t difference = longer - std::min(k.size(), name.size());
        if (difference > bound) continue;
        const size_t distance = edit_distance(name, k);
        if (distance <= bound && distance < longer) near.push_back({distance, &k});
    }
    std::stable_sort(near.begin(), near.end(), [](const Candidate& a, const Candidate& b) {
        return a.distance < b.distance;
    });
    // Far names help only when nothing is near.
    std::vector<std::string> names;
    for (const Candidate& c : near) {
        if (names.size() == kNearestMax || c.distance > near.front().distance + 2) break;
        names.push_back(*c.text);
    }
    return names;
}

}  // namespace millrace
