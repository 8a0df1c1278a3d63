// tools/cli/rack_file.cc: reads the topology file, and edits one line of a config file.
#include "cli/rack_file.h"

#include <fmt/core.h>

#include <sstream>

#include "cli/cli.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

constexpr const char* kShape =
    "a clusterTopology.json has hostGroups.workernode[] with fqdn, faultDomain and updateDomain";

int64_t domain_of(const Json& host, const char* name, const std::string& path) {
    const auto found = host.find(name);
    if (found == host.end() || !found->is_number_integer() || found->get<int64_t>() < 0) {
        throw Failure{kUsage, fmt::format("{}: a worker has no {}", path, name), kShape};
    }
    return found->get<int64_t>();
}

/// The key of a line of properties or YAML; nothing for comments and deeper levels.
std::string key_of(const std::string& line) {
    if (line.empty() || line.front() == '#' || line.front() == '!') return "";
    size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || begin > 0) return "";
    return line.substr(0, line.find_first_of("=: \t"));
}

}  // namespace

std::vector<TopologyHost> parse_topology(const std::string& text, const std::string& path) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) throw Failure{kUsage, path + " is no JSON", kShape};
    const Json* workers = nullptr;
    if (json.is_object() && json.contains("hostGroups") && json["hostGroups"].is_object() &&
        json["hostGroups"].contains("workernode")) {
        workers = &json["hostGroups"]["workernode"];
    }
    if (workers == nullptr || !workers->is_array())
        throw Failure{kUsage, path + " lists no workers", kShape};
    std::vector<TopologyHost> hosts;
    for (const Json& worker : *workers) {
        if (!worker.is_object() || !worker.contains("fqdn") || !worker["fqdn"].is_string())
            throw Failure{kUsage, path + ": a worker has no fqdn", kShape};
        hosts.push_back({worker["fqdn"].get<std::string>(),
                         fmt::format("FD{}UD{}", domain_of(worker, "faultDomain", path),
                                     domain_of(worker, "updateDomain", path))});
    }
    return hosts;
}

bool same_host(const std::string& a, const std::string& b) {
    if (a == b) return true;
    const bool one_short = a.find('.') == std::string::npos || b.find('.') == std::string::npos;
    return one_short && a.substr(0, a.find('.')) == b.substr(0, b.find('.'));
}

std::string with_rack(const std::string& text, bool yaml, const std::string& rack) {
    const std::string wanted = (yaml ? "broker.rack: " : "broker.rack=") + rack;
    std::istringstream in(text);
    std::string out;
    bool done = false;
    for (std::string line; std::getline(in, line);) {
        const std::string key = key_of(line);
        if (key == "broker.fault.domain" || key == "broker.update.domain") {
            throw Failure{kConflict, "the file makes the rack from " + key,
                          "change broker.fault.domain and broker.update.domain there"};
        }
        if (key == "broker.rack") {
            if (!done) out += wanted + "\n";
            done = true;
            continue;
        }
        out += line + "\n";
    }
    return done ? out : out + wanted + "\n";
}

}  // namespace millrace::cli
