// tests/unit/broker/scram_argument_test.cc: --add-scram against RFC vectors and Kafka's words.
#include "broker/scram_argument.h"

#include <gtest/gtest.h>

namespace millrace::broker {
namespace {

std::string hex(const Buffer& bytes) {
    std::string out;
    for (const uint8_t byte : bytes.view()) {
        const char* digits = "0123456789abcdef";
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

TEST(ScramArgument, DerivesTheKeysOfRfc7677) {
    // RFC 7677 section 3: user "user", password "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096.
    Rng rng(1);
    const auto record = parse_scram_argument(
        "SCRAM-SHA-256=[name=user,password=pencil,salt=\"W22ZaJ0SNY7soEsUEjb6gQ==\"]", rng);
    ASSERT_TRUE(record.ok()) << record.status().to_string();
    const auto& user = std::get<wire::UserScramCredentialRecord>(record->body);
    EXPECT_EQ(user.name, "user");
    EXPECT_EQ(user.mechanism, 1);
    EXPECT_EQ(user.iterations, 4096);
    // Computed with Python's hashlib and hmac.
    EXPECT_EQ(hex(user.stored_key),
              "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6");
    EXPECT_EQ(hex(user.server_key),
              "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5");
}

TEST(ScramArgument, RefusesWithKafkasWords) {
    struct Row {
        const char* text;
        const char* message;
    };
    for (const Row& row : {
             Row{"x", "Failed to find equals sign in SCRAM argument 'x'"},
             Row{"MD5=[name=a]", "The add-scram mechanism MD5 is not supported."},
             Row{"SCRAM-SHA-256=name=a]", "Expected configuration string to start with ["},
             Row{"SCRAM-SHA-256=[name=a", "Expected configuration string to end with ]"},
             Row{"SCRAM-SHA-256=[password=a]", "You must supply 'name' to add-scram"},
             Row{"SCRAM-SHA-256=[name=a]",
                 "You must supply one of 'password' or 'saltedpassword' to add-scram"},
             Row{"SCRAM-SHA-256=[name=a,saltedpassword=YQ==]",
                 "You must supply 'salt' with 'saltedpassword' to add-scram"},
             Row{"SCRAM-SHA-512=[name=a,password=b,iterations=7]",
                 "The 'iterations' value must be >= 4096 for add-scram using SCRAM_SHA_512"},
             Row{"SCRAM-SHA-256=[name=a,password=b,iterations=20000]",
                 "The 'iterations' value must be <= 16384 for add-scram using SCRAM_SHA_256"},
             Row{"SCRAM-SHA-256=[name=a,password=b,color=red]",
                 "Unknown SCRAM configurations: color"},
             Row{"SCRAM-SHA-256=[name=a,password=b,salt=!]", "Failed to decode given salt: !"},
             Row{"SCRAM-SHA-256=[name]", "No equals sign found in SCRAM component: name"},
         }) {
        Rng rng(1);
        const auto record = parse_scram_argument(row.text, rng);
        ASSERT_FALSE(record.ok()) << row.text;
        EXPECT_EQ(record.status().message(), row.message);
    }
}

}  // namespace
}  // namespace millrace::broker
