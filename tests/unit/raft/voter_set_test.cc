// tests/unit/raft/voter_set_test.cc: membership arithmetic.
#include "millrace/raft/voter_set.h"

#include <gtest/gtest.h>

#include "unit/raft/quorum_world.h"

namespace millrace::raft {
namespace {

TEST(VoterSet, MajorityIsMoreThanHalf) {
    const size_t majorities[] = {1, 2, 2, 3, 3, 4, 4};
    for (int n = 1; n <= 7; ++n) {
        EXPECT_EQ(test_voters(n, true).majority(), majorities[n - 1]) << n;
    }
}

TEST(VoterSet, ADirectoryIsPartOfAVotersIdentity) {
    const VoterSet dynamic = test_voters(3, true);
    EXPECT_TRUE(dynamic.is_voter({NodeId(2), test_directory(2)}));
    EXPECT_FALSE(dynamic.is_voter({NodeId(2), test_directory(9)})) << "the disk was replaced";
    EXPECT_FALSE(dynamic.is_voter({NodeId(4), test_directory(4)}));
    const VoterSet fixed = test_voters(3, false);
    EXPECT_TRUE(fixed.is_voter({NodeId(2), test_directory(9)})) << "static sets know ids only";
    EXPECT_TRUE(test_voters(1, true).is_only_voter({NodeId(1), test_directory(1)}));
    EXPECT_FALSE(dynamic.is_only_voter({NodeId(1), test_directory(1)}));
}

TEST(VoterSet, ChangesOneAtATime) {
    const VoterSet three = test_voters(3, true);
    const Voter fourth{{NodeId(4), test_directory(4)}, test_endpoints(4), {0, 1}};
    const auto four = three.with(fourth);
    ASSERT_TRUE(four.has_value());
    EXPECT_EQ(four->size(), 4u);
    EXPECT_FALSE(four->with(fourth).has_value()) << "the id is taken";
    EXPECT_TRUE(three.overlaps_majority_of(*four));
    const auto back = four->without({NodeId(4), test_directory(4)});
    EXPECT_EQ(back, three);
    EXPECT_FALSE(four->without({NodeId(4), test_directory(5)}).has_value());
    EXPECT_FALSE(test_voters(1, true).without({NodeId(1), test_directory(1)}).has_value());
    EXPECT_FALSE(three.overlaps_majority_of(test_voters(5, true))) << "two came at once";
    Voter moved = fourth;
    moved.key = {NodeId(3), test_directory(3)};
    moved.endpoints[0].port = 1;
    const auto updated = three.updated(moved);
    ASSERT_TRUE(updated.has_value());
    EXPECT_EQ(updated->find(NodeId(3))->endpoints[0].port, 1);
    EXPECT_FALSE(three.updated(fourth).has_value());
}

}  // namespace
}  // namespace millrace::raft
