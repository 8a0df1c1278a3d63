// src/coordinator/assignor.h: who should get which partitions: the server's assignors.
//
// Pure functions of the members in a fixed order, their subscriptions, and what they have now.
// Source: coordinators.md 4.5; org.apache.kafka.coordinator.group.assignor.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/group_state.h"

namespace millrace::coordinator {

struct AssignorMember {
    std::string id;
    std::optional<std::string> instance_id;
    std::set<Uuid> topics;  // subscribed and existing
    Partitions current;     // its target up to now
};
struct AssignorInput {
    std::vector<AssignorMember> members;  // in assignor_order
    bool homogeneous = true;              // all subscribe to the same topics
    std::map<Uuid, int32_t> partition_counts;
};
using AssignorResult = std::map<std::string, Partitions>;

/// Members with an instance id first, by that, then the others by member id. Kafka's order is that
/// of a hash map for the uniform assignor; ours is the range assignor's for both.
void sort_for_assignor(std::vector<AssignorMember>& members);

AssignorResult assign_range(const AssignorInput& input);
AssignorResult assign_uniform(const AssignorInput& input);
/// Of the uniform assignor: members with different subscriptions.
AssignorResult assign_uniform_heterogeneous(const AssignorInput& input);

/// The assignor of that name; nullptr when there is none.
using Assignor = AssignorResult (*)(const AssignorInput&);
Assignor find_assignor(const std::string& name);

}  // namespace millrace::coordinator
