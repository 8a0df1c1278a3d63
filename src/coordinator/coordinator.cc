// src/coordinator/coordinator.cc: which partition owns a key, and errors of the log for clients.
#include "millrace/coordinator/coordinator.h"

#include "coordinator/utf16.h"

namespace millrace::coordinator {

int32_t coordinator_partition(std::string_view key, int32_t partitions) {
    MILLRACE_ASSERT(partitions > 0, "a coordinator topic has partitions");
    uint32_t hash = 0;
    for_each_utf16(key, [&](uint16_t unit) { hash = hash * 31 + unit; });
    // Utils.abs: the magnitude, and 0 for the one number that has none.
    const uint32_t magnitude = static_cast<int32_t>(hash) < 0 ? 0U - hash : hash;
    return magnitude > 0x7fffffffU ? 0 : static_cast<int32_t>(magnitude) % partitions;
}

ErrorCode append_error_for_client(ErrorCode error) {
    // A list of exceptions among more than a hundred codes, hence not a switch.
    const auto is = [error](std::initializer_list<ErrorCode> codes) {
        return std::find(codes.begin(), codes.end(), error) != codes.end();
    };
    if (is({ErrorCode::UnknownTopicOrPartition, ErrorCode::NotEnoughReplicas,
            ErrorCode::NotEnoughReplicasAfterAppend, ErrorCode::RequestTimedOut})) {
        return ErrorCode::CoordinatorNotAvailable;
    }
    if (is({ErrorCode::NotLeaderOrFollower, ErrorCode::KafkaStorageError})) {
        return ErrorCode::NotCoordinator;
    }
    if (is({ErrorCode::MessageTooLarge, ErrorCode::RecordListTooLarge,
            ErrorCode::InvalidFetchSize})) {
        return ErrorCode::UnknownServerError;
    }
    if (error == ErrorCode::NetworkException) return ErrorCode::CoordinatorLoadInProgress;
    return error;
}

size_t record_bytes_max(const CoordinatorRecord& record) {
    // Length, attributes, timestamp and offset deltas, key and value lengths, header count.
    constexpr size_t kOverheadMax = 5 + 1 + 10 + 5 + 5 + 5 + 1;
    return kOverheadMax + record.key.size() + (record.value ? record.value->size() : 0);
}

}  // namespace millrace::coordinator
