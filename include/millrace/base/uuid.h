// include/millrace/base/uuid.h: Kafka's 16-byte id, printed as 22 characters of URL-safe base64.
//
// Source of the text form: org.apache.kafka.common.Uuid (base64url without padding).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

struct Uuid {
    uint64_t high = 0;
    uint64_t low = 0;
    friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;

    constexpr bool is_zero() const { return high == 0 && low == 0; }
    /// 22 characters, e.g. "AAAAAAAAAAAAAAAAAAAAAQ".
    std::string to_string() const;
    /// Parses what to_string prints; nothing on any other text.
    static std::optional<Uuid> parse(std::string_view text);
    std::array<uint8_t, 16> to_bytes() const;
    static Uuid from_bytes(const uint8_t* sixteen_bytes);
    /// Makes a version-4 id from 128 random bits that the caller draws.
    static Uuid from_random_bits(uint64_t high, uint64_t low);
};

inline constexpr Uuid kZeroUuid{};
/// Topic id of __cluster_metadata (Uuid.METADATA_TOPIC_ID).
inline constexpr Uuid kMetadataTopicId{0, 1};

}  // namespace millrace

template <>
struct std::hash<millrace::Uuid> {
    size_t operator()(const millrace::Uuid& id) const noexcept {
        return static_cast<size_t>(id.high ^ (id.low * 0x9e3779b97f4a7c15ULL));
    }
};
