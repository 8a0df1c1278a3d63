// tests/unit/coordinator/coordinator_test.cc: loading, append, commit, rollback and time-out.
#include "millrace/coordinator/coordinator.h"

#include <gtest/gtest.h>

#include <string>

#include "coordinator/utf16.h"
#include "millrace/base/persistent_map.h"

namespace millrace::coordinator {
namespace {

/// Keys and values as text; a transactional record is kept apart until its marker.
struct Words {
    PersistentMap<std::string, std::string> words;
    PersistentMap<std::string, std::string> pending;

    Status replay(const ReplayedRecord& record) {
        const std::string key(record.key.text());
        if (key == "bad") return Status(Errc::Corrupt, "a bad word");
        auto& into = record.producer.transactional() ? pending : words;
        if (record.value) {
            into.set(key, std::string(record.value->text()));
        } else {
            into.erase(key);
        }
        return Status();
    }
    void end_transaction(const Marker& marker) {
        if (marker.commit) {
            for (const auto& [key, value] : pending)
                words.set(key, value);
        }
        pending.clear();
    }
    std::string at(const std::string& key) const {
        const std::string* found = words.find(key);
        return found == nullptr ? "" : *found;
    }
};

using Core = CoordinatorCore<Words, std::string>;

CoordinatorRecord put(std::string_view key, std::string_view value) {
    return {Buffer::copy_of(key), Buffer::copy_of(value)};
}

class CoordinatorTest : public testing::Test {
  protected:
    void activate(Offset end = Offset(0)) {
        core.begin_loading();
        core.finish_loading(end, end);
    }
    /// A continuation that answers `id` with the error's number.
    Core::Done answer(RequestId id) {
        return [id](const Tick&, ErrorCode error, Core::Output& to) {
            to.replies.push_back({id, std::to_string(static_cast<int>(error))});
        };
    }
    void write(RequestId id, std::vector<CoordinatorRecord> records) {
        core.write(tick, std::move(records), answer(id), out);
    }
    /// "id=code" of all replies, in order, and forgets them.
    std::string replies() {
        std::string text;
        for (const auto& reply : out.replies)
            text += std::to_string(reply.id) + "=" + reply.response + " ";
        out.replies.clear();
        return text;
    }

    Core core{{milliseconds(5000), 300}};
    Core::Output out;
    Tick tick{{0}, WallMs(1000)};
};

TEST_F(CoordinatorTest, ARecordShowsAtOnceAndItsReplyWaitsForTheCommit) {
    activate();
    write(1, {put("a", "1")});
    EXPECT_EQ(core.state().at("a"), "1");
    EXPECT_EQ(core.committed().at("a"), "");
    EXPECT_EQ(replies(), "");
    ASSERT_EQ(out.append.size(), 1u);
    EXPECT_EQ(out.append[0].base_offset, Offset(0));
    EXPECT_EQ(out.append[0].timestamp, WallMs(1000));
    core.on_high_watermark(tick, Offset(1), out);
    EXPECT_EQ(core.committed().at("a"), "1");
    EXPECT_EQ(replies(), "1=0 ");
}

TEST_F(CoordinatorTest, ACommandWithoutRecordsWaitsForWhatItHasSeen) {
    activate();
    write(1, {});
    EXPECT_EQ(replies(), "1=0 ");
    write(2, {put("a", "1")});
    write(3, {});
    EXPECT_EQ(replies(), "");
    core.on_high_watermark(tick, Offset(1), out);
    EXPECT_EQ(replies(), "2=0 3=0 ");
}

TEST_F(CoordinatorTest, ARefusedAppendTakesBackTheStateAndFailsAllThatCameAfter) {
    activate();
    write(1, {put("a", "1")});
    write(2, {put("a", "2"), put("b", "2")});
    write(3, {});
    write(4, {put("c", "4")});
    Core::Output failed;
    EXPECT_TRUE(core.on_append_failed(tick, Offset(1), ErrorCode::NotEnoughReplicas, failed));
    out.replies = std::move(failed.replies);
    EXPECT_EQ(replies(), "2=15 3=15 4=15 ");
    EXPECT_EQ(core.state().at("a"), "1");
    EXPECT_EQ(core.state().at("c"), "");
    EXPECT_EQ(core.next_offset(), Offset(1));
    write(5, {put("d", "5")});
    EXPECT_EQ(out.append.back().base_offset, Offset(1));
    core.on_high_watermark(tick, Offset(2), out);
    EXPECT_EQ(replies(), "1=0 5=0 ");
    EXPECT_EQ(core.committed().at("d"), "5");
}

TEST_F(CoordinatorTest, ACommandThatDoesNotReplayChangesNothing) {
    activate();
    write(1, {put("a", "1"), put("bad", "")});
    EXPECT_EQ(replies(), "1=-1 ");
    EXPECT_EQ(core.state().at("a"), "");
    EXPECT_TRUE(out.append.empty());
    write(2, {put("a", std::string(400, 'x'))});  // above the size of a batch
    EXPECT_EQ(replies(), "2=-1 ");
}

TEST_F(CoordinatorTest, RecordsThatNeedNotBeAtomicAreCutIntoBatches) {
    activate();
    std::vector<CoordinatorRecord> records;
    for (int i = 0; i < 10; ++i)
        records.push_back(put("k" + std::to_string(i), std::string(50, 'x')));
    core.write(tick, records, answer(1), out, {}, false);
    EXPECT_EQ(out.append.size(), 5u);
    EXPECT_EQ(core.next_offset(), Offset(10));
    core.on_high_watermark(tick, Offset(9), out);
    EXPECT_EQ(replies(), "");
    core.on_high_watermark(tick, Offset(10), out);
    EXPECT_EQ(replies(), "1=0 ");
    core.write(tick, records, answer(2), out);
    EXPECT_EQ(replies(), "2=-1 ");
}

TEST_F(CoordinatorTest, AReplyThatWaitsTooLongIsGivenUpAndTheRecordStays) {
    activate();
    write(1, {put("a", "1")});
    EXPECT_EQ(core.wake_at(), tick.now + milliseconds(5000));
    core.on_tick({tick.now + milliseconds(4999), tick.wall}, out);
    EXPECT_EQ(replies(), "");
    core.on_tick({tick.now + milliseconds(5000), tick.wall}, out);
    EXPECT_EQ(replies(), "1=15 ");
    core.on_high_watermark(tick, Offset(1), out);
    EXPECT_EQ(replies(), "");
    EXPECT_EQ(core.committed().at("a"), "1");
}

TEST_F(CoordinatorTest, ResigningAnswersEverythingAndWritesNoMore) {
    activate();
    write(1, {put("a", "1")});
    core.resign(tick, out);
    EXPECT_EQ(replies(), "1=16 ");
    EXPECT_EQ(core.not_ready(), ErrorCode::NotCoordinator);
    out.append.clear();
    write(2, {put("b", "2")});
    EXPECT_EQ(replies(), "2=16 ");
    EXPECT_TRUE(out.append.empty());
}

TEST_F(CoordinatorTest, LoadingReplaysToTheLogEndAndCommitsToTheHighWatermark) {
    EXPECT_EQ(core.not_ready(), ErrorCode::CoordinatorLoadInProgress);
    core.begin_loading();
    const Producer producer{ProducerId(7), ProducerEpoch(0)};
    const auto text = [](const char* t) { return std::optional(ByteView(std::string_view(t))); };
    LoadedBatch plain{Offset(3), Offset(4), {}, {}, {}};
    plain.records = {{Offset(3), text("a"), text("1")}, {Offset(4), std::nullopt, text("x")}};
    LoadedBatch open{Offset(5), Offset(5), producer, {}, {{Offset(5), text("b"), text("2")}}};
    LoadedBatch marker{Offset(6), Offset(6), producer, Marker{producer, true, {}}, {}};
    ASSERT_TRUE(core.load(plain, Offset(5)).ok());
    ASSERT_TRUE(core.load(open, Offset(5)).ok());
    EXPECT_EQ(core.state().at("b"), "");
    ASSERT_TRUE(core.load(marker, Offset(5)).ok());
    core.finish_loading(Offset(7), Offset(5));
    EXPECT_EQ(core.not_ready(), ErrorCode::None);
    EXPECT_EQ(core.state().at("b"), "2");
    EXPECT_EQ(core.committed().at("a"), "1");
    EXPECT_EQ(core.committed().at("b"), "");
    write(1, {});
    EXPECT_EQ(replies(), "");
    core.on_high_watermark(tick, Offset(7), out);
    EXPECT_EQ(core.committed().at("b"), "2");
    EXPECT_EQ(replies(), "1=0 ");
}

TEST_F(CoordinatorTest, ARecordThatCannotBeReplayedFailsTheLoading) {
    core.begin_loading();
    LoadedBatch batch{Offset(0), Offset(0), {}, {}, {}};
    batch.records = {{Offset(0), ByteView(std::string_view("bad")), std::nullopt}};
    EXPECT_FALSE(core.load(batch, Offset(1)).ok());
    EXPECT_EQ(core.not_ready(), ErrorCode::NotCoordinator);
}

TEST_F(CoordinatorTest, AMarkerIsABatchOfItsOwn) {
    activate();
    const Producer producer{ProducerId(7), ProducerEpoch(1)};
    core.write(tick, {put("a", "1")}, answer(1), out, producer);
    EXPECT_EQ(core.state().at("a"), "");
    core.write_marker(tick, {producer, true, CoordinatorEpoch(4)}, answer(2), out);
    EXPECT_EQ(core.state().at("a"), "1");
    ASSERT_EQ(out.append.size(), 2u);
    EXPECT_TRUE(out.append[0].producer.transactional());
    EXPECT_TRUE(out.append[1].marker.has_value());
    EXPECT_EQ(out.append[1].end(), Offset(2));
    core.on_high_watermark(tick, Offset(2), out);
    EXPECT_EQ(replies(), "1=0 2=0 ");
}

TEST(CoordinatorPartition, IsJavasHashOfTheKey) {
    const struct {
        const char* key;
        int32_t partition;
    } kTable[] = {{"g1", 42}, {"my-group", 12}, {"tx1", 45}, {"transactional-id-0", 40}, {"", 0}};
    for (const auto& row : kTable)
        EXPECT_EQ(coordinator_partition(row.key, 50), row.partition) << row.key;
    // "é" is one unit (233), U+1F600 two (0xD83D, 0xDE00).
    EXPECT_EQ(coordinator_partition("\xC3\xA9", 1000), 233);
    EXPECT_EQ(coordinator_partition("\xF0\x9F\x98\x80", 2147483647), 0xD83D * 31 + 0xDE00);
    EXPECT_EQ(coordinator_partition("polygenelubricants", 50), 0);  // hashes to -2^31
}

class LingeringTest : public CoordinatorTest {
  protected:
    LingeringTest() {
        core = Core{{milliseconds(5000), 300, milliseconds(10)}};
        activate();
    }
    void pass(int64_t ms) {
        tick.now = tick.now + milliseconds(ms);
        core.on_tick(tick, out);
    }
    /// "base+records" of all batches, in order, and forgets them.
    std::string appends() {
        std::string text;
        for (const CoordinatorBatch& batch : out.append) {
            text += std::to_string(batch.base_offset.value) + "+" +
                    (batch.marker ? "marker" : std::to_string(batch.records.size())) + " ";
        }
        out.append.clear();
        return text;
    }
};

TEST_F(LingeringTest, CommandsOfOneTimeGoIntoOneBatch) {
    write(1, {put("a", "1")});
    EXPECT_EQ(core.wake_at(), Instant{} + milliseconds(10));
    pass(9);
    write(2, {put("a", "2"), put("b", "2")});
    write(3, {});
    EXPECT_EQ(appends(), "");
    EXPECT_EQ(core.state().at("a"), "2");
    pass(1);
    EXPECT_EQ(appends(), "0+3 ");
    EXPECT_EQ(out.replies.size(), 0u);
    core.on_high_watermark(tick, Offset(3), out);
    EXPECT_EQ(replies(), "1=0 2=0 3=0 ");
    EXPECT_EQ(core.committed().at("b"), "2");
    EXPECT_EQ(core.wake_at(), Instant::never());
}

TEST_F(LingeringTest, AFullBatchATransactionAndAMarkerDoNotWait) {
    const std::string big(100, 'x');
    write(1, {put("a", big)});
    write(2, {put("b", big)});  // does not fit beside the first
    EXPECT_EQ(appends(), "0+1 ");
    core.write(tick, {put("t", "1")}, answer(3), out, {ProducerId(7), ProducerEpoch(0)});
    EXPECT_EQ(appends(), "1+1 2+1 ");
    write(4, {put("c", "1")});
    core.write_marker(tick, {{ProducerId(7), ProducerEpoch(0)}, true, {}, 2}, answer(5), out);
    EXPECT_EQ(appends(), "3+1 4+marker ");
}

TEST_F(LingeringTest, ARefusalTakesTheOpenBatchAlong) {
    write(1, {put("a", "1")});
    pass(10);
    EXPECT_EQ(appends(), "0+1 ");
    write(2, {put("a", "2")});
    EXPECT_TRUE(core.on_append_failed(tick, Offset(0), ErrorCode::NotEnoughReplicas, out));
    EXPECT_EQ(replies(), "1=15 2=15 ");
    EXPECT_EQ(core.state().at("a"), "");
    EXPECT_EQ(core.next_offset(), Offset(0));
    pass(20);
    EXPECT_EQ(appends(), "");
    write(3, {put("a", "3")});
    core.resign(tick, out);
    pass(20);
    EXPECT_EQ(appends(), "");
    EXPECT_EQ(replies(), "3=16 ");
}

TEST_F(LingeringTest, AWatermarkAboveTheOpenBatchCommitsNothingOfIt) {
    write(1, {put("a", "1")});
    pass(10);
    EXPECT_EQ(appends(), "0+1 ");
    write(2, {put("b", "2"), put("c", "2")});  // open at 1
    for (const int64_t foreign : {2, 3, 40}) {
        core.on_high_watermark(tick, Offset(foreign), out);
        EXPECT_EQ(replies(), foreign == 2 ? "1=0 " : "");
        EXPECT_EQ(core.committed_end(), Offset(1));
        EXPECT_EQ(core.committed().at("a"), "1");
        EXPECT_EQ(core.committed().at("b"), "");
    }
    write(3, {put("d", "3")});
    write(4, {});
    pass(10);
    EXPECT_EQ(appends(), "1+3 ");
    EXPECT_EQ(replies(), "");
    core.on_high_watermark(tick, Offset(4), out);
    EXPECT_EQ(replies(), "2=0 3=0 4=0 ");
    EXPECT_EQ(core.committed().at("d"), "3");
}

/// Records of somebody else stand where the open batch was to go: the log refuses it, or the
/// driver finds it elsewhere and makes a new machine.
TEST_F(LingeringTest, AForeignAppendUnderTheOpenBatchFailsItAndNothingElse) {
    for (const bool refused : {true, false}) {
        core = Core{{milliseconds(5000), 300, milliseconds(10)}};
        activate();
        write(1, {put("a", "1")});
        pass(10);
        core.on_high_watermark(tick, Offset(1), out);
        EXPECT_EQ(replies(), "1=0 ");
        write(2, {put("a", "2")});
        core.on_high_watermark(tick, Offset(41), out);
        pass(5);
        write(3, {put("b", "3")});
        pass(5);
        EXPECT_EQ(appends(), "0+1 1+2 ");
        if (refused) {
            EXPECT_TRUE(core.on_append_failed(tick, Offset(1), ErrorCode::NotEnoughReplicas, out));
            EXPECT_EQ(core.next_offset(), Offset(1));
            EXPECT_EQ(core.state().at("a"), "1");
        } else {
            core.resign(tick, out);
        }
        EXPECT_EQ(replies(), refused ? "2=15 3=15 " : "2=16 3=16 ");
        EXPECT_EQ(core.committed().at("a"), "1");
        EXPECT_EQ(core.wake_at(), Instant::never());
    }
}

TEST_F(LingeringTest, AFailureBelowWhatIsCommittedTakesBackOnlyWhatIsNot) {
    write(1, {put("a", "1")});
    pass(10);
    core.on_high_watermark(tick, Offset(1), out);
    EXPECT_FALSE(core.on_append_failed(tick, Offset(0), ErrorCode::NotEnoughReplicas, out));
    write(2, {put("a", "2")});
    EXPECT_TRUE(core.on_append_failed(tick, Offset(0), ErrorCode::NotEnoughReplicas, out));
    EXPECT_EQ(replies(), "1=0 2=15 ");
    EXPECT_EQ(core.state().at("a"), "1");
    EXPECT_EQ(core.next_offset(), Offset(1));
}

TEST_F(LingeringTest, ABatchIsGatheredUpToWhatTheTopicTakes) {
    const std::string big(100, 'x');
    core.set_message_bytes_max(200);
    write(1, {put("a", "1")});
    write(2, {put("b", "2")});
    write(3, {put("c", big)});  // closes the batch of the two
    EXPECT_EQ(appends(), "0+2 ");
    write(4, {put("d", big), put("e", "")});  // above the topic's limit: alone
    EXPECT_EQ(appends(), "2+1 3+2 ");
    EXPECT_TRUE(core.on_append_failed(tick, Offset(3), ErrorCode::MessageTooLarge, out));
    EXPECT_EQ(replies(), "4=-1 ");
    core.write(tick, {put("f", big), put("g", big)}, answer(5), out, {}, false);  // may be cut
    pass(10);
    EXPECT_EQ(appends(), "3+1 4+1 ");
    core.set_message_bytes_max(100'000);  // the machine's own limit holds
    write(6, {put("h", big)});
    write(7, {put("i", big)});
    EXPECT_EQ(appends(), "5+1 ");
    write(8, {put("j", std::string(300, 'x'))});
    EXPECT_EQ(replies(), "8=-1 ");
    core.resign(tick, out);
    EXPECT_EQ(replies(), "1=16 2=16 3=16 5=16 6=16 7=16 ");
    pass(10);
    EXPECT_EQ(appends(), "");
    EXPECT_EQ(core.wake_at(), Instant::never());
}

TEST(Utf16, CountsUnitsAndReplacesWhatIsMalformed) {
    EXPECT_EQ(utf16_size("abc"), 3u);
    EXPECT_EQ(utf16_size("\xE2\x82\xAC"), 1u);
    EXPECT_EQ(utf16_size("\xF0\x9F\x98\x80"), 2u);
    EXPECT_EQ(utf16_size("\xE2\x82"), 1u);
    EXPECT_EQ(utf16_size("\x80x"), 2u);
}

TEST(AppendError, IsTranslatedForClients) {
    const struct {
        ErrorCode log;
        ErrorCode client;
    } kTable[] = {
        {ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable},
        {ErrorCode::RequestTimedOut, ErrorCode::CoordinatorNotAvailable},
        {ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator},
        {ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator},
        {ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError},
        {ErrorCode::NetworkException, ErrorCode::CoordinatorLoadInProgress},
        {ErrorCode::InvalidProducerEpoch, ErrorCode::InvalidProducerEpoch},
    };
    for (const auto& row : kTable)
        EXPECT_EQ(append_error_for_client(row.log), row.client);
}

}  // namespace
}  // namespace millrace::coordinator
