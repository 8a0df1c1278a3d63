// tools/cli/log_file.h: a file of a log directory, read whole for looking at.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"

namespace millrace::cli {

/// Throws a Failure when it cannot be read.
Buffer read_log_file(const std::string& path);
/// The offset in "00000000000000000023.log"; nothing for another name.
std::optional<int64_t> offset_in_name(const std::string& path);
std::string name_of(const std::string& path);
std::string with_extension(const std::string& path, const std::string& extension);

struct IndexEntry {
    int64_t offset;
    int32_t position;
};
/// Entries up to the first zero one behind the first (the rest is preallocated space).
std::vector<IndexEntry> index_entries(const Buffer& bytes, int64_t base);
struct TimeEntry {
    int64_t timestamp;
    int64_t offset;
};
std::vector<TimeEntry> time_entries(const Buffer& bytes, int64_t base);

}  // namespace millrace::cli
