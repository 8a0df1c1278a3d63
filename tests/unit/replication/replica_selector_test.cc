// tests/unit/replication/replica_selector_test.cc: which replica a rack reads from.
#include "millrace/replication/replica_selector.h"

#include <gtest/gtest.h>

namespace millrace::replication {
namespace {

TEST(ReplicaSelector, PicksTheFollowerOfTheRackThatHasMost) {
    const std::vector<ReadReplica> followers = {{NodeId(2), "a", Offset(10)},
                                                {NodeId(3), "b", Offset(9)},
                                                {NodeId(4), "b", Offset(10)},
                                                {NodeId(5), "b", Offset(10)},
                                                {NodeId(6), "", Offset(10)}};
    struct Case {
        const char* rack;
        const char* leader_rack;
        int64_t offset;
        std::optional<NodeId> wanted;
    };
    const Case cases[] = {
        {"a", "z", 0, NodeId(2)},
        {"a", "z", 10, NodeId(2)},
        {"a", "z", 11, std::nullopt},  // it does not have that record yet
        {"b", "z", 0, NodeId(5)},
        {"b", "b", 0, std::nullopt},   // the leader is as near
        {"c", "z", 0, std::nullopt},
        {"", "z", 0, std::nullopt},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(select_read_replica(c.rack, c.leader_rack, Offset(c.offset), followers), c.wanted)
            << c.rack << " of " << c.leader_rack << " at " << c.offset;
    }
}

}  // namespace
}  // namespace millrace::replication
