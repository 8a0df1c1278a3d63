// tests/unit/metadata/controller_test.cc: active, standby, commit, rollback, periodic tasks.
#include "millrace/metadata/controller.h"

#include <gtest/gtest.h>

#include "millrace/metadata/snapshot.h"
#include "unit/metadata/controller_fixture.h"

namespace millrace::metadata {
namespace {

using CreateResponse = wire::CreateTopicsResponse;

int16_t code(ErrorCode error) { return static_cast<int16_t>(error); }

TEST(Controller, StandbyRefusesEveryCommand) {
    ControllerFixture f;
    const auto request = f.topic("t", 1, 1);
    const RequestId id = f.start(request);
    ASSERT_EQ(f.replies.count(id), 1u);
    EXPECT_EQ(std::get<CreateResponse>(f.replies.at(id)).topics.at(0).error_code,
              code(ErrorCode::NotController));
    const RequestId beat = f.start(f.heartbeat(1));
    EXPECT_EQ(std::get<wire::BrokerHeartbeatResponse>(f.replies.at(beat)).error_code,
              code(ErrorCode::NotController));
}

TEST(Controller, RepliesWaitForTheCommit) {
    ControllerFixture f;
    f.lead();
    f.brokers(1);
    const RequestId create = f.start(f.topic("t", 1, 1));
    const RequestId again = f.start(f.topic("t", 1, 1));
    EXPECT_EQ(f.replies.count(create), 0u);
    EXPECT_EQ(f.replies.count(again), 0u) << "it has seen an uncommitted topic";
    f.controller.on_high_watermark(f.tick(), f.log_end - 1, f.out);
    f.carry_out();
    EXPECT_EQ(f.replies.count(create), 0u);
    f.commit_all();
    EXPECT_EQ(std::get<CreateResponse>(f.replies.at(create)).topics.at(0).error_code, 0);
    EXPECT_EQ(std::get<CreateResponse>(f.replies.at(again)).topics.at(0).error_code,
              code(ErrorCode::TopicAlreadyExists));
    const RequestId idle = f.start(f.heartbeat(1));
    EXPECT_EQ(f.replies.count(idle), 1u) << "nothing is in flight: answered at once";
}

TEST(Controller, ResignGoesBackToTheCommittedState) {
    ControllerFixture f;
    f.lead();
    f.brokers(1);
    f.create(f.topic("kept", 1, 1));
    const Image committed = f.controller.image();
    const Offset committed_end = f.log_end;
    const RequestId half = f.start(f.topic("half", 1, 1));
    const Offset half_end = f.log_end;
    const RequestId lost = f.start(f.topic("lost", 3, 1));
    f.controller.on_high_watermark(f.tick(), half_end, f.out);
    f.carry_out();
    EXPECT_EQ(f.replies.count(half), 1u);
    EXPECT_NE(f.controller.image().topics.find("lost"), nullptr);

    f.controller.on_resign(f.tick(), f.out);
    f.carry_out();
    EXPECT_EQ(std::get<CreateResponse>(f.replies.at(lost)).topics.at(0).error_code,
              code(ErrorCode::NotController));
    EXPECT_FALSE(f.controller.active());
    EXPECT_EQ(f.controller.image().topics.find("lost"), nullptr);
    EXPECT_NE(f.controller.image().topics.find("half"), nullptr);
    EXPECT_EQ(f.controller.applied_end(), half_end);
    EXPECT_GT(half_end, committed_end);

    // The next epoch reuses the offsets of what was lost.
    f.log_end = half_end + 1;
    f.controller.on_committed(f.tick(), half_end, half_end, LeaderEpoch(2), WallMs{1}, {}, f.out);
    f.lead(2);
    EXPECT_EQ(f.create(f.topic("lost", 1, 1)).error_code, 0);
}

TEST(Controller, StandbyFollowsAndTakesOver) {
    ControllerFixture leader;
    ControllerFixture follower;
    leader.lead();
    leader.brokers(3);
    leader.create(leader.topic("t", 6, 3));
    follower.controller.on_committed(follower.tick(), Offset(0), leader.log_end - 1, LeaderEpoch(1),
                                     WallMs{1}, leader.all, follower.out);
    EXPECT_TRUE(follower.out.fatal.ok());
    EXPECT_TRUE(same_contents(leader.controller.image(), follower.controller.image()));
    EXPECT_EQ(follower.controller.applied_end(), leader.log_end);

    follower.log_end = leader.log_end;
    const size_t before = follower.all.size();
    follower.lead(2);
    EXPECT_EQ(follower.all.size(), before) << "a log with contents needs no activation record";
    // Brokers get a full session before they can be fenced.
    follower.pass(milliseconds(8'999));
    EXPECT_TRUE(follower.last_batch.empty());
    follower.pass(milliseconds(1));
    EXPECT_FALSE(follower.last_batch.empty());
}

TEST(Controller, ActivationAbortsAnOpenTransaction) {
    ControllerFixture f;
    wire::FeatureLevelRecord level;
    level.name = kMetadataVersionFeature;
    level.feature_level = 30;
    wire::TopicRecord topic;
    topic.name = "half";
    topic.topic_id = {9, 9};
    f.controller.on_committed(
        f.tick(), Offset(0), Offset(2), LeaderEpoch(1), WallMs{1},
        {Record(level), Record(wire::BeginTransactionRecord{}), Record(topic)}, f.out);
    f.log_end = Offset(3);
    f.lead(2);
    EXPECT_EQ(f.batch_names(), "ABORT_TRANSACTION_RECORD");
    EXPECT_EQ(f.controller.image().topics.find("half"), nullptr);
    EXPECT_EQ(f.controller.image().features.metadata_version(), 30);
}

TEST(Controller, ActivationReplacesAHalfBootstrap) {
    ControllerFixture f;
    wire::FeatureLevelRecord level;
    level.name = kMetadataVersionFeature;
    level.feature_level = 30;
    f.controller.on_committed(f.tick(), Offset(0), Offset(1), LeaderEpoch(1), WallMs{1},
                              {Record(wire::BeginTransactionRecord{}), Record(level)}, f.out);
    f.log_end = Offset(2);
    f.lead(2);
    EXPECT_EQ(f.last_batch.size(), 10u);
    EXPECT_STREQ(record_name(f.last_batch[0]), "ABORT_TRANSACTION_RECORD");
    EXPECT_STREQ(record_name(f.last_batch[1]), "BEGIN_TRANSACTION_RECORD");
    EXPECT_EQ(f.controller.image().features.metadata_version(), 30);
}

TEST(Controller, OldBootstrapVersionHasNoTransaction) {
    ControllerOptions options = ControllerFixture::default_options();
    options.bootstrap = default_bootstrap_records(7);
    ControllerFixture f(options);
    f.lead();
    EXPECT_EQ(f.batch_names(), "FEATURE_LEVEL_RECORD");
    EXPECT_EQ(f.run<wire::BrokerRegistrationResponse>(f.registration(1)).error_code, 0);
    EXPECT_EQ(f.batch_names(), "REGISTER_BROKER_RECORD/1");
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(1));
    EXPECT_EQ(f.create(f.topic("t", 1, 1)).error_code, 0);
    EXPECT_EQ(f.batch_names(), "TOPIC_RECORD PARTITION_RECORD");
}

TEST(Controller, VersionsItDoesNotServeAreFatal) {
    ControllerFixture f;
    wire::FeatureLevelRecord level;
    level.name = kMetadataVersionFeature;
    level.feature_level = 31;
    f.controller.on_committed(f.tick(), Offset(0), Offset(0), LeaderEpoch(1), WallMs{1},
                              {Record(level)}, f.out);
    f.log_end = Offset(1);
    f.controller.on_leader(f.tick(), LeaderEpoch(2), f.out);
    EXPECT_EQ(f.out.fatal.errc(), Errc::Unsupported);
}

TEST(Controller, ContradictionInTheCommittedLogIsFatal) {
    ControllerFixture f;
    f.controller.on_committed(f.tick(), Offset(0), Offset(0), LeaderEpoch(1), WallMs{1},
                              {Record(wire::RemoveTopicRecord{})}, f.out);
    EXPECT_EQ(f.out.fatal.errc(), Errc::Corrupt);
    EXPECT_NE(f.out.fatal.message().find("offset 0"), std::string::npos);
}

TEST(Controller, NoOpKeepsTheLogMoving) {
    ControllerOptions options = ControllerFixture::default_options();
    options.idle_interval = milliseconds(500);
    ControllerFixture f(options);
    f.lead();
    EXPECT_EQ(f.out.wake_at, f.now + milliseconds(500));
    f.pass(milliseconds(499));
    EXPECT_TRUE(f.last_batch.empty());
    f.pass(milliseconds(1));
    EXPECT_EQ(f.batch_names(), "NO_OP_RECORD");
    EXPECT_EQ(f.out.wake_at, f.now + milliseconds(500));
}

TEST(Controller, SnapshotReplacesTheState) {
    ControllerFixture leader;
    leader.lead();
    leader.brokers(2);
    leader.create(leader.topic("t.x", 2, 2));
    SnapshotReader reader({leader.log_end - 1, LeaderEpoch(1), WallMs{1}});
    for (const Record& record : snapshot_records(leader.controller.image())) {
        ASSERT_TRUE(reader.on_record(record).ok());
    }
    ControllerFixture follower;
    follower.controller.on_snapshot(reader.finish(), follower.out);
    EXPECT_TRUE(same_contents(leader.controller.image(), follower.controller.image()));
    EXPECT_EQ(follower.controller.applied_end(), leader.log_end);
    follower.log_end = leader.log_end;
    follower.lead(2);
    // The indexes came with it.
    EXPECT_EQ(follower.create(follower.topic("t_x", 1, 1)).error_code,
              code(ErrorCode::InvalidTopicException));
    follower.run<wire::BrokerHeartbeatResponse>(follower.heartbeat(1, false, true));
    EXPECT_GE(follower.last_batch.size(), 2u);
}

TEST(Controller, ManyPartitionsStayCheap) {
    ControllerFixture f;
    f.lead();
    f.brokers(3);
    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(f.create(f.topic("t" + std::to_string(i), 1000, 3)).error_code, 0);
    }
    const Offset before = f.log_end;
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(2, true));
    EXPECT_EQ(f.log_end - before, 20'001) << "every partition and the registration";
    EXPECT_EQ(f.controller.image().topics.partition("t7", PartitionIndex(500))->isr.size(), 2u);
}

}  // namespace
}  // namespace millrace::metadata
