// tools/cli/quorum_commands.cc: `quorum status`, `add-voter` and `remove-voter`.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <chrono>
#include <iostream>
#include <set>

#include "cli/client.h"
#include "cli/output.h"
#include "millrace/wire/gen/add_raft_voter_request.h"
#include "millrace/wire/gen/add_raft_voter_response.h"
#include "millrace/wire/gen/describe_cluster_request.h"
#include "millrace/wire/gen/describe_cluster_response.h"
#include "millrace/wire/gen/describe_quorum_request.h"
#include "millrace/wire/gen/describe_quorum_response.h"
#include "millrace/wire/gen/remove_raft_voter_request.h"
#include "millrace/wire/gen/remove_raft_voter_response.h"

namespace millrace::cli {
namespace {

using Partition = wire::DescribeQuorumResponse::PartitionData;
using Replica = wire::DescribeQuorumResponse::ReplicaState;

wire::DescribeQuorumResponse describe(Client& client) {
    wire::DescribeQuorumRequest request;
    auto& topic = request.topics.emplace_back();
    topic.topic_name = "__cluster_metadata";
    topic.partitions.emplace_back();
    auto response = client.ask<wire::DescribeQuorumResponse>(request);
    check_error(response.error_code, response.error_message, "the quorum");
    if (response.topics.empty() || response.topics.front().partitions.empty())
        throw Failure{kFailed, "the answer names no quorum", ""};
    const Partition& partition = response.topics.front().partitions.front();
    check_error(partition.error_code, partition.error_message, "the quorum");
    return response;
}

std::string endpoints_of(const wire::DescribeQuorumResponse& response, int32_t id) {
    std::string text;
    for (const auto& node : response.nodes) {
        if (node.node_id != id) continue;
        for (const auto& listener : node.listeners)
            text += fmt::format("{}{}://{}:{}", text.empty() ? "" : ",", listener.name,
                                listener.host, listener.port);
    }
    return text;
}

void show_status(const Context& context) {
    Client client(context);
    const auto response = describe(client);
    const Partition& quorum = response.topics.front().partitions.front();
    const int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
    int64_t end = 0;
    for (const Replica& voter : quorum.current_voters)
        end = std::max(end, voter.log_end_offset);
    Json items = Json::array();
    Table table({">NODE", "ROLE", ">LOG END", ">LAG", "CAUGHT UP", "DIRECTORY", "ENDPOINT"});
    const auto add = [&](const Replica& replica, const char* role) {
        const bool leader = replica.replica_id == quorum.leader_id;
        const std::string endpoint = endpoints_of(response, replica.replica_id);
        const int64_t caught_up = leader ? now : replica.last_caught_up_timestamp;
        table.add({std::to_string(replica.replica_id), leader ? "leader" : role,
                   grouped(replica.log_end_offset), grouped(end - replica.log_end_offset),
                   caught_up > 0 ? fmt::format("{} ms ago", std::max<int64_t>(now - caught_up, 0))
                                 : "-",
                   replica.replica_directory_id.to_string(), endpoint.empty() ? "-" : endpoint});
        items.push_back({{"id", replica.replica_id},
                         {"role", leader ? "leader" : role},
                         {"directoryId", replica.replica_directory_id.to_string()},
                         {"logEndOffset", replica.log_end_offset},
                         {"lag", end - replica.log_end_offset},
                         {"lastCaughtUpMs", replica.last_caught_up_timestamp},
                         {"endpoints", endpoint}});
    };
    for (const Replica& voter : quorum.current_voters)
        add(voter, "voter");
    for (const Replica& observer : quorum.observers)
        add(observer, "observer");
    if (context.json()) {
        print_items("Quorum", Json::array({{{"leader", quorum.leader_id},
                                            {"epoch", quorum.leader_epoch},
                                            {"highWatermark", quorum.high_watermark},
                                            {"replicas", items}}}));
        return;
    }
    std::cout << fmt::format("leader {}   epoch {}   high watermark {}\n\n", quorum.leader_id,
                             quorum.leader_epoch, grouped(quorum.high_watermark))
              << table.to_string();
}

struct VoterOptions {
    int32_t id = 0;
    std::string directory;
    std::vector<std::string> endpoints;
};

/// The directory id given, or the one that the node reports.
Uuid directory_of(Client& client, const VoterOptions& options, bool observer) {
    if (!options.directory.empty()) {
        const auto id = Uuid::parse(options.directory);
        if (!id)
            throw Failure{kUsage, fmt::format("'{}' is no directory id", options.directory),
                          "directory.id in meta.properties has it"};
        return *id;
    }
    const auto response = describe(client);
    const Partition& quorum = response.topics.front().partitions.front();
    for (const Replica& replica : observer ? quorum.observers : quorum.current_voters) {
        if (replica.replica_id == options.id) return replica.replica_directory_id;
    }
    throw Failure{kNotFound,
                  fmt::format("no {} {} is known to the quorum", observer ? "observer" : "voter",
                              options.id),
                  observer ? "start the controller first, or give --directory-id"
                           : "millrace quorum status lists them"};
}

wire::AddRaftVoterRequest::Listener parse_endpoint(const std::string& text) {
    wire::AddRaftVoterRequest::Listener listener;
    const size_t scheme = text.find("://");
    const size_t colon = text.rfind(':');
    uint16_t port = 0;
    if (scheme != std::string::npos && scheme > 0 && colon > scheme + 3) {
        const char* end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, port);
        if (error != std::errc{} || rest != end) port = 0;
    }
    if (port == 0) {
        throw Failure{kUsage, fmt::format("'{}' is no endpoint", text),
                      "write --endpoint CONTROLLER://host:9093"};
    }
    listener.name = text.substr(0, scheme);
    listener.host = text.substr(scheme + 3, colon - scheme - 3);
    listener.port = port;
    return listener;
}

std::string cluster_id_of(Client& client) {
    const auto response =
        client.ask<wire::DescribeClusterResponse>(wire::DescribeClusterRequest{});
    check_error(response.error_code, response.error_message, "the cluster");
    return response.cluster_id;
}

void print_change(const Context& context, int32_t id, const Uuid& directory, bool voter) {
    if (context.json()) {
        print_items("Voter", Json::array({{{"id", id},
                                           {"directoryId", directory.to_string()},
                                           {"voter", voter}}}));
    } else {
        std::cout << fmt::format("node {} (directory {}) {}\n", id, directory.to_string(),
                                 voter ? "is a voter now" : "votes no more");
    }
}

void add_voter(const Context& context, const VoterOptions& options) {
    Client client(context);
    wire::AddRaftVoterRequest request;
    for (const std::string& text : options.endpoints)
        request.listeners.push_back(parse_endpoint(text));
    request.cluster_id = cluster_id_of(client);
    request.timeout_ms = client.timeout_ms();
    request.voter_id = options.id;
    request.voter_directory_id = directory_of(client, options, true);
    const auto response = client.ask<wire::AddRaftVoterResponse>(request);
    check_error(response.error_code, response.error_message, fmt::format("voter {}", options.id));
    print_change(context, options.id, request.voter_directory_id, true);
}

void remove_voter(const Context& context, const VoterOptions& options) {
    confirm(context, fmt::format("take the vote from node {}?", options.id));
    Client client(context);
    wire::RemoveRaftVoterRequest request;
    request.cluster_id = cluster_id_of(client);
    request.voter_id = options.id;
    request.voter_directory_id = directory_of(client, options, false);
    const auto response = client.ask<wire::RemoveRaftVoterResponse>(request);
    check_error(response.error_code, response.error_message, fmt::format("voter {}", options.id));
    print_change(context, options.id, request.voter_directory_id, false);
}

}  // namespace

void add_quorum_commands(CLI::App& root, Context& context) {
    CLI::App* quorum = root.add_subcommand("quorum", "the controllers and their votes");
    quorum->require_subcommand(1);
    CLI::App* status = quorum->add_subcommand("status", "leader, voters, observers and their lag");
    add_connection_options(*status, context);
    status->callback([&context] { show_status(context); });

    auto options = std::make_shared<VoterOptions>();
    CLI::App* add = quorum->add_subcommand("add-voter", "give a running controller a vote");
    add->add_option("id", options->id, "its node id")->required();
    add->add_option("--endpoint", options->endpoints, "its listeners: CONTROLLER://host:9093")
        ->required()
        ->allow_extra_args(false);
    add->add_option("--directory-id", options->directory, "of its metadata log (as it reports)");
    add_connection_options(*add, context);
    add->callback([&context, options] { add_voter(context, *options); });

    CLI::App* remove = quorum->add_subcommand("remove-voter", "take a controller's vote away");
    remove->add_option("id", options->id, "its node id")->required();
    remove->add_option("--directory-id", options->directory, "of its metadata log");
    remove->add_flag("-y,--yes", context.yes, "do not ask");
    add_connection_options(*remove, context);
    remove->callback([&context, options] { remove_voter(context, *options); });
}

}  // namespace millrace::cli
