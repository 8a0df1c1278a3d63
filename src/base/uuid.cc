// src/base/uuid.cc: text and byte forms of Uuid.
#include "millrace/base/uuid.h"

#include "millrace/base/endian.h"

namespace millrace {

namespace {
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int digit_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '-') return 62;
    if (c == '_') return 63;
    return -1;
}
}  // namespace

std::array<uint8_t, 16> Uuid::to_bytes() const {
    std::array<uint8_t, 16> bytes;
    store_big(bytes.data(), high);
    store_big(bytes.data() + 8, low);
    return bytes;
}

Uuid Uuid::from_bytes(const uint8_t* sixteen_bytes) {
    return Uuid{load_big<uint64_t>(sixteen_bytes), load_big<uint64_t>(sixteen_bytes + 8)};
}

Uuid Uuid::from_random_bits(uint64_t high, uint64_t low) {
    high = (high & ~0xF000ULL) | 0x4000ULL;
    low = (low & 0x3FFFFFFFFFFFFFFFULL) | 0x8000000000000000ULL;
    return Uuid{high, low};
}

std::string Uuid::to_string() const {
    const auto bytes = to_bytes();
    std::string text;
    text.reserve(22);
    uint32_t bits = 0;
    int count = 0;
    for (const uint8_t byte : bytes) {
        bits = (bits << 8) | byte;
        count += 8;
        while (count >= 6) {
            count -= 6;
            text.push_back(kAlphabet[(bits >> count) & 63U]);
        }
    }
    text.push_back(kAlphabet[(bits << (6 - count)) & 63U]);
    return text;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
    while (!text.empty() && text.back() == '=') text.remove_suffix(1);
    if (text.size() != 22) return std::nullopt;
    std::array<uint8_t, 16> bytes{};
    size_t filled = 0;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const int digit = digit_of(c);
        if (digit < 0) return std::nullopt;
        bits = (bits << 6) | static_cast<uint32_t>(digit);
        count += 6;
        if (count >= 8 && filled < bytes.size()) {
            count -= 8;
            bytes[filled++] = static_cast<uint8_t>(bits >> count);
        }
    }
    return from_bytes(bytes.data());
}

}  // namespace millrace
