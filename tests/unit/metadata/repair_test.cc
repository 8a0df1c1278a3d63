// tests/unit/metadata/repair_test.cc: replicas of brokers that stay away, and who is left alone.
#include <algorithm>

#include "controller_fixture.h"
#include "metadata/wire_nodes.h"

namespace millrace::metadata {
namespace {

constexpr Duration kStep = seconds(2);

ControllerOptions options_with(const std::string& delay) {
    ControllerOptions options = ControllerFixture::default_options();
    if (!delay.empty()) options.static_config["dead.broker.repair.delay.ms"] = delay;
    return options;
}

class Repair : public ::testing::Test {
  protected:
    void start(const std::string& delay, const std::vector<std::string>& racks) {
        f = std::make_unique<ControllerFixture>(options_with(delay));
        f->lead();
        count_ = static_cast<int32_t>(racks.size());
        for (int32_t id = 1; id <= count_; ++id) {
            auto request = f->registration(id);
            request.rack = racks[static_cast<size_t>(id) - 1];
            EXPECT_EQ(f->run<wire::BrokerRegistrationResponse>(request).error_code, 0);
            EXPECT_FALSE(f->run<wire::BrokerHeartbeatResponse>(f->heartbeat(id)).is_fenced);
        }
    }
    /// Time passes; all but these send heartbeats.
    void live(Duration time, const std::vector<int32_t>& silent) {
        for (Duration passed{0}; passed.nanos < time.nanos; passed = passed + kStep) {
            for (int32_t id = 1; id <= count_; ++id) {
                if (std::find(silent.begin(), silent.end(), id) == silent.end())
                    f->run<wire::BrokerHeartbeatResponse>(f->heartbeat(id));
            }
            f->pass(kStep);
        }
    }
    std::vector<int32_t> replicas(int32_t index = 0) {
        return to_numbers(f->partition("t", index).replicas);
    }

    std::unique_ptr<ControllerFixture> f;
    int32_t count_ = 0;
};

const std::vector<std::string> kGrid = {"FD0UD0", "FD1UD1", "FD2UD2", "FD2UD2", "FD0UD2"};

TEST_F(Repair, MovesAwayAfterTheDelayIntoADomainOfItsOwn) {
    start("60000", kGrid);
    f->create(f->assigned("t", {{1, 2, 3}, {2, 1, 4}}));
    live(seconds(40), {3});
    EXPECT_EQ(replicas(), (std::vector<int32_t>{1, 2, 3})) << "fenced, but not given up";
    live(seconds(40), {3});
    const PartitionImage& partition = f->partition("t");
    EXPECT_EQ(to_numbers(partition.adding), std::vector<int32_t>{4});
    EXPECT_EQ(to_numbers(partition.removing), std::vector<int32_t>{3});
    EXPECT_FALSE(f->partition("t", 1).is_reassigning()) << "it had no replica there";
}

TEST_F(Repair, IsOffUnlessAsked) {
    start("", kGrid);
    f->create(f->assigned("t", {{1, 2, 3}}));
    live(seconds(600), {3});
    EXPECT_EQ(replicas(), (std::vector<int32_t>{1, 2, 3}));
}

TEST_F(Repair, ABrokerThatReturnsKeepsItsReplicas) {
    start("60000", kGrid);
    f->create(f->assigned("t", {{1, 2, 3}}));
    live(seconds(40), {3});
    live(seconds(600), {});
    EXPECT_EQ(replicas(), (std::vector<int32_t>{1, 2, 3}));
}

TEST_F(Repair, WhatHasNoPlaceDoesNotHoldUpTheOthers) {
    start("60000", {"a", "b", "c", "d"});
    f->create(f->assigned("t", {{1, 2, 3}}));
    f->create(f->assigned("wide", {{1, 2, 3, 4}}));
    live(seconds(80), {3});
    EXPECT_EQ(to_numbers(f->partition("t").adding), std::vector<int32_t>{4});
    EXPECT_FALSE(f->partition("wide").is_reassigning());
}

TEST_F(Repair, AHundredWithoutAPlaceDoNotHoldUpTheOthers) {
    start("60000", {"a", "b", "c", "d"});
    for (int i = 0; i < 3; ++i) {
        const std::string name = "wide-" + std::to_string(i);
        f->create(f->assigned(name, std::vector<std::vector<int32_t>>(100, {1, 2, 3, 4})));
        f->create(f->assigned("t-" + std::to_string(i), {{1, 2, 3}}));
    }
    live(seconds(80), {3});
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(to_numbers(f->partition("t-" + std::to_string(i)).adding),
                  std::vector<int32_t>{4});
        EXPECT_FALSE(f->partition("wide-" + std::to_string(i)).is_reassigning());
    }
}

TEST_F(Repair, NorDoThousands) {
    start("60000", {"a", "b", "c", "d"});
    for (int i = 0; i < 5; ++i) {
        const std::string name = "wide-" + std::to_string(i);
        f->create(f->assigned(name, std::vector<std::vector<int32_t>>(900, {1, 2, 3, 4})));
        f->create(f->assigned("t-" + std::to_string(i), {{1, 2, 3}}));
    }
    live(seconds(80), {3});
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(to_numbers(f->partition("t-" + std::to_string(i)).adding),
                  std::vector<int32_t>{4});
        EXPECT_FALSE(f->partition("wide-" + std::to_string(i), 899).is_reassigning());
    }
}

/// A broker that is down, but not given up, keeps its replica: it is a place for no other one.
TEST_F(Repair, ABrokerThatIsDownCountsForItsOwnOnly) {
    start("60000", {"a", "b", "c", "d"});
    f->create(f->assigned("own", {{1, 3, 4}}));
    f->create(f->assigned("other", {{1, 2, 3}}));
    live(seconds(40), {3});
    live(seconds(36), {3, 4});
    EXPECT_EQ(to_numbers(f->partition("own").adding), std::vector<int32_t>{2});
    EXPECT_FALSE(f->partition("other").is_reassigning());
}

TEST_F(Repair, RacksMayBeMissing) {
    start("60000", {"a", "b", "c", ""});
    f->create(f->assigned("t", {{1, 2, 3}}));
    live(seconds(80), {3});
    EXPECT_EQ(to_numbers(f->partition("t").adding), std::vector<int32_t>{4});
}

}  // namespace
}  // namespace millrace::metadata
