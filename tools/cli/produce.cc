// tools/cli/produce.cc: `produce`: lines from standard input become records.
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "cli/client.h"
#include "cli/murmur2.h"
#include "cli/output.h"
#include "millrace/record/batch_builder.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/create_topics_response.h"
#include "millrace/wire/gen/produce_request.h"
#include "millrace/wire/gen/produce_response.h"

namespace millrace::cli {
namespace {

constexpr size_t kBatchBytesSoft = 512 * 1024;
constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kLineBytesMax = 64 * 1024 * 1024;

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

int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

using Topic = wire::MetadataResponse::MetadataResponseTopic;

/// Makes the topic with the cluster's defaults when it is missing, and says so.
Topic topic_to_write(Client& client, const std::string& name) {
    const auto metadata = client.metadata(std::vector<std::string>{name});
    const auto& found = metadata.topics.front();
    if (found.error_code != wire_error(ErrorCode::UnknownTopicOrPartition)) {
        check_error(found.error_code, std::nullopt, "topic '" + name + "'");
        return found;
    }
    wire::CreateTopicsRequest request;
    request.timeout_ms = client.timeout_ms();
    auto& wanted = request.topics.emplace_back();
    wanted.name = name;
    wanted.num_partitions = -1;
    wanted.replication_factor = -1;
    const auto response = client.ask<wire::CreateTopicsResponse>(request);
    for (const auto& result : response.topics) {
        check_error(result.error_code, result.error_message, "topic '" + name + "'");
        std::cerr << fmt::format("created topic {} ({}, replication factor {})\n", name,
                                 counted(result.num_partitions, "partition"),
                                 result.replication_factor);
    }
    // The broker that answers metadata may learn of the topic a moment later.
    while (true) {
        const auto again = client.metadata(std::vector<std::string>{name});
        const auto& topic = again.topics.front();
        const bool led = std::all_of(topic.partitions.begin(), topic.partitions.end(),
                                     [](const auto& p) { return p.leader_id >= 0; });
        if (topic.error_code == 0 && led) return topic;
        if (client.timeout_ms() == 0) {
            throw Failure{kNoConnection, "topic '" + name + "' has no leader in time", ""};
        }
        poll(nullptr, 0, 10);
    }
}

/// Gathers records per partition and sends them as one batch each.
class Producer {
  public:
    Producer(Client& client, const Context& context, const Options& options)
        : client_(client),
          context_(context),
          options_(options),
          topic_(topic_to_write(client, options.topic)),
          builders_(topic_.partitions.size()),
          counts_(topic_.partitions.size(), 0) {
        const auto codec = record::compression_from_name(options.compression);
        if (!codec) {
            throw Failure{kUsage, fmt::format("no codec '{}'", options.compression),
                          "none, gzip, snappy, lz4 or zstd"};
        }
        batch_.compression = *codec;
        for (const std::string& text : options.headers)
            headers_.push_back(key_value(text));
        if (options.partition >= static_cast<int>(builders_.size())) {
            throw Failure{
                kNotFound,
                fmt::format("topic '{}' has no partition {}", options.topic, options.partition),
                fmt::format("it has 0 to {}", builders_.size() - 1)};
        }
    }

    void add(std::string_view line) {
        const size_t at = options_.key_separator.empty() ? std::string_view::npos
                                                         : line.find(options_.key_separator);
        const bool keyed = at != std::string_view::npos;
        const std::string_view key = keyed ? line.substr(0, at) : std::string_view();
        const std::string_view value =
            keyed ? line.substr(at + options_.key_separator.size()) : line;
        const size_t partition = choose(keyed, key);
        if (counts_[partition] == 0) builders_[partition].start(batch_);
        std::vector<record::RecordHeader> headers;
        for (const auto& [name, text] : headers_)
            headers.push_back({name, ByteView(text)});
        record::NewRecord record;
        record.timestamp = WallMs{now_ms()};
        if (keyed) record.key = ByteView(key);
        if (!options_.null_empty || !value.empty()) record.value = ByteView(value);
        record.headers = headers.data();
        record.header_count = headers.size();
        builders_[partition].append(record);
        ++counts_[partition];
        bytes_ += line.size();
        if (bytes_ >= kBatchBytesSoft) flush();
    }

    void flush() {
        for (size_t p = 0; p < builders_.size(); ++p) {
            if (counts_[p] > 0) send(p);
        }
        if (bytes_ > 0) ++turn_;  // the next batch of keyless records goes to the next partition
        bytes_ = 0;
    }

  private:
    size_t choose(bool keyed, std::string_view key) const {
        if (options_.partition >= 0) return static_cast<size_t>(options_.partition);
        // Keys go where Java's default partitioner sends them.
        if (keyed) return (murmur2(key) & 0x7fffffffU) % builders_.size();
        return turn_ % builders_.size();
    }

    void send(size_t partition) {
        client_.renew();
        const int32_t leader = leader_of(static_cast<int32_t>(partition));
        Connection& connection = client_.node(leader);
        const int16_t version = connection.version_of<wire::ProduceRequest>();
        wire::ProduceRequest request;
        request.acks = options_.acks == "all" ? -1 : static_cast<int16_t>(options_.acks[0] - '0');
        request.timeout_ms = client_.timeout_ms();
        auto& topic = request.topic_data.emplace_back();
        if (version >= 13)
            topic.topic_id = topic_.topic_id;
        else
            topic.name = options_.topic;
        auto& data = topic.partition_data.emplace_back();
        data.index = static_cast<int32_t>(partition);
        data.records = BufferChain(builders_[partition].finish());
        const int64_t count = counts_[partition];
        counts_[partition] = 0;
        if (request.acks == 0) {
            connection.tell(request, version, client_.deadline());
            return;
        }
        const auto response =
            connection.ask<wire::ProduceResponse>(request, version, client_.deadline());
        for (const auto& answered : response.responses) {
            for (const auto& p : answered.partition_responses) {
                const std::string name = fmt::format("{}-{}", options_.topic, p.index);
                check_error(p.error_code, p.error_message, name);
                report(name, p.index, p.base_offset, count);
            }
        }
    }

    void report(const std::string& name, int32_t index, int64_t offset, int64_t count) const {
        if (options_.quiet) return;
        if (context_.json()) {
            const Json line{{"topic", options_.topic},
                            {"partition", index},
                            {"offset", offset},
                            {"records", count}};
            std::cout << line.dump() << std::endl;
        } else if (count == 1) {
            std::cout << fmt::format("{} @ {}", name, offset) << std::endl;
        } else {
            std::cout << fmt::format("{} @ {}..{}", name, offset, offset + count - 1) << std::endl;
        }
    }

    int32_t leader_of(int32_t partition) const {
        for (const auto& p : topic_.partitions) {
            if (p.partition_index != partition) continue;
            if (p.leader_id >= 0) return p.leader_id;
        }
        throw Failure{kFailed, fmt::format("{}-{} has no leader", options_.topic, partition), ""};
    }

    Client& client_;
    const Context& context_;
    const Options& options_;
    Topic topic_;
    record::BatchOptions batch_;
    std::vector<record::BatchBuilder> builders_;
    std::vector<int64_t> counts_;
    std::vector<std::pair<std::string, std::string>> headers_;
    size_t bytes_ = 0;
    size_t turn_ = 0;
};

/// True while more input waits, so that a pipe is sent in large batches and a typed line at once.
bool more_waits() {
    pollfd watch{STDIN_FILENO, POLLIN, 0};
    return poll(&watch, 1, 0) > 0 && (watch.revents & POLLIN) != 0;
}

void produce(const Context& context, const Options& options) {
    if (options.acks != "all" && options.acks != "1" && options.acks != "0") {
        throw Failure{kUsage, fmt::format("acks cannot be '{}'", options.acks), "all, 1 or 0"};
    }
    Client client(context);
    Producer producer(client, context, options);
    if (isatty(STDIN_FILENO) != 0) std::cerr << "one record a line; Ctrl-D ends\n";
    std::string pending;
    std::vector<char> room(kReadBytes);
    while (true) {
        const ssize_t got = read(STDIN_FILENO, room.data(), room.size());
        if (got < 0) throw Failure{kFailed, "standard input cannot be read", ""};
        if (got == 0) break;
        pending.append(room.data(), static_cast<size_t>(got));
        size_t start = 0;
        for (size_t end = pending.find('\n'); end != std::string::npos;
             end = pending.find('\n', start)) {
            producer.add(std::string_view(pending).substr(start, end - start));
            start = end + 1;
        }
        pending.erase(0, start);
        if (pending.size() > kLineBytesMax) {
            throw Failure{kFailed, "a line is longer than 64 MiB", ""};
        }
        if (!more_waits()) producer.flush();
    }
    if (!pending.empty()) producer.add(pending);
    producer.flush();
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
