// tools/cli/log_dump.cc: `log dump`: the contents of log files, in the words of Kafka's dumper.
//
// Line for line what Apache Kafka's DumpLogSegments prints for the same files, so that the two can
// be compared with diff. Mismatches between a log and its indexes go to standard error, as there.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <limits>

#include "cli/control_text.h"
#include "cli/log_dump_json.h"
#include "cli/log_file.h"
#include "cli/output.h"
#include "cli/record_json.h"
#include "millrace/base/crc32c.h"
#include "millrace/base/endian.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::cli {
namespace {

struct Options {
    std::vector<std::string> files;
    bool print_data = false;
    bool deep = false;
    bool skip_metadata = false;
    bool verify_only = false;
    RecordDecoder decoder = RecordDecoder::Bytes;
};

struct DecoderFlag {
    const char* name;
    RecordDecoder decoder;
    const char* text;
};
constexpr DecoderFlag kDecoders[] = {
    {"--offsets-decoder", RecordDecoder::Offsets, "records of __consumer_offsets as JSON"},
    {"--transaction-log-decoder", RecordDecoder::Transactions,
     "records of __transaction_state as JSON"},
    {"--cluster-metadata-decoder", RecordDecoder::Metadata,
     "records of __cluster_metadata as JSON"},
    {"--share-group-state-decoder", RecordDecoder::ShareState,
     "records of __share_group_state as JSON"},
};

const char* timestamp_word(const record::BatchView& batch) {
    return batch.timestamp_type() == record::TimestampType::CreateTime ? "CreateTime"
                                                                       : "LogAppendTime";
}

std::string batch_line(const record::BatchView& batch, size_t position) {
    const auto codec = batch.compression();
    const std::string horizon = batch.has_delete_horizon()
                                    ? fmt::format("OptionalLong[{}]", batch.base_timestamp().value)
                                    : "OptionalLong.empty";
    return fmt::format(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} "
        "producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} "
        "deleteHorizonMs: {} position: {} {}: {} size: {} magic: {} compresscodec: {} crc: {} "
        "isvalid: {}",
        batch.base_offset().value, batch.last_offset().value, batch.record_count(),
        batch.base_sequence(), batch.last_sequence(), batch.producer_id().value,
        batch.producer_epoch().value, batch.leader_epoch().value, batch.is_transactional(),
        batch.is_control(), horizon, position, timestamp_word(batch), batch.max_timestamp().value,
        batch.size_bytes(), batch.magic(), codec ? record::compression_name(*codec) : "?",
        batch.crc(), batch.valid_crc());
}

int32_t sequence_of(const record::BatchView& batch, const record::RecordView& record) {
    if (batch.base_sequence() == record::kNoSequence) return record::kNoSequence;
    return record::increment_sequence(batch.base_sequence(), record.offset_delta);
}

std::string record_line(const Options& options, const record::BatchView& batch,
                        const record::RecordView& record) {
    std::string line;
    if (!options.skip_metadata) {
        const auto size = [](const std::optional<ByteView>& bytes) {
            return bytes ? static_cast<int64_t>(bytes->size) : -1;
        };
        std::string keys;
        record::HeaderView header;
        for (auto walk = record.headers(); walk.next(header);) {
            keys += (keys.empty() ? "" : ",") + std::string(header.key);
        }
        line = fmt::format(
            "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
            record::record_offset(batch, record).value, timestamp_word(batch),
            record::record_timestamp(batch, record).value, size(record.key), size(record.value),
            sequence_of(batch, record), keys);
        if (batch.is_control()) line += control_text(record);
    }
    if (options.print_data && !batch.is_control()) {
        const DecodedRecord decoded = decode_record(
            options.decoder, record::record_offset(batch, record).value, record.key, record.value);
        std::string prefix = options.skip_metadata ? "| " : " ";
        if (decoded.key) {
            line += prefix + "key: " + *decoded.key;
            prefix = " ";
        }
        if (decoded.payload) line += prefix + "payload: " + *decoded.payload;
    }
    return line;
}

void dump_records(const Options& options, const record::BatchView& batch, int64_t& last_offset,
                  std::vector<std::pair<int64_t, int64_t>>& gaps) {
    auto records = record::BatchRecords::open(batch);
    if (!records.ok()) {
        throw Failure{kFailed,
                      fmt::format("the batch at offset {} cannot be read: {}",
                                  batch.base_offset().value, records.status().message()),
                      ""};
    }
    record::RecordView record;
    while (records->next(record)) {
        const int64_t offset = record::record_offset(batch, record).value;
        if (offset != last_offset + 1) gaps.emplace_back(last_offset, offset);
        last_offset = offset;
        std::cout << record_line(options, batch, record) << '\n';
    }
}

void dump_log(const Options& options, const std::string& path) {
    const std::string name = name_of(path);
    if (name.ends_with(".log")) {
        std::cout << "Log starting offset: " << offset_in_name(path).value_or(0) << '\n';
    } else if (name == "bootstrap.checkpoint") {
        std::cout << "KRaft bootstrap snapshot\n";
    } else if (name.size() > 31) {
        std::cout << fmt::format("Snapshot end offset: {}, epoch: {}\n",
                                 std::atoll(name.substr(0, 20).c_str()),
                                 std::atoll(name.substr(21, 10).c_str()));
    }
    const Buffer bytes = read_log_file(path);
    record::BatchIterator batches(bytes.view());
    int64_t last_offset = -1;
    std::vector<std::pair<int64_t, int64_t>> gaps;
    while (batches.next()) {
        std::cout << batch_line(batches.batch(), batches.start()) << '\n';
        if (options.deep) dump_records(options, batches.batch(), last_offset, gaps);
    }
    const size_t left = bytes.size() - batches.valid_bytes();
    if (left > 0) {
        std::cout << fmt::format("Found {} invalid bytes at the end of {}\n", left, name);
    }
    if (gaps.empty()) return;
    std::cerr << "Non-consecutive offsets in " << path << '\n';
    for (const auto& [before, after] : gaps) {
        std::cerr << fmt::format("  {} is followed by {}\n", before, after);
    }
}

/// Last offset of the batch that starts at `position`, if one does.
std::optional<int64_t> last_offset_at(const Buffer& log, int32_t position) {
    if (position < 0 || static_cast<size_t>(position) >= log.size()) return std::nullopt;
    record::BatchIterator batches(log.view().from(static_cast<size_t>(position)));
    if (!batches.next()) return std::nullopt;
    return batches.batch().last_offset().value;
}

void dump_index(const Options& options, const std::string& path) {
    const Buffer bytes = read_log_file(path);
    const auto entries = index_entries(bytes, offset_in_name(path).value_or(0));
    if (bytes.empty() ||
        (entries.size() == 1 && entries[0].position == 0 && load_big<int64_t>(bytes.data()) == 0)) {
        std::cout << path << " is empty.\n";
        return;
    }
    const Buffer log = read_log_file(with_extension(path, ".log"));
    std::vector<std::string> mismatches;
    for (const IndexEntry& entry : entries) {
        const int64_t found = last_offset_at(log, entry.position).value_or(-1);
        if (found != entry.offset) {
            mismatches.insert(mismatches.begin(), fmt::format("  Index offset: {}, log offset: {}",
                                                              entry.offset, found));
        }
        if (!options.verify_only) {
            std::cout << fmt::format("offset: {} position: {}\n", entry.offset, entry.position);
        }
    }
    if (mismatches.empty()) return;
    std::cerr << "Mismatches in :" << path << '\n';
    for (const std::string& line : mismatches)
        std::cerr << line << '\n';
}

void dump_time_index(const Options& options, const std::string& path) {
    const Buffer bytes = read_log_file(path);
    if (options.verify_only) return;
    for (const TimeEntry& entry : time_entries(bytes, offset_in_name(path).value_or(0))) {
        std::cout << fmt::format("timestamp: {} offset: {}\n", entry.timestamp, entry.offset);
    }
}

void dump_txn_index(const std::string& path) {
    constexpr size_t kEntryBytes = 34;
    const Buffer bytes = read_log_file(path);
    for (size_t at = 0; at + kEntryBytes <= bytes.size(); at += kEntryBytes) {
        const uint8_t* e = bytes.data() + at;
        std::cout << fmt::format(
            "version: {} producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}\n",
            load_big<int16_t>(e), load_big<int64_t>(e + 2), load_big<int64_t>(e + 10),
            load_big<int64_t>(e + 18), load_big<int64_t>(e + 26));
    }
}

/// int16 version, uint32 checksum, int32 count, then 46 bytes for each producer.
void dump_producers(const std::string& path) {
    constexpr size_t kHeadBytes = 10;
    constexpr size_t kEntryBytes = 46;
    const Buffer bytes = read_log_file(path);
    if (bytes.size() < kHeadBytes || (bytes.size() - kHeadBytes) % kEntryBytes != 0) {
        std::cerr << "Snapshot failed schema validation: it has " << bytes.size() << " bytes\n";
        return;
    }
    const uint32_t stored = load_big<uint32_t>(bytes.data() + 2);
    const uint32_t computed = crc32c(bytes.view().from(6));
    if (stored != computed) {
        std::cerr << fmt::format(
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: {}. Computed crc: {}\n",
            stored, computed);
        return;
    }
    for (size_t at = kHeadBytes; at + kEntryBytes <= bytes.size(); at += kEntryBytes) {
        const uint8_t* e = bytes.data() + at;
        const int32_t last_sequence = load_big<int32_t>(e + 10);
        const int64_t last_offset = load_big<int64_t>(e + 14);
        const int32_t delta = load_big<int32_t>(e + 22);
        const int64_t timestamp = load_big<int64_t>(e + 26);
        const int64_t first_of_txn = load_big<int64_t>(e + 38);
        std::cout << fmt::format(
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} "
            "lastTimestamp: {}",
            load_big<int64_t>(e), load_big<int16_t>(e + 8), load_big<int32_t>(e + 34),
            first_of_txn >= 0 ? fmt::format("OptionalLong[{}]", first_of_txn)
                              : std::string("OptionalLong.empty"),
            timestamp);
        if (last_offset >= 0) {
            // Sequences wrap: the first one of a batch that crossed the top lies behind the last.
            int64_t first = int64_t{last_sequence} - delta;
            if (first < 0) first += int64_t{std::numeric_limits<int32_t>::max()} + 1;
            std::cout << fmt::format(
                " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                first, last_sequence, last_offset, delta, timestamp);
        }
        std::cout << '\n';
    }
}

/// A file of no kind that we know is passed over, as Kafka's dumper does; one that is not there is
/// an error.
void check_exists(const std::string& path) {
    if (::access(path.c_str(), F_OK) == 0) return;
    throw Failure{kNotFound, fmt::format("cannot read {}: {}", path, std::strerror(errno)),
                  "give the path of a file that is there and readable"};
}

void dump(const Options& options) {
    for (const std::string& path : options.files) {
        std::cout << "Dumping " << path << '\n';
        if (path.ends_with(".log") || path.ends_with(".checkpoint"))
            dump_log(options, path);
        else if (path.ends_with(".index"))
            dump_index(options, path);
        else if (path.ends_with(".timeindex"))
            dump_time_index(options, path);
        else if (path.ends_with(".txnindex"))
            dump_txn_index(path);
        else if (path.ends_with(".snapshot"))
            dump_producers(path);
        else {
            check_exists(path);
            std::cerr << "Ignoring unknown file " << path << '\n';
        }
    }
}

}  // namespace

void add_log_dump(CLI::App& log, Context& context) {
    CLI::App* command = log.add_subcommand("dump", "print log, index and snapshot files");
    auto options = std::make_shared<Options>();
    command->add_option("file", options->files, "files of a partition's directory")->required();
    command->add_flag("--print-data-log", options->print_data, "keys and values too");
    command->add_flag("--deep-iteration", options->deep, "records, not only batches");
    command->add_flag("--skip-record-metadata", options->skip_metadata, "keys and values alone");
    command->add_flag("--verify-index-only", options->verify_only, "check indexes, print nothing");
    std::vector<CLI::Option*> flags;
    for (const DecoderFlag& flag : kDecoders) {
        flags.push_back(command->add_flag_callback(
            flag.name, [options, &flag] { options->decoder = flag.decoder; }, flag.text));
    }
    for (CLI::Option* one : flags) {
        for (CLI::Option* other : flags)
            if (one != other) one->excludes(other);
    }
    add_output_option(*command, context);
    command->callback([&context, options] {
        options->print_data = options->print_data || options->decoder != RecordDecoder::Bytes;
        options->deep = options->deep || options->print_data;
        if (!context.json()) return dump(*options);
        Json items = Json::array();
        for (const std::string& path : options->files) {
            Json file = dump_json(path, options->deep, options->print_data, options->decoder);
            if (!file.is_null()) {
                items.push_back(std::move(file));
                continue;
            }
            check_exists(path);
            std::cerr << "Ignoring unknown file " << path << '\n';
        }
        print_items("LogDump", std::move(items));
    });
}

}  // namespace millrace::cli
