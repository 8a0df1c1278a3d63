// tests/unit/coordinator/reconcile_test.cc: the steps of one member, row by row.
#include "coordinator/reconcile.h"

#include <gtest/gtest.h>

namespace millrace::coordinator {
namespace {

const Uuid kFoo{0, 7};
const Uuid kBar{0, 8};

class ReconcileTest : public testing::Test {
  protected:
    ReconcileTest() {
        member.id = "m";
        member.epoch = 10;
        member.previous_epoch = 9;
        member.assigned = {{kFoo, {{0, 10}, {1, 10}}}};
        own();
    }
    void own() {
        for (const auto* held : {&member.assigned, &member.pending_revocation}) {
            for (const auto& [topic, partitions] : *held) {
                for (const auto& [partition, epoch] : partitions)
                    owners.set({topic, partition}, member.epoch);
            }
        }
    }
    std::optional<ConsumerMember> step(const Partitions& target, int32_t epoch) {
        return reconcile({member, target, epoch, owned, owners, subscribed, changed});
    }

    ConsumerMember member;
    std::optional<Partitions> owned;
    PersistentMap<PartitionKey, int32_t> owners;
    std::set<Uuid> subscribed = {kFoo};
    bool changed = false;
};

TEST_F(ReconcileTest, StableAtTheTargetStaysAsItIs) {
    const auto next = step({{kFoo, {0, 1}}}, 10);
    EXPECT_EQ(next->previous_epoch, 9);
    EXPECT_EQ(next->state, MemberState::Stable);
}

TEST_F(ReconcileTest, ANewTargetWithTheSamePartitionsRaisesTheEpoch) {
    const auto next = step({{kFoo, {0, 1}}}, 11);
    EXPECT_EQ(next->epoch, 11);
    EXPECT_EQ(next->previous_epoch, 10);
    EXPECT_EQ(next->assigned.at(kFoo).at(0), 10);  // held since then
}

TEST_F(ReconcileTest, RevokesFirstAndMovesWhenTheMemberHasLetGo) {
    auto next = step({{kFoo, {0, 2}}}, 11);
    EXPECT_EQ(next->state, MemberState::Unrevoked);
    EXPECT_EQ(next->epoch, 10);
    EXPECT_TRUE(next->pending_revocation.at(kFoo).contains(1));
    member = *next;
    owned = Partitions{{kFoo, {0, 1}}};
    EXPECT_EQ(step({{kFoo, {0, 2}}}, 11)->state, MemberState::Unrevoked);
    owned = Partitions{{kFoo, {0}}};
    next = step({{kFoo, {0, 2}}}, 11);
    EXPECT_EQ(next->state, MemberState::Stable);
    EXPECT_EQ(next->epoch, 11);
    EXPECT_EQ(next->assigned.at(kFoo).at(2), 11);
}

TEST_F(ReconcileTest, AMemberThatSaysItHasNothingNeedNotRevoke) {
    owned = Partitions{};
    const auto next = step({{kFoo, {2}}}, 11);
    EXPECT_EQ(next->state, MemberState::Stable);
    EXPECT_TRUE(next->pending_revocation.empty());
}

TEST_F(ReconcileTest, WaitsForPartitionsThatAreStillWithOthers) {
    owners.set({kFoo, 2}, 10);
    auto next = step({{kFoo, {0, 1, 2, 3}}}, 11);
    EXPECT_EQ(next->state, MemberState::Unreleased);
    EXPECT_TRUE(next->assigned.at(kFoo).contains(3));
    EXPECT_FALSE(next->assigned.at(kFoo).contains(2));
    member = *next;
    owners.erase({kFoo, 2});
    next = step({{kFoo, {0, 1, 2, 3}}}, 11);
    EXPECT_EQ(next->state, MemberState::Stable);
    EXPECT_TRUE(next->assigned.at(kFoo).contains(2));
}

TEST_F(ReconcileTest, TopicsNoLongerSubscribedAreTakenAwayWithinTheEpoch) {
    subscribed = {kBar};
    changed = true;
    auto next = step({{kFoo, {0, 1}}}, 10);
    EXPECT_EQ(next->state, MemberState::Unrevoked);
    EXPECT_EQ(next->epoch, 10);
    EXPECT_TRUE(next->assigned.empty());
    owned = Partitions{};
    next = step({{kFoo, {0, 1}}}, 10);
    EXPECT_EQ(next->state, MemberState::Stable);
    EXPECT_TRUE(next->assigned.empty());
}

TEST_F(ReconcileTest, AStateOfANewerReleaseStartsAnew) {
    member.state = MemberState::Unknown;
    EXPECT_FALSE(step({{kFoo, {0}}}, 11).has_value());
    owned = Partitions{};
    EXPECT_EQ(step({{kFoo, {0}}}, 11)->epoch, 11);
}

}  // namespace
}  // namespace millrace::coordinator
