// tests/unit/broker/log_cleaner_test.cc: the cleaner's throttle, as tables; the driver on a whole node.
#include "broker/log_cleaner.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "unit/broker/node_world.h"

namespace millrace::broker {
namespace {

TEST(LogCleaner, PauseHoldsTheRate) {
    struct Case {
        uint64_t bytes;
        double rate;
        int64_t took_ms;
        int64_t pause_ms;
    };
    const Case cases[] = {
        {1'000'000, 1'000'000, 0, 1'000},  {1'000'000, 1'000'000, 400, 600},
        {1'000'000, 1'000'000, 1'500, 0},  {0, 1.0, 0, 0},
        {1'000'000, std::numeric_limits<double>::max(), 0, 0},
        {1'000'000, 0.0001, 0, 3'600'000}, {1'000'000, 0.0, 0, 0},
        {1'000'000, std::numeric_limits<double>::quiet_NaN(), 0, 0},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(cleaner_pause(c.bytes, c.rate, milliseconds(c.took_ms)).millis(), c.pause_ms)
            << c.bytes << " " << c.rate;
    }
}

TEST(LogCleaner, StepsAreBounded) {
    EXPECT_EQ(cleaner_step_bytes(std::numeric_limits<double>::max()), 4U << 20U);
    EXPECT_EQ(cleaner_step_bytes(1'000'000), 300'000U);
    EXPECT_EQ(cleaner_step_bytes(1.0), 64U << 10U);
    EXPECT_EQ(cleaner_step_bytes(std::numeric_limits<double>::quiet_NaN()), 64U << 10U);
}

class CleanedNode : public NodeWorld {
  public:
    CleanedNode() {
        settings["log.cleaner.backoff.ms"] = "100";
        settings["log.segment.delete.delay.ms"] = "1000";
    }
    void create(const std::string& name) {
        create_topic(name, 1, {{"cleanup.policy", "compact"},
                               {"min.cleanable.dirty.ratio", "0.01"},
                               {"internal.segment.bytes", "2000"}});
    }
    /// `count` records over five keys; what is not the newest of its key can go.
    void fill(const std::string& name, int count) {
        for (int i = 0; i < count; ++i) {
            Partition* there = partition(name, 0);
            ASSERT_NE(there, nullptr);
            ASSERT_EQ(produce(*there, "key-" + std::to_string(i % 5), std::string(90, 'v')),
                      ErrorCode::None);
        }
        // Only what is on the device is cleaned.
        ASSERT_TRUE(partition(name, 0)->log().flush_blocking().ok());
    }
    uint64_t size(const std::string& name) { return partition(name, 0)->log().size_bytes(); }
    std::string checkpoint() { return disk.contents("/data/cleaner-offset-checkpoint"); }
    bool has_file(const std::string& folder, const std::string& part) {
        const auto entries = disk.list(folder);
        EXPECT_TRUE(entries.ok());
        for (const auto& entry : entries.value()) {
            if (entry.name.find(part) != std::string::npos) return true;
        }
        return false;
    }
};

TEST(LogCleaner, CleansWhatIsDirtyAndWritesItDown) {
    CleanedNode w;
    w.start();
    w.create("table");
    w.create_topic("plain", 1, {});
    w.fill("table", 300);
    w.fill("plain", 300);
    const uint64_t before = w.size("table");
    w.run(seconds(2));
    EXPECT_LT(w.size("table"), before / 4);
    EXPECT_EQ(w.size("plain"), before);
    const int64_t active = w.partition("table", 0)->log().active_segment_base().value;
    EXPECT_EQ(w.checkpoint(), "0\n1\ntable 0 " + std::to_string(active) + "\n");
    EXPECT_EQ(w.partition("table", 0)->log().log_end_offset(), Offset(300));
    w.run(seconds(2));
    EXPECT_FALSE(w.has_file("/data/table-0", ".deleted"));
    EXPECT_FALSE(w.has_file("/data/table-0", ".cleaned"));

    // Another start goes on from the line.
    w.stop();
    w.start();
    const uint64_t cleaned = w.size("table");
    w.run(seconds(1));
    EXPECT_EQ(w.size("table"), cleaned);
    w.fill("table", 100);
    w.run(seconds(2));
    EXPECT_LT(w.size("table"), cleaned + before / 10);
    const int64_t later = w.partition("table", 0)->log().active_segment_base().value;
    EXPECT_GT(later, active);
    EXPECT_EQ(w.checkpoint(), "0\n1\ntable 0 " + std::to_string(later) + "\n");
}

TEST(LogCleaner, ADamagedLogIsLeftAloneAndTheOthersAreCleaned) {
    CleanedNode w;
    w.settings["log.cleaner.enable"] = "false";
    w.start();
    w.create("bad");
    w.create("good");
    w.fill("bad", 300);
    w.fill("good", 300);
    w.stop();
    w.disk.flip_bit("/data/bad-0/00000000000000000000.log", 100, 1);
    w.settings["log.cleaner.enable"] = "true";
    w.start();
    const uint64_t before = w.size("bad");
    w.run(seconds(5));
    EXPECT_EQ(w.size("bad"), before);
    EXPECT_LT(w.size("good"), before / 4);
    EXPECT_TRUE(w.checkpoint().find("good 0 ") != std::string::npos) << w.checkpoint();
    EXPECT_EQ(w.produce(*w.partition("bad", 0), "k", "v"), ErrorCode::None);
    EXPECT_EQ(w.fatal, "");
}

TEST(LogCleaner, ADiskErrorTakesTheDirectoryOffline) {
    CleanedNode w;
    w.start();
    w.create("table");
    w.fill("table", 300);
    w.disk.set_hook([](support::DiskOp op, const std::string& path) -> std::optional<Status> {
        const bool hit = op == support::DiskOp::Write && path.ends_with(".log.cleaned");
        return hit ? std::optional(Status(Errc::IoError, "a dead device")) : std::nullopt;
    });
    w.run(seconds(2));
    EXPECT_NE(w.fatal.find("a dead device"), std::string::npos) << w.fatal;
    EXPECT_TRUE(w.partition("table", 0)->offline());
}

TEST(LogCleaner, ATopicThatIsDeletedMeanwhileLeavesNoLine) {
    CleanedNode w;
    w.start();
    w.create("table");
    w.create("other");
    w.fill("table", 300);
    w.fill("other", 300);
    w.run(seconds(2));
    EXPECT_EQ(w.checkpoint().substr(0, 4), "0\n2\n");
    wire::DeleteTopicsRequest request;
    request.timeout_ms = 1000;
    request.topic_names.push_back("table");
    w.node->shard().controller().run(std::move(request), {},
                                     Reply<metadata::ControllerResponse>([](const auto&) {}));
    w.run(seconds(2));
    EXPECT_EQ(w.partition("table", 0), nullptr);
    EXPECT_EQ(w.checkpoint().substr(0, 4), "0\n1\n");
    EXPECT_EQ(w.checkpoint().find("table"), std::string::npos);
}

}  // namespace
}  // namespace millrace::broker
