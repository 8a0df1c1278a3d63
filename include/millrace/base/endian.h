// include/millrace/base/endian.h: big-endian loads and stores (Kafka's byte order everywhere).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace millrace {

template <class Number>
constexpr Number byte_swap(Number n) {
    using U = std::make_unsigned_t<Number>;
    U u = static_cast<U>(n);
    if constexpr (sizeof(U) == 2) u = static_cast<U>(__builtin_bswap16(static_cast<uint16_t>(u)));
    if constexpr (sizeof(U) == 4) u = static_cast<U>(__builtin_bswap32(static_cast<uint32_t>(u)));
    if constexpr (sizeof(U) == 8) u = static_cast<U>(__builtin_bswap64(static_cast<uint64_t>(u)));
    return static_cast<Number>(u);
}

template <class Number>
Number load_big(const uint8_t* from) {
    Number n;
    std::memcpy(&n, from, sizeof n);
    if constexpr (std::endian::native == std::endian::little) n = byte_swap(n);
    return n;
}

template <class Number>
void store_big(uint8_t* to, Number n) {
    if constexpr (std::endian::native == std::endian::little) n = byte_swap(n);
    std::memcpy(to, &n, sizeof n);
}

}  // namespace millrace
