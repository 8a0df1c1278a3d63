// src/storage/checkpoint_file.h: small files written whole, and the text of offset checkpoints.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/env/disk.h"
#include "millrace/storage/log_types.h"

namespace millrace::storage {

/// Small files are read whole; a larger one is Corrupt.
inline constexpr uint64_t kSmallFileBytesMax = 256U << 20U;

enum class Durability {
    Synced,    // contents and name are on stable storage on return; blocking
    Buffered,  // survives the process, not the machine; a later flush of the log syncs it
};

/// Writes <name>.tmp and renames it over <name>: readers see the old or the new contents.
Status replace_file(env::FileSystem& files, const std::string& directory, std::string_view name,
                    ByteView contents, Durability durability);

/// Nothing when there is no such file.
Result<std::optional<std::string>> read_small_file(env::FileSystem& files, const std::string& path);

/// "0\n<count>\n" and a line "topic partition offset" each.
std::string checkpoint_text(const std::vector<CheckpointEntry>& entries);
Result<std::map<TopicPartition, Offset>> parse_checkpoint(std::string_view text,
                                                          const std::string& path);

/// Splits off the next line (without its end); false at the end of the text.
bool next_line(std::string_view& text, std::string_view& line);
/// The whole of `text` as a decimal number.
bool parse_number(std::string_view text, int64_t& out);

}  // namespace millrace::storage
