// tools/cli/plan_request.cc: what a plan is asked for, as options of commands.
#include "cli/plan_request.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>

#include "cli/plan_output.h"
#include "cli/snapshot_file.h"

namespace millrace::cli {
namespace {

std::vector<int32_t> ids_of(const char* option, const std::vector<std::string>& texts) {
    std::vector<int32_t> ids;
    for (const std::string& word : words_of(option, texts)) {
        int32_t id = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
        if (error != std::errc{} || end != word.data() + word.size() || id < 0)
            throw bad_plan_input("usage", fmt::format("{}: '{}' is no broker id", option, word));
        ids.push_back(id);
    }
    return ids;
}

/// "0.90" or "90%".
int64_t ppm_of(const std::string& text) {
    double value = 0;
    const char* end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc{} && rest + 1 == end && *rest == '%') {
        value /= 100;
        ++rest;
    }
    if (error != std::errc{} || rest != end || !(value > 0 && value <= 1))
        throw bad_plan_input("usage",
                             fmt::format("--disk-high-water: '{}' is no part of the disk", text),
                             "give for example --disk-high-water 0.90");
    return std::llround(value * 1'000'000);
}

}  // namespace

Failure failure_of(const placement::Refusal& refusal, std::string fix) {
    Failure failure{refusal.bad_input ? kUsage : kFailed, refusal.message, std::move(fix)};
    failure.json = refusal_json(refusal);
    if (refusal.blocking_total > 0) {
        std::string names;
        constexpr size_t kShown = 5;
        for (size_t i = 0; i < std::min(kShown, refusal.blocking.size()); ++i)
            names += fmt::format("{}{}-{}", i > 0 ? ", " : "", refusal.blocking[i].topic,
                                 refusal.blocking[i].partition);
        failure.error += fmt::format(
            " ({}{}: {}{})", refusal.rule,
            refusal.blocking_total == 1 ? ""
                                        : fmt::format(", {} partitions", refusal.blocking_total),
            names, refusal.blocking_total > static_cast<int64_t>(kShown) ? ", …" : "");
    }
    return failure;
}

Failure bad_plan_input(const std::string& rule, const std::string& message, std::string fix) {
    return failure_of({true, rule, message, {}, 0}, std::move(fix));
}

std::vector<std::string> words_of(const char* option, const std::vector<std::string>& texts) {
    std::vector<std::string> words;
    for (const std::string& text : texts) {
        size_t from = 0;
        for (;;) {
            const size_t comma = text.find(',', from);
            std::string word = text.substr(from, comma - from);
            const size_t begin = word.find_first_not_of(' ');
            const size_t end = word.find_last_not_of(' ');
            if (begin == std::string::npos)
                throw bad_plan_input("usage", fmt::format("{} has an empty element", option));
            words.push_back(word.substr(begin, end - begin + 1));
            if (comma == std::string::npos) break;
            from = comma + 1;
        }
    }
    return words;
}

placement::Request request_of(const PlanOptions& options) {
    placement::Request request;
    for (const std::string& topic : words_of("--topics", options.topics)) {
        if (topic == "ALL" || topic == "all") {
            request.topics.clear();
            break;
        }
        request.topics.push_back(topic);
    }
    request.exclude_internal = options.exclude_internal;
    request.soft_axes = words_of("--soft", options.soft);
    request.away_from = ids_of("--away-from", options.away_from);
    request.dead = ids_of("--dead", options.dead);
    request.replication_factor = options.replication_factor;
    request.balance = options.balance;
    request.leaders = options.leaders == "all"    ? placement::Leaders::All
                      : options.leaders == "keep" ? placement::Leaders::Keep
                                                  : placement::Leaders::Changed;
    request.disk_high_water_ppm = ppm_of(options.high_water);
    request.max_moves_per_broker = options.max_moves;
    request.max_bytes_in_flight = options.max_bytes;
    return request;
}

placement::Snapshot snapshot_of(const std::string& text, const std::string& source) {
    placement::Snapshot snapshot;
    const SnapshotProblem problem = read_snapshot(text, snapshot);
    if (problem.rule.empty()) return snapshot;
    Failure failure = bad_plan_input(
        problem.rule,
        fmt::format("{}{} {}", source, problem.rule == "bad-json" ? "" : ":", problem.message));
    if (!problem.excerpt.empty()) failure.error += "\n" + problem.excerpt;
    throw failure;
}

void add_plan_options(CLI::App& command, PlanOptions& options) {
    const auto list = [&](const char* name, std::vector<std::string>& into, const char* help) {
        command.add_option(name, into, help)->allow_extra_args(false);
    };
    list("--topics", options.topics, "A,B or ALL (default)");
    command.add_flag("--exclude-internal", options.exclude_internal, "leave internal topics alone");
    list("--soft", options.soft, "an axis that is preferred but not required");
    list("--away-from", options.away_from, "brokers to empty: ID,ID");
    list("--dead", options.dead, "brokers that are gone: ID,ID");
    command
        .add_option("--replication-factor", options.replication_factor,
                    "give every chosen partition so many copies")
        ->check([](const std::string& text) { return std::string(text.empty() ? "is empty" : ""); });
    command.add_flag("--balance", options.balance, "move more, until replicas are spread evenly");
    command
        .add_option("--leaders", options.leaders,
                    "who gets a chosen preferred leader: changed, all, keep")
        ->check(CLI::IsMember({"changed", "all", "keep"}));
    command.add_option("--disk-high-water", options.high_water,
                       "how full a directory may become (0.90)");
    command
        .add_option("--max-moves-per-broker", options.max_moves,
                    "copies that a broker takes in one wave (5)")
        ->check(CLI::Range(1, std::numeric_limits<int32_t>::max()));
    command.add_option("--max-bytes-in-flight", options.max_bytes, "bytes of one wave (1 TiB)")
        ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max()));
    command.add_flag("--check", options.check, "exit with 11 when something is to be changed");
}

}  // namespace millrace::cli
