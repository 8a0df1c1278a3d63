// src/storage/log_load.h: opening a partition folder: after a clean stop, after a crash, Kafka's.
#pragma once

#include "millrace/storage/log_store.h"
#include "storage/log_state.h"

namespace millrace::storage {

/// Opens the folder. Corrupt with report.corruption set: bytes below the recovery point (all bytes
/// after a clean stop) cannot be read back; nothing was cut. Rules: kraft.md 3.9.
Result<std::unique_ptr<Log>> load_log(
    env::FileSystem& files, FileCache& cache, const LogLoadJob::Input& input, LoadReport& report,
    LogLoadJob::Progress* progress);

}  // namespace millrace::storage
