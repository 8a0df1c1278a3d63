// src/net/socket_options.cc: the options that listeners and connections set on their sockets.
#include "net/socket_options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace millrace::net {
namespace {

constexpr size_t kCongestionNameMax = 16;  // TCP_CA_NAME_MAX

void set_flag(int fd, int level, int name, int value = 1) {
    // An option the kernel refuses costs speed, never correctness.
    [[maybe_unused]] const int result = ::setsockopt(fd, level, name, &value, sizeof value);
}

bool try_congestion(int fd, const char* name) {
    return ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
                        static_cast<socklen_t>(std::strlen(name))) == 0;
}

Errc bind_errc(int error) {
    if (error == EADDRINUSE) return Errc::Busy;
    if (error == EACCES || error == EPERM) return Errc::Permission;
    if (error == EMFILE || error == ENFILE) return Errc::LimitExceeded;
    return Errc::InvalidInput;
}

Result<int> bind_address(const addrinfo& address, const ListenerOptions& options) {
    const std::string name = options.name + "://" + options.host + ":" +
                             std::to_string(options.port);
    const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return {bind_errc(errno), "socket for " + name + ": " + std::strerror(errno)};
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    if (options.reuse_port) set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
    if (address.ai_family == AF_INET6) {
        set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.host.empty() ? 0 : 1);
    }
    set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
    set_flag(fd, SOL_SOCKET, SO_KEEPALIVE);
    if (options.send_buffer_bytes > 0) {
        set_flag(fd, SOL_SOCKET, SO_SNDBUF, options.send_buffer_bytes);
    }
    if (options.receive_buffer_bytes > 0) {
        set_flag(fd, SOL_SOCKET, SO_RCVBUF, options.receive_buffer_bytes);
    }
    if (::bind(fd, address.ai_addr, address.ai_addrlen) == 0) return fd;
    const int error = errno;
    ::close(fd);
    return {bind_errc(error), "bind " + name + ": " + std::strerror(error)};
}

}  // namespace

const addrinfo* prefer_ipv4(const addrinfo* list) {
    for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
        if (each->ai_family == AF_INET) return each;
    }
    return list;
}

Endpoint endpoint_of(const sockaddr_storage& address) {
    char text[INET6_ADDRSTRLEN] = {};
    if (address.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return {text, ntohs(v4.sin_port)};
    }
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
    } else {
        ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    }
    return {text, ntohs(v6.sin6_port)};
}

Endpoint local_endpoint(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    return endpoint_of(address);
}

Result<int> bind_listener(const ListenerOptions& options) {
    addrinfo hints{};
    hints.ai_flags = AI_PASSIVE;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(options.port);
    // Every interface: one IPv6 socket takes IPv4 as well, where the machine has IPv6.
    const char* host = options.host.empty() ? "::" : options.host.c_str();
    int error = ::getaddrinfo(host, port.c_str(), &hints, &found);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, [](addrinfo* list) {
        if (list != nullptr) ::freeaddrinfo(list);
    });
    if (error != 0) {
        return {Errc::InvalidInput, "listener " + options.name + ": host " + options.host + ": " +
                                        ::gai_strerror(error)};
    }
    Result<int> bound = bind_address(*prefer_ipv4(found), options);
    if (!bound.ok() && options.host.empty() && bound.status().errc() != Errc::Busy) {
        ListenerOptions only_v4 = options;
        only_v4.host = "0.0.0.0";
        return bind_listener(only_v4);
    }
    return bound;
}

std::string choose_congestion(int fd, const std::string& wanted) {
    char before[kCongestionNameMax] = {};
    socklen_t size = sizeof before;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, before, &size) != 0) return {};
    if (!wanted.empty()) {
        try_congestion(fd, wanted.c_str());
        return {};
    }
    // A path that never leaves the host has no congestion to control; BBR's pacing costs six
    // times the CPU there (performance.md 3.3). cubic needs a privilege, reno does not.
    if (!try_congestion(fd, "cubic")) try_congestion(fd, "reno");
    return before;
}

void restore_congestion(int fd, const std::string& system, const Endpoint& local,
                        const Endpoint& peer) {
    if (!system.empty() && peer.host != local.host) try_congestion(fd, system.c_str());
}

}  // namespace millrace::net
