// tests/unit/broker/quorum_driver_test.cc: a lone voter on a disk that may stop at any step.
#include <fstream>
#include <iterator>

#include "millrace/record/batch.h"
#include "unit/broker/quorum_world.h"

namespace millrace::broker {
namespace {

const char* const kDirectory = "/data/__cluster_metadata-0";

std::string golden(const std::string& name) {
    std::ifstream in(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> texts(const Recorder& listener) {
    std::vector<std::string> out;
    for (const auto& [offset, text] : listener.records)
        out.push_back(text);
    return out;
}

TEST(QuorumDriver, LoneVoterLeadsAtOnceAndWritesWhatKafkaWrites) {
    QuorumDriverWorld w;
    ASSERT_TRUE(w.format().ok());
    ASSERT_TRUE(w.open().ok());
    w.settle();
    EXPECT_EQ(w.listener->events, std::vector<std::string>{"leader 1 at 3"});
    EXPECT_EQ(w.disk.contents(std::string(kDirectory) + "/quorum-state"),
              R"({"leaderId":1,"leaderEpoch":1,"votedId":-1,)"
              R"("votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1})");
    // The first batch is Kafka's byte for byte, except for times, checksum, directory and port.
    const std::string theirs = golden("metadata_log/dynamic/00000000000000000000.log");
    const std::string ours = w.disk.contents(std::string(kDirectory) + "/00000000000000000000.log");
    ASSERT_GE(ours.size(), 174u);
    const record::BatchView mine(ByteView(ours).sub(0, 174));
    const record::BatchView kafka(ByteView(theirs).sub(0, 174));
    EXPECT_EQ(mine.length(), kafka.length());
    EXPECT_EQ(mine.attributes(), kafka.attributes());
    EXPECT_EQ(mine.leader_epoch(), kafka.leader_epoch());
    EXPECT_EQ(mine.record_count(), 3);
    EXPECT_EQ(mine.producer_id(), kafka.producer_id());
    EXPECT_EQ(mine.base_sequence(), kafka.base_sequence());
    EXPECT_EQ(mine.payload().sub(0, 57), kafka.payload().sub(0, 57)) << "until the directory id";

    const auto result = w.propose({"a", "b"});
    EXPECT_EQ(result.error, raft::ProposeError::None);
    EXPECT_EQ(result.last_offset, Offset(4));
    EXPECT_TRUE(w.listener->records.empty()) << "nothing is delivered before it is synced";
    w.settle();
    EXPECT_EQ(texts(*w.listener), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(w.driver->next_offset(), Offset(5));
    EXPECT_EQ(w.driver->propose(LeaderEpoch(0), {Buffer::copy_of("x")}).error,
              raft::ProposeError::EpochMismatch);
}

TEST(QuorumDriver, RestartStartsANewEpochAndReplaysAll) {
    QuorumDriverWorld w;
    ASSERT_TRUE(w.format().ok());
    ASSERT_TRUE(w.open().ok());
    w.settle();
    w.propose({"a"});
    w.settle();
    bool closed = false;
    w.driver->shutdown([&](const Status& status) { closed = status.ok(); });
    EXPECT_TRUE(closed);
    EXPECT_EQ(w.propose({"late"}).error, raft::ProposeError::NotLeader);
    w.drop_process();
    ASSERT_TRUE(w.open().ok());
    w.settle();
    EXPECT_EQ(w.listener->events, std::vector<std::string>{"leader 2 at 5"});
    EXPECT_EQ(texts(*w.listener), std::vector<std::string>{"a"});
    const QuorumStatus status = w.driver->status();
    EXPECT_EQ(status.leader_id, NodeId(1));
    EXPECT_EQ(status.high_watermark, Offset(5));
    EXPECT_EQ(status.kraft_version, 1);
    ASSERT_EQ(status.voters.size(), 1u);
    EXPECT_EQ(status.voters[0].log_end_offset, Offset(5));
}

TEST(QuorumDriver, ResigningCostsAnEpoch) {
    QuorumDriverWorld w;
    ASSERT_TRUE(w.format().ok());
    ASSERT_TRUE(w.open().ok());
    w.settle();
    w.driver->resign(LeaderEpoch(1));
    w.run(milliseconds(5000));
    EXPECT_EQ(w.listener->events,
              (std::vector<std::string>{"leader 1 at 3", "resign", "leader 3 at 4"}));
}

TEST(QuorumDriver, TakesOverKafkasDirectory) {
    QuorumDriverWorld w;
    const std::string directory = kDirectory;
    ASSERT_TRUE(w.disk.make_directories(directory).ok());
    w.disk.put(directory + "/00000000000000000000.log",
               golden("metadata_log/dynamic/00000000000000000000.log"));
    w.disk.put(directory + "/00000000000000000045-0000000001.checkpoint",
               golden("metadata_log/dynamic/00000000000000000045-0000000001.checkpoint"));
    w.disk.put(directory + "/00000000000000000000-0000000000.checkpoint",
               golden("formatted/__cluster_metadata-0/"
                      "00000000000000000000-0000000000.checkpoint"));
    w.disk.put(directory + "/quorum-state",
               R"({"leaderId":1,"leaderEpoch":1,"votedId":-1,)"
               R"("votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1})");
    w.config.quorum.local_endpoints = {{"CONTROLLER", "localhost", 39193}};
    const Status opened = w.open_as({NodeId(1), *Uuid::parse("ojBbeR18RumznFhzNNcEHA")});
    ASSERT_TRUE(opened.ok()) << opened.to_string();
    w.settle();
    // 58 offsets of Kafka's, then our LeaderChange; the voters are in the log already.
    EXPECT_EQ(w.listener->events, (std::vector<std::string>{"snapshot 45", "leader 2 at 59"}));
    EXPECT_GT(w.listener->records.size(), 13u);
}

TEST(QuorumDriver, TakesOverAStaticQuorumThatWasUpgraded) {
    QuorumDriverWorld w;
    const std::string directory = kDirectory;
    ASSERT_TRUE(w.disk.make_directories(directory).ok());
    for (const char* name :
         {"00000000000000000000.log", "00000000000000000025-0000000001.checkpoint",
          "00000000000000000046-0000000001.checkpoint",
          "00000000000000000066-0000000001.checkpoint"}) {
        w.disk.put(directory + "/" + name, golden(std::string("metadata_log/static/") + name));
    }
    w.disk.put(directory + "/quorum-state",
               R"({"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,)"
               R"("currentVoters":[{"voterId":1}],"data_version":0})");
    w.config.quorum.local_endpoints = {{"CONTROLLER", "localhost", 39293}};
    w.config.static_voters =
        raft::VoterSet({{{NodeId(1), Uuid{}}, w.config.quorum.local_endpoints, {0, 1}}});
    const Status opened = w.open_as({NodeId(1), *Uuid::parse("MH2e3E0zVAYH9R67VW5-_Q")});
    ASSERT_TRUE(opened.ok()) << opened.to_string();
    w.settle();
    EXPECT_EQ(w.listener->events, (std::vector<std::string>{"snapshot 66", "leader 2 at 84"}));
    EXPECT_EQ(w.driver->status().kraft_version, 1);
    // The file changes its version at the first write after the upgrade, as in Kafka.
    EXPECT_NE(w.disk.contents(directory + "/quorum-state").find("\"data_version\":1"),
              std::string::npos);
}

TEST(QuorumDriver, SnapshotsAreMadeLoadedAndCleaned) {
    QuorumDriverWorld w;
    w.config.snapshot_record_bytes_max = 2000;
    w.config.retention_bytes_max = 4000;
    w.config.segment_bytes = 1500;
    ASSERT_TRUE(w.format().ok());
    ASSERT_TRUE(w.open().ok());
    w.settle();
    int made = 0;
    w.listener->when_due = [&] {
        auto sink = w.driver->begin_snapshot(w.listener->next - 1);
        ASSERT_TRUE(sink.ok()) << sink.status().to_string();
        std::vector<Buffer> records;
        for (const std::string& text : texts(*w.listener)) {
            records.push_back(Buffer::copy_of(text));
        }
        ASSERT_TRUE((*sink)->append(std::move(records)).ok());
        ASSERT_TRUE((*sink)->finish().ok());
        ++made;
    };
    for (int i = 0; i < 60; ++i) {
        w.propose({"record " + std::to_string(i) + std::string(40, '.')});
        w.run(milliseconds(100));
    }
    EXPECT_GE(made, 3);
    w.run(seconds(61));
    EXPECT_GT(w.driver->log_start_offset(), Offset(0)) << "the log below old snapshots is gone";
    const auto before = texts(*w.listener);
    w.drop_process();
    ASSERT_TRUE(w.open().ok());
    w.settle();
    EXPECT_EQ(texts(*w.listener), before);
    EXPECT_TRUE(w.listener->events.front().starts_with("snapshot "));
    EXPECT_EQ(w.driver->begin_snapshot(Offset(1)).status().errc(), Errc::AlreadyExists);
    EXPECT_EQ(w.driver->begin_snapshot(Offset(100'000)).status().errc(), Errc::InvalidInput);
}

TEST(QuorumDriver, ABatchMayBeLargerThanASegment) {
    QuorumDriverWorld w;
    w.config.segment_bytes = 1000;
    ASSERT_TRUE(w.format().ok());
    ASSERT_TRUE(w.open().ok());
    w.settle();
    for (const size_t bytes : {10U, 20'000U, 10U}) w.propose({std::string(bytes, 'x')});
    w.run(milliseconds(100));
    EXPECT_FALSE(w.listener->fatal);
    EXPECT_EQ(w.listener->records.size(), 3U);
}

TEST(QuorumDriver, DamageBelowASnapshotIsNoTornTail) {
    QuorumDriverWorld w;
    ASSERT_TRUE(w.format().ok());
    ASSERT_TRUE(w.open().ok());
    w.settle();
    for (int i = 0; i < 10; ++i) {
        w.propose({"record " + std::to_string(i)});
        w.settle();
    }
    auto sink = w.driver->begin_snapshot(w.listener->next - 1);
    ASSERT_TRUE(sink.ok()) << sink.status().to_string();
    ASSERT_TRUE((*sink)->append({Buffer::copy_of("all")}).ok());
    ASSERT_TRUE((*sink)->finish().ok());
    w.propose({"behind the snapshot"});
    w.settle();
    w.drop_process();
    const std::string file = "/data/__cluster_metadata-0/00000000000000000000.log";
    const std::string before = w.disk.contents(file);
    const size_t hit = before.find("record 5");
    ASSERT_NE(hit, std::string::npos);
    w.disk.flip_bit(file, hit, 1);
    EXPECT_EQ(w.open().errc(), Errc::Corrupt);
    EXPECT_EQ(w.disk.contents(file).size(), before.size()) << "nothing was cut";
}

TEST(QuorumDriver, WhoDoesNotVoteOnlyLooksForTheLeader) {
    for (const raft::ReplicaKey& key : {raft::ReplicaKey{NodeId(2), Uuid{1, 2}},
                                        raft::ReplicaKey{NodeId(1), Uuid{1, 2}}}) {
        QuorumDriverWorld w;
        ASSERT_TRUE(w.format().ok());
        ASSERT_TRUE(w.open_as(key).ok()) << "another node, or the voter's id on another disk";
        w.run(seconds(10));
        EXPECT_TRUE(w.listener->events.empty()) << w.listener->events.front();
        EXPECT_EQ(w.driver->status().role, raft::QuorumRole::Unattached);
        EXPECT_EQ(w.driver->status().epoch, LeaderEpoch(0)) << "an observer never stands";
    }
}

TEST(QuorumDriver, ADiskFailureIsFinal) {
    QuorumDriverWorld w;
    ASSERT_TRUE(w.format().ok());
    ASSERT_TRUE(w.open().ok());
    w.settle();
    w.disk.set_hook([](support::DiskOp op, const std::string&) -> std::optional<Status> {
        if (op != support::DiskOp::SyncAsync && op != support::DiskOp::Sync) return std::nullopt;
        return Status(Errc::IoError, "sync: no");
    });
    w.propose({"a"});
    w.settle();
    EXPECT_TRUE(w.listener->fatal);
    EXPECT_TRUE(w.listener->records.empty()) << "what was not synced is not committed";
    EXPECT_EQ(w.propose({"b"}).error, raft::ProposeError::NotLeader);
}

/// Format, start, propose, snapshot: stopped after every single step of the disk. What a listener
/// saw committed must be there after the crash, in the same order, and the node must lead again.
TEST(QuorumDriver, SurvivesACrashAtEveryStep) {
    for (uint64_t stop = 1; stop < 400; ++stop) {
        QuorumDriverWorld w;
        w.config.snapshot_record_bytes_max = 700;
        Rng rng(stop);
        w.disk.halt_after(stop);
        const bool formatted = w.format().ok();
        bool ended = false;
        if (formatted && w.open().ok()) {
            w.listener->when_due = [&] {
                auto sink = w.driver->begin_snapshot(w.listener->next - 1);
                if (!sink.ok()) return;
                std::vector<Buffer> records;
                for (const auto& text : texts(*w.listener))
                    records.push_back(Buffer::copy_of(text));
                if ((*sink)->append(std::move(records)).ok())
                    static_cast<void>((*sink)->finish().ok());
            };
            w.settle();
            for (int i = 0; i < 12 && !w.listener->fatal; ++i) {
                w.propose({"record " + std::to_string(i), "and " + std::to_string(i)});
                w.settle();
            }
            ended = !w.disk.halted();
        }
        const auto committed =
            w.listener == nullptr ? std::vector<std::string>() : texts(*w.listener);
        const LeaderEpoch epoch = w.listener == nullptr ? LeaderEpoch(0) : w.listener->epoch;
        w.drop_process();
        w.disk.crash(support::CrashStyle::Random, rng);
        w.disk.clear_faults();
        const Status again = w.format();
        ASSERT_TRUE(again.ok() || again.errc() == Errc::AlreadyExists) << again.to_string();
        const Status opened = w.open();
        ASSERT_TRUE(opened.ok()) << "stop " << stop << ": " << opened.to_string();
        w.settle();
        ASSERT_GT(w.listener->epoch, epoch) << "stop " << stop;
        const auto after = texts(*w.listener);
        ASSERT_GE(after.size(), committed.size()) << "stop " << stop;
        EXPECT_TRUE(std::equal(committed.begin(), committed.end(), after.begin()))
            << "stop " << stop;
        if (ended) return;
    }
    FAIL() << "the script never ran to its end";
}

}  // namespace
}  // namespace millrace::broker
