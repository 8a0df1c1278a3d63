// tests/sim/servers.h: which node a client's request has to go to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/base/uuid.h"

namespace millrace::sim {

class Process;

/// What a request is about; says who can answer it.
struct Target {
    enum class Kind { Anybody, Leader, Group, Transaction, AsBefore };
    Kind kind = Kind::Anybody;
    std::string name;  // of the topic, group or transactional id
    Uuid topic_id;     // where the request names no topic
    int32_t partition = 0;
    bool exact = false;  // where it belongs; otherwise clients err now and then
};

/// One node, or a cluster as its clients know it.
class Servers {
  public:
    virtual ~Servers() = default;
    /// The node that is thought to answer; null while none is known.
    virtual Process* server_for(const Target& target) = 0;
    virtual std::vector<Process*> all_servers() = 0;
};

}  // namespace millrace::sim
