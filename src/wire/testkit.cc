// src/wire/testkit.cc: random values that exercise the edges of the encodings.
#include "wire/testkit.h"

#include <algorithm>
#include <string_view>

namespace millrace::wire {

int64_t Fill::number() {
    switch (rng_.below(5)) {
        case 0: return 0;
        case 1: return -1;
        case 2: return rng_.between(-300, 300);
        default: return static_cast<int64_t>(rng_.next());
    }
}

void Fill::value(std::string& out) {
    const uint64_t length = rng_.chance(1, 16) ? rng_.below(300) : rng_.below(12);
    out.clear();
    for (uint64_t i = 0; i < length; ++i) out.push_back(static_cast<char>(rng_.between('a', 'z')));
    if (rng_.chance(1, 8)) out += "\xc3\xa9\xe2\x82\xac";  // two and three byte characters
}

void Fill::value(Buffer& out) {
    const uint64_t length = rng_.chance(1, 16) ? rng_.below(3000) : rng_.below(40);
    out = Buffer::allocate(length);
    for (uint64_t i = 0; i < length; ++i) {
        out.mutable_data()[i] = static_cast<uint8_t>(rng_.below(256));
    }
}

void Fill::value(BufferChain& out) {
    out.clear();
    for (uint64_t pieces = rng_.below(3); pieces > 0; --pieces) {
        Buffer piece;
        value(piece);
        out.append(std::move(piece));
    }
}

void Fill::tags(UnknownTags& out) {
    if (!rng_.chance(1, 4)) return;
    uint32_t tag = 1000;
    for (uint64_t n = 1 + rng_.below(2); n > 0; --n) {
        RawTag raw;
        raw.tag = tag += static_cast<uint32_t>(1 + rng_.below(200));
        value(raw.data);
        out.add(std::move(raw));
    }
}

const WireMessage* find_wire_message(std::string_view name) {
    const std::vector<WireMessage>& all = wire_messages();
    const auto at = std::lower_bound(
        all.begin(), all.end(), name,
        [](const WireMessage& m, std::string_view n) { return std::string_view(m.name) < n; });
    return at != all.end() && name == at->name ? &*at : nullptr;
}

}  // namespace millrace::wire
