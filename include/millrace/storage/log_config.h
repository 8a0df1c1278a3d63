// include/millrace/storage/log_config.h: settings of one log, as a plain struct.
//
// The broker maps topic and broker settings onto it; names and defaults are those of Kafka's
// LogConfig (4.3.1). A log holds it by shared pointer, so thousands of idle logs share one copy,
// and Log::set_config swaps it at run time: the new values count from the next operation on.
#pragma once

#include <cstdint>
#include <limits>

namespace millrace::storage {

struct LogConfig {
    static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

    int64_t segment_bytes = 1'073'741'824;  // internal.segment.bytes may be below the public 1 MiB
    int64_t segment_ms = 604'800'000;
    int64_t segment_jitter_ms = 0;
    int64_t segment_index_bytes = 10'485'760;
    int64_t index_interval_bytes = 4'096;
    bool preallocate = false;
    int64_t max_message_bytes = 1'048'588;

    bool cleanup_delete = true;
    bool cleanup_compact = false;
    int64_t retention_bytes = -1;  // -1: no limit
    int64_t retention_ms = 604'800'000;
    int64_t file_delete_delay_ms = 60'000;
    int64_t delete_retention_ms = 86'400'000;
    int64_t min_compaction_lag_ms = 0;
    int64_t max_compaction_lag_ms = kForever;
    double min_cleanable_dirty_ratio = 0.5;

    int64_t flush_messages = kForever;
    int64_t flush_ms = kForever;

    // Broker-wide settings that the log applies to itself.
    int64_t producer_id_expiration_ms = 86'400'000;
    bool transaction_verification = true;  // transaction.partition.verification.enable
};

}  // namespace millrace::storage
