// tests/unit/record/batch_test.cc: header fields against Kafka's own dump, stamping, sequences.
#include "millrace/record/batch.h"

#include <gtest/gtest.h>

#include <limits>
#include <sstream>

#include "millrace/record/control_record.h"
#include "test_batches.h"

namespace millrace::record {
namespace {

std::string yes_no(bool value) { return value ? "true" : "false"; }

// The line that Kafka's DumpLogSegments prints for a batch.
std::string dump_line(const BatchView& batch, size_t position) {
    std::ostringstream line;
    const bool append_time = batch.timestamp_type() == TimestampType::LogAppendTime;
    line << "baseOffset: " << batch.base_offset().value
         << " lastOffset: " << batch.last_offset().value << " count: " << batch.record_count()
         << " baseSequence: " << batch.base_sequence()
         << " lastSequence: " << batch.last_sequence()
         << " producerId: " << batch.producer_id().value
         << " producerEpoch: " << batch.producer_epoch().value
         << " partitionLeaderEpoch: " << batch.leader_epoch().value
         << " isTransactional: " << yes_no(batch.is_transactional())
         << " isControl: " << yes_no(batch.is_control())
         << " deleteHorizonMs: OptionalLong.empty position: " << position
         << (append_time ? " LogAppendTime: " : " CreateTime: ") << batch.max_timestamp().value
         << " size: " << batch.size_bytes() << " magic: " << int{batch.magic()}
         << " compresscodec: " << compression_name(batch.compression().value())
         << " crc: " << batch.crc() << " isvalid: " << yes_no(batch.valid_crc());
    return line.str();
}

// The line that it prints for a record.
std::string dump_line(const BatchView& batch, const RecordView& record) {
    std::ostringstream line;
    const int32_t sequence = batch.base_sequence() < 0
                                 ? kNoSequence
                                 : increment_sequence(batch.base_sequence(), record.offset_delta);
    line << "| offset: " << record_offset(batch, record).value
         << " CreateTime: " << record_timestamp(batch, record).value
         << " keySize: " << record.key->size << " valueSize: " << record.value->size
         << " sequence: " << sequence << " headerKeys: [";
    HeaderIterator headers = record.headers();
    HeaderView header;
    for (bool first = true; headers.next(header); first = false) {
        line << (first ? "" : ",") << header.key;
    }
    line << "] ";
    if (batch.is_control()) {
        const auto marker = parse_end_txn_marker(*record.key, *record.value).value();
        line << "endTxnMarker: " << (marker.commit ? "COMMIT" : "ABORT")
             << " coordinatorEpoch: " << marker.coordinator_epoch.value;
    } else {
        line << "key: " << record.key->text() << " payload: " << record.value->text();
    }
    return line.str();
}

std::vector<std::string> wanted_lines(const std::string& partition) {
    std::vector<std::string> lines;
    std::istringstream text(read_golden("dump/" + partition + ".txt"));
    for (std::string line; std::getline(text, line);) {
        if (line.starts_with("baseOffset: ") || line.starts_with("| offset: ")) {
            lines.push_back(line);
        }
    }
    return lines;
}

TEST(BatchView, ReadsKafkasFilesAsItsDumpToolDoes) {
    for (const std::string partition : {"codecs-0", "txn-0", "open-0"}) {
        std::vector<std::string> lines;
        for (const std::string& name : golden_logs()) {
            if (!name.starts_with(partition)) continue;
            const std::string bytes = read_golden(name);
            BatchIterator batches(view_of(bytes));
            while (batches.next()) {
                const BatchView batch = batches.batch();
                lines.push_back(dump_line(batch, batches.start()));
                Result<BatchRecords> records = BatchRecords::open(batch);
                ASSERT_TRUE(records.ok()) << records.status().to_string();
                RecordView record;
                while (records->next(record)) lines.push_back(dump_line(batch, record));
                EXPECT_EQ(records->end_reason(), RecordsEnd::Complete);
            }
            EXPECT_EQ(batches.end(), WalkEnd::Clean);
            EXPECT_EQ(batches.valid_bytes(), bytes.size());
        }
        EXPECT_EQ(lines, wanted_lines(partition)) << partition;
    }
}

TEST(StampOffsetAndEpoch, StayOutsideTheChecksum) {
    const Buffer batch = sample_batch(3);
    const uint32_t crc = BatchView(batch).crc();
    stamp_base_offset({batch.mutable_data(), batch.size()}, Offset(123456789012));
    stamp_leader_epoch({batch.mutable_data(), batch.size()}, LeaderEpoch(77));
    const BatchView view(batch);
    EXPECT_EQ(view.base_offset(), Offset(123456789012));
    EXPECT_EQ(view.next_offset(), Offset(123456789015));
    EXPECT_EQ(view.leader_epoch(), LeaderEpoch(77));
    EXPECT_EQ(view.crc(), crc);
    EXPECT_TRUE(view.valid_crc());
}

TEST(StampMaxTimestamp, PatchesTheChecksumWithoutThePayload) {
    for (const int count : {1, 2, 50, 3000}) {
        const Buffer batch = sample_batch(count);
        const MutableByteView bytes{batch.mutable_data(), batch.size()};
        EXPECT_TRUE(stamp_max_timestamp(bytes, TimestampType::LogAppendTime, WallMs{987654321}));
        EXPECT_TRUE(BatchView(batch).valid_crc()) << count;
        EXPECT_EQ(BatchView(batch).timestamp_type(), TimestampType::LogAppendTime);
        EXPECT_EQ(BatchView(batch).max_timestamp(), WallMs{987654321});
        EXPECT_EQ(records_of(BatchView(batch))[0].timestamp, 987654321);
    }
}

TEST(StampMaxTimestamp, LeavesEqualHeadersAlone) {
    // Unknown upper attribute bits survive when nothing has to change, and go when something has.
    const Buffer batch = with_field(sample_batch(1), kAttributesAt, int16_t{0x0280});
    const Buffer before = Buffer::copy_of(batch.view());
    const MutableByteView bytes{batch.mutable_data(), batch.size()};
    EXPECT_FALSE(stamp_max_timestamp(bytes, TimestampType::CreateTime,
                                     BatchView(batch).max_timestamp()));
    EXPECT_EQ(batch, before);
    EXPECT_TRUE(stamp_max_timestamp(bytes, TimestampType::CreateTime, WallMs{5}));
    EXPECT_EQ(BatchView(batch).attributes(), 0);
    EXPECT_TRUE(BatchView(batch).valid_crc());
}

TEST(Sequence, WrapsAfterTheLargestNumber) {
    constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
    EXPECT_EQ(increment_sequence(0, 0), 0);
    EXPECT_EQ(increment_sequence(kMax - 1, 1), kMax);
    EXPECT_EQ(increment_sequence(kMax, 1), 0);
    EXPECT_EQ(increment_sequence(kMax, kMax), kMax - 1);
    BatchOptions options;
    options.producer_id = ProducerId(5);
    options.producer_epoch = ProducerEpoch(0);
    options.base_sequence = kMax - 1;
    EXPECT_EQ(BatchView(sample_batch(4, options)).last_sequence(), 1);
    EXPECT_EQ(BatchView(sample_batch(4)).last_sequence(), kNoSequence);
}

TEST(CompressionNames, BothWays) {
    for (const CompressionType codec : kAllCodecs) {
        EXPECT_EQ(compression_from_name(compression_name(codec)), codec);
        EXPECT_EQ(compression_from_id(static_cast<int>(codec)), codec);
    }
    EXPECT_FALSE(compression_from_name("producer").has_value());
    for (const int id : {-1, 5, 6, 7}) EXPECT_FALSE(compression_from_id(id).has_value());
}

}  // namespace
}  // namespace millrace::record
