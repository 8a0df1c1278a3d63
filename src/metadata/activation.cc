// src/metadata/activation.cc: the records a new active controller writes first.
#include <fmt/core.h>

#include "metadata/commands.h"
#include "metadata/make_records.h"

namespace millrace::metadata {

namespace {

Record begin_transaction() {
    wire::BeginTransactionRecord record;
    record.name = "Bootstrap records";
    return Record(std::move(record));
}
Record abort_transaction() {
    wire::AbortTransactionRecord record;
    record.reason = "Controller failover";
    return Record(std::move(record));
}

int16_t level_in(const std::vector<Record>& records, std::string_view feature) {
    for (const Record& record : records) {
        const auto* level = std::get_if<wire::FeatureLevelRecord>(&record.body);
        if (level != nullptr && level->name == feature) return level->feature_level;
    }
    return 0;
}

Status check_version(int16_t version) {
    if (version >= kMetadataVersionMin && version <= kMetadataVersionLatest) return {};
    return Status(Errc::Unsupported, fmt::format("metadata.version {} is outside {}..{}", version,
                                                 kMetadataVersionMin, kMetadataVersionLatest));
}

Result<std::vector<Record>> bootstrap(const CommandContext& context, bool transaction_open,
                                      bool& atomic) {
    const std::vector<Record> given = context.options.bootstrap.empty()
                                          ? default_bootstrap_records(kMetadataVersionLatest)
                                          : context.options.bootstrap;
    const int16_t version = level_in(given, kMetadataVersionFeature);
    MILLRACE_TRY(check_version(version));
    const bool in_transaction = version >= kMvTransactions;
    if (transaction_open && !in_transaction) {
        return Status(Errc::Corrupt, "an open transaction below its metadata.version");
    }
    atomic = !in_transaction;
    std::vector<Record> records;
    if (transaction_open) records.push_back(abort_transaction());
    if (in_transaction) records.push_back(begin_transaction());
    records.insert(records.end(), given.begin(), given.end());
    if (level_in(given, kElrFeature) > 0) {
        // ELR is defined by a cluster-wide min.insync.replicas, so there must be one.
        const auto it = context.options.static_config.find("min.insync.replicas");
        records.push_back(
            make_config({ConfigResource::Broker, ""}, "min.insync.replicas",
                        it == context.options.static_config.end() ? "1" : it->second));
    }
    if (in_transaction) records.emplace_back(wire::EndTransactionRecord{});
    return records;
}

}  // namespace

Result<std::vector<Record>> activation_records(const CommandContext& context, bool log_is_empty,
                                               bool& atomic) {
    atomic = true;
    const bool transaction_open = context.state.before_transaction != nullptr;
    if (log_is_empty) return bootstrap(context, transaction_open, atomic);
    const int16_t version = context.metadata_version();
    MILLRACE_TRY(check_version(version));
    std::vector<Record> records;
    if (transaction_open) {
        if (version < kMvTransactions) {
            return Status(Errc::Corrupt, "an open transaction below its metadata.version");
        }
        records.push_back(abort_transaction());
    }
    return records;
}

}  // namespace millrace::metadata
