// src/wire/frame.cc: reading and writing frame sizes.
#include "millrace/wire/frame.h"

#include <limits>

#include "millrace/base/endian.h"

namespace millrace::wire {

FrameView look_at_frame(ByteView received, size_t body_bytes_max) {
    if (received.size < kFramePrefixBytes) return {};
    const int32_t size = load_big<int32_t>(received.data);
    if (size < 0 || static_cast<size_t>(size) > body_bytes_max) return {FrameState::BadSize, 0};
    const size_t body_bytes = static_cast<size_t>(size);
    const bool complete = received.size - kFramePrefixBytes >= body_bytes;
    return {complete ? FrameState::Complete : FrameState::NeedBody, body_bytes};
}

BufferChain with_frame_size(const BufferChain& body) {
    MILLRACE_ASSERT(body.size() <= static_cast<size_t>(std::numeric_limits<int32_t>::max()),
                    "a frame's size fits its prefix");
    Buffer prefix = Buffer::allocate(kFramePrefixBytes);
    store_big(prefix.mutable_data(), static_cast<int32_t>(body.size()));
    BufferChain out(std::move(prefix));
    out.append(body);
    return out;
}

}  // namespace millrace::wire
