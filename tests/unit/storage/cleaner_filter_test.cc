// tests/unit/storage/cleaner_filter_test.cc: what single batches become, rule by rule.
#include "storage/cleaner_filter.h"

#include <gtest/gtest.h>

namespace millrace::storage {
namespace {

struct Spec {
    int32_t delta = 0;
    std::string key{};               // empty: null
    std::optional<std::string> value{"v"};  // nothing: a tombstone
    int64_t timestamp = 1000;
};

record::BatchOptions at(int64_t base, int64_t producer = -1, int16_t epoch = -1,
                        int32_t sequence = -1) {
    record::BatchOptions options;
    options.base_offset = Offset(base);
    options.leader_epoch = LeaderEpoch(4);
    options.producer_id = ProducerId(producer);
    options.producer_epoch = ProducerEpoch(epoch);
    options.base_sequence = sequence;
    return options;
}

Buffer batch_of(const record::BatchOptions& options, const std::vector<Spec>& records,
                std::optional<int32_t> last_delta = {}) {
    record::BatchBuilder builder;
    builder.start(options);
    for (const Spec& spec : records) {
        record::NewRecord record;
        record.timestamp = WallMs{spec.timestamp};
        if (!spec.key.empty()) record.key = ByteView(spec.key);
        if (spec.value) record.value = ByteView(*spec.value);
        builder.append_at(spec.delta, record);
    }
    return builder.finish(last_delta);
}

Buffer marker_at(int64_t base, int64_t producer, bool commit) {
    Buffer batch = record::make_end_txn_batch(ProducerId(producer), ProducerEpoch(1),
                                              {commit, CoordinatorEpoch(0)}, WallMs{1000});
    record::stamp_base_offset({batch.mutable_data(), batch.size()}, Offset(base));
    return batch;
}

std::vector<int32_t> deltas_of(ByteView bytes) {
    std::vector<int32_t> deltas;
    Result<record::BatchRecords> records = record::BatchRecords::open(record::BatchView(bytes));
    EXPECT_TRUE(records.ok());
    record::RecordView record;
    while (records->next(record)) deltas.push_back(record.offset_delta);
    EXPECT_EQ(records->end_reason(), record::RecordsEnd::Complete);
    return deltas;
}

/// One filter with everything around it.
struct World {
    FilterRules rules{Offset(1000), WallMs{50'000}, 10'000};
    OffsetMap map{24 * 64, 0.9};
    std::vector<AbortedEntry> aborted{};
    LastRecords last{};
    std::optional<CleanedTransactions> txns{};
    std::optional<CleanerFilter> filter{};

    explicit World(int64_t latest = 999) { map.set_latest_offset(Offset(latest)); }
    void know(const std::string& key, int64_t offset) {
        const Offset latest = map.latest_offset();
        map.put(ByteView(key), Offset(offset));
        map.set_latest_offset(latest);
    }
    CleanerFilter::Outcome apply(const Buffer& batch) {
        if (!filter) {
            txns.emplace(aborted);
            filter.emplace(rules, map, *txns);
        }
        auto outcome = filter->apply(record::BatchView(batch.view()), last);
        EXPECT_TRUE(outcome.ok()) << outcome.status().to_string();
        return outcome.ok() ? std::move(outcome).value() : CleanerFilter::Outcome{};
    }
};

TEST(CleanerFilter, KeepsTheLatestOfEachKeyAndWhatIsBeyondTheMap) {
    World w(20);
    w.know("a", 12);
    w.know("b", 3);
    const Buffer batch = batch_of(at(10), {{0, "a"}, {1, "b"}, {2, "a"}, {3, "c"}, {4, ""}});
    const auto outcome = w.apply(batch);
    ASSERT_TRUE(outcome.kept.has_value());
    // b's map entry lies below it, c was not seen as dirty: both stay. No key: goes.
    EXPECT_EQ(deltas_of(*outcome.kept), (std::vector<int32_t>{1, 2, 3}));
    EXPECT_EQ(outcome.records_read, 5U);
    EXPECT_EQ(outcome.records_kept, 3U);
    EXPECT_EQ(outcome.keyless_records, 1U);

    // Behind the latest offset of the map everything stays, byte for byte.
    w.know("z", 500);
    const Buffer beyond = batch_of(at(21), {{0, "z"}, {1, ""}});
    EXPECT_EQ(*w.apply(beyond).kept, beyond.view());
}

TEST(CleanerFilter, RebuiltBatchKeepsItsPlaceAndItsProducer) {
    World w;
    w.know("a", 12);
    record::BatchOptions options = at(10, 900, 3, 7);
    options.compression = record::CompressionType::Zstd;
    options.is_transactional = true;
    const Buffer batch = batch_of(options, {{0, "a", "old", 5000}, {2, "a", "new", 4000}}, 6);
    const auto outcome = w.apply(batch);
    ASSERT_TRUE(outcome.kept.has_value());
    const record::BatchView kept(*outcome.kept);
    EXPECT_TRUE(kept.valid_crc());
    EXPECT_EQ(kept.base_offset(), Offset(10));
    EXPECT_EQ(kept.last_offset_delta(), 6);
    EXPECT_EQ(kept.leader_epoch(), LeaderEpoch(4));
    EXPECT_EQ(kept.producer_id(), ProducerId(900));
    EXPECT_EQ(kept.producer_epoch(), ProducerEpoch(3));
    EXPECT_EQ(kept.base_sequence(), 7);
    EXPECT_EQ(kept.record_count(), 1);
    EXPECT_EQ(kept.attributes(), record::BatchView(batch.view()).attributes());
    EXPECT_EQ(kept.base_timestamp(), WallMs{4000});
    EXPECT_EQ(kept.max_timestamp(), WallMs{4000});
    EXPECT_EQ(deltas_of(*outcome.kept), (std::vector<int32_t>{2}));
}

TEST(CleanerFilter, LogAppendTimeStays) {
    World w;
    w.know("a", 11);
    record::BatchOptions options = at(10);
    options.timestamp_type = record::TimestampType::LogAppendTime;
    options.log_append_time = WallMs{7777};
    const auto outcome = w.apply(batch_of(options, {{0, "a"}, {1, "a"}}));
    const record::BatchView kept(*outcome.kept);
    EXPECT_EQ(kept.max_timestamp(), WallMs{7777});
    EXPECT_EQ(kept.timestamp_type(), record::TimestampType::LogAppendTime);
}

TEST(CleanerFilter, TombstonesGetAHorizonAndGoWhenItIsOver) {
    World w;
    w.know("a", 10);
    const Buffer batch = batch_of(at(10), {{0, "a", std::nullopt, 1000}, {1, "b", "v", 1007}});
    const auto first = w.apply(batch);
    ASSERT_TRUE(first.kept.has_value());
    const record::BatchView marked(*first.kept);
    EXPECT_TRUE(marked.has_delete_horizon());
    EXPECT_EQ(marked.base_timestamp(), WallMs{60'000});  // now + delete.retention.ms
    EXPECT_EQ(marked.max_timestamp(), WallMs{1007});
    Result<record::BatchRecords> records = record::BatchRecords::open(marked);
    record::RecordView record;
    ASSERT_TRUE(records->next(record));
    EXPECT_EQ(record::record_timestamp(marked, record), WallMs{1000});
    ASSERT_TRUE(records->next(record));
    EXPECT_EQ(record::record_timestamp(marked, record), WallMs{1007});

    const Buffer again = Buffer::copy_of(*first.kept);
    struct Case {
        int64_t now;
        std::vector<int32_t> deltas;
    };
    for (const Case& c : {Case{59'999, {0, 1}}, Case{60'000, {1}}, Case{90'000, {1}}}) {
        World later;
        later.rules.now = WallMs{c.now};
        later.know("a", 10);
        const auto outcome = later.apply(again);
        EXPECT_EQ(deltas_of(*outcome.kept), c.deltas) << c.now;
        const record::BatchView kept(*outcome.kept);
        EXPECT_TRUE(kept.has_delete_horizon());  // set once, kept for good
        EXPECT_EQ(kept.base_timestamp(), WallMs{60'000});
        if (c.now < 60'000) {
            EXPECT_EQ(*outcome.kept, again.view());
        }
    }
}

TEST(CleanerFilter, RetentionForEverDoesNotWrap) {
    World w;
    w.rules.delete_retention_ms = std::numeric_limits<int64_t>::max();
    w.know("a", 10);
    const auto outcome = w.apply(batch_of(at(10), {{0, "a", std::nullopt}}));
    EXPECT_EQ(record::BatchView(*outcome.kept).base_timestamp(),
              WallMs{std::numeric_limits<int64_t>::max()});
}

TEST(CleanerFilter, EmptiedBatches) {
    struct Case {
        const char* what;
        int64_t producer;
        std::optional<LastRecord> last;
        int64_t range_end;
        bool stays;
    };
    const Case cases[] = {
        {"no producer", -1, std::nullopt, 1000, false},
        {"producer no longer known", 900, std::nullopt, 1000, false},
        {"its last batch", 900, LastRecord{Offset(11), ProducerEpoch(0)}, 1000, true},
        {"not its last batch", 900, LastRecord{Offset(15), ProducerEpoch(0)}, 1000, false},
        {"only a marker is known", 900, LastRecord{kNoOffset, ProducerEpoch(0)}, 1000, false},
        {"end of the range", -1, std::nullopt, 12, true},
        {"inside the range", -1, std::nullopt, 13, false},
    };
    for (const Case& c : cases) {
        World w;
        w.rules.range_end = Offset(c.range_end);
        w.know("a", 500);
        const int16_t epoch = c.producer < 0 ? -1 : 0;
        if (c.last) w.last[ProducerId(c.producer)] = *c.last;
        record::BatchOptions options = at(10, c.producer, epoch, epoch);
        options.compression = record::CompressionType::Lz4;
        const auto outcome =
            w.apply(batch_of(options, {{0, "a", "v", 1000}, {1, "a", std::nullopt, 1003}}));
        EXPECT_EQ(outcome.kept.has_value(), c.stays) << c.what;
        if (!outcome.kept) continue;
        const record::BatchView empty(*outcome.kept);
        EXPECT_EQ(empty.size_bytes(), record::kBatchHeaderBytes);
        EXPECT_TRUE(empty.valid_crc());
        EXPECT_EQ(empty.record_count(), 0);
        EXPECT_EQ(empty.attributes(), 0);
        EXPECT_EQ(empty.base_offset(), Offset(10));
        EXPECT_EQ(empty.last_offset_delta(), 1);
        EXPECT_EQ(empty.base_timestamp(), kNoTimestamp);
        EXPECT_EQ(empty.max_timestamp(), WallMs{1003});
        EXPECT_EQ(empty.producer_id(), ProducerId(c.producer));
        EXPECT_EQ(empty.base_sequence(), epoch);
        // Cleaning it again changes nothing.
        EXPECT_EQ(*w.apply(Buffer::copy_of(*outcome.kept)).kept, *outcome.kept) << c.what;
    }
}

record::BatchOptions txn_at(int64_t base, int64_t producer) {
    record::BatchOptions options = at(base, producer, 1, 0);
    options.is_transactional = true;
    return options;
}

TEST(CleanerFilter, AbortedDataGoesItsMarkerStaysUntilTheHorizon) {
    const AbortedEntry entry{ProducerId(5), Offset(10), Offset(14), Offset(15)};
    World w;
    w.aborted = {entry};
    const Buffer data = batch_of(txn_at(10, 5), {{0, "k"}, {1, "l"}});
    const Buffer other = batch_of(txn_at(12, 6), {{0, "m"}});
    EXPECT_FALSE(w.apply(data).kept.has_value());
    EXPECT_TRUE(w.apply(other).kept.has_value());
    const Buffer abort = marker_at(14, 5, false);
    const auto first = w.apply(abort);
    EXPECT_EQ(*first.kept, abort.view());  // data was met in this run
    EXPECT_EQ(first.aborted, entry);
    // The producer's next transaction is not aborted.
    EXPECT_TRUE(w.apply(batch_of(txn_at(15, 5), {{0, "k"}})).kept.has_value());

    // The second run meets no data: the marker gets its horizon, its index entry goes.
    World second;
    second.aborted = {entry};
    const auto marked = second.apply(abort);
    ASSERT_TRUE(marked.kept.has_value());
    EXPECT_FALSE(marked.aborted.has_value());
    const record::BatchView view(*marked.kept);
    EXPECT_TRUE(view.has_delete_horizon());
    EXPECT_TRUE(view.is_control());
    EXPECT_TRUE(view.is_transactional());
    EXPECT_EQ(view.base_timestamp(), WallMs{60'000});
    EXPECT_FALSE(record::read_end_txn_batch(view)->commit);

    World early;
    early.rules.now = WallMs{59'999};
    EXPECT_TRUE(early.apply(Buffer::copy_of(*marked.kept)).kept.has_value());
    World over;
    over.rules.now = WallMs{60'000};
    EXPECT_FALSE(over.apply(Buffer::copy_of(*marked.kept)).kept.has_value());
}

TEST(CleanerFilter, CommitMarkerOutlivesItsData) {
    World w;
    w.know("k", 500);
    EXPECT_FALSE(w.apply(batch_of(txn_at(10, 5), {{0, "k"}})).kept.has_value());
    const Buffer commit = marker_at(11, 5, true);
    EXPECT_EQ(*w.apply(commit).kept, commit.view());  // a batch was met, though it was emptied
    const auto second = w.apply(marker_at(12, 5, true));
    EXPECT_TRUE(record::BatchView(*second.kept).has_delete_horizon());
}

TEST(CleanerFilter, MarkerOfAKnownProducerStaysEvenWhenOver) {
    World w;
    w.last[ProducerId(5)] = {kNoOffset, ProducerEpoch(1)};
    record::BatchOptions options = txn_at(10, 5);
    options.is_control = true;
    options.base_sequence = -1;
    options.delete_horizon = WallMs{100};
    record::BatchBuilder builder;
    builder.start(options);
    const auto key = record::control_key(record::ControlType::Commit);
    const auto value = record::end_txn_value(CoordinatorEpoch(0));
    record::NewRecord record;
    record.timestamp = WallMs{50};
    record.key = ByteView(key.data(), key.size());
    record.value = ByteView(value.data(), value.size());
    builder.append(record);
    const auto outcome = w.apply(builder.finish());
    ASSERT_TRUE(outcome.kept.has_value());
    const record::BatchView empty(*outcome.kept);
    EXPECT_EQ(empty.record_count(), 0);
    EXPECT_EQ(empty.attributes(), record::kTransactionalBit | record::kControlBit);
    EXPECT_EQ(empty.producer_epoch(), ProducerEpoch(1));
    // An emptied control batch goes as soon as nobody needs it.
    World free;
    EXPECT_FALSE(free.apply(Buffer::copy_of(*outcome.kept)).kept.has_value());
}

TEST(CleanerFilter, BadBatchesAreCorrupt) {
    World w;
    const Buffer good = batch_of(at(10), {{0, "a"}, {1, "b"}});
    Buffer codec = Buffer::copy_of(good.view());
    codec.mutable_data()[record::kAttributesAt + 1] = 7;
    Buffer count = Buffer::copy_of(good.view());
    count.mutable_data()[record::kRecordCountAt + 3] = 9;
    Buffer short_end = Buffer::copy_of(good.view());
    short_end.mutable_data()[record::kLastOffsetDeltaAt + 3] = 0;
    w.apply(good);
    for (const Buffer* bad : {&codec, &count, &short_end}) {
        const auto outcome = w.filter->apply(record::BatchView(bad->view()), w.last);
        ASSERT_FALSE(outcome.ok());
        EXPECT_EQ(outcome.status().errc(), Errc::Corrupt);
    }
}

}  // namespace
}  // namespace millrace::storage
