// tests/unit/base/persistent_map_test.cc: old versions stay as they were; agreement with std::map.
#include "millrace/base/persistent_map.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "millrace/base/rng.h"

namespace millrace {
namespace {

using Map = PersistentMap<int, std::string>;

std::vector<std::pair<int, std::string>> contents(const Map& map) {
    return {map.begin(), map.end()};
}

TEST(PersistentMap, KeepsOldVersions) {
    Map one;
    one.set(1, "a");
    Map two = one;
    two.set(2, "b");
    two.set(1, "c");
    Map three = two;
    EXPECT_TRUE(three.erase(1));
    EXPECT_FALSE(three.erase(7));
    EXPECT_EQ(contents(one), (std::vector<std::pair<int, std::string>>{{1, "a"}}));
    EXPECT_EQ(contents(two), (std::vector<std::pair<int, std::string>>{{1, "c"}, {2, "b"}}));
    EXPECT_EQ(contents(three), (std::vector<std::pair<int, std::string>>{{2, "b"}}));
    EXPECT_EQ(one.size(), 1u);
    EXPECT_FALSE(one.same_version(two));
    EXPECT_TRUE(Map(two).same_version(two));
}

TEST(PersistentMap, LowerBound) {
    Map map;
    for (int i = 0; i < 100; i += 10)
        map.set(i, std::to_string(i));
    EXPECT_EQ(map.lower_bound(35)->first, 40);
    EXPECT_EQ(map.lower_bound(40)->first, 40);
    EXPECT_EQ(map.lower_bound(91), map.end());
    int walked = 0;
    for (auto it = map.lower_bound(35); it != map.end(); ++it)
        ++walked;
    EXPECT_EQ(walked, 6);
}

TEST(PersistentMap, AgreesWithStdMapUnderRandomEdits) {
    Rng rng(7);
    Map map;
    std::map<int, std::string> model;
    std::vector<std::pair<Map, std::map<int, std::string>>> kept;
    for (int step = 0; step < 6000; ++step) {
        const int key = static_cast<int>(rng.below(500));
        if (rng.chance(2, 3)) {
            const std::string value = std::to_string(step);
            map.set(key, value);
            model[key] = value;
        } else {
            EXPECT_EQ(map.erase(key), model.erase(key) == 1);
        }
        if (step % 1000 == 0) kept.emplace_back(map, model);
    }
    kept.emplace_back(map, model);
    for (const auto& [version, expected] : kept) {
        EXPECT_EQ(version.size(), expected.size());
        EXPECT_EQ(contents(version),
                  (std::vector<std::pair<int, std::string>>(expected.begin(), expected.end())));
        for (int key = 0; key < 500; ++key)
            EXPECT_EQ(version.contains(key), expected.contains(key));
    }
}

}  // namespace
}  // namespace millrace
