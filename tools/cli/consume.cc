// tools/cli/consume.cc: `consume`: records to standard output, alone or as a member of a group.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>

#include "cli/group_consumer.h"
#include "cli/interrupt.h"
#include "cli/record_printer.h"

namespace millrace::cli {
namespace {

constexpr int32_t kWaitMs = 500;

struct Options {
    std::vector<std::string> topics;
    std::string from = "earliest";
    std::string format;
    std::string group;
    std::string protocol = "classic";
    std::string instance;
    int partition = -1;
    int64_t count = -1;
    bool exit_at_end = false;
    bool committed = false;
    bool no_commit = false;
};

using Ends = std::map<TopicPartition, int64_t>;

Ends ends_of(Client& client, const std::set<TopicPartition>& partitions, bool committed) {
    Ends ends;
    for (const auto& [partition, found] :
         find_offsets(client, partitions, kLatestTimestamp, committed)) {
        check_error(found.error_code, std::nullopt, partition.to_string());
        ends[partition] = found.offset;
    }
    return ends;
}

/// The partitions that the words name.
std::set<TopicPartition> partitions_wanted(Client& client, const Options& options) {
    std::set<TopicPartition> partitions;
    for (const std::string& name : options.topics) {
        const auto topic = client.topic(name);
        for (const auto& p : topic.partitions) {
            if (options.partition < 0 || p.partition_index == options.partition)
                partitions.insert({name, p.partition_index});
        }
        if (partitions.empty()) {
            throw Failure{kNotFound,
                          fmt::format("topic '{}' has no partition {}", name, options.partition),
                          fmt::format("it has 0 to {}", topic.partitions.size() - 1)};
        }
    }
    return partitions;
}

/// Where --from points to in each partition.
Ends starts_of(Client& client, const Options& options, const std::set<TopicPartition>& partitions) {
    Ends starts;
    if (!options.from.empty() &&
        options.from.find_first_not_of("0123456789") == std::string::npos) {
        for (const TopicPartition& partition : partitions)
            starts[partition] = std::stoll(options.from);
        return starts;
    }
    int64_t time = kEarliestTimestamp;
    if (options.from == "latest" || options.from == "end") {
        time = kLatestTimestamp;
    } else if (options.from.starts_with("@") && options.from.size() > 1) {
        time = std::atoll(options.from.c_str() + 1);
    } else if (options.from != "earliest" && options.from != "beginning") {
        throw Failure{kUsage, fmt::format("'{}' is no place to start", options.from),
                      "earliest, latest, an offset, or @milliseconds"};
    }
    const Ends ends = ends_of(client, partitions, options.committed);
    const auto found = find_offsets(client, partitions, time, options.committed);
    for (const TopicPartition& partition : partitions) {
        const auto start = found.find(partition);
        const auto end = ends.find(partition);
        if (start != found.end() && start->second.offset >= 0)
            starts[partition] = start->second.offset;
        else
            starts[partition] = end != ends.end() ? end->second : 0;
    }
    return starts;
}

/// Counts what is printed, and knows when it is enough.
class Progress {
  public:
    explicit Progress(const Context& context, const Options& options)
        : options_(options), printer_(context.json(), options.format) {}

    bool print(const FetchedRecord& found) {
        if (full()) return false;
        printer_.print(found);
        ++printed_;
        return !full();
    }
    bool full() const { return options_.count >= 0 && printed_ >= options_.count; }
    int64_t printed() const { return printed_; }

  private:
    const Options& options_;
    RecordPrinter printer_;
    int64_t printed_ = 0;
};

bool reached(const Ends& ends, const std::map<TopicPartition, int64_t>& positions) {
    return std::all_of(ends.begin(), ends.end(), [&](const auto& end) {
        const auto position = positions.find(end.first);
        return position != positions.end() && position->second >= end.second;
    });
}

void consume_alone(Client& client, const Context& context, const Options& options) {
    const auto partitions = partitions_wanted(client, options);
    Fetcher fetcher(client, options.committed);
    for (const auto& [partition, offset] : starts_of(client, options, partitions))
        fetcher.start(partition, offset);
    const Ends ends =
        options.exit_at_end ? ends_of(client, partitions, options.committed) : Ends();
    Progress progress(context, options);
    while (!progress.full() && !(options.exit_at_end && reached(ends, fetcher.positions()))) {
        client.renew();
        fetcher.round(kWaitMs, [&](const FetchedRecord& found) { return progress.print(found); });
        std::cout.flush();
    }
}

GroupConsumerOptions member_of(Client& client, const Options& options) {
    GroupConsumerOptions member;
    member.member.group = options.group;
    member.member.consumer_protocol = options.protocol == "consumer";
    if (!options.instance.empty()) member.member.instance_id = options.instance;
    member.topics = [&client, topics = options.topics] {
        std::map<std::string, int32_t> counts;
        for (const std::string& name : topics)
            counts[name] = static_cast<int32_t>(client.topic(name).partitions.size());
        return counts;
    };
    member.start = options.from;
    member.only_committed = options.committed;
    member.commits = !options.no_commit;
    return member;
}

void check_group_options(const Options& options) {
    if (options.partition >= 0) {
        throw Failure{kUsage, "--partition and --group do not go together",
                      "the group shares the partitions out"};
    }
    if (options.from != "earliest" && options.from != "latest" && options.from != "none") {
        throw Failure{kUsage,
                      fmt::format("a group starts where it has committed, not at '{}'",
                                  options.from),
                      "--from says only what to do without: earliest, latest or none; "
                      "millrace group reset moves a group"};
    }
    if (options.protocol != "classic" && options.protocol != "consumer") {
        throw Failure{kUsage, fmt::format("no group protocol '{}'", options.protocol),
                      "classic or consumer"};
    }
}

void consume_in_group(Client& client, Context& context, const Options& options) {
    check_group_options(options);
    const InterruptGuard guard;
    GroupConsumer consumer(client, member_of(client, options));
    Ends ends;
    Ends positions;
    bool assigned = false;
    consumer.on_change([&](const std::set<TopicPartition>& owned) {
        assigned = true;
        ends = options.exit_at_end ? ends_of(client, owned, options.committed) : Ends();
        if (context.json()) return;
        std::cerr << fmt::format("group {}: {} of this member\n", options.group,
                                 counted(static_cast<int64_t>(owned.size()), "partition"));
    });
    Progress progress(context, options);
    const auto done = [&] {
        return options.exit_at_end && assigned && reached(ends, consumer.positions());
    };
    try {
        while (!interrupted() && !progress.full() && !done()) {
            consumer.round(kWaitMs,
                           [&](const FetchedRecord& found) { return progress.print(found); });
            std::cout.flush();
        }
    } catch (const Failure& failure) {
        if (failure.exit_code != kInterrupted) throw;
    }
    consumer.close();
    if (interrupted()) context.exit_code = kInterrupted;
}

}  // namespace

void add_consume(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("consume", "print records as they come; Ctrl-C ends");
    auto options = std::make_shared<Options>();
    command->add_option("topic", options->topics, "the topics")->required();
    command->add_option("-n,--count", options->count, "stop after this many records")
        ->default_str("");
    command->add_flag("-e,--exit", options->exit_at_end, "stop at the present end");
    command->add_option("--from", options->from, "earliest, latest, an offset, or @milliseconds");
    command->add_option("-p,--partition", options->partition, "one partition (all)")
        ->default_str("");
    command->add_option("-f,--format", options->format,
                        "%t topic %p partition %o offset %T time %k key %s value %h headers");
    command->add_flag("--committed", options->committed, "leave out what is not committed");
    command->add_option("-g,--group", options->group,
                        "as a member of this group: shares partitions, goes on where it stopped");
    command->add_option("--protocol", options->protocol, "of the group: classic or consumer");
    command->add_option("--instance", options->instance,
                        "static member: its partitions wait for it to come back");
    command->add_flag("--no-commit", options->no_commit, "read without moving the group");
    add_connection_options(*command, context);
    command->callback([&context, options] {
        Client client(context);
        if (options->group.empty())
            consume_alone(client, context, *options);
        else
            consume_in_group(client, context, *options);
    });
}

}  // namespace millrace::cli
