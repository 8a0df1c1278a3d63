// src/net/peer_links.h: outbound connections to other nodes: frames out, answers back in order.
#pragma once

#include <map>
#include <memory>

#include "millrace/env/background.h"
#include "millrace/env/peers.h"
#include "net/event_loop.h"

namespace millrace::net {

class PeerLink;

/// One connection per address, made when the first frame needs it and again after a failure, at
/// the earliest after a back-off. Answers are matched in order and by correlation id; a request
/// that times out ends the connection, since its answer would shift all later ones.
class PeerLinks final : public env::Peers {
  public:
    PeerLinks(EventLoop& loop, env::Background& background);
    ~PeerLinks() override;
    void send(const env::PeerAddress& to, BufferChain frame, Duration timeout,
              MoveFunction<void(Result<Buffer>)> done) override;

  private:
    EventLoop& loop_;
    env::Background& background_;
    std::map<env::PeerAddress, std::shared_ptr<PeerLink>> links_;
};

}  // namespace millrace::net
