// tests/fuzz/batch_decode_fuzz.cc: any bytes through every reader and judge of record batches.
//
// The first byte picks the rules; the rest is a fetch response and a produce request. Checksums
// are repaired in a second pass, otherwise nothing would get past them. What validate_produce
// accepts must be readable in full.
#include <cstdint>
#include <cstdlib>

#include "millrace/record/batch_iterator.h"
#include "millrace/record/batch_validate.h"
#include "millrace/record/control_record.h"

namespace {

using namespace millrace;
using namespace millrace::record;

constexpr uint64_t kInflatedMax = 1 << 20;

// Returns whether every record was readable.
bool read_all(const BatchView& batch) {
    Result<BatchRecords> records = BatchRecords::open(batch, 2 * kInflatedMax);
    if (!records.ok()) return false;
    RecordView record;
    uint64_t sum = 0;
    while (records->next(record)) {
        HeaderIterator headers = record.headers();
        HeaderView header;
        while (headers.next(header)) sum += header.key.size();
        sum += static_cast<uint64_t>(record_timestamp(batch, record).value);
        if (record.key) (void)parse_control_key(*record.key);
    }
    (void)read_end_txn_batch(batch);
    return records->end_reason() == RecordsEnd::Complete && sum + 1 != 0;
}

void judge(ByteView bytes, uint8_t choice) {
    static ValidateScratch scratch;
    ProduceRules rules;
    rules.inflated_bytes_max = kInflatedMax;
    rules.compacted = (choice & 1) != 0;
    if ((choice & 2) != 0) rules.timestamp_type = TimestampType::LogAppendTime;
    rules.target = compression_from_id((choice >> 2) & 7);
    const ProduceShape shape = check_produce_shape(bytes, 13);
    if (shape.error != ErrorCode::None) return;
    Buffer batch = Buffer::copy_of(bytes.sub(0, shape.batch_bytes));
    if ((choice & 0x80) != 0 && batch.size() >= kBatchHeaderBytes) {
        store_big(batch.mutable_data() + kCrcAt, BatchView(batch).compute_crc());
    }
    const ProduceVerdict verdict =
        validate_produce(batch, rules, {"t", PartitionIndex(0)}, WallMs{1 << 30}, scratch);
    if (!verdict.ok()) return;
    const BatchView view(batch);
    if (!view.valid_crc() || !read_all(view)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const ByteView bytes(data + 1, size - 1);
    BatchIterator batches(bytes);
    while (batches.next()) read_all(batches.batch());
    judge(bytes, data[0]);
    return 0;
}
