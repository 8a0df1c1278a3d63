// tools/cli/produce.cc: `produce`: lines from standard input become records.
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/line_input.h"
#include "cli/output.h"
#include "cli/record_sender.h"

namespace millrace::cli {
namespace {

struct Options {
    std::string topic;
    std::string key_separator;
    std::string compression = "none";
    std::string acks = "all";
    std::vector<std::string> headers;
    int partition = -1;
    bool null_empty = false;
    bool quiet = false;
};

OutgoingRecord record_of(const Options& options, std::string_view line) {
    OutgoingRecord record;
    const size_t at = options.key_separator.empty() ? std::string_view::npos
                                                    : line.find(options.key_separator);
    std::string_view value = line;
    if (at != std::string_view::npos) {
        record.key = std::string(line.substr(0, at));
        value = line.substr(at + options.key_separator.size());
    }
    if (!options.null_empty || !value.empty()) record.value = std::string(value);
    for (const std::string& text : options.headers) {
        auto [name, header] = key_value(text);
        record.headers.emplace_back(std::move(name), std::move(header));
    }
    return record;
}

void report(const Context& context, const Options& options, int32_t index, int64_t offset,
            int64_t count) {
    if (options.quiet) return;
    if (context.json()) {
        const Json line{{"topic", options.topic},
                        {"partition", index},
                        {"offset", offset},
                        {"records", count}};
        std::cout << line.dump() << std::endl;
    } else if (count == 1) {
        std::cout << fmt::format("{}-{} @ {}", options.topic, index, offset) << std::endl;
    } else {
        std::cout << fmt::format("{}-{} @ {}..{}", options.topic, index, offset,
                                 offset + count - 1)
                  << std::endl;
    }
}

void produce(const Context& context, const Options& options) {
    if (options.acks != "all" && options.acks != "1" && options.acks != "0") {
        throw Failure{kUsage, fmt::format("acks cannot be '{}'", options.acks), "all, 1 or 0"};
    }
    Client client(context);
    bool created = false;
    auto topic = topic_to_write(client, options.topic, created);
    if (created) {
        const size_t copies =
            topic.partitions.empty() ? 0 : topic.partitions.front().replica_nodes.size();
        std::cerr << fmt::format("created topic {} ({}, replication factor {})\n", options.topic,
                                 counted(static_cast<int64_t>(topic.partitions.size()),
                                         "partition"),
                                 copies);
    }
    const auto acks =
        options.acks == "all" ? int16_t{-1} : static_cast<int16_t>(options.acks[0] - '0');
    RecordSender sender(client, {options.topic, options.compression, acks, options.partition},
                        std::move(topic));
    sender.on_sent([&](int32_t index, int64_t offset, int64_t count) {
        report(context, options, index, offset, count);
    });
    if (isatty(STDIN_FILENO) != 0) std::cerr << "one record a line; Ctrl-D ends\n";
    LineInput input;
    while (const auto line = input.next([&] { sender.flush(); }))
        sender.add(record_of(options, *line));
    sender.flush();
}

}  // namespace

void add_produce(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("produce", "write lines from standard input");
    auto options = std::make_shared<Options>();
    command->add_option("topic", options->topic, "the topic; made when it is missing")->required();
    command->add_option("-k,--key-separator", options->key_separator,
                        "text between key and value in a line");
    command->add_option("-p,--partition", options->partition, "one partition")->default_str("");
    command->add_option("-H,--header", options->headers, "key=value on every record")
        ->allow_extra_args(false);
    command->add_option("-z,--compression", options->compression,
                        "none, gzip, snappy, lz4 or zstd");
    command->add_option("--acks", options->acks, "all, 1 or 0");
    command->add_flag("--null-empty", options->null_empty, "an empty value is null (a tombstone)");
    command->add_flag("-q,--quiet", options->quiet, "do not print offsets");
    add_connection_options(*command, context);
    command->callback([&context, options] { produce(context, *options); });
}

}  // namespace millrace::cli
