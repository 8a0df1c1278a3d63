// tests/unit/storage/log_golden_test.cc: folders written by Kafka 4.3.1, read and written again.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "storage/producer_snapshot.h"
#include "unit/storage/log_fixture.h"

namespace millrace::storage {
namespace {

using Folder = std::map<std::string, std::string>;

Folder golden(const std::string& name) {
    Folder folder;
    const std::string path = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/log_dir/" + name;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        std::ifstream in(entry.path(), std::ios::binary);
        folder[entry.path().filename().string()] = {std::istreambuf_iterator<char>(in),
                                                    std::istreambuf_iterator<char>()};
    }
    return folder;
}

void put(LogWorld& w, const std::string& name, const Folder& folder) {
    for (const auto& [file, contents] : folder) {
        w.world.disk.put("/data/" + name + "/" + file, contents);
    }
}

std::shared_ptr<LogConfig> config_of(const std::string& name) {
    auto config = std::make_shared<LogConfig>();
    config->producer_id_expiration_ms = LogConfig::kForever;
    if (name == "codecs-0" || name == "txn-0") config->index_interval_bytes = 200;
    if (name == "codecs-0") config->segment_ms = 1500;
    if (name == "txn-0") config->segment_ms = 4000;
    return config;
}

struct Row {
    const char* name;
    const char* topic;
    int64_t end;
    size_t segments;
};
const Row kRows[] = {{"codecs-0", "codecs", 24, 4},
                     {"txn-0", "txn", 19, 2},
                     {"open-0", "open", 2, 1},
                     {"codecs-1", "codecs", 0, 1},
                     {"__consumer_offsets-0", "__consumer_offsets", 16, 1},
                     {"__transaction_state-0", "__transaction_state", 17, 1}};

TopicPartition partition_of(const Row& row) {
    return {row.topic, PartitionIndex(row.name[std::string(row.name).size() - 1] - '0')};
}

/// Files that a clean stop leaves and that must be the same, byte for byte.
void expect_same_files(LogWorld& w, const Row& row, const Folder& folder) {
    for (const auto& [file, contents] : folder) {
        EXPECT_EQ(w.world.disk.contents("/data/" + std::string(row.name) + "/" + file), contents)
            << row.name << "/" << file;
    }
    const auto listed = w.world.disk.list("/data/" + std::string(row.name));
    ASSERT_TRUE(listed.ok());
    for (const auto& entry : *listed) {
        EXPECT_TRUE(folder.contains(entry.name)) << row.name << "/" << entry.name;
    }
}

TEST(LogGolden, CleanFolderIsTrustedAndLeftAsItWas) {
    for (const Row& row : kRows) {
        LogWorld w;
        w.config = config_of(row.name);
        const Folder folder = golden(row.name);
        put(w, row.name, folder);
        ASSERT_TRUE(w.load({.clean = true}, partition_of(row)).ok());
        EXPECT_FALSE(w.report.recovered);
        EXPECT_EQ(w.report.rebuilt_indexes, 0U) << row.name;
        EXPECT_EQ(w.log->log_end_offset(), Offset(row.end));
        EXPECT_EQ(w.log->recovery_point(), Offset(row.end));
        EXPECT_EQ(w.log->segment_count(), row.segments);
        EXPECT_FALSE(w.log->topic_id().is_zero());
        std::string logs;
        for (const auto& [file, contents] : folder) {
            if (file.ends_with(".log")) logs += contents;
        }
        EXPECT_EQ(w.read_all(), logs);
        ASSERT_TRUE(w.store->close_all(w.world.clock.wall()).ok());
        if (row.end > 0) expect_same_files(w, row, folder);
    }
}

TEST(LogGolden, RecoveryRebuildsKafkasFiles) {
    for (const Row& row : kRows) {
        LogWorld w;
        w.config = config_of(row.name);
        const Folder folder = golden(row.name);
        for (const auto& [file, contents] : folder) {
            if (file.ends_with(".log") || file == "partition.metadata") {
                w.world.disk.put("/data/" + std::string(row.name) + "/" + file, contents);
            }
        }
        ASSERT_TRUE(w.load({}, partition_of(row)).ok());
        EXPECT_TRUE(w.report.recovered);
        EXPECT_EQ(w.report.truncated_bytes, 0U);
        EXPECT_EQ(w.log->log_end_offset(), Offset(row.end));
        ASSERT_TRUE(w.store->close_all(w.world.clock.wall()).ok());
        if (row.end > 0) expect_same_files(w, row, folder);
    }
}

TEST(LogGolden, PreallocatedIndexesOfAKilledKafkaAreRebuilt) {
    for (const Row& row : kRows) {
        LogWorld w;
        w.config = config_of(row.name);
        Folder folder = golden(row.name);
        Folder killed = folder;
        for (auto& [file, contents] : killed) {
            if (file.ends_with(".index")) contents.resize(10'485'760);
            if (file.ends_with(".timeindex")) contents.resize(10'485'756);
        }
        put(w, row.name, killed);
        ASSERT_TRUE(w.load({.recovery_point = row.end}, partition_of(row)).ok());
        EXPECT_EQ(w.log->log_end_offset(), Offset(row.end));
        ASSERT_TRUE(w.store->close_all(w.world.clock.wall()).ok());
        if (row.end > 0) expect_same_files(w, row, folder);
    }
}

TEST(LogGolden, FollowerWritesWhatKafkaWrote) {
    for (const Row& row : kRows) {
        if (row.end == 0) continue;
        LogWorld w;
        w.config = config_of(row.name);
        w.make_store();
        const Folder folder = golden(row.name);
        const auto metadata = folder.at("partition.metadata");
        const auto id = Uuid::parse(metadata.substr(metadata.find("topic_id: ") + 10));
        ASSERT_TRUE(id.has_value());
        const auto created = w.store->create(partition_of(row), *id, w.config, WallMs{1});
        ASSERT_TRUE(created.ok()) << created.status().to_string();
        w.log = *created;
        std::string logs;
        for (const auto& [file, contents] : folder) {
            if (file.ends_with(".log")) logs += contents;
        }
        const auto appended =
            w.log->append_as_follower(ByteView(logs), LeaderEpoch(0), w.world.clock.wall());
        ASSERT_TRUE(appended.ok());
        EXPECT_EQ(appended->error, ErrorCode::None) << appended->reason;
        EXPECT_EQ(w.log->log_end_offset(), Offset(row.end));
        EXPECT_EQ(w.log->segment_count(), row.segments);
        ASSERT_TRUE(w.store->close_all(w.world.clock.wall()).ok());
        expect_same_files(w, row, folder);
    }
}

TEST(LogGolden, OpenTransactionHoldsTheStableOffset) {
    LogWorld w;
    w.config = config_of("open-0");
    put(w, "open-0", golden("open-0"));
    ASSERT_TRUE(w.load({.clean = true, .high_watermark = 2}, {"open", PartitionIndex(0)}).ok());
    EXPECT_EQ(w.log->high_watermark(), Offset(2));
    EXPECT_EQ(w.log->last_stable_offset(), Offset(0));
    const auto producers = w.log->active_producers(WallMs{1});
    ASSERT_EQ(producers.size(), 1U);
    EXPECT_EQ(producers[0].producer_id, ProducerId(2));
    EXPECT_EQ(producers[0].last_sequence, 1);
    EXPECT_EQ(producers[0].current_txn_first_offset, Offset(0));
    EXPECT_TRUE(w.log->has_ongoing_transaction(ProducerId(2), ProducerEpoch(0)));
}

TEST(LogGolden, AbortedListOfKafkasTransactions) {
    LogWorld w;
    w.config = config_of("txn-0");
    put(w, "txn-0", golden("txn-0"));
    ASSERT_TRUE(w.load({.clean = true, .high_watermark = 19}, {"txn", PartitionIndex(0)}).ok());
    EXPECT_EQ(w.log->last_stable_offset(), Offset(19));
    struct Read {
        int64_t from;
        std::vector<AbortedTransaction> aborted;
    };
    const AbortedTransaction first{ProducerId(1), Offset(9)};
    const AbortedTransaction second{ProducerId(1), Offset(16)};
    for (const Read& read : {Read{0, {first}}, Read{12, {first}}, Read{13, {second}},
                             Read{18, {second}}}) {
        const auto outcome = w.log->read({.start_offset = Offset(read.from),
                                          .max_bytes = 1U << 20U,
                                          .upper_bound = Offset(19),
                                          .min_one_message = true,
                                          .aborted_transactions = true});
        ASSERT_TRUE(outcome.ok());
        EXPECT_EQ(outcome->aborted, read.aborted) << "from " << read.from;
    }
}

TEST(LogGolden, TimestampLookups) {
    LogWorld w;
    w.config = config_of("txn-0");
    put(w, "txn-0", golden("txn-0"));
    ASSERT_TRUE(w.load({.clean = true}, {"txn", PartitionIndex(0)}).ok());
    struct Lookup {
        int64_t target;
        int64_t offset;
        int64_t timestamp;
    };
    for (const Lookup& row : {Lookup{0, 0, 1795234681720}, Lookup{1795234681721, 1, 1795234681721},
                              Lookup{1795234681722, 3, 1795234681856},
                              Lookup{1795234682125, 5, 1795234682125}}) {
        const auto found = w.log->offset_for_timestamp(WallMs{row.target});
        ASSERT_TRUE(found.ok() && found->has_value()) << row.target;
        EXPECT_EQ((*found)->offset, Offset(row.offset));
        EXPECT_EQ((*found)->timestamp, WallMs{row.timestamp});
        EXPECT_EQ((*found)->leader_epoch, LeaderEpoch(0));
    }
    EXPECT_FALSE(w.log->offset_for_timestamp(WallMs{1895234682125}).value().has_value());
    const auto youngest = w.log->max_timestamp();
    ASSERT_TRUE(youngest.ok() && youngest->has_value());
    EXPECT_EQ((*youngest)->offset, Offset(18));
}

}  // namespace
}  // namespace millrace::storage
