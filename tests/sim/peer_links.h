// tests/sim/peer_links.h: env::Peers of a simulated process: its requests to other nodes.
//
// Does what net/peer_link does with sockets: one connection per address, answers in order,
// deadlines, back-off between connects. The other side of the connection is an api::Session.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "millrace/env/peers.h"
#include "sim/process.h"

namespace millrace::sim {

class PeerLink;

class PeerLinks final : public env::Peers {
  public:
    PeerLinks(World& world, Hosts& hosts, int site, Owner owner);
    ~PeerLinks() override;
    void send(const env::PeerAddress& to, BufferChain frame, Duration timeout,
              MoveFunction<void(Result<Buffer>)> done) override;
    /// The process ended: connections close where the others are `told`, nobody is called back.
    void abandon(bool told);
    Meddler* meddler = nullptr;
    /// Fetches of partitions leave no sooner: the fetchers are stuck, the node is not.
    Instant fetches_held_until{};

  private:
    World& world_;
    Hosts& hosts_;
    int site_;
    Owner owner_;
    std::map<env::PeerAddress, std::shared_ptr<PeerLink>> links_;
};

}  // namespace millrace::sim
