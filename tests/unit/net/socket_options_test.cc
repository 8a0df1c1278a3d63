// tests/unit/net/socket_options_test.cc: the congestion control of listeners and accepted sockets.
#include "net/socket_options.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

namespace millrace::net {
namespace {

class Congestion : public ::testing::Test {
  protected:
    void SetUp() override {
        fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ASSERT_GE(fd_, 0);
        system_ = name();
    }
    void TearDown() override { ::close(fd_); }
    std::string name() const {
        char text[16] = {};
        socklen_t size = sizeof text;
        EXPECT_EQ(::getsockopt(fd_, IPPROTO_TCP, TCP_CONGESTION, text, &size), 0);
        return text;
    }

    int fd_ = -1;
    std::string system_;
};

TEST_F(Congestion, ListenersDoNotPaceAndRememberTheSystemsChoice) {
    EXPECT_EQ(choose_congestion(fd_, ""), system_);
    EXPECT_TRUE(name() == "cubic" || name() == "reno") << name();
}

TEST_F(Congestion, PeersOnThisHostKeepItAndOthersGetTheSystemsBack) {
    const std::string system = choose_congestion(fd_, "");
    const std::string chosen = name();
    restore_congestion(fd_, system, {"10.0.0.1", 9092}, {"10.0.0.1", 40000});
    EXPECT_EQ(name(), chosen);
    restore_congestion(fd_, system, {"10.0.0.1", 9092}, {"10.0.0.2", 40000});
    EXPECT_EQ(name(), system_);
}

TEST_F(Congestion, AConfiguredOneIsForEverybody) {
    const std::string system = choose_congestion(fd_, "reno");
    EXPECT_EQ(name(), "reno");
    restore_congestion(fd_, system, {"10.0.0.1", 9092}, {"10.0.0.2", 40000});
    EXPECT_EQ(name(), "reno");
}

}  // namespace
}  // namespace millrace::net
