// tools/cli/rebalance.cc: `rebalance-rackaware plan`: a plan from a snapshot, without a cluster.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "cli/plan_output.h"
#include "cli/plan_request.h"
#include "cli/rebalance.h"

namespace millrace::cli {
namespace {

constexpr size_t kMaxSnapshotBytes = size_t{2} << 30;

std::string read_all(const std::string& path) {
    std::ostringstream text;
    if (path == "-") {
        text << std::cin.rdbuf();
        return text.str();
    }
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    std::error_code none;
    if (!file || file.tellg() < 0 || std::filesystem::is_directory(path, none))
        throw bad_plan_input("no-file", fmt::format("cannot read {}", path),
                             "give --cluster SNAPSHOT.json");
    if (static_cast<size_t>(file.tellg()) > kMaxSnapshotBytes)
        throw bad_plan_input("too-large", fmt::format("{} is larger than 2 GiB", path));
    std::string bytes(static_cast<size_t>(file.tellg()), '\0');
    file.seekg(0);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file) throw bad_plan_input("no-file", fmt::format("cannot read {}", path), "");
    return bytes;
}

void plan(Context& context, const std::string& cluster, const PlanOptions& options) {
    const placement::Request request = request_of(options);
    const placement::Snapshot snapshot = snapshot_of(read_all(cluster), cluster);
    const placement::Outcome outcome = placement::make_plan(snapshot, request);
    if (outcome.refusal) throw failure_of(*outcome.refusal);
    std::cout << (context.json() ? plan_json(outcome.plan) : plan_text(outcome.plan));
    if (options.check && !outcome.plan.changes.empty()) context.exit_code = kPending;
}

}  // namespace

std::string rebalance_usage_json(const std::string& message) {
    return refusal_json({true, "usage", message, {}, 0});
}

void add_rebalance(CLI::App& root, Context& context) {
    CLI::App* group = root.add_subcommand("rebalance-rackaware",
                                          "put every replica into its own fault and update domain");
    group->require_subcommand(0, 1);
    add_rebalance_live(*group, context);
    CLI::App* command = group->add_subcommand("plan", "make a plan from a snapshot, offline");
    auto options = std::make_shared<PlanOptions>();
    auto cluster = std::make_shared<std::string>();
    command->add_option("--cluster", *cluster, "snapshot of the cluster (JSON); - reads it")
        ->required();
    add_plan_options(*command, *options);
    add_output_option(*command, context);
    command->callback([&context, options, cluster] { plan(context, *cluster, *options); });
}

}  // namespace millrace::cli
