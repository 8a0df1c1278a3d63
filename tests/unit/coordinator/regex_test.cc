// tests/unit/coordinator/regex_test.cc: expressions match whole names, and bad ones are told.
#include "coordinator/regex.h"

#include <gtest/gtest.h>

namespace millrace::coordinator {
namespace {

TEST(Regex, MatchesWholeNamesInOrder) {
    metadata::Image image;
    for (const char* name : {"foo", "foo2", "bar", "__consumer_offsets", "xfoo"})
        image.topics.ids_by_name.set(name, Uuid{0, 1});
    const struct {
        const char* regex;
        std::vector<std::string> names;
    } kTable[] = {
        {"foo", {"foo"}},   {"foo.*", {"foo", "foo2"}},       {"bar|foo2", {"bar", "foo2"}},
        {"^f.o$", {"foo"}}, {"__.*", {"__consumer_offsets"}}, {"nothing", {}},
        {"(", {}},
    };
    for (const auto& row : kTable) {
        std::vector<std::string> names;
        EXPECT_EQ(match_topics(image, row.regex, "", 100, names), std::nullopt);
        EXPECT_EQ(names, row.names) << row.regex;
        // In slices of two topics the same.
        std::vector<std::string> sliced;
        std::optional<std::string> from = "";
        int slices = 0;
        for (; from; ++slices)
            from = match_topics(image, row.regex, *from, 2, sliced);
        EXPECT_EQ(sliced, row.names) << row.regex;
        EXPECT_LE(slices, 3);
    }
}

TEST(Regex, SaysWhatIsWrong) {
    EXPECT_FALSE(regex_problem("f.*").has_value());
    EXPECT_TRUE(regex_problem("(").has_value());
    EXPECT_TRUE(regex_problem("a(?=b)").has_value());  // RE2 has no lookahead
    EXPECT_TRUE(regex_problem("(a)\\1").has_value());  // nor back-references
    EXPECT_TRUE(regex_problem("x{1000}{1000}").has_value());
}

}  // namespace
}  // namespace millrace::coordinator
