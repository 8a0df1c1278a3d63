// include/millrace/placement/snapshot.h: the cluster as the planner sees it: brokers, disks,
// copies.
//
// Plain data, filled by whoever has it (the command line from a file, the controller from its
// state). planner.h checks it; nothing here is trusted before that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::placement {

enum class BrokerState : uint8_t {
    Up,
    Down,      // absent for now: its replicas stay, it is never a target
    Dead,      // gone: its replicas are replaced
    Cordoned,  // alive, but takes no new replica and no new preferred leader
};

/// One log directory. Without a capacity it is unbounded.
struct LogDir {
    std::string path;
    std::optional<int64_t> capacity_bytes;
    int64_t used_bytes = 0;
};

/// Axis and value, for example {"fd", "0"}.
using Label = std::pair<std::string, std::string>;

struct Broker {
    int32_t id = 0;
    std::vector<Label> labels;
    BrokerState state = BrokerState::Up;
    std::vector<LogDir> log_dirs;
};

struct Partition {
    int32_t partition = 0;
    std::vector<int32_t> replicas;            // the first is the preferred leader
    std::optional<std::vector<int32_t>> isr;  // unknown counts as complete
    std::optional<int32_t> leader;            // negative: none
    int64_t size_bytes = 0;                   // of one copy
    int64_t bytes_in_rate = 0;
};

struct Topic {
    std::string name;
    std::vector<Partition> partitions;
};

struct Snapshot {
    /// Hard axes in order of rank, unless the request makes one soft.
    std::vector<std::string> axes;
    std::vector<Broker> brokers;
    std::vector<Topic> topics;
    std::optional<int64_t> metadata_offset;
};

/// The labels of a rack text: `FD<n>UD<m>` and `/a/b` give fd and ud, anything else one axis, rack.
std::vector<Label> labels_of_rack(const std::string& rack);

/// The axes that the brokers' labels name: fd and ud first, then as they come; "rack" when no
/// broker has a label.
std::vector<std::string> axes_of_labels(const std::vector<Broker>& brokers);

/// Topics of Kafka's and Millrace's own.
bool is_internal_topic(const std::string& name);

}  // namespace millrace::placement
