// tools/cli/murmur2.h: the hash by which Java's producer sends keys to partitions.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::cli {

/// Austin Appleby's MurmurHash2 with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2).
inline uint32_t murmur2(std::string_view key) {
    constexpr uint32_t kMix = 0x5bd1e995;
    const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(key[i])); };
    uint32_t hash = 0x9747b28c ^ static_cast<uint32_t>(key.size());
    size_t at = 0;
    for (; at + 4 <= key.size(); at += 4) {
        uint32_t word = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
        word *= kMix;
        word ^= word >> 24;
        word *= kMix;
        hash *= kMix;
        hash ^= word;
    }
    const size_t left = key.size() - at;
    if (left >= 3) hash ^= byte(at + 2) << 16;
    if (left >= 2) hash ^= byte(at + 1) << 8;
    if (left >= 1) {
        hash ^= byte(at);
        hash *= kMix;
    }
    hash ^= hash >> 13;
    hash *= kMix;
    hash ^= hash >> 15;
    return hash;
}

}  // namespace millrace::cli
