// tools/cli/doctor.cc: `doctor`: what is wrong with a cluster, and what to do about it.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/cluster_state.h"
#include "cli/output.h"
#include "cli/reassign_client.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"

namespace millrace::cli {
namespace {

constexpr int kDiskPercent = 85;

enum class Grade : uint8_t { Fine, Warning, Problem };

struct Finding {
    Grade grade = Grade::Fine;
    std::string check;
    std::string found;
    std::string remedy;
};

class Doctor {
  public:
    explicit Doctor(Client& client) : client_(client), state_(read_cluster(client)) {}

    std::vector<Finding> examine() {
        brokers();
        quorum();
        replication();
        rack_spread();
        losses();
        leaders();
        disks();
        cordons();
        throttles();
        return std::move(findings_);
    }

  private:
    void add(Grade grade, const char* check, std::string found, std::string remedy = "") {
        findings_.push_back({grade, check, std::move(found), std::move(remedy)});
    }

    void brokers() {
        bool fine = true;
        for (const ClusterBroker& broker : state_.brokers) {
            const std::string who =
                fmt::format("{}{}", broker.id, broker.rack.empty() ? "" : " (" + broker.rack + ")");
            if (broker.fenced) {
                add(Grade::Problem, "brokers up", who + " is down",
                    fmt::format("on {}: start it; if it is gone for good: millrace broker drain {} --dead",
                                broker.host.empty() ? "its machine" : broker.host, broker.id));
            } else if (!broker.answers) {
                add(Grade::Problem, "brokers up", who + " is registered but does not answer",
                    fmt::format("look at the process and the network of {}:{}", broker.host,
                                broker.port));
            }
            fine = fine && !broker.fenced && broker.answers;
        }
        if (fine) add(Grade::Fine, "brokers up", fmt::format("all {}", state_.brokers.size()));
    }

    void quorum() {
        if (state_.quorum_leader < 0)
            add(Grade::Problem, "quorum", "no leader is known", "millrace quorum status");
        else
            add(Grade::Fine, "quorum", fmt::format("leader {}, epoch {}", state_.quorum_leader,
                                                   state_.quorum_epoch));
    }

    void replication() {
        const Shortage shortage = shortage_of(state_);
        const bool fine = shortage.under_replicated == 0 && shortage.offline == 0;
        add(fine ? Grade::Fine : Grade::Problem, "replication",
            fmt::format("{} under-replicated, {} offline, {} below min.insync.replicas",
                        counted(shortage.under_replicated, "partition"), shortage.offline,
                        shortage.under_min_isr),
            fine ? "" : "follows from brokers up, or wait until they have caught up");
    }

    void rack_spread() {
        const Spread spread = spread_of(state_);
        if (!spread.refused.empty()) {
            add(Grade::Warning, "rack spread", spread.refused,
                "set broker.rack on each broker: millrace rack set FD0UD0 -c FILE");
            return;
        }
        if (spread.violations == 0) {
            add(Grade::Fine, "rack spread", "every partition is spread as far as it can be");
            return;
        }
        std::string topics;
        for (const std::string& topic : spread.topics)
            topics += (topics.empty() ? "" : ",") + topic;
        add(Grade::Warning, "rack spread",
            fmt::format("{} not spread over its domains", counted(spread.violations, "partition")),
            "millrace rebalance-rackaware" + (topics.empty() ? "" : " --topics " + topics));
    }

    void losses() {
        const std::vector<Domain> domains = domains_of(state_);
        for (const std::string& axis : state_.snapshot.axes) {
            size_t offline = 0;
            size_t count = 0;
            bool short_isr = false;
            for (const Domain& domain : domains) {
                if (domain.axis != axis) continue;
                ++count;
                offline += domain.offline.size();
                short_isr = short_isr || !domain.under_min_isr.empty();
            }
            if (count < 2) continue;  // nothing survives the loss of the only one
            add(offline > 0 || short_isr ? Grade::Warning : Grade::Fine, "loss of a domain",
                what_if_text(domains, axis),
                offline > 0 ? "replication factor 2 or more, and millrace rebalance-rackaware" : "");
        }
    }

    void leaders() {
        int64_t elsewhere = 0;
        for (const placement::Topic& topic : state_.snapshot.topics) {
            for (const placement::Partition& partition : topic.partitions) {
                const int32_t leader = partition.leader.value_or(-1);
                if (leader >= 0 && leader != partition.replicas.front()) ++elsewhere;
            }
        }
        add(elsewhere > 0 ? Grade::Warning : Grade::Fine, "leaders",
            elsewhere > 0 ? fmt::format("{} not led by the preferred replica",
                                        counted(elsewhere, "partition"))
                          : "every partition is led by its preferred replica",
            elsewhere > 0 ? "millrace leader elect" : "");
    }

    void disks() {
        bool fine = true;
        for (const ClusterBroker& broker : state_.brokers) {
            for (const BrokerDir& dir : broker.dirs) {
                if (!dir.offline) continue;
                fine = false;
                add(Grade::Problem, "disk", fmt::format("{} {} is offline", broker.id, dir.path),
                    "replace the device, then restart the broker");
            }
            if (broker.disk_total == 0 || broker.disk_percent() < kDiskPercent) continue;
            fine = false;
            add(Grade::Warning, "disk",
                fmt::format("{} at {} % (limit {} %)", broker.id, broker.disk_percent(),
                            kDiskPercent),
                fmt::format("millrace rebalance-rackaware --away-from {}", broker.id));
        }
        if (fine) add(Grade::Fine, "disk", fmt::format("all below {} %", kDiskPercent));
    }

    void cordons() {
        for (const ClusterBroker& broker : state_.brokers) {
            if (!broker.cordoned()) continue;
            add(Grade::Warning, "cordons",
                fmt::format("{} takes no new replicas and has {}", broker.id, broker.replicas),
                fmt::format("millrace broker {} {}", broker.replicas > 0 ? "drain" : "decommission",
                            broker.id) +
                    fmt::format("; or: millrace broker undrain {}", broker.id));
        }
    }

    /// Throttles that a move left behind: set while nothing moves.
    void throttles() {
        const auto moves = list_reassignments(client_);
        if (!moves.empty()) {
            add(Grade::Fine, "moves", counted(static_cast<int64_t>(moves.size()), "partition") +
                                          " being reassigned");
            return;
        }
        const std::vector<std::string> names = throttled();
        if (names.empty()) {
            add(Grade::Fine, "left-over throttles", "none");
            return;
        }
        std::string text;
        for (const std::string& name : names)
            text += (text.empty() ? "" : ", ") + name;
        add(Grade::Warning, "left-over throttles", text + ": set, and nothing is moving",
            "millrace config unset topic NAME leader.replication.throttled.replicas "
            "follower.replication.throttled.replicas; config unset broker ID "
            "leader.replication.throttled.rate follower.replication.throttled.rate");
    }

    std::vector<std::string> throttled() {
        wire::DescribeConfigsRequest topics;
        for (const placement::Topic& topic : state_.snapshot.topics) {
            auto& resource = topics.resources.emplace_back();
            resource.resource_type = kTopicResource;
            resource.resource_name = topic.name;
            resource.configuration_keys = {"leader.replication.throttled.replicas",
                                           "follower.replication.throttled.replicas"};
        }
        std::vector<std::string> names;
        const auto collect = [&](const wire::DescribeConfigsResponse& response, const char* kind) {
            for (const auto& result : response.results) {
                for (const auto& entry : result.configs) {
                    constexpr int8_t kOwnTopic = 1;
                    constexpr int8_t kOwnBroker = 2;
                    if (entry.config_source != kOwnTopic && entry.config_source != kOwnBroker)
                        continue;
                    if (entry.value.value_or("").empty()) continue;
                    names.push_back(kind + result.resource_name);
                    break;
                }
            }
        };
        if (!topics.resources.empty())
            collect(client_.ask<wire::DescribeConfigsResponse>(topics), "topic ");
        for (const ClusterBroker& broker : state_.brokers) {
            if (!broker.answers) continue;
            wire::DescribeConfigsRequest request;
            auto& resource = request.resources.emplace_back();
            resource.resource_type = kBrokerResource;
            resource.resource_name = std::to_string(broker.id);
            resource.configuration_keys = {"leader.replication.throttled.rate",
                                           "follower.replication.throttled.rate",
                                           "replica.alter.log.dirs.io.max.bytes.per.second"};
            collect(client_.ask_node<wire::DescribeConfigsResponse>(broker.id, request), "broker ");
        }
        return names;
    }

    Client& client_;
    ClusterState state_;
    std::vector<Finding> findings_;
};

const char* sign_of(Grade grade) {
    switch (grade) {
        case Grade::Fine: return "●";
        case Grade::Warning: return "▲";
        case Grade::Problem: return "✖";
    }
    return "";
}

const char* word_of(Grade grade) {
    switch (grade) {
        case Grade::Fine: return "ok";
        case Grade::Warning: return "warning";
        case Grade::Problem: return "problem";
    }
    return "";
}

void run_doctor(Context& context) {
    Client client(context);
    std::vector<Finding> findings = Doctor(client).examine();
    std::stable_sort(findings.begin(), findings.end(),
                     [](const Finding& a, const Finding& b) { return a.grade > b.grade; });
    std::map<Grade, int64_t> count;
    Json items = Json::array();
    Table table({"", "CHECK", "FOUND", "DO"});
    for (const Finding& finding : findings) {
        ++count[finding.grade];
        items.push_back({{"check", finding.check},
                         {"state", word_of(finding.grade)},
                         {"found", finding.found},
                         {"do", finding.remedy}});
        table.add({sign_of(finding.grade), finding.check, finding.found, finding.remedy});
    }
    if (context.json()) {
        print_items("Diagnosis", std::move(items));
    } else {
        std::cout << table.to_string()
                  << fmt::format("{}, {}, {} passed\n", counted(count[Grade::Problem], "problem"),
                                 counted(count[Grade::Warning], "warning"),
                                 counted(count[Grade::Fine], "check"));
    }
    if (count[Grade::Problem] > 0) context.exit_code = kUnhealthy;
}

}  // namespace

void add_doctor(CLI::App& root, Context& context) {
    CLI::App* command =
        root.add_subcommand("doctor", "what is wrong, and what to do; exit 10 on a problem");
    add_connection_options(*command, context);
    command->callback([&context] { run_doctor(context); });
}

}  // namespace millrace::cli
