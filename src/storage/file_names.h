// src/storage/file_names.h: every name on disk, both directions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/ids.h"
#include "millrace/base/uuid.h"
#include "millrace/storage/log_directory.h"

namespace millrace::storage {

/// The files of a partition that carry an offset in their name.
enum class SegmentFile : uint8_t { Log, Index, TimeIndex, TxnIndex, Snapshot };
inline constexpr SegmentFile kSegmentFiles[] = {SegmentFile::Log, SegmentFile::Index,
                                                SegmentFile::TimeIndex, SegmentFile::TxnIndex};

/// Life-cycle suffix behind the extension.
enum class FileStage : uint8_t { Live, Deleted, Cleaned, Swap };

inline constexpr std::string_view kLeaderEpochFile = "leader-epoch-checkpoint";
inline constexpr std::string_view kPartitionMetadataFile = "partition.metadata";
/// Ours, ignored by Kafka: the recovery point that a truncation left, while the directory's
/// checkpoint may still name a higher one (FORMAT.md).
inline constexpr std::string_view kLoweredPointFile = "recovery-point-lowered";
inline constexpr std::string_view kTemporarySuffix = ".tmp";

struct SegmentFileName {
    Offset base;
    SegmentFile file = SegmentFile::Log;
    FileStage stage = FileStage::Live;
};

/// "00000000000000000023.timeindex", with ".deleted", ".cleaned" or ".swap" behind it.
std::string segment_file_name(Offset base, SegmentFile file, FileStage stage = FileStage::Live);
std::optional<SegmentFileName> parse_segment_file_name(std::string_view name);

/// "topic-3.<32 hex>-delete" or "-stray", cut to 255 bytes as Kafka does.
std::string moved_folder_name(const TopicPartition& partition, const Uuid& id,
                              PartitionFolderKind kind);
/// Nothing for a name that is no partition folder's.
std::optional<PartitionFolder> parse_partition_folder(std::string_view name);

const char* checkpoint_file_name(CheckpointKind kind);
std::string join_path(std::string_view directory, std::string_view name);

}  // namespace millrace::storage
