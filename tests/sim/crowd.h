// tests/sim/crowd.h: the producers and consumers of a run, as one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/actors.h"
#include "sim/group_load.h"

namespace millrace::sim {

class Crowd {
  public:
    Crowd(World& world, Servers& servers, Model& model)
        : world_(world), servers_(servers), model_(model) {}

    /// At work once it is started.
    Producer& add_producer(const ActorOptions& options);
    Consumer& add_consumer(const ActorOptions& options);
    /// Somebody's connection breaks.
    void reset_somebody();
    /// No new work: on sound nodes every batch gets its answer, also those of `load`.
    void drain(GroupLoad& load);

  private:
    bool finished() const;

    World& world_;
    Servers& servers_;
    Model& model_;
    std::vector<std::unique_ptr<Producer>> producers_;
    std::vector<std::unique_ptr<Consumer>> consumers_;
};

}  // namespace millrace::sim
