// tools/cli/rack_file.cc: reads the topology file, and edits one line of a config file.
#include "cli/rack_file.h"

#include <fmt/core.h>

#include <algorithm>
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

/// The key of a line of properties or YAML, in YAML with those that it stands below; nothing for
/// comments.
class KeyReader {
  public:
    explicit KeyReader(bool yaml) : yaml_(yaml) {}

    std::string next(const std::string& line) {
        begin_ = line.find_first_not_of(yaml_ ? " " : " \t");
        if (begin_ == std::string::npos || line[begin_] == '#') return "";
        if (!yaml_) {
            if (line[begin_] == '!') return "";
            return line.substr(begin_, line.find_first_of("=: \t", begin_) - begin_);
        }
        while (!above_.empty() && above_.back().first >= begin_)
            above_.pop_back();
        size_t colon = line.find(':', begin_);
        while (colon != std::string::npos && colon + 1 < line.size() && line[colon + 1] != ' ')
            colon = line.find(':', colon + 1);
        if (colon == std::string::npos) return "";
        written_ = line.substr(begin_, colon - begin_);
        std::string key = written_;
        if (key.size() > 1 && (key.front() == '"' || key.front() == '\''))
            key = key.substr(1, key.size() - 2);
        if (!above_.empty()) key = above_.back().second + "." + key;
        const size_t value = line.find_first_not_of(' ', colon + 1);
        if (value == std::string::npos || line[value] == '#') above_.emplace_back(begin_, key);
        return key;
    }

    /// The line just read with another value.
    std::string with(const std::string& value) const {
        return yaml_ ? std::string(begin_, ' ') + written_ + ": " + value : "broker.rack=" + value;
    }

  private:
    bool yaml_;
    size_t begin_ = 0;
    std::string written_;
    std::vector<std::pair<size_t, std::string>> above_;  // indent and whole key
};

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
    KeyReader keys(yaml);
    std::istringstream in(text);
    std::string out;
    bool done = false;
    for (std::string line; std::getline(in, line);) {
        const std::string key = keys.next(line);
        if (key == "broker.rack") {
            if (!done) out += keys.with(rack) + "\n";
            done = true;
            continue;
        }
        out += line + "\n";
    }
    return done ? out : out + (yaml ? "broker.rack: " : "broker.rack=") + rack + "\n";
}

std::string checked_with_rack(const std::string& path, const std::string& text,
                              const std::string& rack, const ReadConfig& read) {
    const ConfigText before = read(path, text);
    if (!before.unreadable.empty()) {
        throw Failure{kConflict, before.unreadable,
                      fmt::format("correct it; millrace config check {} looks again", path)};
    }
    for (const char* key : {"broker.fault.domain", "broker.update.domain"}) {
        if (before.values.contains(key)) {
            throw Failure{kConflict, fmt::format("{} makes the rack from {}", path, key),
                          "change broker.fault.domain and broker.update.domain there"};
        }
    }
    std::string edited = with_rack(text, before.yaml, rack);
    const ConfigText after = read(path, edited);
    std::map<std::string, std::string> wanted = before.values;
    wanted["broker.rack"] = rack;
    const bool as_before = std::includes(before.faults.begin(), before.faults.end(),
                                         after.faults.begin(), after.faults.end());
    if (!after.unreadable.empty() || after.yaml != before.yaml || after.values != wanted ||
        !as_before) {
        throw Failure{kConflict,
                      fmt::format("{} is left as it is: no line of it can be changed so that a node "
                                  "reads broker.rack {} and all else as before",
                                  path, rack),
                      fmt::format("write broker.rack there by hand, on a plain line of its own; "
                                  "millrace config check {} looks at it",
                                  path)};
    }
    return edited;
}

}  // namespace millrace::cli
