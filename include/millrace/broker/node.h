// include/millrace/broker/node.h: one Kafka node over its ports: start order, stop order.
//
// Builds log directories, quorum, controller, shard and registration from a BrokerConfig and an
// Env; runs unchanged in the simulator. Owner: app (or the simulator's world); every call and
// callback on the control shard's thread.
// Start: directories -> quorum -> controller -> image -> registration -> logs -> unfenced -> ready.
// Stop is the reverse. Source: kraft.md 3.1; kafka.server.{KafkaRaftServer,BrokerServer}.
#pragma once

#include <memory>
#include <string>

#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/broker/config.h"
#include "millrace/broker/shard.h"
#include "millrace/env/env.h"

namespace millrace::broker {

struct NodeEvents {
    /// The node is unfenced: listeners may accept.
    MoveFunction<void()> on_ready;
    /// The node cannot go on; the process should end with exit code 1. Corrupt and Unsupported
    /// speak of the metadata that it read, anything else of a device.
    MoveFunction<void(const Status& cause)> on_fatal;
};

class Node {
  public:
    /// `config` outlives the node; its advertised listeners carry the ports that were bound.
    Node(const env::Env& env, const BrokerConfig& config, NodeEvents events);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    /// Blocking part: locks and reads the directories, opens the metadata log. Then joins the
    /// quorum; on_ready follows from the event loop.
    Status start();
    /// Controlled shutdown, then closes everything; `done` once.
    void stop(MoveFunction<void()> done);

    Shard& shard();
    const std::string& cluster_id() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::broker
