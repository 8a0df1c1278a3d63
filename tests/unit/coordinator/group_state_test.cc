// tests/unit/coordinator/group_state_test.cc: what replay tolerates, and what it refuses.
#include "coordinator/group_state.h"

#include <gtest/gtest.h>

#include "coordinator/consumer_group.h"
#include "coordinator/group_records.h"
#include "millrace/wire/gen/consumer_group_partition_metadata_key.h"

namespace millrace::coordinator {
namespace {

const TopicPartition kFoo0{"foo", PartitionIndex(0)};

class GroupStateTest : public testing::Test {
  protected:
    Status replay(const CoordinatorRecord& record, Producer producer = {}) {
        const auto value =
            record.value ? std::optional<ByteView>(record.value->view()) : std::nullopt;
        const Status status = state.replay({next, producer, record.key.view(), value});
        next = next + 1;
        return status;
    }
    static CoordinatorRecord commit(int64_t offset) {
        CommittedOffset value;
        value.offset = offset;
        return make_offset_record("g", kFoo0, value);
    }
    int64_t committed() const {
        const OffsetPtr* found = state.offsets_of("g").committed.find(kFoo0);
        return found == nullptr ? -1 : (*found)->offset;
    }
    static ConsumerMember member(const std::string& id, int32_t epoch,
                                 std::map<int32_t, int32_t> partitions) {
        ConsumerMember m = new_consumer_member(id);
        m.epoch = epoch;
        if (!partitions.empty()) m.assigned = {{Uuid{0, 7}, partitions}};
        return m;
    }

    GroupState state;
    Offset next{0};
};

TEST_F(GroupStateTest, RecordsThatNobodyKnowsAreSkipped) {
    EXPECT_TRUE(replay({Buffer::copy_of(std::string_view("\x00\x63x", 3)),
                        Buffer::copy_of(std::string_view("\x00\x00", 2))})
                    .ok());
    EXPECT_TRUE(state.groups.empty());
    EXPECT_FALSE(replay({Buffer::copy_of("x"), std::nullopt}).ok());
}

TEST_F(GroupStateTest, AValueOfANewerVersionFailsTheLoading) {
    CoordinatorRecord record = commit(1);
    record.value->mutable_data()[1] = 9;
    EXPECT_FALSE(replay(record).ok());
    CoordinatorRecord torn = commit(1);
    torn.value = torn.value->slice(0, 5);
    EXPECT_FALSE(replay(torn).ok());
}

TEST_F(GroupStateTest, TombstonesOfWhatIsNotThereAreIgnored) {
    EXPECT_TRUE(replay(make_classic_tombstone("g")).ok());
    EXPECT_TRUE(replay(make_offset_tombstone("g", kFoo0)).ok());
    EXPECT_TRUE(replay(make_current_tombstone("g", "m")).ok());
    EXPECT_TRUE(replay(make_target_tombstone("g", "m")).ok());
    EXPECT_TRUE(replay(make_member_tombstone("g", "m")).ok());
    EXPECT_TRUE(replay(make_regex_tombstone("g", "f.*")).ok());
    EXPECT_TRUE(state.groups.empty());
}

TEST_F(GroupStateTest, TheLaterRecordWinsWhateverTheMarkerSays) {
    const Producer producer{ProducerId(9), ProducerEpoch(0)};
    ASSERT_TRUE(replay(commit(10), producer).ok());
    ASSERT_TRUE(replay(commit(20)).ok());
    state.end_transaction({producer, true, {}});
    EXPECT_EQ(committed(), 20);
    ASSERT_TRUE(replay(commit(30), producer).ok());
    EXPECT_TRUE(state.offsets_of("g").is_pending(kFoo0));
    state.end_transaction({producer, false, {}});
    EXPECT_EQ(committed(), 20);
    EXPECT_TRUE(state.transactions.empty());
    ASSERT_TRUE(replay(commit(40), producer).ok());
    ASSERT_TRUE(replay(make_offset_tombstone("g", kFoo0)).ok());
    state.end_transaction({producer, true, {}});
    EXPECT_EQ(committed(), -1);
}

TEST_F(GroupStateTest, ASimpleGroupBecomesTypedAndKeepsItsOffsets) {
    ASSERT_TRUE(replay(commit(5)).ok());
    EXPECT_TRUE(state.find("g")->is_simple());
    ASSERT_TRUE(replay(make_member_record("g", member("m", 0, {}))).ok());
    EXPECT_TRUE(state.find("g")->is_consumer());
    EXPECT_EQ(committed(), 5);
    wire::GroupMetadataValue classic;
    classic.protocol_type = "consumer";
    ASSERT_TRUE(replay(make_classic_record("c", classic)).ok());
    EXPECT_FALSE(replay(make_member_record("c", member("m", 0, {}))).ok());
}

TEST_F(GroupStateTest, OnlyTheExpectedOwnerLosesAPartition) {
    ASSERT_TRUE(replay(make_member_record("g", member("a", 0, {}))).ok());
    ASSERT_TRUE(replay(make_member_record("g", member("b", 0, {}))).ok());
    ASSERT_TRUE(replay(make_current_record("g", member("a", 2, {{0, 2}}))).ok());
    // Compaction hid that a gave partition 0 up before b got it at a later epoch.
    ASSERT_TRUE(replay(make_current_record("g", member("b", 3, {{0, 3}}))).ok());
    ASSERT_TRUE(replay(make_current_record("g", member("a", 3, {}))).ok());
    EXPECT_EQ(*state.find("g")->consumer->owners.find(PartitionKey{Uuid{0, 7}, 0}), 3);
    // Two owners of one epoch cannot be.
    EXPECT_FALSE(replay(make_current_record("g", member("a", 3, {{0, 3}}))).ok());
}

TEST_F(GroupStateTest, AGroupWithMembersIsNotRemoved) {
    ASSERT_TRUE(replay(make_epoch_record("g", 2, 0)).ok());
    ASSERT_TRUE(replay(make_member_record("g", member("a", 0, {}))).ok());
    CoordinatorRecord gone = make_epoch_record("g", 2, 0);
    gone.value.reset();
    EXPECT_FALSE(replay(gone).ok());
    Records all;
    append_consumer_group_tombstones("g", *state.find("g")->consumer, all);
    for (const CoordinatorRecord& record : all)
        EXPECT_TRUE(replay(record).ok());
    EXPECT_TRUE(state.groups.empty());
}

}  // namespace
}  // namespace millrace::coordinator
