// tests/unit/storage/sim_disk_test.cc: the simulated disk itself: what a crash keeps and tears.
#include "support/sim_disk.h"

#include <gtest/gtest.h>

namespace millrace::support {
namespace {

std::shared_ptr<env::File> make(SimDisk& disk, const std::string& path) {
    return disk.open(path, env::OpenMode::CreateOrOpen).value();
}

TEST(SimDisk, ReadsWhatWasWritten) {
    SimDisk disk;
    auto file = make(disk, "/f");
    ASSERT_TRUE(file->write_at(5000, ByteView("hello")).ok());
    EXPECT_EQ(file->size().value(), 5005U);
    EXPECT_EQ(disk.contents("/f"), std::string(5000, '\0') + "hello");
    ASSERT_TRUE(file->truncate(5002).ok());
    ASSERT_TRUE(file->truncate(5005).ok());
    EXPECT_EQ(disk.contents("/f").substr(5000), std::string("he\0\0\0", 5));
    uint8_t bytes[10];
    EXPECT_EQ(file->read_at(5001, {bytes, 10}).value(), 4U);
    EXPECT_EQ(file->descriptor(), -1);
}

TEST(SimDisk, CrashKeepsSyncedDropsTheRest) {
    SimDisk disk;
    Rng rng(1);
    auto file = make(disk, "/f");
    ASSERT_TRUE(disk.sync_directory("/").ok());
    ASSERT_TRUE(file->write_at(0, ByteView("synced")).ok());
    ASSERT_TRUE(file->sync().ok());
    ASSERT_TRUE(file->write_at(6, ByteView("lost")).ok());
    make(disk, "/g");
    disk.crash(CrashStyle::DropUnsynced, rng);
    EXPECT_EQ(disk.contents("/f"), "synced");
    EXPECT_FALSE(disk.stat("/g")->has_value());
    EXPECT_FALSE(file->write_at(0, ByteView("x")).ok());  // of the dead process
}

TEST(SimDisk, AsyncSyncCoversWhatWasWrittenBeforeIt) {
    SimDisk disk;
    Rng rng(1);
    auto file = make(disk, "/f");
    ASSERT_TRUE(disk.sync_directory("/").ok());
    ASSERT_TRUE(file->write_at(0, ByteView("before")).ok());
    int done = 0;
    file->sync_async([&](Status status) { done += status.ok() ? 1 : 100; });
    ASSERT_TRUE(file->write_at(6, ByteView("after")).ok());
    EXPECT_EQ(done, 0);
    disk.run_posted();
    EXPECT_EQ(done, 1);
    EXPECT_EQ(disk.contents("/f"), "beforeafter");
    disk.crash(CrashStyle::DropUnsynced, rng);
    EXPECT_EQ(disk.contents("/f"), "before");
}

TEST(SimDisk, RandomCrashMixesPagesAndSectorsButNeverSyncedBytes) {
    bool old_seen = false;
    bool new_seen = false;
    bool mixed_seen = false;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        SimDisk disk;
        Rng rng(seed);
        auto file = make(disk, "/f");
        ASSERT_TRUE(disk.sync_directory("/").ok());
        ASSERT_TRUE(file->write_at(0, ByteView(std::string(4096, 'a'))).ok());
        ASSERT_TRUE(file->sync().ok());
        ASSERT_TRUE(file->write_at(1000, ByteView(std::string(3000, 'b'))).ok());
        disk.crash(CrashStyle::Random, rng);
        const std::string text = disk.contents("/f");
        ASSERT_EQ(text.size(), 4096U);
        EXPECT_EQ(text.substr(0, 1000), std::string(1000, 'a'));
        const size_t kept = static_cast<size_t>(std::count(text.begin(), text.end(), 'b'));
        old_seen = old_seen || kept == 0;
        new_seen = new_seen || kept == 3000;
        mixed_seen = mixed_seen || (kept > 0 && kept < 3000);
    }
    EXPECT_TRUE(old_seen && new_seen && mixed_seen);
}

TEST(SimDisk, RenameIsWholeOrNot) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
        SimDisk disk;
        Rng rng(seed);
        disk.put("/a", "old");
        auto file = make(disk, "/a.tmp");
        ASSERT_TRUE(file->write_at(0, ByteView("new")).ok());
        ASSERT_TRUE(file->sync().ok());
        ASSERT_TRUE(disk.rename("/a.tmp", "/a").ok());
        EXPECT_EQ(disk.contents("/a"), "new");
        disk.crash(CrashStyle::Random, rng);
        const std::string text = disk.contents("/a");
        EXPECT_TRUE(text == "old" || text == "new") << text;
        EXPECT_EQ(disk.stat("/a.tmp")->has_value() && text == "new", false);
    }
}

TEST(SimDisk, FaultsFullDiskAndBitRot) {
    SimDisk disk;
    auto file = make(disk, "/f");
    disk.fail_at(disk.steps() + 2, Errc::IoError);
    EXPECT_TRUE(file->write_at(0, ByteView("one")).ok());
    EXPECT_EQ(file->write_at(3, ByteView("twotwo")).errc(), Errc::IoError);
    EXPECT_EQ(disk.contents("/f"), "onetwo");  // half of it
    disk.clear_faults();
    disk.set_capacity_bytes(2 * SimDisk::kPageBytes);
    EXPECT_EQ(file->write_at(0, ByteView(std::string(9000, 'x'))).errc(), Errc::NoSpace);
    EXPECT_EQ(disk.space("/")->usable_bytes, 0U);
    disk.clear_faults();
    disk.put("/g", "abc");
    disk.flip_bit("/g", 1, 0);
    EXPECT_EQ(disk.contents("/g"), "acc");
    disk.halt_after(disk.steps());
    EXPECT_FALSE(disk.open("/g", env::OpenMode::ReadOnly).ok());
    disk.kill_process();
    EXPECT_EQ(disk.contents("/g"), "acc");
}

TEST(SimDisk, LocksDieWithTheProcess) {
    SimDisk disk;
    auto held = disk.lock("/l");
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(disk.lock("/l").status().errc(), Errc::Busy);
    held->reset();
    auto again = disk.lock("/l");
    ASSERT_TRUE(again.ok());
    disk.kill_process();
    auto next = disk.lock("/l");
    ASSERT_TRUE(next.ok());
    again->reset();  // of the dead process: takes nothing from the new one
    EXPECT_EQ(disk.lock("/l").status().errc(), Errc::Busy);
}

}  // namespace
}  // namespace millrace::support
