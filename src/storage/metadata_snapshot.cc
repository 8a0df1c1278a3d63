// src/storage/metadata_snapshot.cc: names, writing and reading of metadata snapshots.
#include "millrace/storage/metadata_snapshot.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "millrace/record/batch.h"

namespace millrace::storage {

namespace {

constexpr std::string_view kSuffix = ".checkpoint";
constexpr std::string_view kPartialSuffix = ".checkpoint.part";
constexpr std::string_view kDeletedSuffix = ".checkpoint.deleted";
constexpr size_t kOffsetDigits = 20;
constexpr size_t kEpochDigits = 10;
/// A batch is at most 8 MiB plus one record in Kafka; anything far above is damage.
constexpr size_t kSnapshotBatchBytesMax = 64 * 1024 * 1024;

template <class Number>
bool parse_digits(std::string_view digits, Number& out) {
    const char* end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, out);
    return error == std::errc() && at == end && digits[0] != '-';
}

}  // namespace

std::string MetadataSnapshotId::to_string() const {
    return fmt::format("{:020}-{:010}", end_offset.value, epoch.value);
}

std::string metadata_snapshot_file_name(const MetadataSnapshotId& id) {
    return id.to_string() + std::string(kSuffix);
}

std::optional<MetadataSnapshotName> parse_metadata_snapshot_name(std::string_view file_name) {
    MetadataSnapshotName name;
    if (file_name.size() < kOffsetDigits + 1 + kEpochDigits) return std::nullopt;
    if (file_name.ends_with(kPartialSuffix)) {
        name.kind = MetadataSnapshotFile::Partial;  // carries a unique part before the suffix
    } else if (file_name.ends_with(kDeletedSuffix)) {
        name.kind = MetadataSnapshotFile::Deleted;
    } else if (!file_name.ends_with(kSuffix) ||
               file_name.size() != kOffsetDigits + 1 + kEpochDigits + kSuffix.size()) {
        return std::nullopt;
    }
    if (file_name[kOffsetDigits] != '-' ||
        !parse_digits(file_name.substr(0, kOffsetDigits), name.id.end_offset.value) ||
        !parse_digits(file_name.substr(kOffsetDigits + 1, kEpochDigits), name.id.epoch.value)) {
        return std::nullopt;
    }
    return name;
}

Result<std::vector<MetadataSnapshotInfo>> list_metadata_snapshots(env::FileSystem& files,
                                                                  const std::string& directory) {
    auto entries = files.list(directory);
    if (!entries.ok()) {
        if (entries.status().errc() == Errc::NotFound) return std::vector<MetadataSnapshotInfo>{};
        return entries.status();
    }
    std::vector<MetadataSnapshotInfo> found;
    for (const env::DirectoryEntry& entry : *entries) {
        const auto name = parse_metadata_snapshot_name(entry.name);
        if (!name.has_value() || name->kind != MetadataSnapshotFile::Complete) continue;
        MILLRACE_TRY_ASSIGN(auto info, files.stat(directory + "/" + entry.name));
        if (info.has_value()) found.push_back({name->id, info->size_bytes, info->modified});
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    return found;
}

Status remove_stale_metadata_snapshots(env::FileSystem& files, const std::string& directory,
                                       Offset log_start) {
    auto entries = files.list(directory);
    if (!entries.ok()) {
        return entries.status().errc() == Errc::NotFound ? Status() : entries.status();
    }
    for (const env::DirectoryEntry& entry : *entries) {
        const auto name = parse_metadata_snapshot_name(entry.name);
        if (!name.has_value()) continue;
        const bool stale =
            name->kind != MetadataSnapshotFile::Complete || name->id.end_offset < log_start;
        if (stale) MILLRACE_TRY(files.remove(directory + "/" + entry.name));
    }
    return {};
}

Status remove_metadata_snapshot(env::FileSystem& files, const std::string& directory,
                                const MetadataSnapshotId& id) {
    return files.remove(directory + "/" + metadata_snapshot_file_name(id));
}

MetadataSnapshotWriter::MetadataSnapshotWriter(env::FileSystem& files, std::string directory,
                                               std::string part_path, std::string final_path)
    : files_(files),
      directory_(std::move(directory)),
      part_path_(std::move(part_path)),
      final_path_(std::move(final_path)) {}

Result<std::unique_ptr<MetadataSnapshotWriter>> MetadataSnapshotWriter::create(
    env::FileSystem& files, std::string directory, const std::string& final_name,
    const std::string& part_name) {
    MILLRACE_TRY(files.make_directories(directory));
    std::string part_path = directory + "/" + part_name;
    std::string final_path = directory + "/" + final_name;
    std::unique_ptr<MetadataSnapshotWriter> writer(new MetadataSnapshotWriter(
        files, std::move(directory), std::move(part_path), std::move(final_path)));
    MILLRACE_TRY_ASSIGN(writer->file_, files.open(writer->part_path_, env::OpenMode::CreateOrOpen));
    MILLRACE_TRY(writer->file_->truncate(0));
    return writer;
}

Result<std::unique_ptr<MetadataSnapshotWriter>> MetadataSnapshotWriter::create(
    env::FileSystem& files, std::string directory, const MetadataSnapshotId& id, uint64_t unique) {
    return create(files, std::move(directory), metadata_snapshot_file_name(id),
                  fmt::format("{}-{}{}", id.to_string(), unique, kPartialSuffix));
}

MetadataSnapshotWriter::~MetadataSnapshotWriter() {
    if (file_ == nullptr) return;
    file_.reset();
    // What stays behind after a failure here is removed at the next start.
    static_cast<void>(files_.remove(part_path_).ok());
}

Status MetadataSnapshotWriter::append(ByteView bytes) {
    MILLRACE_ASSERT(file_ != nullptr, "a finished snapshot takes nothing more");
    MILLRACE_TRY(file_->write_at(size_bytes_, bytes));
    size_bytes_ += bytes.size;
    return {};
}

Status MetadataSnapshotWriter::finish(bool read_only) {
    MILLRACE_ASSERT(file_ != nullptr, "a snapshot is finished once");
    MILLRACE_TRY(file_->sync());
    if (read_only) MILLRACE_TRY(files_.make_read_only(part_path_));
    MILLRACE_TRY(files_.rename(part_path_, final_path_));
    file_.reset();
    return files_.sync_directory(directory_);
}

MetadataSnapshotReader::MetadataSnapshotReader(std::string path, std::shared_ptr<env::File> file,
                                               uint64_t size)
    : path_(std::move(path)), file_(std::move(file)), size_bytes_(size) {}

Result<std::unique_ptr<MetadataSnapshotReader>> MetadataSnapshotReader::open(
    env::FileSystem& files, const std::string& path) {
    MILLRACE_TRY_ASSIGN(std::shared_ptr<env::File> file, files.open(path, env::OpenMode::ReadOnly));
    MILLRACE_TRY_ASSIGN(uint64_t size, file->size());
    return std::unique_ptr<MetadataSnapshotReader>(
        new MetadataSnapshotReader(path, std::move(file), size));
}

Result<std::optional<Buffer>> MetadataSnapshotReader::next() {
    if (position_ == size_bytes_) return std::optional<Buffer>();
    auto corrupt = [&](const char* what) {
        return Status(Errc::Corrupt, fmt::format("{}: {} at byte {}", path_, what, position_));
    };
    uint8_t header[record::kBatchHeaderBytes];
    if (size_bytes_ - position_ < sizeof header) return corrupt("a batch is cut off");
    MILLRACE_TRY_ASSIGN(size_t got, file_->read_at(position_, {header, sizeof header}));
    if (got != sizeof header) return corrupt("a batch is cut off");
    const record::BatchView view(ByteView(header, sizeof header));
    const int64_t size = int64_t{view.length()} + int64_t{record::kLogOverheadBytes};
    if (size < int64_t{record::kBatchHeaderBytes} || size > int64_t{kSnapshotBatchBytesMax} ||
        view.magic() != record::kMagicV2) {
        return corrupt("there is no batch");
    }
    if (static_cast<uint64_t>(size) > size_bytes_ - position_) return corrupt("a batch is cut off");
    Buffer batch = Buffer::allocate(static_cast<size_t>(size));
    MILLRACE_TRY_ASSIGN(got, file_->read_at(position_, {batch.mutable_data(), batch.size()}));
    if (got != batch.size()) return corrupt("a batch is cut off");
    if (!record::BatchView(batch.view()).valid_crc()) return corrupt("a batch has a bad checksum");
    position_ += batch.size();
    return std::optional<Buffer>(std::move(batch));
}

}  // namespace millrace::storage
