// tests/sim/group_load.h: groups and transactions of a run: topics, workers, auditors, last checks.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/metadata/image.h"
#include "millrace/wire/gen/fetch_request.h"
#include "sim/group_worker.h"

namespace millrace::sim {

/// Drawn beside the other options, so that a seed without groups is what it was before them.
struct GroupOptions {
    bool on = false;
    size_t plain_workers = 2;
    size_t txn_workers = 2;
    bool shared_id = false;  // two instances of one transactional id
    bool wall_jumps = false;
    bool walls_differ = false;  // from node to node
    int replication_factor = 1;
    int min_isr = 1;

    static GroupOptions draw(uint64_t seed);
    /// What the node needs: short timeouts, small internal topics, everything synced.
    void configure(metadata::ConfigMap& config) const;
};

class GroupLoad {
  public:
    GroupLoad(World& world, Servers& servers, const GroupOptions& options);
    /// Topics and coordinators, then the workers start.
    void begin();
    void reset_somebody(Rng& rng);
    /// Faults are over: every worker does its last work, then all rest.
    void drain();
    /// Nodes that lag behind may answer.
    void expect_stale_answers(bool may) {
        plain_.stale_answers = exact_.stale_answers = stale_answers_ = may;
    }
    /// REQUIRES: drained, a running node. Offsets, output, no open transaction.
    void verify(const std::string& when);
    std::string text() const;
    uint64_t commits() const { return txns_.commits + plain_.commits() + exact_.commits(); }
    static bool owns(const std::string& topic);

  private:
    void create_topic(const char* name, int32_t partitions, Uuid& id);
    void find_coordinator(const std::string& key, int8_t type);
    void shrink_segments(const std::string& topic);
    void audit(size_t index);
    void on_audited(size_t index, const wire::FetchResponse& answer, int64_t stable_floor);
    std::optional<wire::FetchResponse> fetch(size_t partition, int64_t offset);
    wire::FetchRequest fetch_request(size_t partition, int64_t offset, int16_t version) const;
    std::map<int32_t, int64_t> offsets(GroupModel& group, const std::string& when);
    std::string open_transactions(Process* server);
    void verify_no_open_transaction(const std::string& when);

    struct Auditor {
        std::unique_ptr<Client> client;
        CommittedReader reader;
        int64_t stable = 0;  // the largest LSO seen
        bool busy = false;
    };

    World& world_;
    Servers& servers_;
    GroupOptions options_;
    Rng rng_;
    Client client_;
    GroupModel plain_;
    GroupModel exact_;
    TxnModel txns_;
    LoadTopics topics_;
    std::vector<std::unique_ptr<GroupWorker>> workers_;
    std::vector<Auditor> auditors_;
    bool halted_ = false;
    bool stale_answers_ = false;
};

}  // namespace millrace::sim
