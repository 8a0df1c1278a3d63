// src/placement/model.h: the checked snapshot in dense arrays, which all rooms of the floor share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "millrace/placement/planner.h"

namespace millrace::placement {

__extension__ using Wide = __int128;
using Index = int32_t;  // of a broker, in order of ids

enum class Role : uint8_t {
    Target,  // up, may receive
    Stay,    // cordoned: keeps what it has
    Pinned,  // down: what it has may not even be taken away
    Leave,   // dead or to be emptied
};

struct Dir {
    bool bounded = false;
    int64_t room = 0;  // below the high-water mark; of an unbounded one: minus what it holds
};

/// Why a partition is left alone although it was chosen.
enum class Hold : uint8_t { No, NoLeader, ShortIsr, OnlyDown };

struct Part {
    int32_t topic = 0;  // into Model::topics
    int32_t number = 0;
    uint32_t first = 0;  // current replicas: Model::current[first, first + copies)
    uint32_t plan = 0;   // planned ones: Model::planned[plan, plan + want)
    int16_t copies = 0;
    int16_t want = 0;  // above kMaxReplicationFactor: too many to be planned
    bool chosen = false;
    Hold hold = Hold::No;
    int64_t size = 0;
    int64_t weight = 0;  // of a new copy: bytes, then copies; see Model::unit
    int64_t rate = 0;
};

struct Model {
    const Request* request = nullptr;
    std::optional<int64_t> metadata_offset;

    std::vector<int32_t> ids;  // ascending
    std::vector<Role> role;
    std::vector<uint8_t> dead;
    std::vector<const Broker*> brokers;  // null for a dead one that only replicas name
    std::vector<std::vector<Dir>> dirs;
    std::vector<Index> targets;

    int hard = 0;  // axes [0, hard) are hard, [hard, axes.size()) soft
    std::vector<std::string> axes;
    std::vector<int32_t> value;                    // [broker * axes + axis], -1 without a label
    std::vector<int32_t> values;                   // per axis, how many in all
    std::vector<int32_t> target_values;            // per axis, how many with a target
    std::vector<std::vector<uint8_t>> has_target;  // [axis][value]

    std::vector<const Topic*> topics;  // by name
    std::vector<Part> parts;           // by topic and number
    int64_t unit = 1;  // weight of a byte; above 1 a copy weighs 1 more, and all copies less than it
    std::vector<Index> current;
    std::vector<Index> planned;

    size_t axis_count() const { return axes.size(); }
    int32_t value_of(Index broker, size_t axis) const {
        return value[static_cast<size_t>(broker) * axes.size() + axis];
    }
    std::span<const Index> now(const Part& part) const {
        return {current.data() + part.first, static_cast<size_t>(part.copies)};
    }
    std::span<Index> then(const Part& part) {
        return {planned.data() + part.plan, static_cast<size_t>(part.want)};
    }
    std::span<const Index> then(const Part& part) const {
        return {planned.data() + part.plan, static_cast<size_t>(part.want)};
    }
    Role role_of(Index broker) const { return role[static_cast<size_t>(broker)]; }
    bool usable(Index broker) const { return role_of(broker) == Role::Target; }
    bool free(const Part& part) const { return part.chosen && part.hold == Hold::No; }
    PartitionName name_of(const Part& part) const;
    std::string label_text(Index broker) const;  // "FD0UD1", "fd=a ud=b", "-"
};

/// Checks snapshot and request; fills `model`, with the present replicas as the plan.
std::optional<Refusal> load_model(const Snapshot& snapshot, const Request& request, Model& model);

/// Collects the partitions in the way of a refusal, at most kMaxBlocking of them.
void block(Refusal& refusal, const PartitionName& name);

}  // namespace millrace::placement
