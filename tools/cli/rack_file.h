// tools/cli/rack_file.h: racks in files: a node's own config, and HDInsight's clusterTopology.json.
#pragma once

#include <string>
#include <vector>

namespace millrace::cli {

struct TopologyHost {
    std::string host;  // full name
    std::string rack;  // FD<n>UD<m>
};

/// The hosts of hostGroups.workernode[]; a Failure where the text is something else.
std::vector<TopologyHost> parse_topology(const std::string& text, const std::string& path);

/// Whether `a` and `b` name one machine: equal, or one is the other's first label.
bool same_host(const std::string& a, const std::string& b);

/// The config file with broker.rack set, every other line as it was. A Failure where the file makes
/// the rack from broker.fault.domain.
std::string with_rack(const std::string& text, bool yaml, const std::string& rack);

}  // namespace millrace::cli
