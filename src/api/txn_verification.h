// src/api/txn_verification.h: what a client of a version is told of a failed verification (KIP-890).
#pragma once

#include <cstdint>

#include "millrace/base/error_code.h"
#include "millrace/broker/coordinator_host.h"

namespace millrace::api {

/// How a request takes part in verification, by its version.
enum class TxnSupport : uint8_t {
    Verify,           // knows neither TRANSACTION_ABORTABLE nor implicit additions
    VerifyAbortable,  // is told TRANSACTION_ABORTABLE
    Add,              // transaction.version 2: the broker adds the partition itself
};
/// `abortable` is the first version that knows TRANSACTION_ABORTABLE; the next one adds.
inline TxnSupport txn_support(int16_t version, int16_t abortable) {
    if (version > abortable) return TxnSupport::Add;
    return version == abortable ? TxnSupport::VerifyAbortable : TxnSupport::Verify;
}

/// The error for `partition`, None where it may be appended to. A coordinator that is away becomes
/// NOT_ENOUGH_REPLICAS, which every client retries.
ErrorCode verification_error(const broker::CoordinatorHost::Verified& verified,
                             const TopicPartition& partition, TxnSupport support);

}  // namespace millrace::api
