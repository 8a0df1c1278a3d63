// src/storage/cleaner_txns.h: which transactions a cleaning pass is inside of.
//
// Fed with every batch of the range in order; says which data was aborted and which markers have no
// data left. Pure. Source: Kafka's CleanedTransactionMetadata.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "millrace/record/batch.h"
#include "millrace/record/control_record.h"
#include "storage/txn_index.h"

namespace millrace::storage {

/// Control type of a control batch's first record; nothing when the batch was emptied.
Result<std::optional<record::ControlType>> control_type_of(const record::BatchView& batch);

class CleanedTransactions {
  public:
    /// Entries of the transaction indexes that reach into the range.
    explicit CleanedTransactions(std::vector<AbortedEntry> aborted);

    /// True when the batch belongs to an aborted transaction: its records go.
    bool on_data(const record::BatchView& batch);

    struct Marker {
        bool discardable = false;           // no data of its transaction was met
        std::optional<AbortedEntry> entry;  // of an abort marker that stays: for the new txn index
    };
    Marker on_control(const record::BatchView& batch, std::optional<record::ControlType> type);

  private:
    struct Ongoing {
        AbortedEntry entry;
        bool data_met = false;
    };
    void enter_up_to(Offset offset);

    std::vector<AbortedEntry> aborted_;  // by first offset
    size_t next_ = 0;
    std::map<ProducerId, Ongoing> ongoing_aborted_;
    std::set<ProducerId> ongoing_committed_;
};

}  // namespace millrace::storage
