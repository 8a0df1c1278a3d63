// src/net/socket_options.h: the options that listeners and connections set on their sockets.
#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "millrace/base/result.h"
#include "millrace/net/server.h"

namespace millrace::net {

/// A numeric address without a port ("10.0.0.7", "::1"; IPv4-mapped IPv6 as IPv4), and the port.
struct Endpoint {
    std::string host;
    uint16_t port = 0;
};
Endpoint endpoint_of(const sockaddr_storage& address);
Endpoint local_endpoint(int fd);

/// The entry to use of what a name resolves to: like Java, the first IPv4 address, else the first
/// ("localhost" is both, and clients that use 127.0.0.1 must find it).
const addrinfo* prefer_ipv4(const addrinfo* list);

/// A bound, non-blocking, close-on-exec socket with the options that accepted sockets inherit
/// (no delay, keep-alive, buffers). Not listening yet.
Result<int> bind_listener(const ListenerOptions& options);

/// Gives a socket that is not connected yet the congestion control of ListenerOptions::congestion,
/// which accepted sockets inherit. Answers with the system's choice where peers from elsewhere must
/// get that back. It has to happen before the connection exists: a socket that was BBR's once paces
/// for ever, whatever it is given later.
std::string choose_congestion(int fd, const std::string& wanted);
/// The system's choice for an accepted socket, unless its peer is on this host.
void restore_congestion(int fd, const std::string& system, const Endpoint& local,
                        const Endpoint& peer);

}  // namespace millrace::net
