// tests/unit/storage/log_crash_test.cc: a crash, or a failing disk, after every single step.
//
// A script exercises a log while every state it should have is noted. It is run again and again,
// stopped after step 1, 2, 3, ... of the disk; then power fails, the log is opened, and must be a
// prefix of a noted state, hold everything that was synced, and serve no bad checksum.
#include <map>

#include "unit/storage/log_fixture.h"

namespace millrace::storage {
namespace {

using Batches = std::map<int64_t, std::string>;  // by base offset

Batches split(const std::string& bytes) {
    Batches batches;
    record::BatchIterator walk{ByteView(bytes)};
    while (walk.next()) {
        batches[walk.batch().base_offset().value] = std::string(walk.batch().bytes().text());
    }
    return batches;
}

int64_t end_of(const Batches& batches) {
    if (batches.empty()) return 0;
    const record::BatchView last{ByteView(batches.rbegin()->second)};
    return last.next_offset().value;
}

/// One run of the script over a world whose disk may stop at any moment.
class Script {
  public:
    LogWorld w;
    std::unique_ptr<LogDirectory> directory;
    std::vector<Batches> states;  // every state the log legally had
    Batches now;
    int64_t synced = 0;  // the log must not end below this
    std::optional<int64_t> truncating_to;
    bool failed = false;

    /// What a killed process leaves: everything written, but for a truncation under way.
    int64_t written() const {
        return std::min(end_of(now), truncating_to.value_or(LogConfig::kForever));
    }

    Script() {
        w.config->segment_bytes = 1200;
        w.config->index_interval_bytes = 150;
        w.config->segment_index_bytes = 600;
        w.config->transaction_verification = false;
    }

    void run() {
        step([&] {
            Result<std::unique_ptr<LogDirectory>> opened =
                LogDirectory::open(w.world.disk, "/data");
            if (!opened.ok()) return opened.status();
            directory = std::move(opened).value();
            MILLRACE_TRY(directory->remove_clean_marker());
            return w.create();
        });
        append(6, 0);
        flush();
        transaction(1, false, 0);
        append(5, 0);
        checkpoint();
        append(8, 1);
        truncate(11);
        append(3, 2);
        flush();
        checkpoint();
        transaction(2, true, 2);
        append(10, 2);
        truncate(17);  // above the recovery point
        append(9, 3);
        flush();
        checkpoint();
        truncate(20);  // below it
        append(4, 4);
        retention();
        append(6, 4);
        flush();
        append(2, 5);
    }

  private:
    template <class Body>
    void step(Body body) {
        if (failed) return;
        const Status status = body();
        if (!status.ok()) failed = true;
        note();
    }
    void note() {
        if (w.log == nullptr) return;
        states.push_back(now);
        if (!w.log->failed()) synced = std::max(synced, w.log->recovery_point().value);
    }
    Status add(const Result<AppendOutcome>& done, const Buffer& sent) {
        MILLRACE_TRY(done.status());
        EXPECT_EQ(done->error, ErrorCode::None);
        now[done->base_offset.value] = std::string(sent.text());
        return {};
    }
    Status append_batch(Buffer batch, int32_t epoch, AppendOrigin origin) {
        AppendInput input;
        input.batch = batch;
        input.leader_epoch = LeaderEpoch(epoch);
        input.origin = origin;
        input.now = w.world.clock.wall();
        // In the log or not, when the write fails: both are legal.
        Batches with = now;
        record::stamp_base_offset({batch.mutable_data(), batch.size()}, w.log->log_end_offset());
        record::stamp_leader_epoch({batch.mutable_data(), batch.size()}, LeaderEpoch(epoch));
        with[w.log->log_end_offset().value] = std::string(batch.text());
        states.push_back(std::move(with));
        return add(w.log->append(std::move(input)), batch);
    }
    void append(int count, int32_t epoch) {
        for (int i = 0; i < count; ++i) {
            step([&] {
                BatchSpec spec{.records = 1 + i % 2, .timestamp = 1000 + 10 * i,
                               .value_bytes = static_cast<size_t>(20 + 37 * i + epoch)};
                return append_batch(make_batch(spec), epoch, AppendOrigin::Client);
            });
        }
    }
    void transaction(int64_t producer, bool commit, int32_t epoch) {
        step([&] {
            return append_batch(make_batch({.producer_id = producer, .producer_epoch = 0,
                                            .sequence = 0, .transactional = true}),
                                epoch, AppendOrigin::Client);
        });
        step([&] {
            return append_batch(record::make_end_txn_batch(ProducerId(producer), ProducerEpoch(0),
                                                           {commit, CoordinatorEpoch(0)},
                                                           WallMs{1500}),
                                epoch, AppendOrigin::Coordinator);
        });
    }
    void flush() {
        step([&] {
            Status result;
            w.log->flush_async([&](Status status) { result = std::move(status); });
            w.world.settle();
            return result;
        });
    }
    void checkpoint() {
        step([&] {
            return directory->write_checkpoint(CheckpointKind::RecoveryPoint,
                                               w.store->recovery_points());
        });
    }
    void truncate(int64_t offset) {
        step([&]() -> Status {
            synced = std::min(synced, offset);
            truncating_to = offset;
            const int64_t before = w.log->recovery_point().value;
            const Result<bool> done = w.log->truncate_to(Offset(offset), w.world.clock.wall());
            MILLRACE_TRY(done.status());
            const int64_t end = w.log->log_end_offset().value;
            EXPECT_LE(w.log->recovery_point().value, std::min(before, end));
            synced = std::min(synced, end);
            now.erase(now.lower_bound(end), now.end());
            truncating_to.reset();
            return {};
        });
    }
    void retention() {
        step([&]() -> Status {
            w.log->set_high_watermark(w.log->log_end_offset());
            w.config->retention_bytes = 2500;
            return w.log->delete_old_segments(w.world.clock.wall()).status();
        });
    }
};

/// `found` must be a state's batches below its end; the oldest may be gone by retention.
bool prefix_of(const Batches& found, int64_t found_end, int64_t log_start, const Batches& state) {
    for (const auto& [base, bytes] : found) {
        const auto at = state.find(base);
        if (at == state.end() || at->second != bytes) return false;
    }
    for (const auto& [base, bytes] : state) {
        const record::BatchView batch{ByteView(bytes)};
        if (batch.last_offset().value < log_start || base >= found_end) continue;
        if (!found.contains(base)) return false;
    }
    return true;
}

void reopen_and_check(Script& script, const std::string& what) {
    SCOPED_TRACE(what);
    LogWorld& w = script.w;
    const size_t legal = script.states.size();
    script.directory.reset();
    w.world.disk.clear_faults();
    const auto directory = LogDirectory::open(w.world.disk, "/data");
    ASSERT_TRUE(directory.ok()) << directory.status().to_string();
    const auto points = (*directory)->read_checkpoint(CheckpointKind::RecoveryPoint);
    ASSERT_TRUE(points.ok()) << points.status().to_string();
    const auto folder = w.world.disk.stat("/data/t-0");
    if (!folder->has_value()) {
        EXPECT_EQ(script.synced, 0);
        return;
    }
    const auto point = points->find(kT0);
    const Status loaded =
        w.load({.recovery_point = point == points->end() ? 0 : point->second.value});
    ASSERT_TRUE(loaded.ok()) << loaded.to_string();
    const Batches found = split(w.read_all());
    const int64_t end = w.log->log_end_offset().value;
    EXPECT_GE(end, script.synced);
    if (!found.empty()) {
        EXPECT_EQ(end_of(found), end);
    }
    bool legal_prefix = legal == 0 && found.empty();
    for (size_t i = legal; i > 0 && !legal_prefix; --i) {
        legal_prefix =
            prefix_of(found, end, w.log->log_start_offset().value, script.states[i - 1]);
    }
    EXPECT_TRUE(legal_prefix) << "log end " << end << ", " << found.size() << " batches";
    EXPECT_FALSE(w.world.disk.stat("/data/t-0/recovery-point-lowered")->has_value() &&
                 script.states.size() < 3);
    // It goes on working, and a clean stop after it is trusted.
    ASSERT_TRUE(w.append({.timestamp = 5000}, 9).ok());
    const std::string all = w.read_all();
    ASSERT_TRUE(w.store->close_all(w.world.clock.wall()).ok());
    ASSERT_TRUE(w.load({.clean = true}).ok());
    EXPECT_EQ(w.report.rebuilt_indexes, 0U);
    EXPECT_EQ(w.log->log_end_offset(), Offset(end + 1));
    EXPECT_EQ(w.read_all(), all);
    for (const auto& [base, bytes] : split(all)) {
        ReadInput input;
        input.start_offset = Offset(base);
        input.max_bytes = bytes.size();
        input.upper_bound = w.log->log_end_offset();
        EXPECT_EQ(w.log->read(input)->records.flatten()->text(), bytes);
    }
}

uint64_t steps_of_whole_run() {
    Script script;
    script.run();
    EXPECT_FALSE(script.failed);
    EXPECT_EQ(split(script.w.read_all()).size(), [&] {
        size_t kept = 0;
        for (const auto& [base, bytes] : script.now) {
            if (base >= script.w.log->log_start_offset().value) ++kept;
        }
        return kept;
    }());
    return script.w.world.disk.steps();
}

TEST(LogCrash, PowerFailsAfterEveryStep) {
    const uint64_t steps = steps_of_whole_run();
    ASSERT_GT(steps, 150U);
    for (uint64_t stop = 1; stop <= steps; ++stop) {
        for (const uint64_t seed : {0U, 1U, 2U}) {
            Script script;
            script.w.world.disk.halt_after(stop);
            script.run();
            Rng rng(stop * 31 + seed);
            const auto style =
                seed == 0 ? support::CrashStyle::DropUnsynced : support::CrashStyle::Random;
            script.w.stop();
            script.w.world.disk.crash(style, rng);
            reopen_and_check(script,
                             "stop " + std::to_string(stop) + " seed " + std::to_string(seed));
            if (HasFailure()) return;
        }
    }
}

TEST(LogCrash, ProcessKilledAfterEveryStepLosesNothingWritten) {
    const uint64_t steps = steps_of_whole_run();
    for (uint64_t stop = 1; stop <= steps; ++stop) {
        Script script;
        script.w.world.disk.halt_after(stop);
        script.run();
        // Everything an append answered for must be there.
        script.synced = std::max(script.synced, script.written());
        script.w.stop();
        script.w.world.disk.kill_process();
        reopen_and_check(script, "killed after " + std::to_string(stop));
        if (HasFailure()) return;
    }
}

TEST(LogCrash, DiskFailsAtEveryStep) {
    const uint64_t steps = steps_of_whole_run();
    for (uint64_t step = 1; step <= steps; ++step) {
        for (const Errc errc : {Errc::IoError, Errc::NoSpace}) {
            Script script;
            script.w.world.disk.fail_at(step, errc);
            script.run();
            const bool noticed = script.failed || !script.w.failures.empty() ||
                                 (script.w.log != nullptr && script.w.log->failed());
            EXPECT_TRUE(noticed) << "step " << step << " failed and nobody knows";
            script.w.stop();
            Rng rng(step);
            script.w.world.disk.crash(support::CrashStyle::Random, rng);
            reopen_and_check(script, "failed step " + std::to_string(step));
            if (HasFailure()) return;
        }
    }
}

}  // namespace
}  // namespace millrace::storage
