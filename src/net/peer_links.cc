// src/net/peer_links.cc: outbound connections to other nodes: frames out, answers back in order.
#include "net/peer_links.h"

#include <utility>

#include "net/peer_link.h"

namespace millrace::net {

PeerLinks::PeerLinks(EventLoop& loop, env::Background& background)
    : loop_(loop), background_(background) {}

PeerLinks::~PeerLinks() {
    for (auto& [address, link] : links_) link->abandon();
}

void PeerLinks::send(const env::PeerAddress& to, BufferChain frame, Duration timeout,
                     MoveFunction<void(Result<Buffer>)> done) {
    std::shared_ptr<PeerLink>& link = links_[to];
    if (link == nullptr) link = std::make_shared<PeerLink>(loop_, background_, to);
    link->send(std::move(frame), timeout, std::move(done));
}

}  // namespace millrace::net
