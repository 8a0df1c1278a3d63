// tests/unit/broker/remote_controller_test.cc: finding the active controller, again and again.
#include "broker/remote_controller.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "unit/broker/quorum_world.h"

namespace millrace::broker {
namespace {

struct Sent {
    env::PeerAddress to;
    std::string frame;
    MoveFunction<void(Result<Buffer>)> done;
};

class ScriptedPeers final : public env::Peers {
  public:
    std::deque<Sent> sent;
    void send(const env::PeerAddress& to, BufferChain frame, Duration,
              MoveFunction<void(Result<Buffer>)> done) override {
        sent.push_back({to, std::string(frame.flatten()->text()), std::move(done)});
    }
    /// Answers the oldest request.
    void answer(Result<Buffer> frame) {
        Sent first = std::move(sent.front());
        sent.pop_front();
        first.done(std::move(frame));
    }
};

class RemoteControllerTest : public ::testing::Test {
  protected:
    support::SimDisk disk;
    support::StubClock clock;
    support::StubBackground background;
    support::OneShard shards;
    WorldTimers timers;
    ScriptedPeers peers;
    std::optional<env::PeerAddress> leader;
    bool leads_here = false;
    std::vector<std::string> events;
    RemoteController remote{env::Env{clock, timers, disk, background, shards, peers, 1},
                            [this] { return leader; }, [this] { return leads_here; }};

    void start(Duration time) {
        RemoteController::Call call;
        call.purpose = env::PeerPurpose::Heartbeat;
        call.deadline = clock.now() + time;
        call.encode = [](int32_t correlation) {
            return BufferChain(Buffer::copy_of("request " + std::to_string(correlation)));
        };
        call.on_frame = [this](const Buffer& frame) {
            events.emplace_back(frame.text());
            return frame.text() != "not me";
        };
        call.give_up = [this] { events.emplace_back("given up"); };
        remote.start(std::move(call));
    }
    void run(Duration time) {
        const Instant end = clock.now() + time;
        while (timers.next() <= end) {
            clock.advance(timers.next() - clock.now());
            timers.fire_next();
        }
        clock.advance(end - clock.now());
    }
    using Events = std::vector<std::string>;
};

TEST_F(RemoteControllerTest, WaitsForALeaderAndFollowsIt) {
    start(seconds(5));
    EXPECT_TRUE(peers.sent.empty());
    leader = env::PeerAddress{"one", 1};
    run(milliseconds(150));
    ASSERT_EQ(peers.sent.size(), 1U);
    EXPECT_EQ(peers.sent[0].to, (env::PeerAddress{"one", 1, env::PeerPurpose::Heartbeat}));
    leader = env::PeerAddress{"two", 2};
    peers.answer(Buffer::copy_of("not me"));
    EXPECT_TRUE(peers.sent.empty()) << "not at once";
    run(milliseconds(150));
    ASSERT_EQ(peers.sent.size(), 1U);
    EXPECT_EQ(peers.sent[0].to.host, "two");
    peers.answer(Status(Errc::Disconnected, "gone"));
    run(milliseconds(150));
    peers.answer(Buffer::copy_of("done"));
    run(seconds(10));
    EXPECT_TRUE(peers.sent.empty());
    EXPECT_EQ(events, (Events{"not me", "done"}));
}

TEST_F(RemoteControllerTest, GivesUpWhenTheTimeIsOverOrThisNodeLeads) {
    start(seconds(1));
    run(milliseconds(900));
    EXPECT_TRUE(events.empty());
    run(milliseconds(200));
    EXPECT_EQ(events, Events{"given up"});
    start(seconds(1));
    leads_here = true;
    run(milliseconds(150));
    EXPECT_EQ(events, (Events{"given up", "given up"}));
    EXPECT_TRUE(peers.sent.empty());
}

TEST_F(RemoteControllerTest, StopEndsWhatIsInFlight) {
    leader = env::PeerAddress{"one", 1};
    start(seconds(5));
    ASSERT_EQ(peers.sent.size(), 1U);
    remote.stop();
    EXPECT_EQ(events, Events{"given up"});
    peers.answer(Buffer::copy_of("too late"));
    EXPECT_EQ(events, Events{"given up"});
}

}  // namespace
}  // namespace millrace::broker
