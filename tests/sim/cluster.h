// tests/sim/cluster.h: several nodes in one world, and what clients know of them.
//
// Every node is a Process with a disk and a wall clock of its own, on a machine "nX"; the Network is
// between them and the clients. Clients learn leaders from Metadata answers, as real ones do: one
// knowledge for all clients of the run, which never goes back behind a leader epoch it has seen.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/raft/voter_set.h"
#include "millrace/wire/gen/metadata_response.h"
#include "sim/client.h"
#include "sim/process.h"

namespace millrace::sim {

/// Drawn from the seed.
struct ClusterOptions {
    int nodes = 3;
    int replication_factor = 3;
    int min_isr = 2;
    metadata::ConfigMap config;  // of every node
    /// Of a dynamic quorum (KIP-853): so many nodes vote from the start. 0: static voters.
    int first_voters = 0;
};

class Cluster final : public Hosts, public Servers {
  public:
    Cluster(World& world, const ClusterOptions& options, uint64_t seed);
    ~Cluster() override;

    int size() const { return static_cast<int>(nodes_.size()); }
    Process& node(int number) { return *nodes_.at(static_cast<size_t>(number - 1)); }
    /// As the leader of the quorum knows them; empty while none leads.
    raft::VoterSet voters();
    /// Clients begin to ask for leaders.
    void begin_discovery();

    // Hosts
    Process* find(const std::string& host) override;
    // Servers
    Process* server_for(const Target& target) override;
    std::vector<Process*> all_servers() override;

    Network links;
    /// Chance that a client turns to a node that does not lead.
    uint64_t wrong_percent = 0;

  private:
    struct Leader {
        int node = -1;
        int32_t epoch = -1;
    };
    using Partition = std::pair<Uuid, int32_t>;
    void name_voters(int count);
    void ask();
    void learn(const wire::MetadataResponse& answer);
    Process* leader_of(const Uuid& topic, int32_t partition);
    Process* anybody();

    World& world_;
    Rng rng_;
    std::vector<std::unique_ptr<Process>> nodes_;
    std::unique_ptr<Client> asker_;
    std::map<std::string, Uuid> topic_ids_;
    std::map<Uuid, int32_t> partition_counts_;
    std::map<Partition, Leader> leaders_;
};

}  // namespace millrace::sim
