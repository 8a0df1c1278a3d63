// tests/sim/admin.h: topics made, changed and deleted during a run, and the check at its end.
#pragma once

#include <string>

#include "sim/client.h"
#include "sim/model.h"

namespace millrace::sim {

/// Calls are made from outside of events and run the world until the outcome is known.
class Admin {
  public:
    Admin(World& world, Servers& servers, Model& model);

    void act();
    TopicModel& create_topic(bool durable);
    void delete_topic(TopicModel& topic);
    void add_partitions(TopicModel& topic);
    void alter_configs(TopicModel& topic);
    void delete_records(TopicModel& topic, size_t partition, int64_t offset);
    Client& client() { return client_; }
    bool all_durable = false;
    int replication_factor = 1;
    int min_isr = 1;
    bool keep_all = false;  // neither retention nor DeleteRecords

  private:
    /// Repeats until `attempt` knows the outcome.
    void until_known(const std::string& what, MoveFunction<bool()> attempt);
    std::string free_name();
    void learn_topic(TopicModel& topic);

    World& world_;
    Model& model_;
    Rng rng_;
    Client client_;
    int next_name_ = 0;
};

/// Reads everything back and compares: metadata, offsets, records, look-ups, producers.
/// REQUIRES: a running node, no faults, no producers at work.
class Verifier {
  public:
    Verifier(World& world, Servers& servers, Model& model, std::string when);
    void verify();
    /// Only what belongs there is in the log directories. REQUIRES: a stopped node.
    static void verify_folders(World& world, Model& model, const std::vector<std::string>& dirs);

  private:
    void verify_metadata();
    void verify_partition(TopicModel& topic, size_t index);
    std::pair<int64_t, int64_t> offsets(TopicModel& topic, size_t index);
    std::pair<int64_t, int64_t> list_offset(TopicModel& topic, size_t index, int64_t timestamp);
    void read_all(TopicModel& topic, size_t index, int64_t start, int64_t end);
    bool start_moved(TopicModel& topic, size_t index, int64_t start);
    void verify_lookups(TopicModel& topic, size_t index, int64_t start);
    void verify_producers(TopicModel& topic, size_t index, int64_t start);
    void fail(const std::string& invariant, const std::string& text);

    World& world_;
    Model& model_;
    std::string when_;
    Client client_;
};

}  // namespace millrace::sim
