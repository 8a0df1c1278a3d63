// tests/unit/raft/random_test.cc: quorums under random loss, delay, partition and crashes.
//
// After every step: one leader per epoch, nothing committed is ever lost or changed, no machine
// calls the rules broken. At the end the faults stop, and the quorum must get going again.
#include <gtest/gtest.h>

#include <map>

#include "unit/raft/quorum_world.h"

namespace millrace::raft {
namespace {

class Checker {
  public:
    /// False, with the reason, when an invariant is broken.
    ::testing::AssertionResult check(QuorumWorld& world) {
        if (world.trace.find("FATAL") != std::string::npos) {
            return ::testing::AssertionFailure() << world.trace.substr(world.trace.find("FATAL"));
        }
        world.trace.clear();
        for (auto& [id, node] : world.nodes()) {
            for (const LeaderEpoch epoch : node.led) {
                const auto [it, is_new] = leaders_.emplace(epoch, id);
                if (!is_new && it->second != id) {
                    return ::testing::AssertionFailure() << "nodes " << id << " and " << it->second
                                                         << " led epoch " << epoch.value;
                }
            }
            node.led.clear();
            for (const AppendBatch& batch : node.log.batches) {
                if (batch.last_offset >= node.committed) break;
                const auto [it, is_new] = committed_.emplace(batch.base_offset, batch.epoch);
                if (!is_new && it->second != batch.epoch) {
                    return ::testing::AssertionFailure()
                           << "offset " << batch.base_offset.value << " was committed in epoch "
                           << it->second.value << ", node " << id << " has " << batch.epoch.value;
                }
            }
            if (node.quorum != nullptr && node.log.log_end_offset() < node.committed) {
                return ::testing::AssertionFailure() << "node " << id << " lost committed records";
            }
        }
        return ::testing::AssertionSuccess();
    }

  private:
    std::map<LeaderEpoch, int> leaders_;
    std::map<Offset, LeaderEpoch> committed_;
};

void one_step(QuorumWorld& world, Rng& rng, int count) {
    const int id = static_cast<int>(rng.between(1, count));
    QuorumWorld::Node& node = world.node(id);
    const uint64_t dice = rng.below(1000);
    if (dice < 550) {
        if (!world.messages.empty()) {
            const size_t index = rng.chance(4, 5) ? 0 : rng.below(world.messages.size());
            const bool lose = rng.chance(1, 20);
            if (lose) world.cut_off.insert(world.messages[index].to);
            const int to = world.messages[index].to;
            world.deliver_one(index);
            if (lose) world.cut_off.erase(to);
        }
    } else if (dice < 800) {
        world.advance(milliseconds(rng.between(1, rng.chance(1, 20) ? 2500 : 60)));
    } else if (dice < 930) {
        world.sync(id);
    } else if (dice < 980) {
        if (node.quorum != nullptr) world.propose(id, static_cast<int>(rng.between(1, 3)));
    } else if (dice < 986) {
        if (node.quorum != nullptr) world.crash(id);
    } else if (dice < 996) {
        if (node.quorum == nullptr) world.start(id);
    } else if (dice < 997 && world.changes_voters()) {
        if (node.quorum == nullptr) return;
        const int other = static_cast<int>(rng.between(1, count));
        if (rng.chance(1, 2)) {
            world.add_voter(id, other, rng.chance(1, 2));
        } else if (other != id || node.quorum->voters().size() != 2) {
            // A leader that leaves the other of two behind and then stops leaves nobody who may
            // stand and win (in Kafka too): not part of what is promised.
            world.remove_voter(id, other);
        }
    } else if (dice < 998) {
        if (node.quorum != nullptr) world.resign(id);
    } else {
        if (!world.cut_off.erase(id)) world.cut_off.insert(id);
    }
}

void run_seed(int voters, bool dynamic, uint64_t seed, int extra = 0) {
    const int count = voters + extra;
    SCOPED_TRACE("nodes " + std::to_string(count) + " seed " + std::to_string(seed));
    QuorumWorld world(voters, dynamic, seed, extra);
    Checker checker;
    Rng rng(seed * 7919);
    for (int id = 1; id <= count; ++id)
        world.start(id);
    for (int i = 0; i < 4000; ++i) {
        one_step(world, rng, count);
        ASSERT_TRUE(checker.check(world)) << "step " << i;
    }
    world.cut_off.clear();
    for (int id = 1; id <= count; ++id) {
        if (world.node(id).quorum == nullptr) world.start(id);
    }
    world.auto_sync = true;
    for (int id = 1; id <= count; ++id)
        world.sync(id);
    world.run(seconds(20));
    ASSERT_TRUE(checker.check(world));
    int leader = 0;
    for (int id = 1; id <= count; ++id) {
        if (world.node(id).quorum->role() == QuorumRole::Leader) leader = id;
    }
    std::string states;
    for (auto& [id, node] : world.nodes()) states += node.quorum->debug_line() + "\n";
    ASSERT_NE(leader, 0) << "nobody leads after 20 s without faults\n" << states;
    const ProposeResult result = world.propose(leader, 1);
    ASSERT_EQ(result.error, ProposeError::None);
    world.run(seconds(2));
    for (int id = 1; id <= count; ++id) {
        EXPECT_GT(world.node(id).committed, result.last_offset)
            << world.node(id).quorum->debug_line();
    }
    ASSERT_TRUE(checker.check(world));
}

TEST(RandomQuorum, KeepsItsPromises) {
    for (uint64_t seed = 1; seed <= 60; ++seed) {
        run_seed(3, seed % 2 == 0, seed);
        if (HasFatalFailure()) return;
    }
    for (uint64_t seed = 1; seed <= 15; ++seed) {
        run_seed(5, seed % 2 == 0, seed);
        if (HasFatalFailure()) return;
    }
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        run_seed(1, seed % 2 == 0, seed);
        if (HasFatalFailure()) return;
    }
}

TEST(RandomQuorum, KeepsThemWhileVotersComeAndGo) {
    for (uint64_t seed = 1; seed <= 60; ++seed) {
        run_seed(static_cast<int>(seed % 3) + 1, true, seed, 2);
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace millrace::raft
