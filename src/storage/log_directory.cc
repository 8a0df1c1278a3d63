// src/storage/log_directory.cc: the root files of one log directory.
#include "millrace/storage/log_directory.h"

#include <fmt/core.h>

#include "storage/checkpoint_file.h"
#include "storage/file_names.h"

namespace millrace::storage {
namespace {

constexpr std::string_view kLockFile = ".lock";
constexpr std::string_view kCleanMarkerFile = ".kafka_cleanshutdown";
constexpr std::string_view kMetadataFolder = "__cluster_metadata-0";
constexpr std::string_view kRemoteIndexFolder = "remote-log-index-cache";

/// The number behind "brokerEpoch": in the marker's one line of JSON.
std::optional<int64_t> broker_epoch_in(std::string_view text) {
    constexpr std::string_view kKey = "\"brokerEpoch\"";
    const size_t at = text.find(kKey);
    if (at == std::string_view::npos) return std::nullopt;
    size_t from = text.find(':', at + kKey.size());
    if (from == std::string_view::npos) return std::nullopt;
    from = text.find_first_not_of(" \t", from + 1);
    if (from == std::string_view::npos) return std::nullopt;
    const size_t end = text.find_first_not_of("-0123456789", from);
    int64_t epoch = 0;
    if (!parse_number(text.substr(from, end == std::string_view::npos ? end : end - from), epoch)) {
        return std::nullopt;
    }
    return epoch;
}

}  // namespace

LogDirectory::LogDirectory(env::FileSystem& files, std::string path)
    : files_(files), path_(std::move(path)) {}

Result<std::unique_ptr<LogDirectory>> LogDirectory::open(env::FileSystem& files,
                                                         std::string path) {
    std::unique_ptr<LogDirectory> directory(new LogDirectory(files, std::move(path)));
    MILLRACE_TRY_ASSIGN(const auto there, files.stat(directory->path_));
    if (!there) {
        MILLRACE_TRY(files.make_directories(directory->path_));
        const size_t slash = directory->path_.rfind('/');
        if (slash != std::string::npos && slash > 0) {
            MILLRACE_TRY(files.sync_directory(directory->path_.substr(0, slash)));
        } else {
            MILLRACE_TRY(files.sync_directory(slash == 0 ? "/" : "."));
        }
    }
    MILLRACE_TRY_ASSIGN(directory->lock_, files.lock(join_path(directory->path_, kLockFile)));
    MILLRACE_TRY(directory->scan());
    MILLRACE_TRY_ASSIGN(const auto marker,
                        read_small_file(files, join_path(directory->path_, kCleanMarkerFile)));
    directory->was_clean_ = marker.has_value();
    if (marker) directory->clean_broker_epoch_ = broker_epoch_in(*marker);
    return directory;
}

Status LogDirectory::scan() {
    MILLRACE_TRY_ASSIGN(const auto entries, files_.list(path_));
    for (const env::DirectoryEntry& entry : entries) {
        if (!entry.is_directory || entry.name == kMetadataFolder ||
            entry.name == kRemoteIndexFolder) {
            continue;
        }
        auto folder = parse_partition_folder(entry.name);
        if (!folder) {
            return {Errc::InvalidInput,
                    fmt::format("{}: the folder {} is no partition's (topic-number); a log "
                                "directory holds nothing else",
                                path_, entry.name)};
        }
        folders_.push_back(std::move(*folder));
    }
    return {};
}

Status LogDirectory::remove_clean_marker() {
    const Status removed = files_.remove(join_path(path_, kCleanMarkerFile));
    if (removed.errc() == Errc::NotFound) return {};
    MILLRACE_TRY(removed);
    return files_.sync_directory(path_);
}

Status LogDirectory::write_clean_marker(int64_t broker_epoch) {
    const std::string text = fmt::format("{{\"version\":0,\"brokerEpoch\":{}}}", broker_epoch);
    return replace_file(files_, path_, kCleanMarkerFile, ByteView(text), Durability::Synced);
}

Result<std::map<TopicPartition, Offset>> LogDirectory::read_checkpoint(CheckpointKind kind) const {
    const std::string path = join_path(path_, checkpoint_file_name(kind));
    MILLRACE_TRY_ASSIGN(const auto text, read_small_file(files_, path));
    if (!text) return std::map<TopicPartition, Offset>{};
    return parse_checkpoint(*text, path);
}

Status LogDirectory::write_checkpoint(CheckpointKind kind,
                                      const std::vector<CheckpointEntry>& entries) {
    const std::string text = checkpoint_text(entries);
    return replace_file(files_, path_, checkpoint_file_name(kind), ByteView(text),
                        Durability::Synced);
}

Result<uint64_t> LogDirectory::folder_size_bytes(const std::string& name) const {
    const std::string folder = join_path(path_, name);
    MILLRACE_TRY_ASSIGN(const auto entries, files_.list(folder));
    uint64_t total = 0;
    for (const env::DirectoryEntry& entry : entries) {
        MILLRACE_TRY_ASSIGN(const auto info, files_.stat(join_path(folder, entry.name)));
        if (info && !info->is_directory) total += info->size_bytes;
    }
    return total;
}

}  // namespace millrace::storage
