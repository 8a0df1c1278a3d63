// tests/unit/base/md5_test.cc: RFC 1321's vectors and every length around a block's end.
#include "millrace/base/md5.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

std::string hex(const std::string& text) {
    std::string out;
    for (const uint8_t byte : md5(ByteView(text))) out += fmt::format("{:02x}", byte);
    return out;
}

TEST(Md5, Vectors) {
    EXPECT_EQ(hex(""), "d41d8cd98f00b204e9800998ecf8427e");
    EXPECT_EQ(hex("a"), "0cc175b9c0f1b6a831c399e269772661");
    EXPECT_EQ(hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
    EXPECT_EQ(hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    EXPECT_EQ(hex("abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b");
    EXPECT_EQ(hex(std::string(55, 'x')), "04364420e25c512fd958a70738aa8f72");
    EXPECT_EQ(hex(std::string(56, 'x')), "668a72d5ba17f08e62dabcafad6db14b");
    EXPECT_EQ(hex(std::string(63, 'x')), "7dc2ca208106a2f703567bdff99d8981");
    EXPECT_EQ(hex(std::string(64, 'x')), "c1bb4f81d892b2d57947682aeb252456");
    EXPECT_EQ(hex(std::string(119, 'x')), "ab347a5f68c8a443cfcddc633f12c24f");
    EXPECT_EQ(hex(std::string(120, 'x')), "fb98667f98096de92620b64f46e1c5b5");
    EXPECT_EQ(hex(std::string(1000, 'x')), "398533d48111e9f664b1f64cb10c4b63");
}

}  // namespace
}  // namespace millrace
