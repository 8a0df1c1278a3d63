// tests/unit/base/nearest_test.cc: misspelt names find their neighbours.
#include "millrace/base/nearest.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

using Names = std::vector<std::string>;

TEST(NearestNames, FindWhatIsNearAndNothingElse) {
    EXPECT_EQ(nearest_names("topik", {"topic", "cluster", "config"}), Names{"topic"});
    EXPECT_EQ(nearest_names("order", {"orders", "orders-dlq", "x"}), (Names{"orders"}));
    EXPECT_EQ(nearest_names("consmue", {"consume", "config"}), Names{"consume"});
    EXPECT_EQ(nearest_names("x", {"topic"}), Names{});
    EXPECT_EQ(nearest_names("", {"topic"}), Names{});
}

}  // namespace
}  // namespace millrace
