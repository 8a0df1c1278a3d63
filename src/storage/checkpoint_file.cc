// src/storage/checkpoint_file.cc: small files written whole, and the text of offset checkpoints.
#include "storage/checkpoint_file.h"

#include <fmt/core.h>

#include <charconv>

#include "storage/file_names.h"

namespace millrace::storage {

Status replace_file(env::FileSystem& files, const std::string& directory, std::string_view name,
                    ByteView contents, Durability durability) {
    const std::string path = join_path(directory, name);
    const std::string temporary = path + std::string(kTemporarySuffix);
    {
        MILLRACE_TRY_ASSIGN(auto file, files.open(temporary, env::OpenMode::CreateOrOpen));
        MILLRACE_TRY(file->truncate(0));
        MILLRACE_TRY(file->write_at(0, contents));
        if (durability == Durability::Synced) MILLRACE_TRY(file->sync());
    }
    MILLRACE_TRY(files.rename(temporary, path));
    if (durability == Durability::Synced) return files.sync_directory(directory);
    return {};
}

Result<std::optional<std::string>> read_small_file(env::FileSystem& files,
                                                   const std::string& path) {
    Result<std::shared_ptr<env::File>> file = files.open(path, env::OpenMode::ReadOnly);
    if (!file.ok()) {
        if (file.status().errc() == Errc::NotFound) return std::optional<std::string>{};
        return file.status();
    }
    MILLRACE_TRY_ASSIGN(const uint64_t size, (*file)->size());
    if (size > kSmallFileBytesMax) return Status(Errc::Corrupt, path + ": impossibly large");
    std::string text(size, '\0');
    MILLRACE_TRY_ASSIGN(const size_t got,
                        (*file)->read_at(0, {reinterpret_cast<uint8_t*>(text.data()), size}));
    text.resize(got);
    return std::optional<std::string>(std::move(text));
}

bool next_line(std::string_view& text, std::string_view& line) {
    if (text.empty()) return false;
    const size_t end = text.find('\n');
    line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return true;
}

bool parse_number(std::string_view text, int64_t& out) {
    const auto end = std::from_chars(text.data(), text.data() + text.size(), out);
    return end.ec == std::errc{} && end.ptr == text.data() + text.size() && !text.empty();
}

std::string checkpoint_text(const std::vector<CheckpointEntry>& entries) {
    std::string text = fmt::format("0\n{}\n", entries.size());
    for (const CheckpointEntry& entry : entries) {
        text += fmt::format("{} {} {}\n", entry.partition.topic, entry.partition.partition.value,
                            entry.offset.value);
    }
    return text;
}

Result<std::map<TopicPartition, Offset>> parse_checkpoint(std::string_view text,
                                                          const std::string& path) {
    const auto corrupt = [&](std::string_view what) {
        return Status(Errc::Corrupt, fmt::format("{}: {}", path, what));
    };
    std::map<TopicPartition, Offset> offsets;
    std::string_view line;
    int64_t version = 0;
    int64_t count = 0;
    if (!next_line(text, line)) return offsets;  // Kafka reads an empty file as no entries
    if (!parse_number(line, version) || version != 0) return corrupt("unknown version");
    if (!next_line(text, line) || !parse_number(line, count) || count < 0) {
        return corrupt("no count of entries");
    }
    int64_t seen = 0;
    while (next_line(text, line)) {
        const size_t last = line.rfind(' ');
        const size_t first = last == std::string_view::npos || last == 0
                                 ? std::string_view::npos
                                 : line.rfind(' ', last - 1);
        int64_t partition = 0;
        int64_t offset = 0;
        if (first == std::string_view::npos || first == 0 ||
            !parse_number(line.substr(first + 1, last - first - 1), partition) ||
            !parse_number(line.substr(last + 1), offset) || partition < 0 ||
            partition > std::numeric_limits<int32_t>::max()) {
            return corrupt(fmt::format("malformed line '{}'", line));
        }
        offsets[{std::string(line.substr(0, first)),
                 PartitionIndex(static_cast<int32_t>(partition))}] = Offset(offset);
        ++seen;
    }
    if (seen != count) return corrupt(fmt::format("{} entries announced, {} found", count, seen));
    return offsets;
}

}  // namespace millrace::storage
