// tests/unit/base/sha2_test.cc: vectors of FIPS 180-4, RFC 4231 and RFC 7677.
#include "millrace/base/sha2.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

std::string hex(const std::vector<uint8_t>& bytes) {
    std::string text;
    for (uint8_t b : bytes) {
        text += "0123456789abcdef"[b >> 4];
        text += "0123456789abcdef"[b & 15];
    }
    return text;
}

TEST(Sha2, KnownDigests) {
    EXPECT_EQ(hex(sha2(ShaKind::Sha256, ByteView(std::string_view("abc")))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex(sha2(ShaKind::Sha256, {})),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(hex(sha2(ShaKind::Sha512, ByteView(std::string_view("abc")))),
              "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
              "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    const std::string million(1'000'000, 'a');
    EXPECT_EQ(hex(sha2(ShaKind::Sha256, ByteView(million))),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Every length around the block borders; the last digests come from Python's hashlib.
TEST(Sha2, EveryPadding) {
    for (const auto& [kind, expected] :
         {std::pair(ShaKind::Sha256,
                    "fba747a5e8d4f266c6d14ff2d71786ea00b451cb50b0d73a48b9bb28ad64d616"),
          std::pair(ShaKind::Sha512,
                    "88e81add122eeaa6e1483d4fa2d7f78fd9278204f18d7a45986ddef580d50f63"
                    "69703775163b3f015686cf447efc7a0ea6953c5f06105eb82e9a7362ec3a3641")}) {
        std::vector<uint8_t> digest;
        for (size_t n = 0; n < 300; ++n) {
            std::vector<uint8_t> data = digest;
            data.insert(data.end(), n, 'a');
            digest = sha2(kind, {data.data(), data.size()});
        }
        EXPECT_EQ(hex(digest), expected);
    }
}

TEST(Sha2, KnownMacs) {
    const std::string_view key = "Jefe";
    const std::string_view data = "what do ya want for nothing?";
    EXPECT_EQ(hex(hmac_sha2(ShaKind::Sha256, ByteView(key), ByteView(data))),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(hex(hmac_sha2(ShaKind::Sha512, ByteView(key), ByteView(data))),
              "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
              "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
}

TEST(Sha2, ScramExampleOfRfc7677) {
    const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                            0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
    const auto salted = pbkdf2_sha2(ShaKind::Sha256, ByteView(std::string_view("pencil")),
                                    {salt, sizeof salt}, 4096);
    EXPECT_EQ(hex(salted), "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d");
}

TEST(Sha2, ConstantTimeComparison) {
    const std::string_view a = "abc";
    EXPECT_TRUE(equal_in_constant_time(ByteView(a), ByteView(std::string_view("abc"))));
    EXPECT_FALSE(equal_in_constant_time(ByteView(a), ByteView(std::string_view("abd"))));
    EXPECT_FALSE(equal_in_constant_time(ByteView(a), ByteView(std::string_view("ab"))));
}

}  // namespace
}  // namespace millrace
