// src/coordinator/utf16.h: text as Java counts and hashes it, in UTF-16 code units.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::coordinator {

/// Gives `use` every UTF-16 unit of UTF-8 `text`. A malformed byte counts as one U+FFFD, as Java's
/// decoder replaces it.
template <class Use>
void for_each_utf16(std::string_view text, Use use) {
    size_t i = 0;
    while (i < text.size()) {
        const auto lead = static_cast<uint8_t>(text[i]);
        const size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
        bool good = lead < 0x80 || (lead >= 0xC2 && lead < 0xF5);
        size_t used = 1;
        for (; good && used < length; ++used) {
            if (i + used >= text.size() || (static_cast<uint8_t>(text[i + used]) & 0xC0) != 0x80) {
                good = false;
                break;
            }
            point = (point << 6) | (static_cast<uint8_t>(text[i + used]) & 0x3FU);
        }
        i += used;
        if (!good) {
            use(static_cast<uint16_t>(0xFFFD));
        } else if (point < 0x10000) {
            use(static_cast<uint16_t>(point));
        } else {
            use(static_cast<uint16_t>(0xD7C0 + (point >> 10)));
            use(static_cast<uint16_t>(0xDC00 + (point & 0x3FF)));
        }
    }
}

inline size_t utf16_size(std::string_view text) {
    size_t units = 0;
    for_each_utf16(text, [&](uint16_t) { ++units; });
    return units;
}

}  // namespace millrace::coordinator
