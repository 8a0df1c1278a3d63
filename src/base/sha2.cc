// src/base/sha2.cc: SHA-2 by the standard's formulas, one template for both word sizes.
#include "millrace/base/sha2.h"

#include <algorithm>
#include <bit>

#include "millrace/base/assert.h"
#include "millrace/base/endian.h"

namespace millrace {

namespace {

// Round constants and start values: fractional parts of cube and square roots of primes.
constexpr uint32_t kRound256[64] = {
    0x428a2f98U, 0x71374491U, 0xb5c0fbcfU, 0xe9b5dba5U, 0x3956c25bU, 0x59f111f1U, 0x923f82a4U,
    0xab1c5ed5U, 0xd807aa98U, 0x12835b01U, 0x243185beU, 0x550c7dc3U, 0x72be5d74U, 0x80deb1feU,
    0x9bdc06a7U, 0xc19bf174U, 0xe49b69c1U, 0xefbe4786U, 0x0fc19dc6U, 0x240ca1ccU, 0x2de92c6fU,
    0x4a7484aaU, 0x5cb0a9dcU, 0x76f988daU, 0x983e5152U, 0xa831c66dU, 0xb00327c8U, 0xbf597fc7U,
    0xc6e00bf3U, 0xd5a79147U, 0x06ca6351U, 0x14292967U, 0x27b70a85U, 0x2e1b2138U, 0x4d2c6dfcU,
    0x53380d13U, 0x650a7354U, 0x766a0abbU, 0x81c2c92eU, 0x92722c85U, 0xa2bfe8a1U, 0xa81a664bU,
    0xc24b8b70U, 0xc76c51a3U, 0xd192e819U, 0xd6990624U, 0xf40e3585U, 0x106aa070U, 0x19a4c116U,
    0x1e376c08U, 0x2748774cU, 0x34b0bcb5U, 0x391c0cb3U, 0x4ed8aa4aU, 0x5b9cca4fU, 0x682e6ff3U,
    0x748f82eeU, 0x78a5636fU, 0x84c87814U, 0x8cc70208U, 0x90befffaU, 0xa4506cebU, 0xbef9a3f7U,
    0xc67178f2U,
};
constexpr uint64_t kRound512[80] = {
    0x428a2f98d728ae22ULL, 0x7137449123ef65cdULL, 0xb5c0fbcfec4d3b2fULL, 0xe9b5dba58189dbbcULL,
    0x3956c25bf348b538ULL, 0x59f111f1b605d019ULL, 0x923f82a4af194f9bULL, 0xab1c5ed5da6d8118ULL,
    0xd807aa98a3030242ULL, 0x12835b0145706fbeULL, 0x243185be4ee4b28cULL, 0x550c7dc3d5ffb4e2ULL,
    0x72be5d74f27b896fULL, 0x80deb1fe3b1696b1ULL, 0x9bdc06a725c71235ULL, 0xc19bf174cf692694ULL,
    0xe49b69c19ef14ad2ULL, 0xefbe4786384f25e3ULL, 0x0fc19dc68b8cd5b5ULL, 0x240ca1cc77ac9c65ULL,
    0x2de92c6f592b0275ULL, 0x4a7484aa6ea6e483ULL, 0x5cb0a9dcbd41fbd4ULL, 0x76f988da831153b5ULL,
    0x983e5152ee66dfabULL, 0xa831c66d2db43210ULL, 0xb00327c898fb213fULL, 0xbf597fc7beef0ee4ULL,
    0xc6e00bf33da88fc2ULL, 0xd5a79147930aa725ULL, 0x06ca6351e003826fULL, 0x142929670a0e6e70ULL,
    0x27b70a8546d22ffcULL, 0x2e1b21385c26c926ULL, 0x4d2c6dfc5ac42aedULL, 0x53380d139d95b3dfULL,
    0x650a73548baf63deULL, 0x766a0abb3c77b2a8ULL, 0x81c2c92e47edaee6ULL, 0x92722c851482353bULL,
    0xa2bfe8a14cf10364ULL, 0xa81a664bbc423001ULL, 0xc24b8b70d0f89791ULL, 0xc76c51a30654be30ULL,
    0xd192e819d6ef5218ULL, 0xd69906245565a910ULL, 0xf40e35855771202aULL, 0x106aa07032bbd1b8ULL,
    0x19a4c116b8d2d0c8ULL, 0x1e376c085141ab53ULL, 0x2748774cdf8eeb99ULL, 0x34b0bcb5e19b48a8ULL,
    0x391c0cb3c5c95a63ULL, 0x4ed8aa4ae3418acbULL, 0x5b9cca4f7763e373ULL, 0x682e6ff3d6b2b8a3ULL,
    0x748f82ee5defb2fcULL, 0x78a5636f43172f60ULL, 0x84c87814a1f0ab72ULL, 0x8cc702081a6439ecULL,
    0x90befffa23631e28ULL, 0xa4506cebde82bde9ULL, 0xbef9a3f7b2c67915ULL, 0xc67178f2e372532bULL,
    0xca273eceea26619cULL, 0xd186b8c721c0c207ULL, 0xeada7dd6cde0eb1eULL, 0xf57d4f7fee6ed178ULL,
    0x06f067aa72176fbaULL, 0x0a637dc5a2c898a6ULL, 0x113f9804bef90daeULL, 0x1b710b35131c471bULL,
    0x28db77f523047d84ULL, 0x32caab7b40c72493ULL, 0x3c9ebe0a15c9bebcULL, 0x431d67c49c100d4cULL,
    0x4cc5d4becb3e42b6ULL, 0x597f299cfc657e2aULL, 0x5fcb6fab3ad6faecULL, 0x6c44198c4a475817ULL,
};
constexpr uint32_t kStart256[8] = {
    0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
    0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U,
};
constexpr uint64_t kStart512[8] = {
    0x6a09e667f3bcc908ULL, 0xbb67ae8584caa73bULL, 0x3c6ef372fe94f82bULL, 0xa54ff53a5f1d36f1ULL,
    0x510e527fade682d1ULL, 0x9b05688c2b3e6c1fULL, 0x1f83d9abfb41bd6bULL, 0x5be0cd19137e2179ULL,
};

struct Sha256Traits {
    using Word = uint32_t;
    static constexpr int kRounds = 64;
    static constexpr size_t kBlock = 64;
    static constexpr const Word* kRound = kRound256;
    static constexpr const Word* kStart = kStart256;
    static constexpr int kBigA[3] = {2, 13, 22};
    static constexpr int kBigE[3] = {6, 11, 25};
    static constexpr int kSmall0[3] = {7, 18, 3};  // two rotations, one shift
    static constexpr int kSmall1[3] = {17, 19, 10};
};
struct Sha512Traits {
    using Word = uint64_t;
    static constexpr int kRounds = 80;
    static constexpr size_t kBlock = 128;
    static constexpr const Word* kRound = kRound512;
    static constexpr const Word* kStart = kStart512;
    static constexpr int kBigA[3] = {28, 34, 39};
    static constexpr int kBigE[3] = {14, 18, 41};
    static constexpr int kSmall0[3] = {1, 8, 7};
    static constexpr int kSmall1[3] = {19, 61, 6};
};

template <class Traits>
class Sha {
  public:
    using Word = typename Traits::Word;
    Sha() { std::copy_n(Traits::kStart, 8, state_); }

    void add(ByteView data) {
        total_ += data.size;
        for (size_t i = 0; i < data.size; ++i) {
            block_[filled_++] = data[i];
            if (filled_ == Traits::kBlock) mix();
        }
    }
    std::vector<uint8_t> finish() {
        const uint64_t bits = total_ * 8;
        const uint8_t one = 0x80;
        const uint8_t zero = 0;
        add({&one, 1});
        // The length takes the last two words of a block; of 16 bytes the first 8 are zero here.
        while (filled_ != Traits::kBlock - 2 * sizeof(Word))
            add({&zero, 1});
        while (filled_ != Traits::kBlock - sizeof(uint64_t))
            add({&zero, 1});
        uint8_t length[sizeof(uint64_t)];
        store_big(length, bits);
        add({length, sizeof length});
        std::vector<uint8_t> digest(8 * sizeof(Word));
        for (size_t i = 0; i < 8; ++i)
            store_big(digest.data() + i * sizeof(Word), state_[i]);
        return digest;
    }

  private:
    static Word big(Word x, const int (&r)[3]) {
        return std::rotr(x, r[0]) ^ std::rotr(x, r[1]) ^ std::rotr(x, r[2]);
    }
    static Word small(Word x, const int (&r)[3]) {
        return std::rotr(x, r[0]) ^ std::rotr(x, r[1]) ^ (x >> r[2]);
    }
    void mix() {
        Word w[Traits::kRounds];
        for (size_t i = 0; i < 16; ++i)
            w[i] = load_big<Word>(block_ + i * sizeof(Word));
        for (int i = 16; i < Traits::kRounds; ++i) {
            w[i] = small(w[i - 2], Traits::kSmall1) + w[i - 7] + small(w[i - 15], Traits::kSmall0) +
                   w[i - 16];
        }
        Word s[8];
        std::copy_n(state_, 8, s);
        for (int i = 0; i < Traits::kRounds; ++i) {
            const Word choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
            const Word majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
            const Word t1 = s[7] + big(s[4], Traits::kBigE) + choose + Traits::kRound[i] + w[i];
            const Word t2 = big(s[0], Traits::kBigA) + majority;
            for (int k = 7; k > 0; --k)
                s[k] = s[k - 1];
            s[4] += t1;
            s[0] = t1 + t2;
        }
        for (int i = 0; i < 8; ++i)
            state_[i] += s[i];
        filled_ = 0;
    }

    Word state_[8];
    uint8_t block_[Traits::kBlock] = {};
    size_t filled_ = 0;
    uint64_t total_ = 0;
};

template <class Traits>
std::vector<uint8_t> hash(ByteView a, ByteView b) {
    Sha<Traits> sha;
    sha.add(a);
    sha.add(b);
    return sha.finish();
}
std::vector<uint8_t> hash(ShaKind kind, ByteView a, ByteView b) {
    return kind == ShaKind::Sha256 ? hash<Sha256Traits>(a, b) : hash<Sha512Traits>(a, b);
}
ByteView view(const std::vector<uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace

std::vector<uint8_t> sha2(ShaKind kind, ByteView data) { return hash(kind, data, {}); }

std::vector<uint8_t> hmac_sha2(ShaKind kind, ByteView key, ByteView data) {
    const size_t block = kind == ShaKind::Sha256 ? Sha256Traits::kBlock : Sha512Traits::kBlock;
    std::vector<uint8_t> inner =
        key.size > block ? sha2(kind, key) : std::vector<uint8_t>(key.begin(), key.end());
    inner.resize(block, 0);
    std::vector<uint8_t> outer = inner;
    for (uint8_t& byte : inner)
        byte ^= 0x36;
    for (uint8_t& byte : outer)
        byte ^= 0x5c;
    return hash(kind, view(outer), view(hash(kind, view(inner), data)));
}

std::vector<uint8_t> pbkdf2_sha2(ShaKind kind, ByteView password, ByteView salt,
                                 int32_t iterations) {
    MILLRACE_ASSERT(iterations > 0, "at least one iteration");
    std::vector<uint8_t> first(salt.begin(), salt.end());
    first.insert(first.end(), {0, 0, 0, 1});
    std::vector<uint8_t> turn = hmac_sha2(kind, password, view(first));
    std::vector<uint8_t> result = turn;
    for (int32_t i = 1; i < iterations; ++i) {
        turn = hmac_sha2(kind, password, view(turn));
        for (size_t k = 0; k < result.size(); ++k) {
            result[k] = static_cast<uint8_t>(result[k] ^ turn[k]);
        }
    }
    return result;
}

bool equal_in_constant_time(ByteView a, ByteView b) {
    if (a.size != b.size) return false;
    unsigned difference = 0;
    for (size_t i = 0; i < a.size; ++i)
        difference |= static_cast<unsigned>(a[i] ^ b[i]);
    return difference == 0;
}

}  // namespace millrace
