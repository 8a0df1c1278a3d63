// tests/unit/base/bytes_test.cc: sharing and slicing of Buffers, chains.
#include "millrace/base/bytes.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(Buffer, SliceSharesMemory) {
    Buffer whole = Buffer::copy_of("hello world");
    Buffer part = whole.slice(6, 5);
    EXPECT_EQ(part.text(), "world");
    EXPECT_FALSE(whole.unique());
    whole = Buffer{};
    EXPECT_TRUE(part.unique());
    EXPECT_EQ(part.text(), "world");
}

TEST(BufferChain, FlattenJoinsPieces) {
    BufferChain chain;
    chain.append(Buffer::copy_of("ab"));
    chain.append(Buffer{});
    chain.append(Buffer::copy_of("cd"));
    EXPECT_EQ(chain.size(), 4U);
    EXPECT_EQ(chain.pieces().size(), 2U);
    EXPECT_EQ(chain.flatten().value().text(), "abcd");
}

}  // namespace
}  // namespace millrace
