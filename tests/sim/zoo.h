// tests/sim/zoo.h: planted faults, each of which the simulator must find: the test of the tester.
//
// None lives in the product: a fault is a lie at a port that the simulator owns. A Meddler alters
// what nodes and clients say to each other, so that the node behind it acts as one with that bug
// would; a disk pretends to sync; a node runs with a config that its operator does not know of.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace::sim {

class Meddler;

struct PlantedFault {
    const char* name;
    const char* text;
    std::unique_ptr<Meddler> (*make)() = nullptr;
    std::map<std::string, std::string> config = {};
    std::string sync_lie = {};  // support::SimDisk::lie_about_syncs
    bool groups = false;        // needs groups and transactions
    int nodes = 3;              // 0: of the one-node simulator
};

const std::vector<PlantedFault>& planted_faults();
/// Null for a name that is none of them.
const PlantedFault* find_fault(const std::string& name);

}  // namespace millrace::sim
