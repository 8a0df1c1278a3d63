// tests/unit/storage/cleaner_test.cc: whole cleanings of a log on a simulated disk.
#include "millrace/storage/cleaner.h"

#include <map>
#include <set>

#include "millrace/storage/log_directory.h"
#include "unit/storage/log_fixture.h"

namespace millrace::storage {
namespace {

struct Kept {
    int64_t offset;
    std::string key;
    std::optional<std::string> value;
    friend bool operator==(const Kept&, const Kept&) = default;
};

std::vector<Kept> records_of(const std::string& bytes) {
    std::vector<Kept> all;
    record::BatchIterator walk{ByteView(bytes)};
    while (walk.next()) {
        if (walk.batch().is_control()) continue;
        Result<record::BatchRecords> records = record::BatchRecords::open(walk.batch());
        EXPECT_TRUE(records.ok());
        record::RecordView record;
        while (records->next(record)) {
            Kept kept{record::record_offset(walk.batch(), record).value, "", std::nullopt};
            if (record.key) kept.key = record.key->text();
            if (record.value) kept.value = record.value->text();
            all.push_back(std::move(kept));
        }
    }
    return all;
}

using Records = std::vector<std::pair<std::string, std::optional<std::string>>>;
struct Producer {
    int64_t id = -1;
    int16_t epoch = -1;
    int32_t sequence = -1;
    bool transactional = false;
};

class CleanerWorld : public LogWorld {
  public:
    std::map<int64_t, Kept> written;  // every data record ever appended
    std::set<int64_t> aborted;        // those of aborted transactions, by offset
    CleanerMemory memory;
    uint64_t step_bytes = 1'000;
    CleanerStats stats;

    CleanerWorld() {
        config->cleanup_delete = false;
        config->cleanup_compact = true;
        config->segment_bytes = 1'000;
        config->index_interval_bytes = 100;
        config->segment_index_bytes = 1'200;
        config->transaction_verification = false;
        memory.map_bytes = 24 * 1'000;
        memory.io_buffer_bytes = 300;
    }

    Status write(const Records& records, const Producer& producer = {}) {
        record::BatchOptions options;
        options.producer_id = ProducerId(producer.id);
        options.producer_epoch = ProducerEpoch(producer.epoch);
        options.base_sequence = producer.sequence;
        options.is_transactional = producer.transactional;
        record::BatchBuilder builder;
        builder.start(options);
        for (const auto& [key, value] : records) {
            record::NewRecord record;
            record.timestamp = world.clock.wall();
            record.key = ByteView(key);
            if (value) record.value = ByteView(*value);
            builder.append(record);
        }
        AppendInput input;
        input.batch = builder.finish();
        input.leader_epoch = LeaderEpoch(0);
        input.now = world.clock.wall();
        MILLRACE_TRY_ASSIGN(const AppendOutcome done, log->append(std::move(input)));
        EXPECT_EQ(done.error, ErrorCode::None);
        int64_t offset = done.base_offset.value;
        for (const auto& [key, value] : records) {
            written[offset] = {offset, key, value};
            ++offset;
        }
        return {};
    }
    /// `count` batches of two records over `keys` keys, values by offset.
    Status fill(int count, int keys) {
        for (int i = 0; i < count; ++i) {
            const int64_t at = log->log_end_offset().value;
            const auto pair = [&](int64_t offset) {
                return std::pair<std::string, std::optional<std::string>>{
                    "key-" + std::to_string(offset * 7 % keys), "value-" + std::to_string(offset)};
            };
            MILLRACE_TRY(write({pair(at), pair(at + 1)}));
        }
        return {};
    }
    /// Everything so far becomes cleanable.
    Status seal() {
        log->set_high_watermark(log->log_end_offset());
        MILLRACE_TRY(log->roll(world.clock.wall()));
        return log->flush_blocking();
    }
    /// One cleaning to its end, as the driver does it.
    Result<Offset> clean(std::optional<Offset> checkpoint) {
        MILLRACE_TRY_ASSIGN(const CleaningPlan plan,
                            plan_cleaning(*log, checkpoint, world.clock.wall()));
        if (plan.dirty_bytes == 0) return plan.first_dirty;
        MILLRACE_TRY_ASSIGN(auto job, LogCompaction::create(world.disk, *log, plan, memory,
                                                            world.clock.wall()));
        while (true) {
            auto step = job->step(step_bytes);
            if (!step.ok()) {
                job->discard();
                return step.status();
            }
            if (step->progress == LogCompaction::Progress::Done) break;
            if (step->progress == LogCompaction::Progress::GroupReady) MILLRACE_TRY(job->swap());
        }
        stats = job->stats();
        return job->end_offset();
    }
    std::map<std::string, std::optional<std::string>> latest() const {
        std::map<std::string, std::optional<std::string>> values;
        for (const auto& [offset, kept] : written) {
            if (!aborted.contains(offset)) values[kept.key] = kept.value;
        }
        return values;
    }
    /// Whatever was cleaned: records are those that were written, where they were written, and the
    /// last one of each key is the last one written; a tombstone may be gone.
    void check() {
        const std::vector<Kept> now = records_of(read_all());
        std::map<std::string, std::optional<std::string>> values;
        for (const Kept& kept : now) {
            ASSERT_TRUE(written.contains(kept.offset)) << kept.offset;
            EXPECT_EQ(kept, written.at(kept.offset));
            if (!aborted.contains(kept.offset)) values[kept.key] = kept.value;
        }
        for (const auto& [key, value] : latest()) {
            if (value) {
                EXPECT_EQ(values[key], value) << key;
            } else if (values.contains(key)) {
                EXPECT_EQ(values[key], std::nullopt) << key;
            }
        }
    }
    std::vector<std::string> names() {
        std::vector<std::string> found;
        const auto entries = world.disk.list("/data/t-0");
        EXPECT_TRUE(entries.ok());
        for (const auto& entry : entries.value()) found.push_back(entry.name);
        return found;
    }
    bool has_file_with(const std::string& part) {
        for (const std::string& name : names()) {
            if (name.find(part) != std::string::npos) return true;
        }
        return false;
    }
};

TEST(Cleaner, KeepsOneRecordPerKeyInFewerSegments) {
    CleanerWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.fill(60, 5).ok());
    ASSERT_TRUE(w.seal().ok());
    const size_t segments = w.log->segment_count();
    const Offset end = w.log->log_end_offset();
    ASSERT_GT(segments, 5U);
    EXPECT_EQ(w.clean(std::nullopt).value(), end);
    EXPECT_EQ(w.log->log_end_offset(), end);
    EXPECT_EQ(w.log->log_start_offset(), Offset(0));
    EXPECT_EQ(w.log->segment_count(), segments);  // full ones become one each
    EXPECT_EQ(records_of(w.read_all()).size(), 5U);
    EXPECT_EQ(w.stats.map_keys, 5U);
    EXPECT_EQ(w.stats.records_kept, 5U);
    EXPECT_EQ(w.stats.records_read, 120U);
    w.check();

    // Reads from any offset find the next record behind it.
    for (int64_t at = 0; at < end.value; ++at) {
        ReadInput input;
        input.start_offset = Offset(at);
        input.max_bytes = 100'000;
        input.upper_bound = end;
        input.min_one_message = true;
        const auto read = w.log->read(input);
        ASSERT_TRUE(read.ok());
        EXPECT_EQ(read->error, ErrorCode::None);
        EXPECT_GT(read->records.size(), 0U) << at;
    }

    // Once small, they fit together.
    EXPECT_EQ(w.clean(std::nullopt).value(), end);
    EXPECT_EQ(w.log->segment_count(), 2U);
    w.check();

    // The old files go after the delay; the rest opens again as it was, clean or not.
    EXPECT_TRUE(w.has_file_with(".deleted"));
    w.world.clock.advance(milliseconds(60'001));
    w.store->tick(w.world.clock.now());
    w.world.settle();
    EXPECT_FALSE(w.has_file_with(".deleted"));
    const std::string before = w.read_all();
    ASSERT_TRUE(w.log->close(w.world.clock.wall()).ok());
    ASSERT_TRUE(w.load({.clean = true, .recovery_point = end.value}).ok());
    EXPECT_EQ(w.report.rebuilt_indexes, 0U);
    EXPECT_EQ(w.read_all(), before);
    ASSERT_TRUE(w.load({.clean = false, .recovery_point = 0}).ok());
    EXPECT_EQ(w.read_all(), before);
    EXPECT_EQ(w.log->log_end_offset(), end);
}

TEST(Cleaner, GoesOnWhereItEnded) {
    CleanerWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.fill(30, 5).ok());
    ASSERT_TRUE(w.seal().ok());
    const Offset first = w.clean(std::nullopt).value();
    const CleaningPlan nothing = plan_cleaning(*w.log, first, w.world.clock.wall()).value();
    EXPECT_EQ(nothing.dirty_bytes, 0U);
    EXPECT_GT(nothing.clean_bytes, 0U);
    ASSERT_TRUE(w.fill(30, 3).ok());
    ASSERT_TRUE(w.seal().ok());
    const CleaningPlan plan = plan_cleaning(*w.log, first, w.world.clock.wall()).value();
    EXPECT_EQ(plan.first_dirty, first);
    EXPECT_TRUE(plan.worth_it(*w.config));
    EXPECT_EQ(w.clean(first).value(), w.log->log_end_offset());
    EXPECT_EQ(w.stats.map_keys, 3U);
    EXPECT_EQ(records_of(w.read_all()).size(), 5U);
    w.check();
}

TEST(Cleaner, AFullMapEndsTheRangeEarlyAndEveryRoundMovesOn) {
    CleanerWorld w;
    w.memory.map_bytes = 24 * 8;  // seven keys
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.fill(60, 50).ok());
    ASSERT_TRUE(w.fill(30, 3).ok());
    ASSERT_TRUE(w.seal().ok());
    Offset at(0);
    int rounds = 0;
    while (at < w.log->log_end_offset() && rounds < 100) {
        const Offset next = w.clean(at).value();
        ASSERT_GT(next, at);
        at = next;
        ++rounds;
        w.check();
    }
    EXPECT_GT(rounds, 10);
    EXPECT_EQ(records_of(w.read_all()).size(), 50U);
}

TEST(Cleaner, TombstonesGoInTheCleaningAfterTheirHorizon) {
    CleanerWorld w;
    w.config->delete_retention_ms = 1'000;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.write({{"a", "1"}, {"b", "1"}}).ok());
    ASSERT_TRUE(w.write({{"a", std::nullopt}}).ok());
    ASSERT_TRUE(w.seal().ok());
    Offset at = w.clean(std::nullopt).value();
    EXPECT_EQ(records_of(w.read_all()).size(), 2U);
    const auto again = [&](int64_t wait_ms) {
        w.world.clock.advance(milliseconds(wait_ms));
        EXPECT_TRUE(w.write({{"other", "x"}}).ok());
        EXPECT_TRUE(w.seal().ok());
        at = w.clean(at).value();
        w.check();
        size_t tombstones = 0;
        for (const Kept& kept : records_of(w.read_all())) tombstones += kept.value ? 0 : 1;
        return tombstones;
    };
    EXPECT_EQ(again(999), 1U);
    EXPECT_EQ(again(1), 0U);
}

TEST(Cleaner, ProducersAndTheirSequencesSurvive) {
    CleanerWorld w;
    ASSERT_TRUE(w.create().ok());
    for (int i = 0; i < 30; ++i) {
        ASSERT_TRUE(w.write({{"k", std::to_string(i)}}, {900, 0, i}).ok());
    }
    for (int i = 0; i < 30; ++i) {
        ASSERT_TRUE(w.write({{"k", std::to_string(i)}}, {901, 0, i}).ok());
    }
    ASSERT_TRUE(w.seal().ok());
    ASSERT_TRUE(w.clean(std::nullopt).ok());
    EXPECT_EQ(records_of(w.read_all()).size(), 1U);
    const auto sequence = [&](int64_t id) {
        return w.log->producer(ProducerId(id)).value_or(ProducerView{}).last_sequence;
    };
    EXPECT_EQ(sequence(900), 29);
    // From the log alone: no snapshots, no clean stop.
    for (const std::string& name : w.names()) {
        if (name.ends_with(".snapshot")) {
            ASSERT_TRUE(w.world.disk.remove("/data/t-0/" + name).ok());
        }
    }
    ASSERT_TRUE(w.load({.recovery_point = 0}).ok());
    EXPECT_EQ(sequence(900), 29);
    EXPECT_EQ(sequence(901), 29);
    ASSERT_TRUE(w.write({{"k", "30"}}, {900, 0, 30}).ok());
}

TEST(Cleaner, TransactionsAreCompactedByTheirOutcome) {
    CleanerWorld w;
    w.config->delete_retention_ms = 1'000;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.write({{"a", "old"}, {"b", "old"}}).ok());
    ASSERT_TRUE(w.write({{"a", "aborted"}}, {5, 0, 0, true}).ok());
    ASSERT_TRUE(w.end_transaction(5, 0, false).ok());
    ASSERT_TRUE(w.write({{"b", "committed"}}, {5, 0, 1, true}).ok());
    ASSERT_TRUE(w.end_transaction(5, 0, true).ok());
    ASSERT_TRUE(w.seal().ok());
    // An open transaction ends what may be cleaned.
    ASSERT_TRUE(w.write({{"a", "open"}}, {6, 0, 0, true}).ok());
    w.log->set_high_watermark(w.log->log_end_offset());
    ASSERT_TRUE(w.log->roll(w.world.clock.wall()).ok());
    ASSERT_TRUE(w.log->flush_blocking().ok());
    const CleaningPlan plan = plan_cleaning(*w.log, {}, w.world.clock.wall()).value();
    EXPECT_EQ(plan.first_uncleanable, w.log->last_stable_offset());

    const auto texts = [&] {
        std::vector<std::string> found;
        for (const Kept& kept : records_of(w.read_all())) {
            found.push_back(kept.key + "=" + kept.value.value_or("-"));
        }
        return found;
    };
    const auto aborted_from = [&](int64_t offset) {
        ReadInput input;
        input.start_offset = Offset(offset);
        input.max_bytes = 100'000;
        input.upper_bound = w.log->last_stable_offset();
        input.aborted_transactions = true;
        return w.log->read(input)->aborted.size();
    };
    Offset at = w.clean(std::nullopt).value();
    EXPECT_EQ(texts(), (std::vector<std::string>{"a=old", "b=committed", "a=open"}));
    EXPECT_EQ(aborted_from(0), 1U);  // its marker is still there
    ASSERT_TRUE(w.end_transaction(6, 0, false).ok());
    ASSERT_TRUE(w.write({{"c", "new"}}).ok());
    ASSERT_TRUE(w.seal().ok());
    at = w.clean(at).value();
    EXPECT_EQ(texts(), (std::vector<std::string>{"a=old", "b=committed", "c=new"}));
    EXPECT_EQ(aborted_from(0), 1U);  // now the other one; the first has no data left
    const std::string before = w.read_all();
    ASSERT_TRUE(w.load({.recovery_point = 0}).ok());
    EXPECT_EQ(w.read_all(), before);
}

TEST(Cleaner, TruncationOvertakesItAndLowersTheCheckpoint) {
    CleanerWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.fill(40, 5).ok());
    ASSERT_TRUE(w.seal().ok());
    const CleaningPlan plan = plan_cleaning(*w.log, {}, w.world.clock.wall()).value();
    auto job = LogCompaction::create(w.world.disk, *w.log, plan, w.memory, w.world.clock.wall());
    ASSERT_TRUE(job.ok());
    auto& work = **job;
    while (work.step(500)->progress != LogCompaction::Progress::GroupReady) {
    }
    EXPECT_FALSE(work.overtaken());
    EXPECT_FALSE(take_lowest_truncation(*w.log).has_value());
    ASSERT_TRUE(w.log->truncate_to(Offset(50), w.world.clock.wall()).value());
    ASSERT_TRUE(w.log->truncate_to(Offset(30), w.world.clock.wall()).value());
    EXPECT_TRUE(work.overtaken());
    EXPECT_EQ(work.swap().errc(), Errc::Cancelled);
    work.discard();
    EXPECT_FALSE(w.has_file_with(".cleaned"));
    EXPECT_EQ(take_lowest_truncation(*w.log), Offset(30));
    EXPECT_FALSE(take_lowest_truncation(*w.log).has_value());
}

TEST(Cleaner, TheLogMayGoWhileItIsCleaned) {
    CleanerWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.fill(40, 5).ok());
    ASSERT_TRUE(w.seal().ok());
    const CleaningPlan plan = plan_cleaning(*w.log, {}, w.world.clock.wall()).value();
    auto job = LogCompaction::create(w.world.disk, *w.log, plan, w.memory, w.world.clock.wall());
    ASSERT_TRUE((*job)->step(100).ok());
    ASSERT_TRUE(w.store->remove(kT0, w.world.clock.now(), seconds(60)).ok());
    EXPECT_TRUE((*job)->overtaken());
    Result<LogCompaction::Step> step = (*job)->step(1'000'000);
    EXPECT_FALSE(step.ok());
    (*job)->discard();
}

TEST(Cleaner, ACorruptBatchIsToldNotRewritten) {
    CleanerWorld w;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.fill(40, 5).ok());
    ASSERT_TRUE(w.seal().ok());
    w.world.disk.flip_bit("/data/t-0/00000000000000000000.log", 300, 3);
    const Result<Offset> cleaned = w.clean(std::nullopt);
    ASSERT_FALSE(cleaned.ok());
    EXPECT_EQ(cleaned.status().errc(), Errc::Corrupt);
    EXPECT_FALSE(w.log->failed());
    EXPECT_FALSE(w.has_file_with(".cleaned"));
}

TEST(Cleaner, ALargeBatchPassesSmallBuffers) {
    CleanerWorld w;
    w.config->segment_bytes = 100'000;
    ASSERT_TRUE(w.create().ok());
    ASSERT_TRUE(w.write({{"big", std::string(50'000, 'x')}}).ok());
    ASSERT_TRUE(w.fill(20, 5).ok());
    ASSERT_TRUE(w.seal().ok());
    ASSERT_TRUE(w.clean(std::nullopt).ok());
    EXPECT_EQ(records_of(w.read_all()).size(), 6U);
    w.check();
}

/// Writes, cleans twice, and stops wherever the disk does.
class CrashScript {
  public:
    CleanerWorld w;
    std::unique_ptr<LogDirectory> directory;
    uint64_t before_cleaning = 0;
    int64_t flushed = 0;

    CrashScript() {
        // Longer than the script waits for tombstones: a start forgets idle producers, rightly.
        w.config->producer_id_expiration_ms = 2 * 86'400'000;
    }

    Status run(bool arm, uint64_t halt_at) {
        MILLRACE_TRY_ASSIGN(directory, LogDirectory::open(w.world.disk, "/data"));
        MILLRACE_TRY(w.create());
        for (int i = 0; i < 6; ++i) {
            MILLRACE_TRY(w.write({{"p", std::to_string(i)}}, {900, 0, i}));
            MILLRACE_TRY(w.write({{"t", "x" + std::to_string(i)}}, {5, 0, i, true}));
            if (i % 2 == 1) w.aborted.insert(w.log->log_end_offset().value - 1);
            MILLRACE_TRY(w.end_transaction(5, 0, i % 2 == 0).status());
            MILLRACE_TRY(w.fill(8, 6));
        }
        MILLRACE_TRY(w.write({{"key-1", std::nullopt}}));
        MILLRACE_TRY(w.seal());
        flushed = w.log->recovery_point().value;
        before_cleaning = w.world.disk.steps();
        if (arm) w.world.disk.halt_after(halt_at);
        MILLRACE_TRY_ASSIGN(const Offset at, w.clean(std::nullopt));
        w.world.clock.advance(milliseconds(86'400'001));  // tombstones and markers go
        w.store->tick(w.world.clock.now());
        w.world.settle();
        MILLRACE_TRY(w.fill(6, 4));
        MILLRACE_TRY(w.seal());
        flushed = w.log->recovery_point().value;
        MILLRACE_TRY(w.clean(at).status());
        w.world.clock.advance(milliseconds(60'001));
        w.store->tick(w.world.clock.now());
        w.world.settle();
        return {};
    }
};

TEST(Cleaner, ACrashAfterAnyStepLosesNothing) {
    uint64_t first = 0;
    uint64_t last = 0;
    {
        CrashScript whole;
        const Status done = whole.run(false, 0);
        ASSERT_TRUE(done.ok()) << done.to_string();
        whole.w.check();
        first = whole.before_cleaning;
        last = whole.w.world.disk.steps();
    }
    ASSERT_GT(last, first + 50);
    for (uint64_t halt = first + 1; halt <= last; ++halt) {
        for (const support::CrashStyle style :
             {support::CrashStyle::DropUnsynced, support::CrashStyle::KeepUnsynced,
              support::CrashStyle::Random}) {
            CrashScript script;
            static_cast<void>(script.run(true, halt));
            // What was written but never synced may be gone after the crash.
            CleanerWorld& w = script.w;
            Rng rng(halt * 3 + static_cast<uint64_t>(style));
            w.stop();
            w.world.disk.crash(style, rng);
            w.world.disk.clear_faults();
            const Status loaded = w.load({.recovery_point = script.flushed});
            ASSERT_TRUE(loaded.ok()) << halt << ": " << loaded.to_string();
            ASSERT_GE(w.log->log_end_offset().value, script.flushed) << halt;
            const int64_t end = w.log->log_end_offset().value;
            std::erase_if(w.written, [&](const auto& entry) { return entry.first >= end; });
            w.check();
            EXPECT_FALSE(w.has_file_with(".cleaned")) << halt;
            EXPECT_FALSE(w.has_file_with(".swap")) << halt;
            EXPECT_FALSE(w.has_file_with(".deleted")) << halt;
            const std::optional<ProducerView> producer = w.log->producer(ProducerId(900));
            ASSERT_TRUE(producer.has_value()) << halt;
            EXPECT_EQ(producer->last_sequence, 5) << halt;
            if (::testing::Test::HasFailure()) FAIL() << "at step " << halt;
            // And it can be cleaned again from scratch.
            ASSERT_TRUE(w.seal().ok());
            const auto again = w.clean(std::nullopt);
            ASSERT_TRUE(again.ok()) << halt << ": " << again.status().to_string();
            w.check();
        }
    }
}

TEST(Cleaner, ADiskErrorIsReportedWhereverItHappens) {
    uint64_t first = 0;
    uint64_t last = 0;
    {
        CrashScript whole;
        ASSERT_TRUE(whole.run(false, 0).ok());
        first = whole.before_cleaning;
        last = whole.w.world.disk.steps();
    }
    for (uint64_t at = first + 1; at <= last; ++at) {
        CrashScript script;
        script.w.world.disk.fail_at(at, Errc::IoError);
        const Status status = script.run(false, 0);
        if (status.ok()) {
            EXPECT_FALSE(script.w.failures.empty()) << at;  // the removal of old files
        } else {
            EXPECT_EQ(status.errc(), Errc::IoError) << at;
        }
    }
}

}  // namespace
}  // namespace millrace::storage
