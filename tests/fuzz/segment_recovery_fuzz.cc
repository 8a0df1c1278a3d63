// tests/fuzz/segment_recovery_fuzz.cc: any bytes as a partition folder: opened, read, reopened.
//
// Input: a byte of choices, a byte for the recovery point, then a two-byte length and contents for
// each of the folder's files, in the order of kFiles; the rest is the log. Whatever they hold, the
// log either opens or says why not; what it then serves is whole batches with good checksums, and
// a clean stop leaves a folder that opens with the same contents.
#include <cstdlib>
#include <string>

#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_iterator.h"
#include "millrace/storage/log_store.h"
#include "support/stub_env.h"

namespace millrace::storage {
namespace {

constexpr const char* kFiles[] = {
    "00000000000000000000.index",     "00000000000000000000.timeindex",
    "00000000000000000000.txnindex",  "00000000000000000003.snapshot",
    "leader-epoch-checkpoint",        "partition.metadata",
    "00000000000000000007.log",       "00000000000000000007.index",
    "00000000000000000000.log.swap",
};
constexpr const char* kFolder = "/data/t-0/";

[[noreturn]] void fail(const char* what) {
    fprintf(stderr, "invariant broken: %s\n", what);
    abort();
}

ByteView take(ByteView& from, size_t size) {
    const size_t got = std::min(size, from.size);
    const ByteView taken = from.sub(0, got);
    from = from.from(got);
    return taken;
}

std::unique_ptr<LogLoadJob> load(support::StubWorld& world, bool clean, int64_t point) {
    LogLoadJob::Input input;
    input.directory = "/data/t-0";
    input.partition = {"t", PartitionIndex(0)};
    auto config = std::make_shared<LogConfig>();
    config->segment_bytes = 4096;
    config->segment_index_bytes = 256;
    config->index_interval_bytes = 100;
    config->producer_id_expiration_ms = LogConfig::kForever;
    input.config = config;
    input.clean = clean;
    input.recovery_point = Offset(point);
    auto job = std::make_unique<LogLoadJob>(world.disk, std::move(input));
    job->run();
    return job;
}

std::string read_all(Log& log) {
    std::string all;
    Offset at = log.log_start_offset();
    for (int rounds = 0; at < log.log_end_offset(); ++rounds) {
        ReadInput input;
        input.start_offset = at;
        input.max_bytes = 300;
        input.upper_bound = log.log_end_offset();
        input.min_one_message = true;
        input.aborted_transactions = true;
        const auto read = log.read(input);
        if (!read.ok() || read->error != ErrorCode::None) return all + "!";
        const auto bytes = read->records.flatten();
        record::BatchIterator walk(bytes->view());
        const Offset before = at;
        while (walk.next()) at = walk.batch().next_offset();
        if (at <= before) return all;  // the log's end lies in a gap
        all.append(bytes->view().sub(0, walk.valid_bytes()).text());
    }
    return all;
}

void check(ByteView input) {
    if (input.size < 2) return;
    const uint8_t choices = input[0];
    const int64_t point = input[1] % 16;
    input = input.from(2);
    support::StubWorld world;
    for (size_t i = 0; i < std::size(kFiles); ++i) {
        const ByteView length = take(input, 2);
        if (length.size < 2) break;
        const ByteView contents = take(input, static_cast<size_t>(length[0]) * 256 + length[1]);
        const bool last = i + 1 == std::size(kFiles);
        if ((choices >> (i % 7) & 1) == 0 || (last && contents.empty())) continue;
        world.disk.put(std::string(kFolder) + kFiles[i], std::string(contents.text()));
    }
    world.disk.put(std::string(kFolder) + "00000000000000000000.log", std::string(input.text()));
    const bool clean = (choices & 0x80) != 0;
    auto first = load(world, clean, point);
    if (!first->status().ok()) return;
    LogStore store(world.env(), {.path = "/data", .default_config = {}, .on_failure = {}});
    Log* log = store.adopt(std::move(first)).value();
    const std::string before = read_all(*log);
    if (clean) return;  // trusted as it is: nothing more is promised
    record::BatchIterator walk{ByteView(before)};
    while (walk.next()) {
        if (!walk.batch().valid_crc()) fail("a bad checksum is served");
    }
    if (walk.end() != record::WalkEnd::Clean) fail("recovery left something that is no batch");
    record::BatchBuilder builder;
    builder.start({});
    builder.append({});
    AppendInput append;
    append.batch = builder.finish();
    append.leader_epoch = log->latest_epoch();
    const auto added = log->append(std::move(append));
    if (!added.ok() || added->error != ErrorCode::None) fail("a recovered log takes appends");
    const std::string after = read_all(*log);
    const Offset end = log->log_end_offset();
    if (!log->close(WallMs{1}).ok()) fail("a recovered log closes");
    auto again = load(world, true, end.value);
    if (!again->status().ok()) fail("a clean stop can be opened");
    if (again->report().rebuilt_indexes > 0) fail("a clean stop leaves good indexes");
    LogStore second(world.env(), {.path = "/data", .default_config = {}, .on_failure = {}});
    Log* reopened = second.adopt(std::move(again)).value();
    if (reopened->log_end_offset() != end) fail("the same end after a clean stop");
    if (read_all(*reopened) != after) fail("the same contents after a clean stop");
}

}  // namespace
}  // namespace millrace::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::storage::check({data, size});
    return 0;
}
