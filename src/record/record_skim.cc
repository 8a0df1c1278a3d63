// src/record/record_skim.cc: the parts of the quick walk that are not inline.
#include "record/record_skim.h"

#include <algorithm>

namespace millrace::record {

namespace {
bool stream_varlong(InflatedStream& stream, uint64_t& left, size_t bytes_max, uint64_t& out) {
    out = 0;
    for (size_t i = 0; i < bytes_max && left > 0; ++i) {
        const std::optional<uint8_t> byte = stream.get();
        if (!byte.has_value()) return false;
        --left;
        out |= static_cast<uint64_t>(*byte & 0x7f) << (7 * i);
        if (*byte < 0x80) return true;
    }
    return false;
}

bool stream_skip(InflatedStream& stream, uint64_t& left, int32_t size) {
    if (size <= 0) return true;
    if (static_cast<uint64_t>(size) > left) return false;
    left -= static_cast<uint64_t>(size);
    return stream.skip(static_cast<uint64_t>(size));
}

bool stream_bytes(InflatedStream& stream, uint64_t& left, int32_t& size) {
    return stream_varint(stream, left, size) && stream_skip(stream, left, size);
}
}  // namespace

const uint8_t* skim_headers(const uint8_t* at, const uint8_t* end, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        int32_t size = 0;
        at = skim_bytes(at, end, size);
        if (at == nullptr || size < 0) return nullptr;
        at = skim_bytes(at, end, size);
        if (at == nullptr) return nullptr;
    }
    return at;
}

bool InflatedStream::refill() {
    if (failure_ != SkimEnd::Complete) return false;
    const Result<ByteView> chunk = from_.next();
    if (!chunk.ok()) {
        failure_ = chunk.status().errc() == Errc::LimitExceeded ? SkimEnd::LimitReached
                                                                : SkimEnd::Undecodable;
        at_ = end_ = nullptr;
        return false;
    }
    at_ = chunk->begin();
    end_ = chunk->end();
    return at_ != end_;
}

std::optional<uint8_t> InflatedStream::get() {
    if (at_ == end_ && !refill()) return std::nullopt;
    return *at_++;
}

bool InflatedStream::skip(uint64_t count) {
    while (count > 0) {
        if (at_ == end_ && !refill()) return false;
        const uint64_t step = std::min(count, static_cast<uint64_t>(end_ - at_));
        at_ += step;
        count -= step;
    }
    return true;
}

bool InflatedStream::read(uint64_t count, std::vector<uint8_t>& to) {
    while (count > 0) {
        if (at_ == end_ && !refill()) return false;
        const uint64_t step = std::min(count, static_cast<uint64_t>(end_ - at_));
        to.insert(to.end(), at_, at_ + step);
        at_ += step;
        count -= step;
    }
    return true;
}

bool stream_varint(InflatedStream& stream, uint64_t& left, int32_t& out) {
    uint64_t raw = 0;
    if (!stream_varlong(stream, left, kVarintBytesMax, raw)) return false;
    out = zigzag_decode(static_cast<uint32_t>(raw));
    return true;
}

bool skim_record_streamed(InflatedStream& stream, SkimmedRecord& out) {
    uint64_t left = kVarintBytesMax;
    int32_t body = 0;
    if (!stream_varint(stream, left, body) || body < 1) return false;
    left = static_cast<uint64_t>(body) - 1;
    uint64_t timestamp = 0;
    if (!stream.get().has_value()) return false;  // record attributes: none are defined
    if (!stream_varlong(stream, left, kVarlongBytesMax, timestamp)) return false;
    out.timestamp_delta = zigzag_decode64(timestamp);
    if (!stream_varint(stream, left, out.offset_delta)) return false;
    if (!stream_bytes(stream, left, out.key_size)) return false;
    if (!stream_bytes(stream, left, out.value_size)) return false;
    int32_t headers = 0;
    if (!stream_varint(stream, left, headers) || headers < 0) return false;
    for (int32_t i = 0; i < headers; ++i) {
        int32_t size = 0;
        if (!stream_bytes(stream, left, size) || size < 0) return false;
        if (!stream_bytes(stream, left, size)) return false;
    }
    return left == 0;
}

}  // namespace millrace::record
