// tests/unit/api/txn_verification_test.cc: errors of a verification, by what the client knows.
#include "api/txn_verification.h"

#include <gtest/gtest.h>

namespace millrace::api {
namespace {

using E = ErrorCode;

TEST(TxnVerification, SupportFollowsTheVersion) {
    EXPECT_EQ(txn_support(10, 11), TxnSupport::Verify);  // Produce
    EXPECT_EQ(txn_support(11, 11), TxnSupport::VerifyAbortable);
    EXPECT_EQ(txn_support(12, 11), TxnSupport::Add);
    EXPECT_EQ(txn_support(4, 4), TxnSupport::VerifyAbortable);  // TxnOffsetCommit
    EXPECT_EQ(txn_support(5, 4), TxnSupport::Add);
}

TEST(TxnVerification, ErrorsOfTheWholeTransaction) {
    struct Row {
        E coordinator, old_client, abortable, adding;
    };
    const Row rows[] = {
        {E::None, E::None, E::None, E::None},
        {E::CoordinatorLoadInProgress, E::NotEnoughReplicas, E::NotEnoughReplicas,
         E::NotEnoughReplicas},
        {E::CoordinatorNotAvailable, E::NotEnoughReplicas, E::NotEnoughReplicas,
         E::NotEnoughReplicas},
        {E::NotCoordinator, E::NotEnoughReplicas, E::NotEnoughReplicas, E::NotEnoughReplicas},
        {E::NetworkException, E::NotEnoughReplicas, E::NotEnoughReplicas, E::NotEnoughReplicas},
        {E::ConcurrentTransactions, E::NotEnoughReplicas, E::NotEnoughReplicas,
         E::ConcurrentTransactions},
        {E::ProducerFenced, E::InvalidProducerEpoch, E::InvalidProducerEpoch,
         E::InvalidProducerEpoch},
        {E::InvalidProducerIdMapping, E::InvalidProducerIdMapping, E::InvalidProducerIdMapping,
         E::InvalidProducerIdMapping},
        {E::TransactionAbortable, E::InvalidTxnState, E::TransactionAbortable,
         E::TransactionAbortable},
    };
    const TopicPartition partition{"foo", PartitionIndex(0)};
    for (const Row& row : rows) {
        const broker::CoordinatorHost::Verified verified{row.coordinator, {}};
        EXPECT_EQ(verification_error(verified, partition, TxnSupport::Verify), row.old_client);
        EXPECT_EQ(verification_error(verified, partition, TxnSupport::VerifyAbortable),
                  row.abortable);
        EXPECT_EQ(verification_error(verified, partition, TxnSupport::Add), row.adding);
    }
}

TEST(TxnVerification, EachPartitionHasItsOwn) {
    broker::CoordinatorHost::Verified verified;
    verified.partitions[{"foo", PartitionIndex(0)}] = E::TransactionAbortable;
    verified.partitions[{"foo", PartitionIndex(1)}] = E::None;
    const auto error = [&](int32_t index, TxnSupport support) {
        return verification_error(verified, {"foo", PartitionIndex(index)}, support);
    };
    EXPECT_EQ(error(0, TxnSupport::Verify), E::InvalidTxnState);
    EXPECT_EQ(error(0, TxnSupport::VerifyAbortable), E::TransactionAbortable);
    EXPECT_EQ(error(1, TxnSupport::Verify), E::None);
}

}  // namespace
}  // namespace millrace::api
