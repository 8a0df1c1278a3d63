// tests/sim/run.h: one run of the simulator from its seed, and the fixed scenario with its crashes.
#pragma once

#include <cstdint>
#include <string>

#include "sim/zoo.h"

namespace millrace::sim {

struct RunReport {
    uint64_t hash = 0;
    uint64_t events = 0;
    uint64_t acked_records = 0;
    uint64_t read_records = 0;
    uint64_t commits = 0;  // of offsets and transactions
    uint64_t processes = 0;
    int64_t virtual_ms = 0;
    uint64_t elections = 0;         // of partitions' leaders, in a cluster
    uint64_t quorum_elections = 0;
    uint64_t voter_changes = 0;
};

/// Whether groups and transactions are part of the run: half of the seeds draw them.
enum class Groups { Drawn, On, Off };

/// Ends the process with an exit code of world.h when something is wrong.
RunReport run_seed(uint64_t seed, bool trace, const std::string& commit,
                   Groups wanted = Groups::Drawn, const PlantedFault* fault = nullptr);

/// A cluster of that many nodes.
RunReport run_cluster_seed(uint64_t seed, int nodes, bool trace, const std::string& commit,
                           Groups wanted = Groups::Drawn, const PlantedFault* fault = nullptr);

/// The fixed scenario with a crash after disk step `step` (0: none). Returns the number of steps
/// that it made.
uint64_t run_crash_step(uint64_t step, bool machine, bool trace, const std::string& commit);

}  // namespace millrace::sim
