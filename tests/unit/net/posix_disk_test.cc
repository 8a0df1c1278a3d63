// tests/unit/net/posix_disk_test.cc: files and directories in a temporary directory.
#include "millrace/net/posix_disk.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace millrace::net {
namespace {

class PosixDisk : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/millrace_disk_XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        root = name;
    }
    void TearDown() override { remove_all(root); }
    void remove_all(const std::string& path) {
        const auto entries = files->list(path);
        if (entries.ok()) {
            for (const auto& entry : *entries) {
                const std::string child = path + "/" + entry.name;
                if (entry.is_directory) {
                    remove_all(child);
                } else {
                    EXPECT_TRUE(files->remove(child).ok());
                }
            }
        }
        EXPECT_TRUE(files->remove(path).ok());
    }
    std::shared_ptr<env::File> open(const std::string& name,
                                    env::OpenMode mode = env::OpenMode::CreateOrOpen) {
        auto file = files->open(root + "/" + name, mode);
        EXPECT_TRUE(file.ok()) << file.status().to_string();
        return *file;
    }
    static std::string read(env::File& file, uint64_t offset, size_t size) {
        std::string out(size, '\0');
        const auto n = file.read_at(offset, {reinterpret_cast<uint8_t*>(out.data()), size});
        EXPECT_TRUE(n.ok());
        out.resize(*n);
        return out;
    }

    std::unique_ptr<env::FileSystem> files = make_posix_file_system(nullptr);
    std::string root;
};

TEST_F(PosixDisk, WritesAndReadsAtOffsets) {
    auto file = open("a");
    EXPECT_TRUE(file->write_at(0, ByteView("hello world")).ok());
    EXPECT_TRUE(file->write_at(6, ByteView("there")).ok());
    EXPECT_EQ(read(*file, 0, 100), "hello there");
    EXPECT_EQ(read(*file, 6, 2), "th");
    EXPECT_EQ(read(*file, 100, 5), "");
    EXPECT_EQ(*file->size(), 11U);
    EXPECT_TRUE(file->write_at(20, ByteView("x")).ok());
    EXPECT_EQ(read(*file, 11, 9), std::string(9, '\0')) << "a gap reads as zeros";
    EXPECT_TRUE(file->truncate(5).ok());
    EXPECT_EQ(read(*file, 0, 100), "hello");
    EXPECT_TRUE(file->sync().ok());
    EXPECT_GE(file->descriptor(), 0);
}

TEST_F(PosixDisk, WritesManyPartsInOrder) {
    auto file = open("parts");
    std::vector<std::string> texts;
    std::vector<ByteView> parts;
    std::string whole;
    for (int i = 0; i < 300; ++i) texts.push_back(std::string(static_cast<size_t>(i % 5), 'a'));
    for (const std::string& text : texts) {
        parts.push_back(ByteView(text));
        whole += text;
    }
    EXPECT_TRUE(file->write_parts_at(3, parts).ok());
    EXPECT_EQ(read(*file, 3, 2000), whole);
    EXPECT_TRUE(file->write_parts_at(0, {}).ok());
}

TEST_F(PosixDisk, OpenModes) {
    EXPECT_EQ(files->open(root + "/no", env::OpenMode::ReadOnly).status().errc(), Errc::NotFound);
    EXPECT_EQ(files->open(root + "/no", env::OpenMode::ReadWrite).status().errc(), Errc::NotFound);
    open("new", env::OpenMode::CreateNew);
    const auto again = files->open(root + "/new", env::OpenMode::CreateNew);
    EXPECT_EQ(again.status().errc(), Errc::AlreadyExists);
    EXPECT_NE(again.status().message().find(root + "/new"), std::string::npos);
    auto read_only = open("new", env::OpenMode::ReadOnly);
    EXPECT_FALSE(read_only->write_at(0, ByteView("x")).ok());
}

TEST_F(PosixDisk, DirectoriesListSorted) {
    EXPECT_TRUE(files->make_directories(root + "/x/y/z").ok());
    EXPECT_TRUE(files->make_directories(root + "/x/y/z").ok()) << "fine when it exists";
    open("x/b");
    open("x/a");
    const auto entries = files->list(root + "/x");
    ASSERT_TRUE(entries.ok());
    ASSERT_EQ(entries->size(), 3U);
    EXPECT_EQ((*entries)[0].name, "a");
    EXPECT_FALSE((*entries)[0].is_directory);
    EXPECT_EQ((*entries)[2].name, "y");
    EXPECT_TRUE((*entries)[2].is_directory);
    EXPECT_FALSE(files->make_directories(root + "/x/a").ok()) << "a file is in the way";
    EXPECT_EQ(files->list(root + "/none").status().errc(), Errc::NotFound);
    EXPECT_TRUE(files->sync_directory(root + "/x").ok());
}

TEST_F(PosixDisk, RenameReplacesAndRemoveSaysNotFound) {
    EXPECT_TRUE(open("from")->write_at(0, ByteView("1")).ok());
    EXPECT_TRUE(open("to")->write_at(0, ByteView("22")).ok());
    EXPECT_TRUE(files->rename(root + "/from", root + "/to").ok());
    EXPECT_EQ(read(*open("to"), 0, 10), "1");
    EXPECT_EQ(files->remove(root + "/from").errc(), Errc::NotFound);
    EXPECT_EQ(files->rename(root + "/from", root + "/to").errc(), Errc::NotFound);
}

TEST_F(PosixDisk, StatAndTimes) {
    const auto missing = files->stat(root + "/none");
    ASSERT_TRUE(missing.ok());
    EXPECT_FALSE(missing->has_value());
    EXPECT_TRUE(open("f")->write_at(0, ByteView("abc")).ok());
    EXPECT_TRUE(files->set_modified(root + "/f", WallMs{1'700'000'000'123}).ok());
    const auto info = files->stat(root + "/f");
    ASSERT_TRUE(info.ok() && info->has_value());
    EXPECT_EQ((*info)->size_bytes, 3U);
    EXPECT_EQ((*info)->modified, WallMs{1'700'000'000'123});
    EXPECT_TRUE(files->set_modified(root + "/f", WallMs{-1}).ok());
    EXPECT_EQ((*files->stat(root + "/f"))->modified, WallMs{-1});
    const auto space = files->space(root);
    ASSERT_TRUE(space.ok());
    EXPECT_GT(space->total_bytes, space->usable_bytes);
}

TEST_F(PosixDisk, ASecondLockIsBusyInAndOutsideOfThisProcess) {
    auto held = files->lock(root + "/.lock");
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(files->lock(root + "/.lock").status().errc(), Errc::Busy);
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(files->lock(root + "/.lock").status().errc() == Errc::Busy ? 0 : 1);
    }
    int result = 0;
    ::waitpid(child, &result, 0);
    EXPECT_EQ(WEXITSTATUS(result), 0);
    *held = nullptr;
    EXPECT_TRUE(files->lock(root + "/.lock").ok()) << "free again";
}

TEST_F(PosixDisk, SyncWithoutAPoolCallsBackAtOnce) {
    bool done = false;
    open("s")->sync_async([&done](const Status& status) { done = status.ok(); });
    EXPECT_TRUE(done);
}

TEST_F(PosixDisk, AFullDeviceIsNoSpace) {
    auto full = files->open("/dev/full", env::OpenMode::ReadWrite);
    ASSERT_TRUE(full.ok());
    EXPECT_EQ((*full)->write_at(0, ByteView("x")).errc(), Errc::NoSpace);
}

}  // namespace
}  // namespace millrace::net
