// include/millrace/base/rng.h: the only source of randomness below net; always seeded by its owner.
//
// xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64. Same seed, same sequence, on
// every compiler: std distributions are not used because their results are not specified.
#pragma once

#include <cstdint>

namespace millrace {

class Rng {
  public:
    explicit Rng(uint64_t seed) {
        for (uint64_t& word : state_) word = split(seed);
    }
    uint64_t next() {
        const uint64_t result = rotate(state_[1] * 5, 7) * 9;
        const uint64_t t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotate(state_[3], 45);
        return result;
    }
    /// Uniform in [0, bound); bound > 0. The bias of the multiply-shift is below 2^-32 here.
    uint64_t below(uint64_t bound) {
        return multiply_high(next(), bound);
    }
    /// Uniform in [low, high].
    int64_t between(int64_t low, int64_t high) {
        return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
    }
    /// True `numerator` times out of `denominator`.
    bool chance(uint64_t numerator, uint64_t denominator) { return below(denominator) < numerator; }
    /// An independent generator, for a component of its own.
    Rng fork() { return Rng(next()); }

  private:
    __extension__ using Wide = unsigned __int128;
    static uint64_t multiply_high(uint64_t a, uint64_t b) {
        return static_cast<uint64_t>((static_cast<Wide>(a) * b) >> 64);
    }
    static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
    static uint64_t split(uint64_t& seed) {
        seed += 0x9e3779b97f4a7c15ULL;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
    }
    uint64_t state_[4];
};

}  // namespace millrace
