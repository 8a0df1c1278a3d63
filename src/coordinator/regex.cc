// src/coordinator/regex.cc: the only file that knows RE2.
//
// RE2 matches in time linear in the text, so that a client's expression cannot stall the shard;
// its memory is bounded below. Source: coordinators.md 4.9; com.google.re2j in Kafka.
#include "coordinator/regex.h"

#include <re2/re2.h>

namespace millrace::coordinator {

namespace {

constexpr int64_t kRegexMemoryMax = 1 << 20;

RE2::Options options() {
    RE2::Options result;
    result.set_log_errors(false);
    result.set_max_mem(kRegexMemoryMax);
    return result;
}

}  // namespace

std::optional<std::string> regex_problem(const std::string& regex) {
    const RE2 compiled(regex, options());
    if (compiled.ok()) return std::nullopt;
    return compiled.error();
}

std::optional<std::string> match_topics(const metadata::Image& image, const std::string& regex,
                                        const std::string& from, size_t topics_max,
                                        std::vector<std::string>& names) {
    const RE2 compiled(regex, options());
    if (!compiled.ok()) return std::nullopt;
    const auto& topics = image.topics.ids_by_name;
    for (auto at = topics.lower_bound(from); at != topics.end(); ++at) {
        if (topics_max-- == 0) return at->first;
        if (RE2::FullMatch(at->first, compiled)) names.push_back(at->first);
    }
    return std::nullopt;
}

}  // namespace millrace::coordinator
