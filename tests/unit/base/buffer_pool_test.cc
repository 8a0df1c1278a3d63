// tests/unit/base/buffer_pool_test.cc: reuse, limits, and release from elsewhere.
#include "millrace/base/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace millrace {
namespace {

TEST(BufferPool, RoundsToClasses) {
    struct Row {
        size_t asked;
        size_t given;
    };
    const Row rows[] = {{0, 0}, {1, 4096}, {4096, 4096}, {4097, 8192}, {65536, 65536},
                        {1000000, 1 << 20}, {1 << 20, 1 << 20}, {(1 << 20) + 1, 2 << 20},
                        {(2 << 20) + 1, (2 << 20) + 1}};
    BufferPool pool(0);
    for (const Row& row : rows) {
        EXPECT_EQ(BufferPool::capacity_of(row.asked), row.given) << row.asked;
        const Buffer buffer = pool.allocate(row.asked);
        EXPECT_EQ(buffer.size(), row.asked);
        if (row.asked > 0) std::memset(buffer.mutable_data(), 7, row.asked);
    }
}

TEST(BufferPool, HandsOutTheNewestFreeBlockFirst) {
    BufferPool pool(1 << 20);
    Buffer first = pool.allocate(5000);
    Buffer second = pool.allocate(8000);
    const uint8_t* first_at = first.data();
    const uint8_t* second_at = second.data();
    first = {};
    second = {};
    EXPECT_EQ(pool.free_bytes(), 2U * 8192);
    Buffer again = pool.allocate(6000);
    EXPECT_EQ(again.data(), second_at);
    Buffer last = pool.allocate(6000);
    EXPECT_EQ(last.data(), first_at);
    EXPECT_TRUE(again.unique());
    EXPECT_EQ(pool.free_bytes(), 0U);
    EXPECT_EQ(pool.hits(), 2U);
    EXPECT_EQ(pool.misses(), 2U);
}

TEST(BufferPool, KeepsNoMoreThanItsLimit) {
    BufferPool pool(3 * 4096);
    std::vector<Buffer> all;
    for (int i = 0; i < 10; ++i) all.push_back(pool.allocate(100));
    all.clear();
    EXPECT_EQ(pool.free_bytes(), 3U * 4096);
}

TEST(BufferPool, BuffersOutliveThePool) {
    auto pool = std::make_unique<BufferPool>(1 << 20);
    Buffer kept = pool->allocate(100);
    const Buffer part = kept.slice(10, 20);
    pool->allocate(200);
    pool.reset();
    std::memset(kept.mutable_data(), 1, 100);
    kept = {};
    EXPECT_EQ(part.data()[19], 1);
}

TEST(BufferPool, BlocksReturnFromOtherThreads) {
    BufferPool pool(1 << 20);
    for (int round = 0; round < 50; ++round) {
        std::vector<Buffer> mine;
        for (int i = 0; i < 20; ++i) {
            mine.push_back(pool.allocate(4096));
            std::memset(mine.back().mutable_data(), i, 4096);
        }
        std::thread helper([half = std::vector<Buffer>(mine.begin(), mine.begin() + 10)]() mutable {
            half.clear();
        });
        mine.clear();
        helper.join();
    }
    EXPECT_LE(pool.misses(), 40U);
    EXPECT_EQ(pool.free_bytes(), pool.misses() * 4096);
}

}  // namespace
}  // namespace millrace
