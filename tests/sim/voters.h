// tests/sim/voters.h: an operator who changes the voters of the quorum in the middle of everything.
#pragma once

#include "millrace/raft/voter_set.h"
#include "millrace/wire/gen/describe_quorum_response.h"
#include "sim/client.h"
#include "sim/cluster.h"

namespace millrace::sim {

/// Asks who votes, then adds a node that does not, or removes one that does, by KIP-853's requests.
/// A voter whose disk is lost goes before anybody else: it counts and never votes again.
class Voters {
  public:
    Voters(World& world, Cluster& cluster);
    void begin();
    void end() { active_ = false; }
    /// The node can lose its disk and a majority votes on, whatever requests are still on their way.
    bool may_lose(int node) const;

  private:
    using Answer = wire::DescribeQuorumResponse;
    void plan();
    void ask();
    void change(const Answer& answer);
    void add(int node);
    void remove(int node, const Uuid& directory);
    void done(const char* what, std::optional<int16_t> code);

    World& world_;
    Cluster& cluster_;
    Rng rng_;
    Client client_;
    bool active_ = false;
    bool busy_ = false;
    Instant unsure_until_{};
};

}  // namespace millrace::sim
