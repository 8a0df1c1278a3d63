// tests/unit/coordinator/transaction_test.cc: legal states and the bytes of transaction records.
#include "millrace/coordinator/transaction.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::coordinator {
namespace {

std::string hex(ByteView bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (size_t i = 0; i < bytes.size; ++i) {
        text += kDigits[bytes[i] >> 4];
        text += kDigits[bytes[i] & 15];
    }
    return text;
}

constexpr int64_t kT = 1'700'000'000'000;

Transaction ongoing() {
    Transaction txn;
    txn.producer_id = ProducerId(1000);
    txn.producer_epoch = ProducerEpoch(5);
    txn.timeout_ms = 60'000;
    txn.state = TxnState::Ongoing;
    txn.partitions = {{"foo", PartitionIndex(0)}};
    txn.start = WallMs{kT};
    txn.last_update = WallMs{kT + 1};
    return txn;
}

TEST(TransactionState, TableOfLegalMoves) {
    // Rows: from Empty, Ongoing, PC, PA, CC, CA, Dead, PEF; columns: to the same, in this order.
    constexpr const char* kTable[] = {
        "xx....x.", "..xx....", "....x...", ".....x..",
        "xx....x.", "xx....x.", "........", "...x....",
    };
    for (int from = 0; from < kTxnStateCount; ++from) {
        for (int to = 0; to < kTxnStateCount; ++to) {
            bool legal = kTable[from][to] == 'x';
            // A transaction may be taken further, and fenced, while it is open.
            if (from == 1 && (to == 1 || to == 7)) legal = true;
            EXPECT_EQ(legal_transition(TxnState(from), TxnState(to), false), legal)
                << txn_state_name(TxnState(from)) << " -> " << txn_state_name(TxnState(to));
            const bool idle = from == 0 || from == 4 || from == 5;
            EXPECT_EQ(legal_transition(TxnState(from), TxnState(to), true),
                      legal || (idle && to == 3));
        }
    }
}

TEST(TransactionState, NamesAreKafkas) {
    for (int i = 0; i < kTxnStateCount; ++i) {
        EXPECT_EQ(txn_state_from_name(txn_state_name(TxnState(i))), TxnState(i));
    }
    EXPECT_EQ(txn_state_from_name("ongoing"), std::nullopt);
}

TEST(TransactionRecord, BytesOfKafka) {
    const Transaction txn = ongoing();
    auto record = transaction_record("tx1", txn, 0);
    ASSERT_TRUE(record);
    EXPECT_EQ(hex(record->key.view()), "00000003747831");
    EXPECT_EQ(
        hex(record->value->view()),
        "000000000000000003e800050000ea6001000000010003666f6f00000001000000000000018bcfe5680100"
        "00018bcfe56800");
    Transaction newer = txn;
    newer.previous_producer_id = ProducerId(1000);
    newer.client_version = 2;
    EXPECT_EQ(
        hex(transaction_record("tx1", newer, 1)->value->view()),
        "000100000000000003e800050000ea60010204666f6f0200000000000000018bcfe568010000018bcfe568"
        "0002000800000000000003e802020002");
    Transaction empty;
    empty.producer_id = ProducerId(1000);
    empty.producer_epoch = ProducerEpoch(0);
    empty.timeout_ms = 60'000;
    empty.last_update = WallMs{kT};
    EXPECT_EQ(hex(transaction_record("tx1", empty, 0)->value->view()),
              "000000000000000003e800000000ea6000ffffffff0000018bcfe56800ffffffffffffffff");
    EXPECT_EQ(hex(transaction_record("tx1", empty, 1)->value->view()),
              "000100000000000003e800000000ea6000000000018bcfe56800ffffffffffffffff00");
    EXPECT_FALSE(transaction_record("tx1", newer, 0)) << "version 0 has no client version";
}

TEST(TransactionRecord, ReplayGivesBackWhatWasWritten) {
    Transaction txn = ongoing();
    txn.partitions.insert({"bar", PartitionIndex(7)});
    txn.partitions.insert({"foo", PartitionIndex(2)});
    txn.next_producer_id = ProducerId(2000);
    txn.client_version = 2;
    const auto record = transaction_record("tx1", txn, 1);
    TransactionTable table;
    ASSERT_TRUE(table.replay({Offset(0), {}, record->key.view(), record->value->view()}).ok());
    EXPECT_EQ(**table.by_id.find("tx1"), txn);
    ASSERT_TRUE(table.replay({Offset(1), {}, record->key.view(), std::nullopt}).ok());
    EXPECT_TRUE(table.by_id.empty());
}

TEST(TransactionRecord, StrangeRecords) {
    TransactionTable table;
    const auto replay = [&](std::string_view key, std::optional<std::string_view> value) {
        return table.replay(
            {Offset(0), {}, ByteView(key), value ? std::optional(ByteView(*value)) : std::nullopt});
    };
    using namespace std::string_view_literals;
    const std::string_view key = "\0\0\0\3tx1"sv;
    EXPECT_TRUE(replay("\0\7\0\3tx1"sv, "x"sv).ok()) << "an unknown type is left out";
    EXPECT_TRUE(replay(key, "\0\2whatever"sv).ok()) << "an unknown version is left out";
    EXPECT_FALSE(replay("\0"sv, "x"sv).ok());
    EXPECT_FALSE(replay("\0\0\0\7tx"sv, "x"sv).ok());
    EXPECT_FALSE(replay(key, "\0\0\1"sv).ok());
    EXPECT_FALSE(replay(key, ""sv).ok());
    EXPECT_TRUE(table.by_id.empty());
}

TEST(TransactionNext, EndOfEpochsGoesToANewProducer) {
    Transaction txn = ongoing();
    txn.producer_epoch = ProducerEpoch(32766);
    const Transaction prepare =
        prepared(txn, TxnState::PrepareCommit, 2, ProducerId(1001), WallMs{kT + 5});
    EXPECT_EQ(prepare.producer_epoch.value, 32767);
    EXPECT_EQ(prepare.producer_id.value, 1000);
    EXPECT_EQ(prepare.next_producer_id.value, 1001);
    EXPECT_EQ(prepare.start.value, kT);
    const Transaction done = completed(prepare, WallMs{kT + 9});
    EXPECT_EQ(done.state, TxnState::CompleteCommit);
    EXPECT_EQ(done.producer_id.value, 1001);
    EXPECT_EQ(done.producer_epoch.value, 0);
    EXPECT_EQ(done.previous_producer_id.value, 1000);
    EXPECT_EQ(done.next_producer_id, kNoProducerId);
    EXPECT_TRUE(done.partitions.empty());
    EXPECT_EQ(done.last_update.value, kT + 9);
}

TEST(TransactionNext, OldVersionsKeepTheEpoch) {
    const Transaction prepare =
        prepared(ongoing(), TxnState::PrepareAbort, 1, kNoProducerId, WallMs{kT + 5});
    EXPECT_EQ(prepare.producer_epoch.value, 5);
    EXPECT_EQ(completed(prepare, WallMs{kT + 6}).producer_epoch.value, 5);
}

}  // namespace
}  // namespace millrace::coordinator
