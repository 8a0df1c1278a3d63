// tools/cli/log_dump_json.cc: the contents of a log file as JSON.
#include "cli/log_dump_json.h"

#include "cli/control_text.h"
#include "cli/log_file.h"
#include "millrace/base/endian.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::cli {
namespace {

void put_bytes(Json& json, const std::string& name, const std::optional<ByteView>& bytes) {
    if (!bytes) {
        json[name] = nullptr;
    } else if (is_utf8(bytes->text())) {
        json[name] = std::string(bytes->text());
    } else {
        json[name + "Base64"] = base64(bytes->text());
    }
}

/// A decoded part as JSON, or the text that stands for it.
Json parsed(const std::optional<std::string>& text) {
    if (!text) return nullptr;
    Json json = Json::parse(*text, nullptr, false);
    if (!json.is_discarded()) return json;
    return is_utf8(*text) ? *text : base64(*text);
}

struct DumpOptions {
    bool deep;
    bool data;
    RecordDecoder decoder;
};

Json record_json(const record::BatchView& batch, const record::RecordView& record,
                 const DumpOptions& options) {
    Json json{{"offset", record::record_offset(batch, record).value},
              {"timestamp", record::record_timestamp(batch, record).value},
              {"keySize", record.key ? Json(record.key->size) : Json(-1)},
              {"valueSize", record.value ? Json(record.value->size) : Json(-1)}};
    Json keys = Json::array();
    record::HeaderView header;
    for (auto walk = record.headers(); walk.next(header);)
        keys.push_back(std::string(header.key));
    json["headerKeys"] = std::move(keys);
    if (batch.is_control()) {
        json["control"] = control_text(record).substr(1);
    } else if (options.data && options.decoder != RecordDecoder::Bytes) {
        const DecodedRecord decoded = decode_record(
            options.decoder, record::record_offset(batch, record).value, record.key, record.value);
        json["key"] = parsed(decoded.key);
        json["value"] = parsed(decoded.payload);
    } else if (options.data) {
        put_bytes(json, "key", record.key);
        put_bytes(json, "value", record.value);
    }
    return json;
}

Json batch_json(const record::BatchView& batch, size_t position, const DumpOptions& options) {
    const auto codec = batch.compression();
    Json json{{"baseOffset", batch.base_offset().value},
              {"lastOffset", batch.last_offset().value},
              {"count", batch.record_count()},
              {"baseSequence", batch.base_sequence()},
              {"lastSequence", batch.last_sequence()},
              {"producerId", batch.producer_id().value},
              {"producerEpoch", batch.producer_epoch().value},
              {"partitionLeaderEpoch", batch.leader_epoch().value},
              {"isTransactional", batch.is_transactional()},
              {"isControl", batch.is_control()},
              {"position", position},
              {"maxTimestamp", batch.max_timestamp().value},
              {"size", batch.size_bytes()},
              {"compression", codec ? record::compression_name(*codec) : "?"},
              {"crc", batch.crc()},
              {"isValid", batch.valid_crc()}};
    if (!options.deep) return json;
    Json list = Json::array();
    auto records = record::BatchRecords::open(batch);
    record::RecordView record;
    while (records.ok() && records->next(record))
        list.push_back(record_json(batch, record, options));
    json["records"] = std::move(list);
    return json;
}

Json log_entries(const Buffer& bytes, const DumpOptions& options) {
    Json entries = Json::array();
    record::BatchIterator batches(bytes.view());
    while (batches.next()) {
        entries.push_back(batch_json(batches.batch(), batches.start(), options));
    }
    const size_t left = bytes.size() - batches.valid_bytes();
    if (left > 0) entries.push_back({{"invalidBytes", left}});
    return entries;
}

Json txn_entries(const Buffer& bytes) {
    constexpr size_t kEntryBytes = 34;
    Json entries = Json::array();
    for (size_t at = 0; at + kEntryBytes <= bytes.size(); at += kEntryBytes) {
        const uint8_t* e = bytes.data() + at;
        entries.push_back({{"producerId", load_big<int64_t>(e + 2)},
                           {"firstOffset", load_big<int64_t>(e + 10)},
                           {"lastOffset", load_big<int64_t>(e + 18)},
                           {"lastStableOffset", load_big<int64_t>(e + 26)}});
    }
    return entries;
}

Json producer_entries(const Buffer& bytes) {
    constexpr size_t kHeadBytes = 10;
    constexpr size_t kEntryBytes = 46;
    Json entries = Json::array();
    for (size_t at = kHeadBytes; at + kEntryBytes <= bytes.size(); at += kEntryBytes) {
        const uint8_t* e = bytes.data() + at;
        entries.push_back({{"producerId", load_big<int64_t>(e)},
                           {"producerEpoch", load_big<int16_t>(e + 8)},
                           {"lastSequence", load_big<int32_t>(e + 10)},
                           {"lastOffset", load_big<int64_t>(e + 14)},
                           {"offsetDelta", load_big<int32_t>(e + 22)},
                           {"timestamp", load_big<int64_t>(e + 26)},
                           {"coordinatorEpoch", load_big<int32_t>(e + 34)},
                           {"currentTxnFirstOffset", load_big<int64_t>(e + 38)}});
    }
    return entries;
}

}  // namespace

Json dump_json(const std::string& path, bool deep, bool data, RecordDecoder decoder) {
    const DumpOptions options{deep, data, decoder};
    const auto file = [&](const char* kind, Json entries) {
        return Json{{"file", path}, {"kind", kind}, {"entries", std::move(entries)}};
    };
    const int64_t base = offset_in_name(path).value_or(0);
    if (path.ends_with(".log")) return file("log", log_entries(read_log_file(path), options));
    if (path.ends_with(".checkpoint")) {
        return file("metadataSnapshot", log_entries(read_log_file(path), options));
    }
    if (path.ends_with(".txnindex")) return file("txnIndex", txn_entries(read_log_file(path)));
    if (path.ends_with(".snapshot"))
        return file("producers", producer_entries(read_log_file(path)));
    Json entries = Json::array();
    if (path.ends_with(".timeindex")) {
        for (const TimeEntry& e : time_entries(read_log_file(path), base)) {
            entries.push_back({{"timestamp", e.timestamp}, {"offset", e.offset}});
        }
        return file("timeIndex", std::move(entries));
    }
    if (!path.ends_with(".index")) return nullptr;
    for (const IndexEntry& e : index_entries(read_log_file(path), base)) {
        entries.push_back({{"offset", e.offset}, {"position", e.position}});
    }
    return file("index", std::move(entries));
}

}  // namespace millrace::cli
