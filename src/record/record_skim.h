// src/record/record_skim.h: the quick walk of produced records: fields, no keys, values or headers.
//
// skim_records visits every record of a batch and says whether they fill it exactly. Uncompressed
// payloads are read in place; compressed ones chunk by chunk, so that no more than the codec's
// window is held however large a record claims to be. A record is skimmed inside the chunk when
// it lies there whole, else byte by byte across chunks.
#pragma once

#include <cstdint>
#include <optional>

#include "millrace/base/bytes.h"
#include "millrace/base/varint.h"
#include "millrace/record/batch.h"
#include "millrace/record/compression.h"

namespace millrace::record {

struct SkimmedRecord {
    int64_t timestamp_delta = 0;
    int32_t offset_delta = 0;
    int32_t key_size = 0;    // negative: null
    int32_t value_size = 0;  // negative: null
};

enum class SkimEnd : uint8_t {
    Complete,
    Malformed,     // lengths that do not fit, missing records, or bytes left over
    Undecodable,   // the codec refuses the payload
    LimitReached,  // decompresses to more than the bound
};

/// Passes over a nullable byte string; nullptr when it reaches past `end`.
inline const uint8_t* skim_bytes(const uint8_t* at, const uint8_t* end, int32_t& size) {
    at = read_varint(at, end, size);
    if (at == nullptr || size > end - at) return nullptr;
    return size > 0 ? at + size : at;
}

const uint8_t* skim_headers(const uint8_t* at, const uint8_t* end, int32_t count);

/// Passes over one record lying whole in [at, end); nullptr when it does not or is malformed.
inline const uint8_t* skim_record(const uint8_t* at, const uint8_t* end, SkimmedRecord& out) {
    int32_t body = 0;
    at = read_varint(at, end, body);
    if (at == nullptr || body < 1 || body > end - at) return nullptr;
    const uint8_t* stop = at + body;
    at = read_varlong(at + 1, stop, out.timestamp_delta);
    if (at == nullptr) return nullptr;
    at = read_varint(at, stop, out.offset_delta);
    if (at == nullptr) return nullptr;
    at = skim_bytes(at, stop, out.key_size);
    if (at == nullptr) return nullptr;
    at = skim_bytes(at, stop, out.value_size);
    if (at == nullptr) return nullptr;
    int32_t headers = 0;
    at = read_varint(at, stop, headers);
    if (at == nullptr || headers < 0 || headers > stop - at) return nullptr;
    if (headers > 0) at = skim_headers(at, stop, headers);
    return at == stop ? stop : nullptr;
}

/// The chunks of a decompressor as one stream of bytes.
class InflatedStream {
  public:
    explicit InflatedStream(Decompressor& from) : from_(from) {}
    const uint8_t* at() const { return at_; }
    const uint8_t* end() const { return end_; }
    void move_to(const uint8_t* at) { at_ = at; }
    /// The next byte, or nothing at the end or at a failure.
    std::optional<uint8_t> get();
    bool skip(uint64_t count);
    /// Copies `count` bytes; for rebuilding, where records are needed whole.
    bool read(uint64_t count, std::vector<uint8_t>& to);
    bool at_end() { return at_ == end_ && !refill(); }
    /// Complete while the codec is content.
    SkimEnd failure() const { return failure_; }

  private:
    bool refill();
    Decompressor& from_;
    const uint8_t* at_ = nullptr;
    const uint8_t* end_ = nullptr;
    SkimEnd failure_ = SkimEnd::Complete;
};

/// Reads a varint from the stream byte by byte.
bool stream_varint(InflatedStream& stream, uint64_t& left, int32_t& out);
/// Passes over one record that crosses chunks; false when it is malformed or the stream ends.
bool skim_record_streamed(InflatedStream& stream, SkimmedRecord& out);

/// Calls visit(index, record) for each of `count` records of a payload.
template <class Visit>
SkimEnd skim_records(CompressionType codec, ByteView payload, int32_t count,
                     uint64_t inflated_bytes_max, Decompressor& decompressor, Visit&& visit) {
    SkimmedRecord record;
    if (codec == CompressionType::None) {
        const uint8_t* at = payload.begin();
        const uint8_t* const end = payload.end();
        for (int32_t i = 0; i < count; ++i) {
            at = skim_record(at, end, record);
            if (at == nullptr) return SkimEnd::Malformed;
            visit(i, record);
        }
        return at == end ? SkimEnd::Complete : SkimEnd::Malformed;
    }
    decompressor.start(codec, payload, inflated_bytes_max);
    InflatedStream stream(decompressor);
    for (int32_t i = 0; i < count; ++i) {
        const uint8_t* after = skim_record(stream.at(), stream.end(), record);
        if (after != nullptr) {
            stream.move_to(after);
        } else if (!skim_record_streamed(stream, record)) {
            return stream.failure() == SkimEnd::Complete ? SkimEnd::Malformed : stream.failure();
        }
        visit(i, record);
    }
    if (stream.at_end()) return stream.failure();
    return SkimEnd::Malformed;
}

}  // namespace millrace::record
