// src/api/txn_verification.cc: what a client of a version is told of a failed verification.
#include "api/txn_verification.h"

#include <algorithm>
#include <initializer_list>

namespace millrace::api {

ErrorCode verification_error(const broker::CoordinatorHost::Verified& verified,
                             const TopicPartition& partition, TxnSupport support) {
    ErrorCode error = verified.error;
    if (const auto own = verified.partitions.find(partition);
        error == ErrorCode::None && own != verified.partitions.end()) {
        error = own->second;
    }
    const auto is = [error](std::initializer_list<ErrorCode> codes) {
        return std::find(codes.begin(), codes.end(), error) != codes.end();
    };
    if (is({ErrorCode::NetworkException, ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::CoordinatorNotAvailable, ErrorCode::NotCoordinator})) {
        return ErrorCode::NotEnoughReplicas;
    }
    if (error == ErrorCode::ConcurrentTransactions) {
        return support == TxnSupport::Add ? error : ErrorCode::NotEnoughReplicas;
    }
    if (error == ErrorCode::ProducerFenced) return ErrorCode::InvalidProducerEpoch;
    if (error == ErrorCode::ClusterAuthorizationFailed) return ErrorCode::InvalidTxnState;
    if (error == ErrorCode::TransactionAbortable && support == TxnSupport::Verify) {
        return ErrorCode::InvalidTxnState;
    }
    return error;
}

}  // namespace millrace::api
