// tools/cli/control_text.h: a control record as Kafka's dumper prints it.
#pragma once

#include <string>

#include "millrace/record/batch_iterator.h"

namespace millrace::cli {

/// " endTxnMarker: COMMIT coordinatorEpoch: 0", " LeaderChange: {...}" and so on.
std::string control_text(const record::RecordView& record);

}  // namespace millrace::cli
