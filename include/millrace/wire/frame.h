// include/millrace/wire/frame.h: the i32 size in front of every message of a connection.
//
// Used by connections on bytes as they arrive. Promises: a size outside the bound is seen before
// any memory is taken for the body. A size of 0 is a legal frame (its header then fails to parse).
#pragma once

#include <cstddef>
#include <cstdint>

#include "millrace/base/bytes.h"

namespace millrace::wire {

inline constexpr size_t kFramePrefixBytes = 4;

enum class FrameState {
    NeedPrefix,  // fewer than four bytes
    NeedBody,    // size known, body incomplete
    Complete,
    BadSize,     // negative or above the bound: close without an answer
};

struct FrameView {
    FrameState state = FrameState::NeedPrefix;
    size_t body_bytes = 0;  // valid unless NeedPrefix or BadSize
    size_t frame_bytes() const { return kFramePrefixBytes + body_bytes; }
};

/// Looks at the start of `received`. REQUIRES: body_bytes_max is socket.request.max.bytes or the
/// smaller bound that holds before authentication.
FrameView look_at_frame(ByteView received, size_t body_bytes_max);

/// Body with its size in front; Writer::begin_frame does the same without a second piece.
BufferChain with_frame_size(const BufferChain& body);

}  // namespace millrace::wire
