// tests/unit/storage/log_test.cc: append, read, roll, epochs, truncation, retention, start.
#include "millrace/storage/log.h"

#include "unit/storage/log_fixture.h"

namespace millrace::storage {
namespace {

ReadInput from(int64_t offset, size_t max_bytes, int64_t bound, bool one = false) {
    ReadInput input;
    input.start_offset = Offset(offset);
    input.max_bytes = max_bytes;
    input.upper_bound = Offset(bound);
    input.min_one_message = one;
    return input;
}

TEST(LogAppend, StampsOffsetsAndEpochAndReadsBack) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    const auto first = w.append({.records = 3}, 5);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(first->base_offset, Offset(0));
    EXPECT_EQ(first->last_offset, Offset(2));
    EXPECT_EQ(first->log_append_time, kNoTimestamp);
    EXPECT_EQ(first->log_start_offset, Offset(0));
    const auto second = w.append({.records = 2}, 6);
    EXPECT_EQ(second->base_offset, Offset(3));
    EXPECT_EQ(w.log->log_end_offset(), Offset(5));
    EXPECT_EQ(w.log->latest_epoch(), LeaderEpoch(6));
    EXPECT_EQ(w.log->end_offset_for(LeaderEpoch(5)), (EpochEnd{LeaderEpoch(5), Offset(3)}));
    const std::string all = w.read_all();
    record::BatchIterator walk{ByteView(all)};
    ASSERT_TRUE(walk.next());
    EXPECT_EQ(walk.batch().leader_epoch(), LeaderEpoch(5));
    ASSERT_TRUE(walk.next());
    EXPECT_EQ(walk.batch().base_offset(), Offset(3));
    EXPECT_EQ(w.log->size_bytes(), all.size());
}

TEST(LogAppend, OneWriteAndNothingElsePerBatch) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.append({}).ok());  // the first one also writes the epoch
    const uint64_t before = w.world.disk.steps();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(w.append({.value_bytes = 3000}).ok());
    EXPECT_EQ(w.world.disk.steps() - before, 100U);
}

TEST(LogAppend, BatchAboveSegmentBytesIsRefused) {
    LogWorld w;
    w.config->segment_bytes = 200;
    ASSERT_TRUE(w.create().ok());
    EXPECT_EQ(w.append({.value_bytes = 500})->error, ErrorCode::RecordListTooLarge);
    EXPECT_EQ(w.append({.value_bytes = 100})->error, ErrorCode::None);
}

TEST(LogAppend, FailedWriteKillsTheLog) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.append({}).ok());
    w.world.disk.fail_at(w.world.disk.steps() + 1, Errc::NoSpace);
    EXPECT_FALSE(w.append({}).ok());
    EXPECT_TRUE(w.log->failed());
    EXPECT_FALSE(w.append({}).ok());
    EXPECT_FALSE(w.log->read(from(0, 100, 1)).ok());
    EXPECT_FALSE(w.log->flush_blocking().ok());
}

TEST(LogRoll, SizeMayReachTheLimitExactly) {
    LogWorld w;
    const auto size = static_cast<int64_t>(make_batch({}).size());
    w.config->segment_bytes = 2 * size;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(w.append({}).ok());
    EXPECT_EQ(w.log->segment_count(), 3U);
    EXPECT_EQ(w.log->active_segment_base(), Offset(4));
}

TEST(LogRoll, AgeCountsInRecordTime) {
    LogWorld w;
    w.config->segment_ms = 1000;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.append({.timestamp = 5000}).ok());
    w.world.clock.advance(seconds(3600));
    ASSERT_TRUE(w.append({.timestamp = 6000}).ok());
    EXPECT_EQ(w.log->segment_count(), 1U);
    ASSERT_TRUE(w.append({.timestamp = 6001}).ok());
    EXPECT_EQ(w.log->segment_count(), 2U);
}

TEST(LogRoll, RefusedBatchMayLeaveAnEmptySegment) {
    LogWorld w;
    w.config->segment_bytes = 150;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.append({.producer_id = 1, .producer_epoch = 3, .sequence = 0}).ok());
    const auto refused =
        w.append({.value_bytes = 40, .producer_id = 1, .producer_epoch = 2, .sequence = 0});
    EXPECT_EQ(refused->error, ErrorCode::InvalidProducerEpoch);
    EXPECT_EQ(refused->log_start_offset, Offset(0));
    EXPECT_EQ(w.log->segment_count(), 2U);
    EXPECT_EQ(w.log->log_end_offset(), Offset(1));
}

TEST(LogRead, BoundsAndErrors) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(w.append({.records = 2}).ok());
    const size_t size = make_batch({.records = 2}).size();
    struct Row {
        ReadInput input;
        ErrorCode error;
        size_t bytes;
    };
    for (const Row& row : {
             Row{from(9, 1000, 8), ErrorCode::OffsetOutOfRange, 0},
             Row{from(-1, 1000, 8), ErrorCode::OffsetOutOfRange, 0},
             Row{from(8, 1000, 8), ErrorCode::None, 0},
             Row{from(6, 1000, 4), ErrorCode::None, 0},         // between bound and end
             Row{from(0, 10'000, 8), ErrorCode::None, 4 * size},
             Row{from(0, 10'000, 4), ErrorCode::None, 2 * size},
             Row{from(1, 10'000, 8), ErrorCode::None, 4 * size},  // the whole batch of offset 1
             Row{from(2, 10'000, 8), ErrorCode::None, 3 * size},
             Row{from(0, size + 5, 8), ErrorCode::None, size + 5},  // the last batch cut
             Row{from(0, size - 1, 8), ErrorCode::None, 0},
             Row{from(0, 0, 8, true), ErrorCode::None, size},
             Row{from(0, size - 1, 8, true), ErrorCode::None, size},
         }) {
        const auto read = w.log->read(row.input);
        ASSERT_TRUE(read.ok());
        EXPECT_EQ(read->error, row.error);
        EXPECT_EQ(read->records.size(), row.bytes) << row.input.start_offset.value;
    }
}

TEST(LogRead, SlicesEndAtSegmentsAndSequentialReadsNeedNoIndex) {
    LogWorld w;
    w.config->segment_bytes = 3000;
    w.config->index_interval_bytes = 100;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(w.append({.records = 1 + i % 3}).ok());
    EXPECT_GT(w.log->segment_count(), 5U);
    const std::string whole = w.read_all();
    EXPECT_EQ(whole.size(), w.log->size_bytes());
    for (const size_t max_bytes : {1U, 150U, 333U, 5000U}) EXPECT_EQ(w.read_all(max_bytes), whole);
    // Every offset finds its batch.
    for (int64_t offset = 0; offset < w.log->log_end_offset().value; ++offset) {
        const auto read = w.log->read(from(offset, 1, w.log->log_end_offset().value, true));
        const Buffer bytes = read->records.flatten().value();
        const record::BatchView batch(bytes.view());
        EXPECT_LE(batch.base_offset(), Offset(offset));
        EXPECT_GE(batch.last_offset(), Offset(offset));
    }
}

TEST(LogRead, TailReaderReadsOnlyWhatIsNew) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    int reads = 0;
    w.world.disk.set_hook([&](support::DiskOp op, const std::string&) -> std::optional<Status> {
        if (op == support::DiskOp::Read) ++reads;
        return std::nullopt;
    });
    for (int64_t i = 0; i < 50; ++i) {
        ASSERT_TRUE(w.append({.value_bytes = 1000}).ok());
        const auto read = w.log->read(from(i, 1U << 20U, i + 1));
        ASSERT_EQ(read->start.segment_base, Offset(0));
        EXPECT_EQ(read->records.size(), make_batch({.value_bytes = 1000}).size());
    }
    EXPECT_EQ(reads, 0);
}

TEST(LogFollower, TakesWholeBatchesStopsAtBadOnes) {
    LogWorld leader;
    ASSERT_TRUE(leader.create().ok());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(leader.append({.records = 2}, 4).ok());
    const std::string all = leader.read_all();
    const size_t one = all.size() / 3;

    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    auto taken = w.log->append_as_follower(ByteView(all).sub(0, 2 * one + 20), LeaderEpoch(4),
                                           WallMs{1});
    ASSERT_TRUE(taken.ok());
    EXPECT_EQ(taken->error, ErrorCode::None);
    EXPECT_EQ(taken->batches, 2U);
    EXPECT_EQ(taken->end_offset, Offset(4));
    EXPECT_EQ(w.log->latest_epoch(), LeaderEpoch(4));
    // The same again does not follow the end.
    taken = w.log->append_as_follower(ByteView(all), LeaderEpoch(4), WallMs{1});
    EXPECT_EQ(taken->error, ErrorCode::OffsetOutOfRange);
    EXPECT_EQ(w.log->log_end_offset(), Offset(4));
    // A flipped bit is found; an epoch above the fetch's is left for later.
    std::string bad = all.substr(2 * one);
    bad[70] = static_cast<char>(bad[70] ^ 1);
    taken = w.log->append_as_follower(ByteView(bad), LeaderEpoch(4), WallMs{1});
    EXPECT_EQ(taken->error, ErrorCode::CorruptMessage);
    taken = w.log->append_as_follower(ByteView(all).from(2 * one), LeaderEpoch(3), WallMs{1});
    EXPECT_EQ(taken->error, ErrorCode::None);
    EXPECT_EQ(taken->bytes, 0U);
    taken = w.log->append_as_follower(ByteView(all).from(2 * one), LeaderEpoch(4), WallMs{1});
    EXPECT_EQ(taken->batches, 1U);
    EXPECT_EQ(w.read_all(), all);
}

TEST(LogTruncate, CutsSegmentsIndexesEpochsAndProducers) {
    LogWorld w;
    w.config->segment_bytes = 1000;
    w.config->index_interval_bytes = 100;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 60; ++i) {
        ASSERT_TRUE(w.append({.producer_id = 9, .producer_epoch = 0, .sequence = i}, i / 20).ok());
    }
    w.log->set_high_watermark(Offset(60));
    const std::string all = w.read_all();
    EXPECT_FALSE(w.log->truncate_to(Offset(60), WallMs{1}).value());
    EXPECT_TRUE(w.log->truncate_to(Offset(33), WallMs{1}).value());
    EXPECT_EQ(w.log->log_end_offset(), Offset(33));
    EXPECT_EQ(w.log->high_watermark(), Offset(33));
    EXPECT_EQ(w.log->latest_epoch(), LeaderEpoch(1));
    EXPECT_EQ(w.log->producer(ProducerId(9))->last_sequence, 32);
    EXPECT_EQ(w.read_all(), all.substr(0, all.size() / 60 * 33));
    const auto next = w.append({.producer_id = 9, .producer_epoch = 0, .sequence = 33}, 7);
    EXPECT_EQ(next->error, ErrorCode::None);
    EXPECT_EQ(next->base_offset, Offset(33));
    EXPECT_EQ(w.log->end_offset_for(LeaderEpoch(1)), (EpochEnd{LeaderEpoch(1), Offset(33)}));
    EXPECT_EQ(w.read_all().size(), all.size() / 60 * 34);
    // Below everything.
    EXPECT_TRUE(w.log->truncate_to(Offset(0), WallMs{1}).value());
    EXPECT_EQ(w.log->log_end_offset(), Offset(0));
    EXPECT_EQ(w.log->segment_count(), 1U);
    EXPECT_FALSE(w.log->producer(ProducerId(9)).has_value());
    ASSERT_TRUE(w.append({}).ok());
}

// Else a replica that led an epoch without a record would ask with it, and be told of divergence.
TEST(LogTruncate, DropsAnEpochWithoutRecordsAtTheEnd) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(w.append({}, 1).ok());
    ASSERT_TRUE(w.log->assign_leader_epoch(LeaderEpoch(4), Offset(3)).ok());
    EXPECT_EQ(w.log->latest_epoch(), LeaderEpoch(4));
    EXPECT_FALSE(w.log->truncate_to(Offset(3), WallMs{1}).value());
    EXPECT_EQ(w.log->latest_epoch(), LeaderEpoch(1));
    ASSERT_TRUE(w.log->assign_leader_epoch(LeaderEpoch(5), Offset(3)).ok());
    EXPECT_FALSE(w.log->truncate_to(Offset(9), WallMs{1}).value());
    EXPECT_EQ(w.log->latest_epoch(), LeaderEpoch(1));
}

TEST(LogTruncate, FullyStartsAnywhere) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(w.append({}).ok());
    ASSERT_TRUE(w.log->truncate_fully_and_start_at(Offset(1000), WallMs{1}).ok());
    EXPECT_EQ(w.log->log_start_offset(), Offset(1000));
    EXPECT_EQ(w.log->log_end_offset(), Offset(1000));
    EXPECT_EQ(w.log->latest_epoch(), kNoLeaderEpoch);
    EXPECT_EQ(w.append({})->base_offset, Offset(1000));
    EXPECT_EQ(w.log->read(from(999, 10, 1001))->error, ErrorCode::OffsetOutOfRange);
    // Removed files go later, by the store.
    EXPECT_LT(w.store->wake_at(), Instant::never());
    w.world.clock.advance(seconds(61));
    w.store->tick(w.world.clock.now());
    w.world.settle();
    EXPECT_EQ(w.store->wake_at(), Instant::never());
    const auto entries = w.world.disk.list("/data/t-0");
    for (const auto& entry : *entries) EXPECT_EQ(entry.name.find(".deleted"), std::string::npos);
}

TEST(LogStart, MovesForwardUpToTheHighWatermark) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(w.append({}, i).ok());
    w.log->set_high_watermark(Offset(4));
    EXPECT_EQ(*w.log->advance_start(Offset(5)), ErrorCode::OffsetOutOfRange);
    EXPECT_EQ(*w.log->advance_start(Offset(3)), ErrorCode::None);
    EXPECT_EQ(*w.log->advance_start(Offset(1)), ErrorCode::None);
    EXPECT_EQ(w.log->log_start_offset(), Offset(3));
    EXPECT_EQ(w.log->leader_epochs().earliest()->start_offset, Offset(3));
    EXPECT_EQ(w.log->read(from(2, 10, 4))->error, ErrorCode::OffsetOutOfRange);
    ASSERT_EQ(w.store->log_starts().size(), 1U);
    EXPECT_EQ(w.store->log_starts()[0].offset, Offset(3));
}

TEST(LogRetention, SizeTimeAndStart) {
    const auto size = static_cast<int64_t>(make_batch({}).size());
    struct Row {
        const char* name;
        int64_t retention_bytes;
        int64_t retention_ms;
        bool cleanup_delete;
        int64_t high_watermark;
        int64_t start;
        size_t gone;
        int64_t log_start;
    };
    // Ten segments of one batch each, timestamps 0, 1000, ... 9000, now = 10000.
    for (const Row& row : {
             Row{"nothing", -1, -1, true, 10, 0, 0, 0},
             Row{"size never below the limit", 4 * size + 1, -1, true, 10, 0, 5, 5},
             Row{"size exact", 4 * size, -1, true, 10, 0, 6, 6},
             Row{"size zero takes all", 0, -1, true, 10, 0, 10, 10},
             Row{"not above the high watermark", 0, -1, true, 4, 0, 4, 4},
             Row{"time", -1, 5000, true, 10, 0, 5, 5},
             Row{"time takes the active one", -1, 0, true, 10, 0, 10, 10},
             Row{"active needs HW at the end", -1, 0, true, 9, 0, 9, 9},
             Row{"log start", -1, -1, true, 10, 7, 7, 7},
             Row{"compact only: log start alone", 0, 0, false, 10, 7, 7, 7},
         }) {
        LogWorld w;
        w.config->segment_bytes = size;
        w.config->retention_bytes = row.retention_bytes;
        w.config->retention_ms = row.retention_ms;
        w.config->cleanup_delete = row.cleanup_delete;
        ASSERT_TRUE(w.create().ok());
        for (int i = 0; i < 10; ++i) ASSERT_TRUE(w.append({.timestamp = i * 1000}).ok());
        w.log->set_high_watermark(Offset(row.high_watermark));
        ASSERT_EQ(*w.log->advance_start(Offset(std::min(row.start, row.high_watermark))),
                  ErrorCode::None);
        EXPECT_EQ(w.log->delete_old_segments(WallMs{10'000}).value(), row.gone) << row.name;
        EXPECT_EQ(w.log->log_start_offset(), Offset(row.log_start)) << row.name;
        EXPECT_EQ(w.log->log_end_offset(), Offset(10));
        ASSERT_TRUE(w.append({}).ok());
        const size_t left = w.log->segment_count();
        EXPECT_EQ(left, 11 - row.gone) << row.name;
    }
}

TEST(LogTransactions, StableOffsetMarkersAndAbortedList) {
    LogWorld w;
    w.config->transaction_verification = false;
    ASSERT_TRUE(w.create().ok());
    const auto data = [&](int64_t producer, int32_t sequence) {
        const auto done = w.append({.producer_id = producer, .producer_epoch = 0,
                                    .sequence = sequence, .transactional = true});
        EXPECT_EQ(done->error, ErrorCode::None);
    };
    const auto hw = [&] { w.log->set_high_watermark(w.log->log_end_offset()); };
    data(1, 0);  // 0
    data(2, 0);  // 1
    ASSERT_TRUE(w.append({}).ok());  // 2, no producer
    hw();
    EXPECT_EQ(w.log->last_stable_offset(), Offset(0));
    EXPECT_EQ(w.end_transaction(1, 0, false)->error, ErrorCode::None);  // 3
    EXPECT_EQ(w.log->last_stable_offset(), Offset(0));  // the marker is not replicated yet
    hw();
    EXPECT_EQ(w.log->last_stable_offset(), Offset(1));
    EXPECT_EQ(w.end_transaction(2, 0, true)->error, ErrorCode::None);  // 4
    hw();
    EXPECT_EQ(w.log->last_stable_offset(), Offset(5));
    // A non-transactional batch inside a transaction is refused.
    data(3, 0);
    EXPECT_EQ(w.append({.producer_id = 3, .producer_epoch = 0, .sequence = 1})->error,
              ErrorCode::InvalidTxnState);
    EXPECT_EQ(w.end_transaction(3, 0, true)->error, ErrorCode::None);
    auto read = w.log->read({.start_offset = Offset(0), .max_bytes = 10'000,
                             .upper_bound = Offset(5), .aborted_transactions = true});
    ASSERT_EQ(read->aborted.size(), 1U);
    EXPECT_EQ(read->aborted[0], (AbortedTransaction{ProducerId(1), Offset(0)}));
    // The same after a restart, clean or not.
    for (const bool clean : {false, true}) {
        if (clean) {
            ASSERT_TRUE(w.log->close(w.world.clock.wall()).ok());
        }
        ASSERT_TRUE(w.load({.clean = clean, .high_watermark = 7}).ok());
        read = w.log->read({.start_offset = Offset(0), .max_bytes = 10'000,
                            .upper_bound = Offset(5), .aborted_transactions = true});
        EXPECT_EQ(read->aborted.size(), 1U);
        EXPECT_EQ(w.log->last_stable_offset(), Offset(7));
    }
}

TEST(LogTransactions, OpenTransactionSurvivesRestart) {
    LogWorld w;
    w.config->transaction_verification = false;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.append({}).ok());
    ASSERT_TRUE(w.append({.producer_id = 1, .producer_epoch = 0, .sequence = 0,
                          .transactional = true}).ok());
    for (const bool clean : {false, true}) {
        if (clean) {
            ASSERT_TRUE(w.log->close(w.world.clock.wall()).ok());
        }
        ASSERT_TRUE(w.load({.clean = clean, .high_watermark = 2}).ok());
        EXPECT_EQ(w.log->last_stable_offset(), Offset(1));
        EXPECT_TRUE(w.log->has_ongoing_transaction(ProducerId(1), ProducerEpoch(0)));
    }
}

TEST(LogFlush, MovesTheRecoveryPointWhenEverythingIsSynced) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.append({}).ok());
    std::vector<Status> done;
    w.log->flush_async([&](Status status) { done.push_back(std::move(status)); });
    EXPECT_EQ(w.log->recovery_point(), Offset(0));
    ASSERT_TRUE(w.append({}).ok());  // not part of the flush
    w.world.settle();
    ASSERT_EQ(done.size(), 1U);
    EXPECT_TRUE(done[0].ok());
    EXPECT_EQ(w.log->recovery_point(), Offset(1));
    // Then one file, without the helper thread.
    w.log->flush_async([&](Status status) { done.push_back(std::move(status)); });
    EXPECT_EQ(w.world.background.waiting(), 0U);
    w.world.settle();
    EXPECT_EQ(w.log->recovery_point(), Offset(2));
    // Nothing to do: answered at once.
    w.log->flush_async([&](Status status) { done.push_back(std::move(status)); });
    EXPECT_EQ(done.size(), 3U);
}

TEST(LogFlush, RollFlushesByItself) {
    LogWorld w;
    w.config->segment_bytes = 200;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(w.append({}).ok());
    w.world.settle();
    EXPECT_EQ(w.log->recovery_point(), w.log->active_segment_base());
    EXPECT_TRUE(w.failures.empty());
}

TEST(LogFlush, FailureOfARollsFlushReachesTheStore) {
    LogWorld w;
    w.config->segment_bytes = 200;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(w.append({}).ok());
    w.world.disk.set_hook([](support::DiskOp op, const std::string&) -> std::optional<Status> {
        if (op == support::DiskOp::Sync) return Status(Errc::IoError, "no");
        return std::nullopt;
    });
    w.world.settle();
    ASSERT_EQ(w.failures.size(), 1U);
    EXPECT_TRUE(w.log->failed());
}

TEST(LogFlush, TruncationMeanwhileMakesItVoid) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(w.append({}).ok());
    w.log->flush_async([](Status) {});
    ASSERT_TRUE(w.log->truncate_to(Offset(1), WallMs{1}).ok());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(w.append({}).ok());
    w.world.settle();
    EXPECT_EQ(w.log->recovery_point(), Offset(0));
}

TEST(LogTimestamps, RecordsInCompressedBatchesAndAcrossRestarts) {
    LogWorld w;
    w.config->segment_bytes = 700;
    w.config->index_interval_bytes = 50;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 40; ++i) {
        ASSERT_TRUE(w.append({.records = 3, .timestamp = 1000 + 10 * i}).ok());
    }
    for (int round = 0; round < 3; ++round) {
        if (round == 1) {
            ASSERT_TRUE(w.load({}).ok());
        }
        if (round == 2) {
            ASSERT_TRUE(w.log->close(w.world.clock.wall()).ok());
            ASSERT_TRUE(w.load({.clean = true}).ok());
        }
        for (int i = 0; i < 40; ++i) {
            const auto found = w.log->offset_for_timestamp(WallMs{1000 + 10 * i + 1});
            ASSERT_TRUE(found.ok() && found->has_value());
            EXPECT_EQ((*found)->offset, Offset(3 * i + 1));
        }
        EXPECT_EQ(w.log->max_timestamp().value()->offset, Offset(119));
        EXPECT_EQ(w.log->max_timestamp().value()->timestamp, WallMs{1392});
    }
}

TEST(LogAppend, ALeaderEpochIsWrittenWithItsFirstBatch) {
    const std::string path = "/data/t-0/leader-epoch-checkpoint";
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.log->assign_leader_epoch(LeaderEpoch(3), Offset(0)).ok());
    EXPECT_EQ(w.log->latest_epoch(), LeaderEpoch(3));
    EXPECT_FALSE(w.world.disk.stat(path)->has_value());
    ASSERT_TRUE(w.append({}, 3).ok());
    EXPECT_EQ(w.world.disk.contents(path), "0\n1\n3 0\n");
    ASSERT_TRUE(w.log->assign_leader_epoch(LeaderEpoch(4), Offset(1)).ok());
    EXPECT_EQ(w.world.disk.contents(path), "0\n1\n3 0\n");
    EXPECT_EQ(w.log->end_offset_for(LeaderEpoch(3)).end_offset, Offset(1));
    ASSERT_TRUE(w.append({}, 4).ok());
    EXPECT_EQ(w.world.disk.contents(path), "0\n2\n3 0\n4 1\n");
}

TEST(LogAppend, ABatchOfTheQuorumMayBeLargerThanASegment) {
    LogWorld w;
    w.config->segment_bytes = 1'000;
    ASSERT_TRUE(w.create().ok());
    for (const size_t bytes : {100U, 5'000U, 100U}) {
        const auto done = w.append({.value_bytes = bytes}, 0, AppendOrigin::RaftLeader);
        ASSERT_TRUE(done.ok());
        EXPECT_EQ(done->error, ErrorCode::None);
    }
    EXPECT_EQ(w.log->segment_count(), 3U);
    EXPECT_EQ(w.append({.value_bytes = 5'000})->error, ErrorCode::RecordListTooLarge);
    const std::string all = w.read_all();
    ASSERT_TRUE(w.load({.recovery_point = 0}).ok());
    EXPECT_EQ(w.read_all(), all);
}

TEST(LogStoreTest, DeleteRenamesNowAndRemovesLater) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.append({}).ok());
    EXPECT_FALSE(w.store->create(kT0, kTopicId, w.config, WallMs{1}).ok());
    ASSERT_TRUE(w.store->remove(kT0, w.world.clock.now(), seconds(60)).ok());
    EXPECT_EQ(w.store->find(kT0), nullptr);
    auto listed = w.world.disk.list("/data");
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_TRUE(listed->front().name.ends_with("-delete"));
    // The name is free at once.
    ASSERT_TRUE(w.store->create(kT0, kTopicId, w.config, WallMs{1}).ok());
    w.store->tick(w.world.clock.now());
    w.world.settle();
    EXPECT_EQ(w.world.disk.list("/data")->size(), 2U);
    w.world.clock.advance(seconds(60));
    w.store->tick(w.world.clock.now());
    w.world.settle();
    listed = w.world.disk.list("/data");
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front().name, "t-0");
}

TEST(LogStoreTest, StopSyncsOnlyWhatHasData) {
    LogWorld w;
    w.make_store();
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(
            w.store->create({"many", PartitionIndex(i)}, kTopicId, w.config, WallMs{1}).ok());
    }
    Log* used = w.store->find({"many", PartitionIndex(7)});
    AppendInput input;
    input.batch = make_batch({});
    input.leader_epoch = LeaderEpoch(0);
    ASSERT_TRUE(used->append(std::move(input)).ok());
    int syncs = 0;
    int elsewhere = 0;
    w.world.disk.set_hook([&](support::DiskOp op, const std::string& path) -> std::optional<Status> {
        if (op == support::DiskOp::Sync || op == support::DiskOp::SyncDirectory) {
            ++syncs;
            elsewhere += path != "/data" && path.find("many-7") == std::string::npos ? 1 : 0;
        }
        return std::nullopt;
    });
    ASSERT_TRUE(w.store->close_all(WallMs{1}).ok());
    EXPECT_LE(syncs, 8);
    EXPECT_EQ(elsewhere, 0);
    for (int i = 0; i < 20; ++i) {
        const TopicPartition name{"many", PartitionIndex(i)};
        ASSERT_TRUE(w.load({.clean = true}, name).ok());
        EXPECT_EQ(w.log->log_end_offset(), Offset(i == 7 ? 1 : 0));
        EXPECT_EQ(w.report.rebuilt_indexes, 0U);
    }
}

TEST(LogStoreTest, ClosesInTheBackgroundAndTellsTheFirstFailure) {
    for (const bool broken : {false, true}) {
        LogWorld w;
        w.make_store();
        for (int i = 0; i < 100; ++i) {
            const auto log =
                w.store->create({"many", PartitionIndex(i)}, kTopicId, w.config, WallMs{1});
            ASSERT_TRUE(log.ok());
            AppendInput input;
            input.batch = make_batch({});
            input.leader_epoch = LeaderEpoch(0);
            ASSERT_TRUE((*log)->append(std::move(input)).ok());
        }
        w.world.disk.set_hook([&](support::DiskOp op, const std::string& path) {
            const bool hit = broken && op == support::DiskOp::Sync &&
                             path.find("many-50/") != std::string::npos;
            return hit ? std::optional(Status(Errc::IoError, "dead")) : std::nullopt;
        });
        std::optional<Status> closed;
        w.store->close_all_async(WallMs{1}, 2, [&](Status status) { closed = std::move(status); });
        EXPECT_EQ(w.world.background.waiting(), 2U);
        EXPECT_FALSE(closed.has_value());
        w.world.settle();
        ASSERT_TRUE(closed.has_value());
        EXPECT_EQ(closed->ok(), !broken);
        for (const CheckpointEntry& line : w.store->recovery_points()) {
            EXPECT_EQ(line.offset, Offset(broken && line.partition.partition.value == 50 ? 0 : 1));
        }
    }
}

TEST(LogStoreTest, ADamagedLogKeepsItsPlaceAndItsLines) {
    LogWorld w;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(w.append({}).ok());
    ASSERT_TRUE(w.log->close(w.world.clock.wall()).ok());
    w.stop();
    w.world.disk.flip_bit("/data/t-0/00000000000000000000.log", 30, 2);
    w.make_store();
    LogLoadJob::Input input;
    input.directory = "/data/t-0";
    input.partition = kT0;
    input.config = w.config;
    input.recovery_point = Offset(5);
    input.log_start = Offset(2);
    input.high_watermark = Offset(4);
    auto job = w.store->make_load_job(std::move(input));
    job->run();
    ASSERT_EQ(job->status().errc(), Errc::Corrupt);
    Log* log = w.store->adopt_damaged(std::move(job));
    EXPECT_TRUE(log->damaged());
    EXPECT_TRUE(w.store->any_damaged());
    EXPECT_EQ(log->topic_id(), kTopicId);
    EXPECT_FALSE(log->read(from(0, 1000, 1)).ok());
    const std::vector<CheckpointEntry> points = {{kT0, Offset(5)}};
    const std::vector<CheckpointEntry> starts = {{kT0, Offset(2)}};
    const std::vector<CheckpointEntry> watermarks = {{kT0, Offset(4)}};
    EXPECT_EQ(w.store->recovery_points(), points);
    EXPECT_EQ(w.store->log_starts(), starts);
    EXPECT_EQ(w.store->high_watermarks(), watermarks);
    EXPECT_TRUE(w.store->close_all(WallMs{1}).ok());
    EXPECT_TRUE(w.failures.empty());
}

TEST(LogStoreTest, IdlePartitionsAreSmallAndFilesStayBelowTheLimit) {
    LogWorld w;
    w.make_store();
    for (int i = 0; i < 300; ++i) {
        const auto log =
            w.store->create({"many", PartitionIndex(i)}, kTopicId, w.config, WallMs{1});
        ASSERT_TRUE(log.ok());
        AppendInput input;
        input.batch = make_batch({});
        input.leader_epoch = LeaderEpoch(0);
        ASSERT_TRUE((*log)->append(std::move(input)).ok());
    }
    EXPECT_EQ(w.store->size(), 300U);
    EXPECT_LE(sizeof(Log::State) + sizeof(Segment), 2048U);
    w.store->for_each([&](Log& log) {
        EXPECT_EQ(log.read(from(0, 1000, 1))->records.flatten().value().size(),
                  make_batch({}).size());
    });
    EXPECT_TRUE(w.store->close_all(WallMs{1}).ok());
}

}  // namespace
}  // namespace millrace::storage
