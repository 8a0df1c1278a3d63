// include/millrace/wire/tags.h: tagged fields that a message carries but its schema does not name.
//
// Kafka keeps the raw bytes of tags it does not know and writes them back (KIP-482); forwarding and
// snapshots rely on that. Empty (one null pointer) in nearly every message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "millrace/base/bytes.h"

namespace millrace::wire {

class Writer;

struct RawTag {
    uint32_t tag = 0;
    Buffer data;
    friend bool operator==(const RawTag&, const RawTag&) = default;
};

/// A member of every generated struct; copied and compared with it.
class UnknownTags {
  public:
    UnknownTags() noexcept = default;
    UnknownTags(UnknownTags&&) noexcept = default;
    UnknownTags& operator=(UnknownTags&&) noexcept = default;
    UnknownTags(const UnknownTags& other) { *this = other; }
    UnknownTags& operator=(const UnknownTags& other) {
        if (this == &other) return *this;
        tags_ = other.tags_ ? std::make_unique<std::vector<RawTag>>(*other.tags_) : nullptr;
        return *this;
    }
    ~UnknownTags() = default;

    bool empty() const { return tags_ == nullptr; }
    uint32_t count() const { return tags_ ? static_cast<uint32_t>(tags_->size()) : 0; }
    const RawTag& operator[](size_t i) const { return (*tags_)[i]; }
    /// REQUIRES: tags are added in ascending order, or the encoded message is not well formed.
    void add(RawTag tag) {
        if (!tags_) tags_ = std::make_unique<std::vector<RawTag>>();
        tags_->push_back(std::move(tag));
    }
    friend bool operator==(const UnknownTags& a, const UnknownTags& b) {
        if (a.empty() || b.empty()) return a.empty() == b.empty();
        return *a.tags_ == *b.tags_;
    }

  private:
    std::unique_ptr<std::vector<RawTag>> tags_;
};

}  // namespace millrace::wire
