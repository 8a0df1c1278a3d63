// tests/unit/broker/controller_link_test.cc: what an Envelope says of the client.
#include "millrace/broker/controller_link.h"

#include <gtest/gtest.h>

#include <fmt/core.h>

#include <string>

namespace millrace::broker {
namespace {

std::string address(const std::string& host) {
    std::string hex;
    const Buffer bytes = encode_client_host(host);
    for (size_t i = 0; i < bytes.size(); ++i) hex += fmt::format("{:02x}", bytes.data()[i]);
    return hex;
}

TEST(ClientHost, IsSentAsJavaDoes) {
    const struct {
        const char* host;
        const char* bytes;
    } cases[] = {
        {"10.0.0.7", "0a000007"},
        {"255.255.255.255", "ffffffff"},
        {"::1", "00000000000000000000000000000001"},
        {"::", "00000000000000000000000000000000"},
        {"1::", "00010000000000000000000000000000"},
        {"fe80::1%eth0", "fe800000000000000000000000000001"},
        {"2001:db8::8:800:200c:417a", "20010db80000000000080800200c417a"},
        {"1:2:3:4:5:6:7:8", "00010002000300040005000600070008"},
        {"::ffff:1.2.3.4", "00000000000000000000ffff01020304"},
    };
    for (const auto& c : cases) EXPECT_EQ(address(c.host), c.bytes) << c.host;
    for (const char* host : {"", "name", "1.2.3", "1.2.3.4.5", "256.1.1.1", ":1", "1:", "1:::2",
                             "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::"}) {
        EXPECT_EQ(address(host), "7f000001") << host;
    }
}

TEST(ClientHost, PrincipalsGoThereAndBack) {
    metadata::Requester who;
    who.principal = "User:alice";
    who.token_authenticated = true;
    const auto back = decode_principal(encode_principal(who));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->principal, who.principal);
    EXPECT_TRUE(back->token_authenticated);
    EXPECT_TRUE(back->forwarded);
    EXPECT_FALSE(decode_principal(Buffer::copy_of("x")).has_value());
}

}  // namespace
}  // namespace millrace::broker
