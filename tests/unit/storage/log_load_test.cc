// tests/unit/storage/log_load_test.cc: damaged folders: torn tails, bad bits, lost files, swaps.
#include "millrace/storage/log_directory.h"
#include "unit/storage/log_fixture.h"

namespace millrace::storage {
namespace {

/// A log of three sealed segments and an active one, ten batches each, all but the last five
/// synced; stopped without a clean stop.
struct Stopped {
    LogWorld w;
    std::string all;
    int64_t synced = 0;
    size_t batch = 0;

    Stopped() {
        batch = make_batch({.producer_id = 3, .producer_epoch = 0, .sequence = 0}).size();
        w.config->segment_bytes = static_cast<int64_t>(10 * batch);
        w.config->index_interval_bytes = 100;
        w.config->producer_id_expiration_ms = LogConfig::kForever;
        EXPECT_TRUE(w.create().ok());
        for (int i = 0; i < 40; ++i) {
            EXPECT_TRUE(w.append({.timestamp = 1000 + i, .producer_id = 3, .producer_epoch = 0,
                                  .sequence = i}, i / 15).ok());
            if (i == 34) {
                EXPECT_TRUE(w.log->flush_blocking().ok());
            }
        }
        synced = w.log->recovery_point().value;
        all = w.read_all();
        w.stop();
        w.world.disk.kill_process();
    }
    static std::string file(int64_t base, const char* extension) {
        char name[64];
        snprintf(name, sizeof name, "/data/t-0/%020ld.%s", static_cast<long>(base), extension);
        return name;
    }
    void check_whole() {
        EXPECT_EQ(w.log->log_end_offset(), Offset(40));
        EXPECT_EQ(w.read_all(), all);
        EXPECT_EQ(w.log->producer(ProducerId(3))->last_sequence, 39);
        EXPECT_EQ(w.log->leader_epochs().entries().size(), 3U);
        for (int i = 0; i < 40; ++i) {
            EXPECT_EQ(w.log->offset_for_timestamp(WallMs{1000 + i}).value()->offset, Offset(i));
        }
    }
};

TEST(LogLoad, KilledProcessLosesNothing) {
    Stopped s;
    ASSERT_EQ(s.synced, 35);
    ASSERT_TRUE(s.w.load({.recovery_point = s.synced}).ok());
    EXPECT_TRUE(s.w.report.recovered);
    EXPECT_EQ(s.w.report.scanned_bytes, 10 * s.batch);
    s.check_whole();
}

TEST(LogLoad, WithFlushMessagesWhatAKilledProcessLeftIsSyncedBeforeItIsServed) {
    for (const bool promised : {true, false}) {
        LogWorld w;
        ASSERT_TRUE(LogDirectory::open(w.world.disk, "/data").ok());
        ASSERT_TRUE(w.create().ok());
        ASSERT_TRUE(w.append({}).ok());
        ASSERT_TRUE(w.log->flush_blocking().ok());
        ASSERT_TRUE(w.append({}).ok());  // killed before the sync that would cover it
        if (promised) w.config->flush_messages = 1;
        ASSERT_TRUE(w.load({.recovery_point = 1}).ok());
        EXPECT_EQ(w.log->log_end_offset(), Offset(2));
        EXPECT_EQ(w.log->recovery_point(), Offset(promised ? 2 : 1));
        w.stop();
        Rng rng(1);
        w.world.disk.crash(support::CrashStyle::DropUnsynced, rng);
        const Status loaded = w.load({.recovery_point = 1});
        ASSERT_TRUE(loaded.ok()) << loaded.to_string();
        EXPECT_EQ(w.log->log_end_offset(), Offset(promised ? 2 : 1));
    }
}

TEST(LogLoad, MissingOrBadIndexesAreRebuilt) {
    struct Row {
        const char* extension;
        const char* contents;  // null: removed
    };
    for (const bool clean : {true, false}) {
        for (const Row& row : {Row{"index", nullptr}, Row{"timeindex", nullptr}, Row{"index", "odd"},
                               Row{"timeindex", "odd"}, Row{"index", "\0\0\0\0\0\0\0\0"},
                               Row{"txnindex", "odd"}}) {
            Stopped s;
            if (clean) {
                ASSERT_TRUE(s.w.load({.recovery_point = s.synced}).ok());
                ASSERT_TRUE(s.w.store->close_all(WallMs{1}).ok());
                s.w.stop();
            }
            for (const int64_t base : {10, 30}) {
                const std::string path = Stopped::file(base, row.extension);
                if (row.contents == nullptr) {
                    ASSERT_TRUE(s.w.world.disk.remove(path).ok());
                } else {
                    const size_t size = row.contents[0] == 'o' ? 3 : 8;
                    s.w.world.disk.put(path, std::string(row.contents, size));
                }
            }
            ASSERT_TRUE(s.w.load({.clean = clean, .recovery_point = clean ? 40 : s.synced}).ok());
            EXPECT_EQ(s.w.report.rebuilt_indexes, clean ? 2U : 1U) << row.extension;
            s.check_whole();
        }
    }
}

TEST(LogLoad, TornTailIsCutAtTheLastWholeBatch) {
    Stopped probe;
    const std::string path = Stopped::file(30, "log");
    const std::string active = probe.w.world.disk.contents(path);
    for (size_t size = 5 * probe.batch; size < active.size(); size += 7) {
        Stopped s;
        s.w.world.disk.put(path, active.substr(0, size));
        ASSERT_TRUE(s.w.load({.recovery_point = s.synced}).ok());
        const int64_t whole = 30 + static_cast<int64_t>(size / s.batch);
        EXPECT_EQ(s.w.log->log_end_offset(), Offset(whole));
        EXPECT_EQ(s.w.report.truncated_bytes, size % s.batch);
        EXPECT_EQ(s.w.log->producer(ProducerId(3))->last_sequence, whole - 1);
        EXPECT_EQ(s.w.append({.producer_id = 3, .producer_epoch = 0,
                              .sequence = static_cast<int32_t>(whole)}, 2)->error,
                  ErrorCode::None);
    }
}

TEST(LogLoad, BadBitIsCutAboveAndReportedBelowTheRecoveryPoint) {
    Stopped probe;
    const std::string path = Stopped::file(30, "log");
    const size_t size = probe.w.world.disk.contents(path).size();
    Rng rng(1);
    for (size_t byte = 0; byte < size; byte += 5) {
        Stopped s;
        s.w.world.disk.flip_bit(path, byte, static_cast<int>(rng.below(8)));
        const size_t hit = byte / s.batch;
        const size_t in_batch = byte % s.batch;
        const Status loaded = s.w.load({.recovery_point = s.synced});
        if (in_batch >= 12 && in_batch < 16) continue;  // leader epoch: no checksum
        // A base offset that grew is not covered by the checksum: seen by the batch behind it.
        const bool grew = in_batch < 8 && (loaded.ok() ? s.w.log->log_end_offset() > Offset(40)
                                                       : s.w.report.corruption->position / s.batch ==
                                                             hit + 1);
        if (grew) continue;
        if (30 + static_cast<int64_t>(hit) < s.synced) {
            EXPECT_EQ(loaded.errc(), Errc::Corrupt) << byte;
            ASSERT_TRUE(s.w.report.corruption.has_value()) << byte;
            EXPECT_EQ(s.w.report.corruption->file, path);
            EXPECT_EQ(s.w.report.corruption->position, hit * s.batch);
            EXPECT_FALSE(s.w.report.corruption->reason.empty());
            EXPECT_EQ(s.w.world.disk.contents(path).size(), size);  // nothing was cut
        } else if (loaded.ok()) {
            EXPECT_EQ(s.w.log->log_end_offset(), Offset(30 + static_cast<int64_t>(hit))) << byte;
            EXPECT_GT(s.w.report.truncated_bytes, 0U);
        } else {
            ADD_FAILURE() << "byte " << byte << ": " << loaded.to_string();
        }
    }
}

TEST(LogLoad, DurableBelowGuardsALogWithoutRecoveryPoint) {
    for (const int64_t durable : {0, 35, 36}) {
        Stopped s;
        s.w.world.disk.flip_bit(Stopped::file(30, "log"), 5 * s.batch + 30, 2);
        LogLoadJob::Input input;
        input.directory = "/data/t-0";
        input.partition = kT0;
        input.config = s.w.config;
        input.durable_below = Offset(durable);
        LogLoadJob job(s.w.world.disk, input);
        job.run();
        EXPECT_EQ(job.status().ok(), durable < 36);
        EXPECT_EQ(job.report().corruption.has_value(), durable == 36);
    }
}

TEST(LogLoad, LostMiddleSegmentIsNoticed) {
    Stopped s;
    ASSERT_TRUE(s.w.world.disk.remove(Stopped::file(20, "log")).ok());
    const Status loaded = s.w.load({.recovery_point = 15});
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ(s.w.log->log_end_offset(), Offset(20));
    Stopped t;
    ASSERT_TRUE(t.w.world.disk.remove(Stopped::file(20, "log")).ok());
    t.w.world.disk.put(Stopped::file(20, "log"), "");
    EXPECT_EQ(t.w.load({.recovery_point = 25}).errc(), Errc::Corrupt);
}

TEST(LogLoad, SnapshotsAboveTheRecoveryPointAreNotTrusted) {
    Stopped s;
    // A snapshot from a past that was truncated: valid, but of other batches.
    ProducerState other;
    ProducerEntry entry;
    entry.epoch = ProducerEpoch(9);
    other.restore(ProducerId(77), entry);
    LogWorld helper;
    ASSERT_TRUE(helper.create().ok());
    s.w.world.disk.put(Stopped::file(38, "snapshot"), "garbage");
    ASSERT_TRUE(s.w.load({.recovery_point = s.synced}).ok());
    EXPECT_FALSE(s.w.world.disk.stat(Stopped::file(38, "snapshot"))->has_value());
    s.check_whole();
}

TEST(LogLoad, BadSnapshotFallsBackToAnOlderOne) {
    for (const int64_t base : {10, 20, 30}) {
        Stopped s;
        s.w.world.disk.flip_bit(Stopped::file(base, "snapshot"), 7, 3);
        ASSERT_TRUE(s.w.load({.recovery_point = s.synced}).ok());
        s.check_whole();
    }
}

TEST(LogLoad, UnreadableEpochFileIsRebuiltFromTheLog) {
    for (const char* text : {"", "0\n5\n1 2\n", "zero", "0\n2\n3 4\n2 9\n"}) {
        Stopped s;
        s.w.world.disk.put("/data/t-0/leader-epoch-checkpoint", text);
        ASSERT_TRUE(s.w.load({.recovery_point = s.synced}).ok());
        s.check_whole();
    }
}

TEST(LogLoad, LogStartDropsSegmentsAndAnEndBelowItStartsEmpty) {
    Stopped s;
    ASSERT_TRUE(s.w.load({.recovery_point = s.synced, .log_start = 23}).ok());
    EXPECT_EQ(s.w.log->log_start_offset(), Offset(23));
    EXPECT_EQ(s.w.log->segment_count(), 2U);
    EXPECT_EQ(s.w.log->leader_epochs().earliest()->start_offset, Offset(23));
    Stopped t;
    ASSERT_TRUE(t.w.load({.recovery_point = t.synced, .log_start = 100}).ok());
    EXPECT_EQ(t.w.log->log_start_offset(), Offset(100));
    EXPECT_EQ(t.w.log->log_end_offset(), Offset(100));
    EXPECT_EQ(t.w.append({}, 5)->base_offset, Offset(100));
}

TEST(LogLoad, SwapsAreCompletedCleanedAndDeletedRemoved) {
    for (const bool decided : {true, false}) {
        Stopped s;
        support::SimDisk& disk = s.w.world.disk;
        const auto move = [&](int64_t base, const char* suffix) {
            for (const char* extension : {"log", "index", "timeindex"}) {
                const std::string path = Stopped::file(base, extension);
                disk.put(path + suffix, disk.contents(path));
            }
        };
        // A cleaner joined segments 0 and 10 into one that starts at 0.
        const std::string joined = disk.contents(Stopped::file(0, "log")) +
                                   disk.contents(Stopped::file(10, "log"));
        disk.put(Stopped::file(0, "log.swap"), joined);
        disk.put(Stopped::file(0, "index.swap"), "");
        disk.put(Stopped::file(0, "timeindex.swap"), "");
        if (!decided) move(0, ".cleaned");
        move(30, ".deleted");
        ASSERT_TRUE(s.w.load({.recovery_point = s.synced}).ok());
        EXPECT_EQ(s.w.log->segment_count(), decided ? 3U : 4U);
        EXPECT_EQ(s.w.log->log_end_offset(), Offset(40));
        EXPECT_EQ(s.w.read_all(), s.all);
        const auto entries = disk.list("/data/t-0");
        for (const auto& entry : *entries) {
            EXPECT_EQ(entry.name.find(".swap"), std::string::npos) << entry.name;
            EXPECT_EQ(entry.name.find(".cleaned"), std::string::npos) << entry.name;
            EXPECT_EQ(entry.name.find(".deleted"), std::string::npos) << entry.name;
        }
    }
}

TEST(LogLoad, OrphanIndexesAndStrangersAreHandled) {
    Stopped s;
    s.w.world.disk.put(Stopped::file(55, "index"), "12345678");
    s.w.world.disk.put("/data/t-0/notes.txt", "mine");
    s.w.world.disk.put("/data/t-0/partition.metadata", "not this");
    ASSERT_TRUE(s.w.load({.recovery_point = s.synced}).ok());
    EXPECT_FALSE(s.w.world.disk.stat(Stopped::file(55, "index"))->has_value());
    EXPECT_EQ(s.w.world.disk.contents("/data/t-0/notes.txt"), "mine");
    EXPECT_TRUE(s.w.log->topic_id().is_zero());
    EXPECT_TRUE(s.w.log->set_topic_id(kTopicId).ok());
    s.check_whole();
}

TEST(LogLoad, ReportsProgress) {
    Stopped s;
    LogLoadJob::Input input;
    input.directory = "/data/t-0";
    input.partition = kT0;
    input.config = s.w.config;
    LogLoadJob job(s.w.world.disk, input);
    std::vector<uint64_t> seen;
    LogLoadJob::Progress progress = [&](uint64_t done, uint64_t total) {
        EXPECT_LE(done, total);
        seen.push_back(done);
    };
    job.run(&progress);
    ASSERT_TRUE(job.status().ok());
    ASSERT_EQ(seen.size(), 4U);
    EXPECT_EQ(seen.back(), s.all.size());
}

}  // namespace
}  // namespace millrace::storage
