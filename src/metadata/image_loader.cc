// src/metadata/image_loader.cc: the committed log into published images, transactions included.
#include <fmt/core.h>

#include "millrace/metadata/delta.h"

namespace millrace::metadata {

namespace {

Status misplaced(Offset offset, const char* what) {
    return Status(Errc::Corrupt, fmt::format("metadata offset {}: {}", offset.value, what));
}

}  // namespace

ImageLoader::ImageLoader(ImagePtr start)
    : published_(std::move(start)), delta_(*published_), provenance_(published_->provenance) {}

Status ImageLoader::on_record(Offset offset, LeaderEpoch epoch, WallMs timestamp,
                              const Record& record) {
    if (std::holds_alternative<wire::BeginTransactionRecord>(record.body)) {
        if (transaction_) return misplaced(offset, "a transaction begins inside a transaction");
        transaction_.emplace(Transaction{delta_.image(), delta_.changes()});
        transaction_->before.provenance = provenance_;
    } else if (std::holds_alternative<wire::EndTransactionRecord>(record.body)) {
        if (!transaction_) return misplaced(offset, "a transaction ends that never began");
        transaction_.reset();
    } else if (std::holds_alternative<wire::AbortTransactionRecord>(record.body)) {
        if (!transaction_) return misplaced(offset, "a transaction aborts that never began");
        delta_ = Delta(transaction_->before, std::move(transaction_->changes_before));
        transaction_.reset();
    } else {
        Status status = delta_.replay(record);
        if (!status.ok()) {
            return Status(status.errc(),
                          fmt::format("metadata offset {}: {}", offset.value, status.message()));
        }
    }
    provenance_ = {offset, epoch, timestamp};
    if (!transaction_) dirty_ = true;
    return {};
}

void ImageLoader::on_control(Offset last_offset, LeaderEpoch epoch, WallMs timestamp) {
    provenance_ = {last_offset, epoch, timestamp};
    if (!transaction_) dirty_ = true;
}

void ImageLoader::on_snapshot(ImagePtr image) {
    // What was accumulated since the last publish is part of the difference as well.
    delta_ = Delta(*image, difference(*published_, *image));
    provenance_ = image->provenance;
    transaction_.reset();
    dirty_ = true;
}

std::optional<ImageLoader::Published> ImageLoader::publish() {
    if (!dirty_) return std::nullopt;
    dirty_ = false;
    Published result;
    if (transaction_) {
        result.image = std::make_shared<const Image>(transaction_->before);
        result.changes = std::move(transaction_->changes_before);
        transaction_->changes_before = Changes{};
        published_ = result.image;
        // The open part stays in delta_: its changes are relative to the published image again
        // when the transaction ends, so the already published ones must not be reported twice.
        delta_ = Delta(delta_.image(), difference(*published_, delta_.image()));
        return result;
    }
    auto image = std::make_shared<Image>(delta_.image());
    image->provenance = provenance_;
    result.changes = delta_.take_changes();
    published_ = std::move(image);
    result.image = published_;
    delta_ = Delta(*published_);
    return result;
}

}  // namespace millrace::metadata
