// tests/unit/storage/log_deferred_test.cc: appends that wait for one write, and everything that must not wait.
#include <gtest/gtest.h>

#include "unit/storage/log_fixture.h"

namespace millrace::storage {
namespace {

class Deferred : public ::testing::Test {
  protected:
    void SetUp() override { ASSERT_TRUE(w.create().ok()); }
    int64_t defer(const BatchSpec& spec = {}) {
        const Result<AppendOutcome> outcome = w.append_deferred(spec);
        EXPECT_TRUE(outcome.ok()) << outcome.status().to_string();
        return outcome.ok() ? outcome->base_offset.value : -2;
    }
    uint64_t file_bytes(const std::string& name = "00000000000000000000.log") {
        return w.world.disk.stat("/data/t-0/" + name).value()->size_bytes;
    }
    LogWorld w;
};

TEST_F(Deferred, OffsetsAreGivenAtOnceAndTheBytesAreOneWrite) {
    EXPECT_EQ(defer({.records = 3}), 0);
    EXPECT_EQ(defer({.records = 2}), 3);
    EXPECT_EQ(w.log->log_end_offset(), Offset(5));
    EXPECT_EQ(file_bytes(), 0U);
    EXPECT_EQ(w.log->deferred_bytes(), w.log->size_bytes());
    const uint64_t before = w.world.disk.steps();
    ASSERT_TRUE(w.log->write_out().ok());
    EXPECT_EQ(w.world.disk.steps(), before + 1);
    EXPECT_EQ(w.log->deferred_bytes(), 0U);
    EXPECT_EQ(file_bytes(), w.log->size_bytes());
    ASSERT_TRUE(w.log->write_out().ok()) << "nothing left is fine";
    EXPECT_EQ(w.world.disk.steps(), before + 1);
}

TEST_F(Deferred, TheFileIsAsIfEachHadBeenWrittenAtOnce) {
    LogWorld plain;
    ASSERT_TRUE(plain.create().ok());
    for (int i = 0; i < 100; ++i) {
        const BatchSpec spec{.records = i % 3 + 1, .timestamp = 1000 + i, .value_bytes = 200};
        defer(spec);
        ASSERT_TRUE(plain.append(spec).ok());
        if (i % 7 == 6) {
            ASSERT_TRUE(w.log->write_out().ok());
        }
        if (i % 10 == 9) {
            ASSERT_TRUE(w.append(spec).ok() && plain.append(spec).ok());
        }
    }
    EXPECT_EQ(w.read_all(), plain.read_all());
    ASSERT_TRUE(w.log->close(w.world.clock.wall()).ok());
    ASSERT_TRUE(plain.log->close(plain.world.clock.wall()).ok());
    for (const char* suffix : {".log", ".index", ".timeindex"}) {
        const std::string path = std::string("/data/t-0/00000000000000000000") + suffix;
        const auto bytes = [&](LogWorld& world) {
            const auto file = world.world.disk.open(path, env::OpenMode::ReadOnly).value();
            std::string text(file->size().value(), ' ');
            EXPECT_TRUE(file->read_at(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}).ok());
            return text;
        };
        EXPECT_EQ(bytes(w), bytes(plain)) << suffix;
    }
}

TEST_F(Deferred, WhoeverLooksAtTheDiskFindsThem) {
    w.config->segment_bytes = 400;
    for (int i = 0; i < 20; ++i) defer({.value_bytes = 50});  // rolls several times
    EXPECT_GT(w.log->segment_count(), 3U);
    EXPECT_FALSE(w.read_all().empty());
    EXPECT_EQ(w.log->deferred_bytes(), 0U);
    defer();
    ASSERT_TRUE(w.log->flush_blocking().ok());
    EXPECT_EQ(w.log->deferred_bytes(), 0U);
    EXPECT_EQ(w.log->recovery_point(), w.log->log_end_offset());
    defer();
    ASSERT_TRUE(w.log->truncate_to(Offset(21), w.world.clock.wall()).ok());
    EXPECT_EQ(w.log->log_end_offset(), Offset(21));
    EXPECT_EQ(defer(), 21);
    ASSERT_TRUE(w.log->close(w.world.clock.wall()).ok());
    ASSERT_TRUE(w.load({.clean = true, .recovery_point = 22}).ok());
    EXPECT_EQ(w.log->log_end_offset(), Offset(22));
}

TEST_F(Deferred, AWriteThatFailsKillsTheLog) {
    defer();
    w.world.disk.fail_at(w.world.disk.steps() + 1, Errc::NoSpace);
    EXPECT_EQ(w.log->write_out().errc(), Errc::NoSpace);
    EXPECT_TRUE(w.log->failed());
    EXPECT_FALSE(w.append_deferred({}).ok());
    EXPECT_FALSE(w.log->write_out().ok()) << "nothing is retried";
}

TEST_F(Deferred, ManyAreWrittenInTime) {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(defer(), i);
    ASSERT_TRUE(w.log->write_out().ok());
    EXPECT_EQ(file_bytes(), w.log->size_bytes());
}

}  // namespace
}  // namespace millrace::storage
