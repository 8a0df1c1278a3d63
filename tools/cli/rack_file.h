// tools/cli/rack_file.h: racks in files: a node's own config, and HDInsight's clusterTopology.json.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace millrace::cli {

struct Context;

/// What a node would read from the text of its config file.
struct ConfigText {
    bool yaml = false;
    std::map<std::string, std::string> values;
    std::string unreadable;        // FILE:LINE: why; or empty
    std::set<std::string> faults;  // what keeps a node from starting with it
};
using ReadConfig = std::function<ConfigText(const std::string& path, const std::string& text)>;

/// `rack set` and `rack import`, for the program that has the node's own reader of configs.
void add_rack_file_commands(CLI::App& root, Context& context, const ReadConfig& read);

struct TopologyHost {
    std::string host;  // full name
    std::string rack;  // FD<n>UD<m>
};

/// The hosts of hostGroups.workernode[]; a Failure where the text is something else.
std::vector<TopologyHost> parse_topology(const std::string& text, const std::string& path);

/// Whether `a` and `b` name one machine: equal, or one is the other's first label.
bool same_host(const std::string& a, const std::string& b);

/// The config file with broker.rack set, every other line as it was. Knows the usual ways to write
/// the key, not all.
std::string with_rack(const std::string& text, bool yaml, const std::string& rack);

/// The same, proven: a Failure unless a node would read that rack, and everything else as before.
std::string checked_with_rack(const std::string& path, const std::string& text,
                              const std::string& rack, const ReadConfig& read);

}  // namespace millrace::cli
