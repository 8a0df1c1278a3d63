// tests/unit/wire/frame_test.cc: sizes in front of messages.
#include "millrace/wire/frame.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::wire {
namespace {

TEST(Frame, StatesOfWhatHasArrived) {
    struct Row {
        std::string bytes;
        FrameState state;
        size_t body;
    };
    const Row rows[] = {
        {"", FrameState::NeedPrefix, 0},
        {std::string("\0\0\0", 3), FrameState::NeedPrefix, 0},
        {std::string("\0\0\0\0", 4), FrameState::Complete, 0},
        {std::string("\0\0\0\2a", 5), FrameState::NeedBody, 2},
        {std::string("\0\0\0\2abc", 7), FrameState::Complete, 2},
        {std::string("\0\0\0\144", 4), FrameState::NeedBody, 100},
        {std::string("\0\0\0\145", 4), FrameState::BadSize, 0},
        {"\xff\xff\xff\xff", FrameState::BadSize, 0},
        {"GET / HTTP/1.1", FrameState::BadSize, 0},
    };
    for (const Row& row : rows) {
        const FrameView view = look_at_frame(ByteView(row.bytes), 100);
        EXPECT_EQ(view.state, row.state) << row.bytes;
        EXPECT_EQ(view.body_bytes, row.body);
    }
}

TEST(Frame, PrefixSaysTheSize) {
    const BufferChain framed = with_frame_size(BufferChain(Buffer::copy_of("abc")));
    EXPECT_EQ(framed.flatten().value().text(), std::string("\0\0\0\3abc", 7));
}

}  // namespace
}  // namespace millrace::wire
