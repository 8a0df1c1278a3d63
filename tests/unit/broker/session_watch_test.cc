// tests/unit/broker/session_watch_test.cc: when a broker's process counts as gone, and when not.
#include "broker/session_watch.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/broker/quorum_world.h"

namespace millrace::broker {
namespace {

/// A listener that answers, refuses or says nothing.
class OneListener final : public env::Peers {
  public:
    enum class Mood { Answers, Refuses, Silent };
    Mood mood = Mood::Answers;
    int probes = 0;
    explicit OneListener(WorldTimers& timers) : timers_(timers) {}
    void send(const env::PeerAddress&, BufferChain, Duration,
              MoveFunction<void(Result<Buffer>)> done) override {
        ++probes;
        Result<Buffer> answer = mood == Mood::Answers
                                    ? Result<Buffer>(Buffer::copy_of("yes"))
                                    : Result<Buffer>(Status(mood == Mood::Refuses
                                                                ? Errc::Disconnected
                                                                : Errc::TimedOut,
                                                            "no"));
        timers_.post([done = std::move(done), answer = std::move(answer)]() mutable {
            done(std::move(answer));
        });
    }

  private:
    WorldTimers& timers_;
};

class SessionWatchTest : public ::testing::Test {
  protected:
    support::SimDisk disk;
    support::StubClock clock;
    support::StubBackground background;
    support::OneShard shards;
    WorldTimers timers;
    OneListener listener{timers};
    std::vector<std::string> gone;
    bool connected = true;
    metadata::ClusterImage cluster;
    SessionWatch watch{env::Env{clock, timers, disk, background, shards, listener, 1},
                       {milliseconds(250), milliseconds(2000), NodeId(1)},
                       [this](NodeId id, BrokerEpoch epoch, Instant) {
                           gone.push_back(std::to_string(id.value) + "@" +
                                          std::to_string(epoch.value));
                       }};

    void SetUp() override {
        for (const int32_t id : {1, 2, 3}) {
            auto broker = std::make_shared<metadata::BrokerImage>();
            broker->id = NodeId(id);
            broker->epoch = BrokerEpoch(id * 10);
            broker->fenced = id == 3;
            broker->endpoints.push_back({"PLAINTEXT", "host", 9092, 0});
            cluster.brokers.set(broker->id, broker);
        }
        watch.on_image(cluster);
    }
    void heartbeat() {
        connected = true;
        watch.on_heartbeat(NodeId(2), BrokerEpoch(20), [this] { return connected; });
    }
    void run(Duration time) {
        const Instant end = clock.now() + time;
        while (timers.next() <= end) {
            if (timers.next() > clock.now()) clock.advance(timers.next() - clock.now());
            timers.fire_next();
            while (timers.run_posted() > 0) {
            }
        }
        clock.advance(end - clock.now());
    }
    using Gone = std::vector<std::string>;
};

TEST_F(SessionWatchTest, ABrokenConnectionAndARefusingListenerAreTheEnd) {
    heartbeat();
    run(milliseconds(1000));
    EXPECT_EQ(listener.probes, 0) << "a connected broker is not probed";
    listener.mood = OneListener::Mood::Refuses;
    connected = false;
    run(milliseconds(200));
    EXPECT_EQ(gone, Gone{}) << "the grace";
    run(milliseconds(300));
    EXPECT_EQ(gone, Gone{"2@20"});
}

TEST_F(SessionWatchTest, ALinkThatFlapsEndsNothing) {
    for (int i = 0; i < 20; ++i) {
        heartbeat();
        run(milliseconds(100));
        connected = false;
        run(milliseconds(700));
    }
    EXPECT_EQ(gone, Gone{}) << "the listener answers";
    listener.mood = OneListener::Mood::Refuses;
    for (int i = 0; i < 20; ++i) {
        heartbeat();
        run(milliseconds(100));
        connected = false;
        run(milliseconds(200));
    }
    EXPECT_EQ(gone, Gone{}) << "it came back within the grace each time";
}

TEST_F(SessionWatchTest, ABrokerThatCannotBeReachedKeepsItsSession) {
    heartbeat();
    listener.mood = OneListener::Mood::Silent;
    connected = false;
    run(seconds(5));
    EXPECT_EQ(gone, Gone{});
    EXPECT_GT(listener.probes, 1);
}

TEST_F(SessionWatchTest, ANewControllerWaitsForTheFirstHeartbeat) {
    listener.mood = OneListener::Mood::Refuses;
    watch.on_active(cluster, kNoNode);
    run(milliseconds(2200));
    EXPECT_EQ(gone, Gone{});
    run(milliseconds(200));
    EXPECT_EQ(gone, Gone{"2@20"}) << "not the fenced one, nor this node's own";
    watch.on_active(cluster, kNoNode);
    run(milliseconds(1000));
    heartbeat();
    run(seconds(3));
    EXPECT_EQ(gone.size(), 1U);
    watch.on_standby();
    connected = false;
    run(seconds(3));
    EXPECT_EQ(gone.size(), 1U) << "a standby judges nobody";
}

TEST_F(SessionWatchTest, AControllerThatWasGivenUpHasOnlyTheGrace) {
    watch.on_active(cluster, NodeId(2));
    run(milliseconds(3000));
    EXPECT_EQ(gone, Gone{}) << "its process lives, and only lost its office";
    listener.mood = OneListener::Mood::Silent;
    watch.on_active(cluster, NodeId(2));
    run(milliseconds(3000));
    EXPECT_EQ(gone, Gone{}) << "cut off is not gone";
    listener.mood = OneListener::Mood::Refuses;
    watch.on_active(cluster, NodeId(2));
    run(milliseconds(200));
    EXPECT_EQ(gone, Gone{}) << "the grace";
    heartbeat();
    run(milliseconds(1000));
    EXPECT_EQ(gone, Gone{}) << "it was heard";
    watch.on_active(cluster, NodeId(2));
    run(milliseconds(400));
    EXPECT_EQ(gone, Gone{"2@20"});
}

TEST_F(SessionWatchTest, BehindTlsNothingCanBeTold) {
    auto broker = std::make_shared<metadata::BrokerImage>(*cluster.broker(NodeId(2)));
    broker->endpoints[0].security_protocol = 1;
    cluster.brokers.set(broker->id, broker);
    watch.on_image(cluster);
    listener.mood = OneListener::Mood::Refuses;
    heartbeat();
    connected = false;
    run(seconds(5));
    EXPECT_EQ(listener.probes, 0);
    EXPECT_EQ(gone, Gone{});
}

}  // namespace
}  // namespace millrace::broker
