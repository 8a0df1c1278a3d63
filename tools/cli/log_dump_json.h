// tools/cli/log_dump_json.h: the contents of a log file as JSON, for `log dump -o json`.
#pragma once

#include <string>

#include "cli/output.h"

namespace millrace::cli {

/// {"file", "kind", "entries"}; batches carry their records when `deep`, keys and values when
/// `data` too. Null for a file that is none of a log's.
Json dump_json(const std::string& path, bool deep, bool data);

}  // namespace millrace::cli
