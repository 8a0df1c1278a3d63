// tests/sim/network.h: what the links between the sites of a cluster do to the bytes on them.
//
// A site is a node's machine (from 1) or all clients together (0). A connection is TCP: bytes of a
// cut or lossy link come late, in order, or the connection breaks; nothing is lost in its middle.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/time.h"

namespace millrace::sim {

class Connection;
class Process;
class World;

inline constexpr int kClientSite = 0;

struct LinkOptions {
    Duration delay_max = milliseconds(2);
    uint64_t drop_percent = 0;  // chance that bytes wait for TCP to send them again
};

/// Directed links between sites.
class Network {
  public:
    explicit Network(World& world) : world_(world) {}
    void cut(int from, int to);
    void mend(int from, int to);
    void mend_all();
    bool is_cut(int from, int to) const { return cuts_.contains({from, to}); }
    bool any_cut() const { return !cuts_.empty(); }
    void set_link(int from, int to, LinkOptions options) { links_[{from, to}] = options; }
    void reset_links() { links_.clear(); }
    /// How long bytes that leave now take.
    Duration delay(int from, int to);
    /// Called again when the link works: Connection::resume_delivery.
    void wait_for_mending(int from, int to, std::weak_ptr<Connection> connection, bool to_server);

  private:
    struct Waiter {
        std::weak_ptr<Connection> connection;
        bool to_server;
    };
    World& world_;
    std::set<std::pair<int, int>> cuts_;
    std::map<std::pair<int, int>, LinkOptions> links_;
    std::map<std::pair<int, int>, std::vector<Waiter>> waiters_;
};

/// Finds the process behind a host name.
class Hosts {
  public:
    virtual ~Hosts() = default;
    virtual Process* find(const std::string& host) = 0;
};

}  // namespace millrace::sim
