// tests/unit/storage/file_cache_test.cc: open files are bounded, and given up when the process has no more.
#include "storage/file_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "support/sim_disk.h"

namespace millrace::storage {
namespace {

bool opens(support::DiskOp op) {
    return op == support::DiskOp::Open || op == support::DiskOp::Create;
}

class FileCacheTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(disk.make_directories("/d").ok());
        home = {&disk, &cache, "/d"};
        for (int64_t base = 0; base < 6; ++base) {
            handles.push_back(
                std::make_unique<SegmentFileHandle>(home, Offset(base), SegmentFile::Log));
        }
    }
    Status open(size_t index) {
        return handles[index]->open(env::OpenMode::CreateOrOpen).status();
    }

    support::SimDisk disk;
    FileCache cache{4};
    FileHome home;
    std::vector<std::unique_ptr<SegmentFileHandle>> handles;
};

TEST_F(FileCacheTest, TheLeastRecentlyUsedAreClosedBeyondTheLimit) {
    for (size_t i = 0; i < 6; ++i) ASSERT_TRUE(open(i).ok());
    EXPECT_EQ(cache.open_count(), 4U);
}

TEST_F(FileCacheTest, WithoutDescriptorsOthersAreClosedFirst) {
    for (size_t i = 0; i < 4; ++i) ASSERT_TRUE(open(i).ok());
    disk.set_hook([&](support::DiskOp op, const std::string&) -> std::optional<Status> {
        if (!opens(op) || cache.open_count() < 2) return std::nullopt;
        return Status{Errc::LimitExceeded, "too many open files"};
    });
    EXPECT_TRUE(open(4).ok());
    EXPECT_EQ(cache.open_count(), 2U);
}

TEST_F(FileCacheTest, WithoutAnyDescriptorTheOpenFails) {
    for (size_t i = 0; i < 4; ++i) ASSERT_TRUE(open(i).ok());
    disk.set_hook([](support::DiskOp op, const std::string&) -> std::optional<Status> {
        if (!opens(op)) return std::nullopt;
        return Status{Errc::LimitExceeded, "too many open files"};
    });
    EXPECT_EQ(open(4).errc(), Errc::LimitExceeded);
    EXPECT_EQ(cache.open_count(), 0U);
}

}  // namespace
}  // namespace millrace::storage
