// tests/unit/storage/log_fixture.h: one log on a simulated disk, opened, stopped and crashed.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_iterator.h"
#include "millrace/record/control_record.h"
#include "millrace/storage/log_store.h"
#include "storage/log_state.h"
#include "support/stub_env.h"

namespace millrace::storage {

inline const TopicPartition kT0{"t", PartitionIndex(0)};
inline constexpr Uuid kTopicId{7, 9};

struct BatchSpec {
    int records = 1;
    int64_t timestamp = 1000;
    size_t value_bytes = 10;
    int64_t producer_id = -1;
    int16_t producer_epoch = -1;
    int32_t sequence = -1;
    bool transactional = false;
    std::string key{};
};

inline Buffer make_batch(const BatchSpec& spec) {
    record::BatchOptions options;
    options.producer_id = ProducerId(spec.producer_id);
    options.producer_epoch = ProducerEpoch(spec.producer_epoch);
    options.base_sequence = spec.sequence;
    options.is_transactional = spec.transactional;
    record::BatchBuilder builder;
    builder.start(options);
    const std::string value(spec.value_bytes, 'v');
    for (int i = 0; i < spec.records; ++i) {
        record::NewRecord record;
        record.timestamp = WallMs{spec.timestamp + i};
        if (!spec.key.empty()) record.key = ByteView(spec.key);
        record.value = ByteView(value);
        builder.append(record);
    }
    return builder.finish();
}

/// A whole node's storage as far as one log needs it.
class LogWorld {
  public:
    support::StubWorld world;
    std::shared_ptr<LogConfig> config = std::make_shared<LogConfig>();
    std::unique_ptr<LogStore> store;
    Log* log = nullptr;
    LoadReport report;
    std::vector<Status> failures;

    LogWorld() { config->segment_index_bytes = 4096; }

    void make_store() {
        LogStore::Options options;
        options.path = "/data";
        options.open_files_max = 8;
        options.default_config = config;
        options.on_failure = [this](Status status) { failures.push_back(std::move(status)); };
        store = std::make_unique<LogStore>(world.env(), std::move(options));
    }
    Status create() {
        make_store();
        MILLRACE_TRY_ASSIGN(log, store->create(kT0, kTopicId, config, world.clock.wall()));
        return {};
    }
    struct From {
        bool clean = false;
        int64_t recovery_point = 0;
        int64_t log_start = 0;
        int64_t high_watermark = 0;
    };
    Status load(From from, const TopicPartition& partition = kT0) {
        stop();
        make_store();
        LogLoadJob::Input input;
        input.directory = "/data/" + partition.to_string();
        input.partition = partition;
        input.config = config;
        input.clean = from.clean;
        input.recovery_point = Offset(from.recovery_point);
        input.log_start = Offset(from.log_start);
        input.high_watermark = Offset(from.high_watermark);
        input.now = world.clock.wall();
        auto job = store->make_load_job(std::move(input));
        job->run();
        report = job->report();
        MILLRACE_TRY_ASSIGN(log, store->adopt(std::move(job)));
        return {};
    }
    /// Forgets the process's state without writing anything.
    void stop() {
        log = nullptr;
        store.reset();
        world.background.drop_all();
    }

    Result<AppendOutcome> append(const BatchSpec& spec, int32_t epoch = 0,
                                 AppendOrigin origin = AppendOrigin::Client,
                                 VerificationGuard guard = {}) {
        AppendInput input;
        input.batch = make_batch(spec);
        input.leader_epoch = LeaderEpoch(epoch);
        input.origin = origin;
        input.now = world.clock.wall();
        input.guard = guard;
        return log->append(std::move(input));
    }
    /// Stamped and counted; written with others or when somebody asks.
    Result<AppendOutcome> append_deferred(const BatchSpec& spec) {
        AppendInput input;
        input.batch = make_batch(spec);
        input.leader_epoch = LeaderEpoch(0);
        input.now = world.clock.wall();
        input.may_defer = true;
        return log->append(std::move(input));
    }
    Result<AppendOutcome> end_transaction(int64_t producer, int16_t epoch, bool commit,
                                          int32_t coordinator_epoch = 0, int version = 1) {
        AppendInput input;
        input.batch = record::make_end_txn_batch(ProducerId(producer), ProducerEpoch(epoch),
                                                 {commit, CoordinatorEpoch(coordinator_epoch)},
                                                 world.clock.wall());
        input.leader_epoch = LeaderEpoch(0);
        input.origin = AppendOrigin::Coordinator;
        input.now = world.clock.wall();
        input.transaction_version = version;
        return log->append(std::move(input));
    }
    /// Everything up to the log end as bytes; checks that batches are whole, valid and in order.
    std::string read_all(size_t max_bytes = 1U << 20U) {
        std::string all;
        Offset at = log->log_start_offset();
        while (at < log->log_end_offset()) {
            ReadInput input;
            input.start_offset = at;
            input.max_bytes = max_bytes;
            input.upper_bound = log->log_end_offset();
            input.min_one_message = true;
            Result<ReadOutcome> read = log->read(input);
            EXPECT_TRUE(read.ok()) << read.status().to_string();
            if (!read.ok()) return all;
            EXPECT_EQ(read->error, ErrorCode::None);
            const Buffer bytes = read->records.flatten().value();
            if (bytes.empty()) break;  // the end of a truncated log may be a gap
            record::BatchIterator walk(bytes.view());
            const Offset before = at;
            while (walk.next()) {
                EXPECT_TRUE(walk.batch().valid_crc());
                EXPECT_GE(walk.batch().last_offset(), at);
                at = walk.batch().next_offset();
            }
            EXPECT_GT(at, before);
            if (at <= before) return all;
            all.append(bytes.view().sub(0, walk.valid_bytes()).text());
        }
        return all;
    }
};

}  // namespace millrace::storage
