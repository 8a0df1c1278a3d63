// tools/cli/log_dump_json.h: the contents of a log file as JSON, for `log dump -o json`.
#pragma once

#include <string>

#include "cli/output.h"
#include "cli/record_json.h"

namespace millrace::cli {

/// {"file", "kind", "entries"}; batches carry their records when `deep`, keys and values when
/// `data` too, as `decoder` reads them. Null for a file that is none of a log's.
Json dump_json(const std::string& path, bool deep, bool data, RecordDecoder decoder);

}  // namespace millrace::cli
