// tests/unit/storage/small_files_test.cc: names, checkpoints, epochs, the root of a log directory.
#include "storage/checkpoint_file.h"
#include "storage/file_names.h"
#include "unit/storage/log_fixture.h"

namespace millrace::storage {
namespace {

TEST(FileNames, BothDirections) {
    for (const auto file : {SegmentFile::Log, SegmentFile::Index, SegmentFile::TimeIndex,
                            SegmentFile::TxnIndex, SegmentFile::Snapshot}) {
        for (const auto stage :
             {FileStage::Live, FileStage::Deleted, FileStage::Cleaned, FileStage::Swap}) {
            const auto parsed = parse_segment_file_name(segment_file_name(Offset(1234567), file,
                                                                          stage));
            ASSERT_TRUE(parsed.has_value());
            EXPECT_EQ(parsed->base, Offset(1234567));
            EXPECT_EQ(parsed->file, file);
            EXPECT_EQ(parsed->stage, stage);
        }
    }
    EXPECT_EQ(segment_file_name(Offset(23), SegmentFile::TimeIndex),
              "00000000000000000023.timeindex");
    for (const char* strange : {"", "x", "00000000000000000023", "00000000000000000023.logs",
                                "0000000000000000002a.log", "00000000000000000023.log.tmp",
                                "99999999999999999999.log", "-0000000000000000023.log"}) {
        EXPECT_FALSE(parse_segment_file_name(strange).has_value()) << strange;
    }
}

TEST(FileNames, PartitionFolders) {
    struct Row {
        const char* name;
        const char* topic;
        int32_t partition;
        PartitionFolderKind kind;
    };
    for (const Row& row : {
             Row{"t-0", "t", 0, PartitionFolderKind::Live},
             Row{"a.b-c-12", "a.b-c", 12, PartitionFolderKind::Live},
             Row{"a-delete-3", "a-delete", 3, PartitionFolderKind::Live},
             Row{"t-1.0123456789abcdef0123456789abcdef-delete", "t", 1, PartitionFolderKind::Delete},
             Row{"t.x-1.0123456789abcdef0123456789abcdef-stray", "t.x", 1,
                 PartitionFolderKind::Stray},
             Row{"t-1.0123456789abcdef0123456789abcdef-future", "t", 1, PartitionFolderKind::Future},
         }) {
        const auto folder = parse_partition_folder(row.name);
        ASSERT_TRUE(folder.has_value()) << row.name;
        EXPECT_EQ(folder->partition.topic, row.topic);
        EXPECT_EQ(folder->partition.partition.value, row.partition);
        EXPECT_EQ(folder->kind, row.kind);
    }
    for (const char* strange : {"t", "t-", "-0", "t-x", "lost+found", "t--1"}) {
        const auto folder = parse_partition_folder(strange);
        EXPECT_TRUE(!folder || strange == std::string("t--1")) << strange;
    }
    const std::string longest(249, 'q');
    const std::string moved =
        moved_folder_name({longest, PartitionIndex(7)}, Uuid{1, 2}, PartitionFolderKind::Delete);
    EXPECT_EQ(moved.size(), 255U);
    EXPECT_TRUE(moved.ends_with("-7.00000000000000010000000000000002-delete"));
    EXPECT_EQ(parse_partition_folder(moved)->kind, PartitionFolderKind::Delete);
}

TEST(CheckpointText, ReadsWhatItWritesAndRefusesTheRest) {
    const std::vector<CheckpointEntry> entries{{{"a b", PartitionIndex(0)}, Offset(5)},
                                               {{"t", PartitionIndex(12)}, Offset(1)}};
    const std::string text = checkpoint_text(entries);
    EXPECT_EQ(text, "0\n2\na b 0 5\nt 12 1\n");
    const auto read = parse_checkpoint(text, "x");
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->at({"t", PartitionIndex(12)}), Offset(1));
    EXPECT_EQ(read->at({"a b", PartitionIndex(0)}), Offset(5));
    EXPECT_TRUE(parse_checkpoint("", "x")->empty());
    EXPECT_TRUE(parse_checkpoint("0\n0\n", "x")->empty());
    for (const char* bad : {"1\n0\n", "0\n", "0\nx\n", "0\n1\n", "0\n0\nt 0 1\n", "0\n1\nt 0\n",
                            "0\n1\nt 0 1 \n", "0\n1\n 0 1\n", "0\n1\nt x 1\n", "0\n1\nt 0 9x\n",
                            "0\n1\nt -1 5\n", "0\n1\nt 99999999999 5\n"}) {
        EXPECT_EQ(parse_checkpoint(bad, "x").status().errc(), Errc::Corrupt) << bad;
    }
}

TEST(LeaderEpochsTest, EndOffsets) {
    LeaderEpochs epochs;
    EXPECT_EQ(epochs.end_offset_for(LeaderEpoch(1), Offset(9)), EpochEnd{});
    EXPECT_TRUE(epochs.assign(LeaderEpoch(2), Offset(10)));
    EXPECT_TRUE(epochs.assign(LeaderEpoch(4), Offset(20)));
    EXPECT_FALSE(epochs.assign(LeaderEpoch(4), Offset(25)));
    EXPECT_FALSE(epochs.assign(LeaderEpoch(-1), Offset(25)));
    struct Row {
        int32_t asked;
        int32_t epoch;
        int64_t end;
    };
    for (const Row& row : {Row{-1, -1, -1}, Row{0, 0, 10}, Row{1, 1, 10}, Row{2, 2, 20},
                           Row{3, 2, 20}, Row{4, 4, 30}, Row{5, -1, -1}}) {
        EXPECT_EQ(epochs.end_offset_for(LeaderEpoch(row.asked), Offset(30)),
                  (EpochEnd{LeaderEpoch(row.epoch), Offset(row.end)}))
            << row.asked;
    }
    EXPECT_FALSE(epochs.epoch_at(Offset(9)).has_value());
    EXPECT_EQ(epochs.epoch_at(Offset(19)), LeaderEpoch(2));
    EXPECT_EQ(epochs.epoch_at(Offset(20)), LeaderEpoch(4));
}

TEST(LeaderEpochsTest, ContradictionsAndTruncation) {
    LeaderEpochs epochs;
    for (int i = 0; i < 5; ++i) epochs.assign(LeaderEpoch(i), Offset(10 * i));
    EXPECT_TRUE(epochs.assign(LeaderEpoch(7), Offset(25)));  // 30 and 40 contradict it
    ASSERT_EQ(epochs.entries().size(), 4U);
    EXPECT_TRUE(epochs.assign(LeaderEpoch(2), Offset(30)));  // an older epoch came after all
    EXPECT_EQ(epochs.latest()->start_offset, Offset(30));
    EXPECT_FALSE(epochs.truncate_from_end(Offset(31)));
    EXPECT_TRUE(epochs.truncate_from_end(Offset(30)));
    EXPECT_EQ(epochs.latest()->epoch, LeaderEpoch(1));
    EXPECT_TRUE(epochs.truncate_from_start(Offset(15)));
    EXPECT_EQ(epochs.entries(), (std::vector<EpochEntry>{{LeaderEpoch(1), Offset(15)}}));
    EXPECT_FALSE(epochs.truncate_from_start(Offset(15)));
    const auto again = LeaderEpochs::from_text(epochs.to_text());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->entries(), epochs.entries());
    EXPECT_EQ(epochs.to_text(), "0\n1\n1 15\n");
}

TEST(LogDirectoryTest, OpensKafkasRoot) {
    support::SimDisk disk;
    disk.put("/data/.kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":13}");
    disk.put("/data/recovery-point-offset-checkpoint", "0\n2\ntxn 0 19\ncodecs 1 0\n");
    disk.put("/data/txn-0/x", "12345");
    disk.put("/data/__cluster_metadata-0/x", "");
    disk.put("/data/gone-0.0123456789abcdef0123456789abcdef-delete/x", "");
    disk.put("/data/meta.properties", "version=1\n");
    auto directory = LogDirectory::open(disk, "/data");
    ASSERT_TRUE(directory.ok()) << directory.status().to_string();
    EXPECT_TRUE((*directory)->was_clean());
    EXPECT_EQ((*directory)->clean_broker_epoch(), 13);
    ASSERT_EQ((*directory)->folders().size(), 2U);
    EXPECT_EQ((*directory)->folders()[0].kind, PartitionFolderKind::Delete);
    EXPECT_EQ((*directory)->folders()[1].partition.topic, "txn");
    EXPECT_EQ((*directory)->folder_size_bytes("txn-0").value(), 5U);
    const auto points = (*directory)->read_checkpoint(CheckpointKind::RecoveryPoint);
    ASSERT_TRUE(points.ok());
    EXPECT_EQ(points->at({"txn", PartitionIndex(0)}), Offset(19));
    EXPECT_TRUE((*directory)->read_checkpoint(CheckpointKind::Cleaner)->empty());
    // A second owner is refused while the first lives.
    EXPECT_EQ(LogDirectory::open(disk, "/data").status().errc(), Errc::Busy);
    EXPECT_TRUE((*directory)->remove_clean_marker().ok());
    EXPECT_TRUE((*directory)->remove_clean_marker().ok());
    Rng rng(1);
    disk.crash(support::CrashStyle::DropUnsynced, rng);
    directory = LogDirectory::open(disk, "/data");
    ASSERT_TRUE(directory.ok());
    EXPECT_FALSE((*directory)->was_clean());
    ASSERT_TRUE((*directory)->write_clean_marker(42).ok());
    EXPECT_EQ(disk.contents("/data/.kafka_cleanshutdown"), "{\"version\":0,\"brokerEpoch\":42}");
}

TEST(LogDirectoryTest, RefusesStrangeFolders) {
    support::SimDisk disk;
    disk.put("/data/lost+found/x", "");
    EXPECT_EQ(LogDirectory::open(disk, "/data").status().errc(), Errc::InvalidInput);
}

TEST(LogDirectoryTest, CheckpointsAreAtomic) {
    support::SimDisk probe;
    uint64_t steps = 0;
    for (uint64_t stop = 0; stop == 0 || stop <= steps; ++stop) {
        support::SimDisk disk;
        auto directory = LogDirectory::open(disk, "/data");
        ASSERT_TRUE(directory.ok());
        const auto write = [&](int64_t offset) {
            return (*directory)->write_checkpoint(CheckpointKind::HighWatermark,
                                                  {{{"t", PartitionIndex(0)}, Offset(offset)}});
        };
        ASSERT_TRUE(write(1).ok());
        const uint64_t before = disk.steps();
        if (stop > 0) disk.halt_after(before + stop - 1);
        const bool done = write(2).ok();
        if (stop == 0) steps = disk.steps() - before + 1;
        Rng rng(stop);
        disk.crash(support::CrashStyle::Random, rng);
        directory = LogDirectory::open(disk, "/data");
        ASSERT_TRUE(directory.ok());
        const auto read = (*directory)->read_checkpoint(CheckpointKind::HighWatermark);
        ASSERT_TRUE(read.ok());
        const Offset found = read->at({"t", PartitionIndex(0)});
        if (done) {
            EXPECT_EQ(found, Offset(2));
        } else {
            EXPECT_TRUE(found == Offset(1) || found == Offset(2));
        }
    }
}

}  // namespace
}  // namespace millrace::storage
