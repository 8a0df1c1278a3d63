// src/storage/file_names.cc: every name on disk, both directions.
#include "storage/file_names.h"

#include <fmt/core.h>

#include <array>
#include <charconv>

namespace millrace::storage {
namespace {

constexpr size_t kOffsetDigits = 20;
constexpr size_t kFolderNameMax = 255;

std::string_view extension(SegmentFile file) {
    switch (file) {
        case SegmentFile::Log: return ".log";
        case SegmentFile::Index: return ".index";
        case SegmentFile::TimeIndex: return ".timeindex";
        case SegmentFile::TxnIndex: return ".txnindex";
        case SegmentFile::Snapshot: return ".snapshot";
    }
    MILLRACE_UNREACHABLE("segment file");
}

std::string_view suffix(FileStage stage) {
    switch (stage) {
        case FileStage::Live: return "";
        case FileStage::Deleted: return ".deleted";
        case FileStage::Cleaned: return ".cleaned";
        case FileStage::Swap: return ".swap";
    }
    MILLRACE_UNREACHABLE("file stage");
}

std::string_view folder_suffix(PartitionFolderKind kind) {
    switch (kind) {
        case PartitionFolderKind::Live: return "";
        case PartitionFolderKind::Future: return "-future";
        case PartitionFolderKind::Delete: return "-delete";
        case PartitionFolderKind::Stray: return "-stray";
    }
    MILLRACE_UNREACHABLE("folder kind");
}

template <class Number>
bool parse_whole(std::string_view text, Number& out) {
    if (text.empty() || text[0] == '-' || text[0] == '+') return false;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), out);
    return end.ec == std::errc{} && end.ptr == text.data() + text.size();
}

}  // namespace

std::string segment_file_name(Offset base, SegmentFile file, FileStage stage) {
    return fmt::format("{:020d}{}{}", base.value, extension(file), suffix(stage));
}

std::optional<SegmentFileName> parse_segment_file_name(std::string_view name) {
    if (name.size() <= kOffsetDigits) return std::nullopt;
    SegmentFileName parsed;
    if (!parse_whole(name.substr(0, kOffsetDigits), parsed.base.value)) return std::nullopt;
    const std::string_view rest = name.substr(kOffsetDigits);
    for (SegmentFile file : {SegmentFile::Log, SegmentFile::Index, SegmentFile::TimeIndex,
                             SegmentFile::TxnIndex, SegmentFile::Snapshot}) {
        for (FileStage stage :
             {FileStage::Live, FileStage::Deleted, FileStage::Cleaned, FileStage::Swap}) {
            const std::string_view ending = suffix(stage);
            const std::string_view middle = extension(file);
            if (rest.size() == middle.size() + ending.size() && rest.starts_with(middle) &&
                rest.ends_with(ending)) {
                parsed.file = file;
                parsed.stage = stage;
                return parsed;
            }
        }
    }
    return std::nullopt;
}

std::string moved_folder_name(const TopicPartition& partition, const Uuid& id,
                              PartitionFolderKind kind) {
    const std::string tail = fmt::format("-{}.{:016x}{:016x}{}", partition.partition.value, id.high,
                                         id.low, folder_suffix(kind));
    return partition.topic.substr(0, kFolderNameMax - tail.size()) + tail;
}

std::optional<PartitionFolder> parse_partition_folder(std::string_view name) {
    PartitionFolder folder;
    folder.name = std::string(name);
    std::string_view stem = name;
    for (PartitionFolderKind kind : {PartitionFolderKind::Future, PartitionFolderKind::Delete,
                                     PartitionFolderKind::Stray}) {
        if (!name.ends_with(folder_suffix(kind))) continue;
        const size_t dot = name.rfind('.');
        if (dot == std::string_view::npos) continue;  // a topic may be called "a-delete"
        folder.kind = kind;
        stem = name.substr(0, dot);
        break;
    }
    const size_t dash = stem.rfind('-');
    if (dash == std::string_view::npos || dash == 0) return std::nullopt;
    if (!parse_whole(stem.substr(dash + 1), folder.partition.partition.value)) return std::nullopt;
    folder.partition.topic = std::string(stem.substr(0, dash));
    return folder;
}

const char* checkpoint_file_name(CheckpointKind kind) {
    switch (kind) {
        case CheckpointKind::RecoveryPoint: return "recovery-point-offset-checkpoint";
        case CheckpointKind::HighWatermark: return "replication-offset-checkpoint";
        case CheckpointKind::LogStart: return "log-start-offset-checkpoint";
        case CheckpointKind::Cleaner: return "cleaner-offset-checkpoint";
    }
    MILLRACE_UNREACHABLE("checkpoint kind");
}

std::string join_path(std::string_view directory, std::string_view name) {
    std::string path;
    path.reserve(directory.size() + 1 + name.size());
    path.append(directory).append(1, '/').append(name);
    return path;
}

}  // namespace millrace::storage
