// include/millrace/env/peers.h: requests from this node to another broker or controller.
//
// One frame out, one frame or a failure back. The owner of the destination's name is the caller:
// it names host and port, the port keeps one connection per (destination, purpose).
#pragma once

#include <cstdint>
#include <string>

#include "millrace/base/bytes.h"
#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"

namespace millrace::env {

/// A peer answers one connection's requests in order, so what must not wait for a long poll or a
/// slow command has a connection of its own.
enum class PeerPurpose : uint8_t {
    Quorum,          // votes and fetches of the metadata log
    Heartbeat,       // registration and heartbeats of this broker
    Forward,         // requests of clients on their way to the active controller
    AlterPartition,  // changes of in-sync replicas
    Directories,     // where replicas lie
    Replication,     // fetches of partitions
    ReplicaOffsets,  // offsets that a fetcher asks for between its fetches
    Transactions,
};

struct PeerAddress {
    std::string host;
    uint16_t port = 0;
    PeerPurpose purpose = PeerPurpose::Quorum;
    friend auto operator<=>(const PeerAddress&, const PeerAddress&) = default;
};

class Peers {
  public:
    virtual ~Peers() = default;
    /// Sends header and body (no length prefix) and calls `done` on this shard with the answer's
    /// frame, or Disconnected or TimedOut. Frames to one address leave in order of the calls.
    virtual void send(const PeerAddress& to, BufferChain frame, Duration timeout,
                      MoveFunction<void(Result<Buffer>)> done) = 0;
};

}  // namespace millrace::env
