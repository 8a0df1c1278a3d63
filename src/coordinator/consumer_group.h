// src/coordinator/consumer_group.h: the rules of consumer groups (KIP-848) as functions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/group_state.h"

namespace millrace::coordinator {

/// As Kafka prints it: "Reconciling".
const char* consumer_phase_name(ConsumerGroupPhase phase);

/// All records of the group, in the order that replay demands (coordinators.md 2.5, rule 3).
void append_consumer_group_tombstones(const std::string& id, const ConsumerGroup& group,
                                      std::vector<CoordinatorRecord>& records);

}  // namespace millrace::coordinator
