// tests/unit/storage/producer_state_test.cc: sequences, epochs, markers, guards (dataplane B.6).
#include "storage/producer_state.h"

#include "storage/producer_snapshot.h"
#include "unit/storage/log_fixture.h"

namespace millrace::storage {
namespace {

constexpr ErrorCode kOk = ErrorCode::None;
constexpr ErrorCode kGap = ErrorCode::OutOfOrderSequenceNumber;
constexpr ErrorCode kFenced = ErrorCode::InvalidProducerEpoch;
constexpr ErrorCode kTxn = ErrorCode::InvalidTxnState;
constexpr int32_t kMax = 2'147'483'647;

class Producers {
  public:
    ProducerState state;
    Offset end{0};

    struct Try {
        int16_t epoch = 0;
        int32_t sequence = 0;
        int records = 1;
        bool transactional = false;
        VerificationGuard guard{};
        ProducerState::Source source = ProducerState::Source::Client;
    };
    ErrorCode data(const Try& attempt) {
        const Buffer batch = make_batch({.records = attempt.records, .producer_id = 1,
                                         .producer_epoch = attempt.epoch,
                                         .sequence = attempt.sequence,
                                         .transactional = attempt.transactional});
        return take(batch, {}, attempt.source, attempt.guard, 0);
    }
    ErrorCode marker(int16_t epoch, bool commit, int32_t coordinator_epoch = 0, int version = 1,
                     ProducerState::Source source = ProducerState::Source::Coordinator) {
        const record::EndTxnMarker marker{commit, CoordinatorEpoch(coordinator_epoch)};
        const Buffer batch =
            record::make_end_txn_batch(ProducerId(1), ProducerEpoch(epoch), marker, WallMs{1});
        return take(batch, marker, source, {}, version);
    }
    bool duplicate = false;
    std::optional<CompletedTransaction> completed;

  private:
    ErrorCode take(const Buffer& batch, std::optional<record::EndTxnMarker> marker,
                   ProducerState::Source source, VerificationGuard guard, int version) {
        record::stamp_base_offset({batch.mutable_data(), batch.size()}, end);
        const record::BatchView view(batch.view());
        const ProducerChange change = state.check({view, marker, source, true, guard, version});
        duplicate = change.duplicate.has_value();
        if (change.error != kOk || duplicate) return change.error;
        completed = change.completes;
        state.apply(change);
        end = view.next_offset();
        return kOk;
    }
};

TEST(ProducerSequences, Rules) {
    struct Row {
        const char* name;
        std::vector<Producers::Try> before;
        Producers::Try attempt;
        ErrorCode error;
        bool duplicate;
    };
    for (const Row& row : {
             Row{"unknown producer starts anywhere", {}, {0, 7}, kOk, false},
             Row{"next", {{0, 0, 3}}, {0, 3}, kOk, false},
             Row{"gap", {{0, 0, 3}}, {0, 4}, kGap, false},
             Row{"behind, not a known batch", {{0, 0, 3}}, {0, 1}, kGap, false},
             Row{"duplicate", {{0, 0, 3}}, {0, 0, 3}, kOk, true},
             Row{"same first, other last", {{0, 0, 3}}, {0, 0, 2}, kGap, false},
             Row{"fifth back is a duplicate", {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}}, {0, 0},
                 kOk, true},
             Row{"sixth back is a gap", {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}}, {0, 0},
                 kGap, false},
             Row{"wraps between batches", {{0, kMax}}, {0, 0}, kOk, false},
             Row{"wraps inside a batch", {{0, kMax - 1, 4}}, {0, 2}, kOk, false},
             Row{"duplicate of a wrapped batch", {{0, kMax - 1, 4}}, {0, kMax - 1, 4}, kOk, true},
             Row{"newer epoch from 0", {{0, 5}}, {1, 0}, kOk, false},
             Row{"newer epoch not from 0", {{0, 5}}, {1, 6}, kGap, false},
             Row{"older epoch", {{1, 0}}, {0, 1}, kFenced, false},
             Row{"older epoch is no duplicate", {{0, 0}, {1, 0}}, {0, 0}, kFenced, false},
         }) {
        Producers p;
        for (const auto& step : row.before) ASSERT_EQ(p.data(step), kOk) << row.name;
        EXPECT_EQ(p.data(row.attempt), row.error) << row.name;
        EXPECT_EQ(p.duplicate, row.duplicate) << row.name;
    }
}

TEST(ProducerSequences, CoordinatorAndReplicationSkipThem) {
    Producers p;
    ASSERT_EQ(p.data({3, 0}), kOk);
    EXPECT_EQ(p.data({.epoch = 3, .sequence = 9,
                      .source = ProducerState::Source::Coordinator}), kOk);
    EXPECT_EQ(p.data({.epoch = 2, .sequence = 0,
                      .source = ProducerState::Source::Coordinator}), kFenced);
    EXPECT_EQ(p.data({.epoch = 2, .sequence = 40,
                      .source = ProducerState::Source::Replication}), kOk);
    EXPECT_EQ(p.state.find(ProducerId(1))->epoch, ProducerEpoch(2));
}

TEST(ProducerTransactions, FirstBatchNeedsTheGuard) {
    Producers p;
    const auto guard = [&](int16_t epoch, int32_t sequence, bool bump = false) {
        const auto outcome = p.state.start_verification(ProducerId(1), ProducerEpoch(epoch),
                                                        sequence, bump, WallMs{1});
        EXPECT_EQ(outcome.error, kOk);
        return outcome.guard;
    };
    EXPECT_EQ(p.data({.transactional = true}), kTxn);
    const VerificationGuard first = guard(0, 0);
    EXPECT_EQ(first, guard(0, 0));  // one per producer
    EXPECT_EQ(p.data({.transactional = true, .guard = {first.id + 1}}), kTxn);
    EXPECT_EQ(p.data({.transactional = true, .guard = first}), kOk);
    // Open now: no guard needed, none given.
    EXPECT_EQ(guard(0, 1).id, 0U);
    EXPECT_EQ(p.data({.sequence = 1, .transactional = true}), kOk);
    EXPECT_EQ(p.data({.sequence = 2}), kTxn);  // plain batch inside
    EXPECT_EQ(p.marker(0, true), kOk);
    EXPECT_EQ(p.data({.sequence = 2, .transactional = true, .guard = first}), kTxn);
    // A marker in between makes a guard of transaction version 0 and 1 void.
    const VerificationGuard second = guard(0, 2);
    EXPECT_EQ(p.marker(0, false), kOk);
    EXPECT_EQ(p.data({.sequence = 2, .transactional = true, .guard = second}), kTxn);
    EXPECT_EQ(p.state.start_verification(ProducerId(1), ProducerEpoch(-1), 0, false, WallMs{1})
                  .error, kFenced);
}

TEST(ProducerTransactions, VersionTwoGuardSurvivesTheMarkerOfItsEpoch) {
    Producers p;
    auto guard = p.state.start_verification(ProducerId(1), ProducerEpoch(0), 0, true, WallMs{1});
    EXPECT_EQ(p.data({.sequence = 3, .transactional = true, .guard = guard.guard}), kGap);
    EXPECT_EQ(p.data({.transactional = true, .guard = guard.guard}), kOk);
    // The client goes on at epoch 1 before the marker of the first transaction arrives.
    guard = p.state.start_verification(ProducerId(1), ProducerEpoch(1), 0, true, WallMs{1});
    EXPECT_EQ(p.marker(1, true, 0, 2), kOk);
    EXPECT_EQ(p.data({.epoch = 1, .sequence = 1, .transactional = true, .guard = guard.guard}),
              kGap);
    EXPECT_EQ(p.data({.epoch = 1, .transactional = true, .guard = guard.guard}), kOk);
}

TEST(ProducerTransactions, LowestSequenceSeenBinds) {
    Producers p;
    auto guard = p.state.start_verification(ProducerId(1), ProducerEpoch(0), 5, false, WallMs{1});
    guard = p.state.start_verification(ProducerId(1), ProducerEpoch(0), 2, false, WallMs{1});
    EXPECT_EQ(p.data({.sequence = 5, .transactional = true, .guard = guard.guard}), kGap);
    EXPECT_EQ(p.data({.sequence = 2, .transactional = true, .guard = guard.guard}), kOk);
}

TEST(ProducerMarkers, EpochsAndCoordinators) {
    struct Row {
        const char* name;
        bool open;
        int16_t epoch;
        int32_t coordinator_epoch;
        int version;
        ErrorCode error;
    };
    // The transaction, if any, is open at epoch 4; the stored coordinator epoch is 7.
    for (const Row& row : {
             Row{"version 1, same epoch", true, 4, 7, 1, kOk},
             Row{"version 1, older epoch", true, 3, 7, 1, kFenced},
             Row{"version 2 needs the next epoch", true, 4, 7, 2, kFenced},
             Row{"version 2, next epoch", true, 5, 7, 2, kOk},
             Row{"version 2 repeated, nothing open", false, 4, 7, 2, kOk},
             Row{"newer coordinator", true, 4, 8, 1, kOk},
             Row{"older coordinator", true, 4, 6, 1, ErrorCode::TransactionCoordinatorFenced},
         }) {
        Producers p;
        using Source = ProducerState::Source;
        ASSERT_EQ(p.data({.epoch = 4, .transactional = true, .source = Source::Replication}), kOk);
        ASSERT_EQ(p.marker(4, true, 7, 1, Source::Replication), kOk);
        if (row.open) {
            ASSERT_EQ(p.data({.epoch = 4, .sequence = 1, .transactional = true,
                              .source = Source::Replication}), kOk);
        }
        EXPECT_EQ(p.marker(row.epoch, false, row.coordinator_epoch, row.version), row.error)
            << row.name;
        if (row.error == kOk) {
            EXPECT_EQ(p.completed.has_value(), row.open) << row.name;
        }
    }
}

TEST(ProducerMarkers, NewerEpochForgetsBatches) {
    Producers p;
    ASSERT_EQ(p.data({.epoch = 0, .sequence = 0, .records = 3}), kOk);
    ASSERT_EQ(p.marker(1, true, 0, 2), kOk);
    EXPECT_EQ(p.state.find(ProducerId(1))->last_sequence(), -1);
    EXPECT_EQ(p.data({.epoch = 1, .sequence = 3}), kGap);
    EXPECT_EQ(p.data({.epoch = 1, .sequence = 0}), kOk);
}

TEST(ProducerStable, FollowsOpenAndUnreplicatedTransactions) {
    Producers p;
    using Source = ProducerState::Source;
    EXPECT_FALSE(p.state.first_unstable_offset().has_value());
    ASSERT_EQ(p.data({.source = Source::Replication}), kOk);  // offset 0
    ASSERT_EQ(p.data({.sequence = 1, .transactional = true, .source = Source::Replication}), kOk);
    EXPECT_EQ(p.state.first_unstable_offset(), Offset(1));
    ASSERT_EQ(p.marker(0, false), kOk);  // offset 2
    EXPECT_EQ(p.completed->first_offset, Offset(1));
    EXPECT_TRUE(p.completed->aborted);
    EXPECT_EQ(p.state.stable_offset_after(*p.completed), Offset(3));
    EXPECT_EQ(p.state.first_unstable_offset(), Offset(1));
    p.state.on_high_watermark(Offset(2));
    EXPECT_EQ(p.state.first_unstable_offset(), Offset(1));
    p.state.on_high_watermark(Offset(3));
    EXPECT_FALSE(p.state.first_unstable_offset().has_value());
}

TEST(ProducerExpiry, SparesOpenTransactions) {
    ProducerState state;
    ProducerEntry idle;
    idle.epoch = ProducerEpoch(0);
    idle.last_timestamp = WallMs{1000};
    ProducerEntry open = idle;
    open.current_txn_first_offset = Offset(5);
    state.restore(ProducerId(1), idle);
    state.restore(ProducerId(2), open);
    state.expire(WallMs{1999}, 1000);
    EXPECT_NE(state.find(ProducerId(1)), nullptr);
    state.expire(WallMs{2000}, 1000);
    EXPECT_EQ(state.find(ProducerId(1)), nullptr);
    EXPECT_NE(state.find(ProducerId(2)), nullptr);
    EXPECT_EQ(state.first_unstable_offset(), Offset(5));
}

TEST(ProducerSnapshot, RefusesWhatIsNotWhole) {
    Producers p;
    ASSERT_EQ(p.data({.epoch = 2, .sequence = 7, .records = 3}), kOk);
    const Buffer good = encode_producer_snapshot(&p.state);
    EXPECT_EQ(good.size(), 56U);
    const auto entries = decode_producer_snapshot(good.view());
    ASSERT_TRUE(entries.ok());
    ASSERT_EQ(entries->size(), 1U);
    EXPECT_EQ((*entries)[0].second.last_sequence(), 9);
    EXPECT_EQ((*entries)[0].second.batches[0].first_sequence(), 7);
    for (size_t size = 0; size < good.size(); ++size) {
        EXPECT_FALSE(decode_producer_snapshot(good.view().sub(0, size)).ok());
    }
    for (size_t byte = 0; byte < good.size(); ++byte) {
        const Buffer bad = Buffer::copy_of(good.view());
        bad.mutable_data()[byte] ^= 0x40;
        EXPECT_FALSE(decode_producer_snapshot(bad.view()).ok()) << byte;
    }
}

}  // namespace
}  // namespace millrace::storage
