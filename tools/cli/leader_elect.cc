// tools/cli/leader_elect.cc: `leader elect`: leadership back to the preferred replicas.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/client.h"
#include "cli/output.h"
#include "millrace/wire/gen/elect_leaders_request.h"
#include "millrace/wire/gen/elect_leaders_response.h"

namespace millrace::cli {
namespace {

struct ElectOptions {
    std::string topic;
    std::vector<int32_t> partitions;
    bool unclean = false;
};

wire::ElectLeadersRequest request_of(Client& client, const ElectOptions& options) {
    wire::ElectLeadersRequest request;
    request.election_type = options.unclean ? 1 : 0;
    request.timeout_ms = client.timeout_ms();
    if (options.topic.empty()) {
        request.topic_partitions.reset();  // all
        return request;
    }
    auto& wanted = request.topic_partitions->emplace_back();
    wanted.topic = options.topic;
    wanted.partitions = options.partitions;
    const auto topic = client.topic(options.topic);
    if (wanted.partitions.empty()) {
        for (const auto& partition : topic.partitions)
            wanted.partitions.push_back(partition.partition_index);
    }
    return request;
}

void elect(Context& context, const ElectOptions& options) {
    if (options.topic.empty() && !options.partitions.empty())
        throw Failure{kUsage, "--partition needs a topic", "add --topic NAME"};
    if (options.unclean)
        confirm(context, "elect replicas that are not in sync? records may be lost;");
    Client client(context);
    const auto response = client.ask<wire::ElectLeadersResponse>(request_of(client, options));
    check_error(response.error_code, std::nullopt, "the election");
    Json items = Json::array();
    Table table({"TOPIC", ">PARTITION", "RESULT"});
    int64_t elected = 0;
    int64_t failed = 0;
    for (const auto& topic : response.replica_election_results) {
        for (const auto& partition : topic.partition_result) {
            const auto code = error_code_from(partition.error_code);
            if (code == ErrorCode::ElectionNotNeeded) continue;
            const bool done = partition.error_code == 0;
            ++(done ? elected : failed);
            const std::string text =
                done ? "elected" : error_text(partition.error_code, partition.error_message);
            items.push_back({{"topic", topic.topic},
                             {"partition", partition.partition_id},
                             {"elected", done},
                             {"error", done ? Json(nullptr) : Json(text)}});
            table.add({topic.topic, std::to_string(partition.partition_id), text});
        }
    }
    if (context.json()) {
        print_items("ElectionList", std::move(items));
    } else {
        if (elected + failed > 0) std::cout << table.to_string();
        std::cout << fmt::format("{} got another leader, {} failed\n",
                                 counted(elected, "partition"), failed);
    }
    if (failed > 0) context.exit_code = kFailed;
}

}  // namespace

void add_leader_elect(CLI::App& root, Context& context) {
    CLI::App* leader = root.add_subcommand("leader", "who leads partitions");
    leader->require_subcommand(1);
    CLI::App* command =
        leader->add_subcommand("elect", "hand leadership back to the preferred replicas");
    auto options = std::make_shared<ElectOptions>();
    command->add_option("--topic", options->topic, "only this topic");
    command->add_option("--partition", options->partitions, "only this partition of it")
        ->allow_extra_args(false);
    command->add_flag("--unclean", options->unclean,
                      "replicas that are not in sync may lead where no other is left");
    command->add_flag("-y,--yes", context.yes, "do not ask");
    add_connection_options(*command, context);
    command->callback([&context, options] { elect(context, *options); });
}

}  // namespace millrace::cli
