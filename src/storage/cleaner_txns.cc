// src/storage/cleaner_txns.cc: which transactions a cleaning pass is inside of.
#include "storage/cleaner_txns.h"

#include <algorithm>

#include "millrace/record/batch_iterator.h"

namespace millrace::storage {

Result<std::optional<record::ControlType>> control_type_of(const record::BatchView& batch) {
    if (batch.record_count() == 0) return std::optional<record::ControlType>{};
    MILLRACE_TRY_ASSIGN(record::BatchRecords records, record::BatchRecords::open(batch));
    record::RecordView record;
    if (!records.next(record) || !record.key) {
        return Status(Errc::Corrupt, "a control batch without a control record");
    }
    const auto type = record::parse_control_key(*record.key);
    if (!type) return Status(Errc::Corrupt, "a control record without a type");
    return std::optional(*type);
}

CleanedTransactions::CleanedTransactions(std::vector<AbortedEntry> aborted)
    : aborted_(std::move(aborted)) {
    std::stable_sort(aborted_.begin(), aborted_.end(),
                     [](const AbortedEntry& a, const AbortedEntry& b) {
                         return a.first_offset < b.first_offset;
                     });
}

void CleanedTransactions::enter_up_to(Offset offset) {
    for (; next_ < aborted_.size() && aborted_[next_].first_offset <= offset; ++next_) {
        ongoing_aborted_.try_emplace(aborted_[next_].producer_id, Ongoing{aborted_[next_], false});
    }
}

bool CleanedTransactions::on_data(const record::BatchView& batch) {
    enter_up_to(batch.last_offset());
    if (!batch.is_transactional()) return false;
    const auto aborted = ongoing_aborted_.find(batch.producer_id());
    if (aborted != ongoing_aborted_.end()) {
        aborted->second.data_met = true;
        return true;
    }
    ongoing_committed_.insert(batch.producer_id());
    return false;
}

CleanedTransactions::Marker CleanedTransactions::on_control(
    const record::BatchView& batch, std::optional<record::ControlType> type) {
    enter_up_to(batch.last_offset());
    if (!type) return {true, {}};  // emptied by an earlier cleaning
    if (*type == record::ControlType::Commit) {
        return {ongoing_committed_.erase(batch.producer_id()) == 0, {}};
    }
    if (*type != record::ControlType::Abort) return {};
    const auto ongoing = ongoing_aborted_.find(batch.producer_id());
    if (ongoing == ongoing_aborted_.end()) return {true, {}};
    const Ongoing ended = ongoing->second;
    ongoing_aborted_.erase(ongoing);
    if (!ended.data_met) return {true, {}};
    return {false, ended.entry};
}

}  // namespace millrace::storage
