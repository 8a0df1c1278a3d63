// src/coordinator/topic_hash.cc: XXH3 over the bytes that Kafka hashes (coordinators.md 1.8).
//
// It must equal Java's: a group that fails over between the two would else be assigned anew.
// Source: org.apache.kafka.coordinator.group.Utils.computeTopicHash and computeGroupHash.
#include "coordinator/topic_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <vector>

#include "coordinator/utf16.h"

namespace millrace::coordinator {

namespace {

constexpr uint8_t kHashVersion = 0;

/// Little-endian bytes, as hash4j's stream writes them.
class HashBytes {
  public:
    void u8(uint8_t n) { bytes_.push_back(n); }
    void u16(uint16_t n) { append(n, 2); }
    void i32(int32_t n) { append(static_cast<uint32_t>(n), 4); }
    void i64(int64_t n) { append(static_cast<uint64_t>(n), 8); }
    /// UTF-16 units, and their number behind them.
    void text(const std::string& text) {
        int32_t units = 0;
        for_each_utf16(text, [&](uint16_t unit) {
            u16(unit);
            ++units;
        });
        i32(units);
    }
    int64_t hash() const { return static_cast<int64_t>(XXH3_64bits(bytes_.data(), bytes_.size())); }

  private:
    void append(uint64_t n, int bytes) {
        for (int i = 0; i < bytes; ++i)
            bytes_.push_back(static_cast<uint8_t>(n >> (8 * i)));
    }
    std::vector<uint8_t> bytes_;
};

}  // namespace

int64_t topic_hash(const metadata::Image& image, const std::string& name) {
    const metadata::TopicImage* topic = image.topics.find(std::string_view(name));
    if (topic == nullptr) return 0;
    HashBytes bytes;
    bytes.u8(kHashVersion);
    bytes.i64(static_cast<int64_t>(topic->id.high));
    bytes.i64(static_cast<int64_t>(topic->id.low));
    bytes.text(topic->name);
    bytes.i32(static_cast<int32_t>(topic->partitions.size()));
    for (const auto& [index, partition] : topic->partitions) {
        bytes.i32(index.value);
        std::vector<std::string> racks;
        for (const NodeId replica : partition->replicas) {
            const metadata::BrokerImage* broker = image.cluster.broker(replica);
            if (broker != nullptr && broker->rack) racks.push_back(*broker->rack);
        }
        std::sort(racks.begin(), racks.end());
        for (const std::string& rack : racks) {
            bytes.i32(static_cast<int32_t>(utf16_size(rack)));
            bytes.text(rack);
        }
    }
    return bytes.hash();
}

int64_t group_hash(const metadata::Image& image, const std::set<std::string>& topics) {
    HashBytes bytes;
    bool any = false;
    for (const std::string& topic : topics) {
        if (image.topics.find(std::string_view(topic)) == nullptr) continue;
        bytes.i64(topic_hash(image, topic));
        any = true;
    }
    return any ? bytes.hash() : 0;
}

}  // namespace millrace::coordinator
