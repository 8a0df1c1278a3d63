// src/storage/file_cache.cc: the open files of one shard's logs, least recently used closed first.
#include "storage/file_cache.h"

namespace millrace::storage {

void FileSlot::close() {
    if (cache_ == nullptr) return;
    cache_->unlink(*this);
    cache_ = nullptr;
    file_ = nullptr;
}

FileCache::~FileCache() {
    while (oldest_ != nullptr) oldest_->close();
}

std::shared_ptr<env::File> FileCache::use(FileSlot& slot) {
    if (slot.file_ == nullptr) return nullptr;
    MILLRACE_ASSERT(slot.cache_ == this, "a slot is open in one cache");
    if (newest_ != &slot) {
        unlink(slot);
        link_newest(slot);
    }
    return slot.file_;
}

void FileCache::put(FileSlot& slot, std::shared_ptr<env::File> file) {
    MILLRACE_ASSERT(slot.cache_ == nullptr, "the slot is empty");
    slot.file_ = std::move(file);
    slot.cache_ = this;
    link_newest(slot);
    while (open_count_ > open_max_ && oldest_ != &slot) oldest_->close();
}

bool FileCache::close_half() {
    if (open_count_ == 0) return false;
    const size_t keep = open_count_ / 2;
    while (open_count_ > keep) oldest_->close();
    return true;
}

void FileCache::link_newest(FileSlot& slot) {
    slot.older_ = newest_;
    slot.newer_ = nullptr;
    if (newest_ != nullptr) newest_->newer_ = &slot;
    newest_ = &slot;
    if (oldest_ == nullptr) oldest_ = &slot;
    ++open_count_;
}

void FileCache::unlink(FileSlot& slot) {
    (slot.newer_ != nullptr ? slot.newer_->older_ : newest_) = slot.older_;
    (slot.older_ != nullptr ? slot.older_->newer_ : oldest_) = slot.newer_;
    slot.newer_ = nullptr;
    slot.older_ = nullptr;
    --open_count_;
}

Result<std::shared_ptr<env::File>> SegmentFileHandle::open(env::OpenMode mode) {
    if (std::shared_ptr<env::File> file = home_->cache->use(slot_)) return file;
    Result<std::shared_ptr<env::File>> file = home_->files->open(path(), mode);
    while (!file.ok() && file.status().errc() == Errc::LimitExceeded &&
           home_->cache->close_half()) {
        file = home_->files->open(path(), mode);
    }
    if (file.ok()) home_->cache->put(slot_, *file);
    return file;
}

}  // namespace millrace::storage
