// tools/cli/consume.cc: `consume`: records to standard output.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <set>

#include "cli/client.h"
#include "cli/offsets.h"
#include "cli/output.h"
#include "millrace/record/batch_iterator.h"
#include "millrace/record/control_record.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/fetch_response.h"

namespace millrace::cli {
namespace {

constexpr int32_t kFetchBytesMax = 16 * 1024 * 1024;
constexpr int32_t kPartitionBytesMax = 1024 * 1024;
constexpr int32_t kWaitMs = 500;

struct Options {
    std::string topic;
    std::string from = "earliest";
    std::string format;
    int partition = -1;
    int64_t count = -1;
    bool exit_at_end = false;
    bool committed = false;
};

using Topic = wire::MetadataResponse::MetadataResponseTopic;

struct Cursor {
    int32_t leader = -1;
    int64_t next = 0;
    int64_t end = -1;  // where -e stops
};

/// kcat's letters: %t topic, %p partition, %o offset, %T timestamp, %k key, %s value, %h headers,
/// %K and %S sizes; \n, \t and \\ as in C.
class Printer {
  public:
    Printer(const Context& context, const Options& options)
        : context_(context), options_(options) {}

    void print(int32_t partition, int64_t offset, int64_t timestamp,
               const record::RecordView& record) const {
        const std::string key = text_of(record.key);
        const std::string value = text_of(record.value);
        if (context_.json()) {
            std::cout << json(partition, offset, timestamp, record).dump() << '\n';
        } else if (!options_.format.empty()) {
            std::cout << formatted(partition, offset, timestamp, record);
        } else {
            std::cout << fmt::format("{}-{} @ {}  {}  ", options_.topic, partition, offset,
                                     time_text(timestamp));
            if (record.key) std::cout << key << "  ";
            std::cout << (record.value ? value : "(null)") << '\n';
        }
    }

  private:
    static std::string text_of(const std::optional<ByteView>& bytes) {
        return bytes ? std::string(bytes->text()) : std::string();
    }

    static void put(Json& json, const std::string& name, const std::optional<ByteView>& bytes) {
        if (!bytes)
            json[name] = nullptr;
        else if (is_utf8(bytes->text()))
            json[name] = std::string(bytes->text());
        else
            json[name + "Base64"] = base64(bytes->text());
    }

    Json json(int32_t partition, int64_t offset, int64_t timestamp,
              const record::RecordView& record) const {
        Json line{{"topic", options_.topic}, {"partition", partition}, {"offset", offset}};
        line["timestamp"] = timestamp < 0 ? Json(nullptr) : Json(rfc3339(timestamp));
        put(line, "key", record.key);
        put(line, "value", record.value);
        Json headers = Json::array();
        record::HeaderView header;
        for (auto walk = record.headers(); walk.next(header);) {
            Json one{{"key", std::string(header.key)}};
            put(one, "value", header.value);
            headers.push_back(std::move(one));
        }
        line["headers"] = std::move(headers);
        return line;
    }

    std::string letter(char c, int32_t partition, int64_t offset, int64_t timestamp,
                       const record::RecordView& record) const {
        const auto size = [](const std::optional<ByteView>& bytes) {
            return bytes ? std::to_string(bytes->size) : "-1";
        };
        if (c == 't') return options_.topic;
        if (c == 'p') return std::to_string(partition);
        if (c == 'o') return std::to_string(offset);
        if (c == 'T') return std::to_string(timestamp);
        if (c == 'k') return text_of(record.key);
        if (c == 's') return text_of(record.value);
        if (c == 'K') return size(record.key);
        if (c == 'S') return size(record.value);
        if (c == 'h') {
            std::string text;
            record::HeaderView header;
            for (auto walk = record.headers(); walk.next(header);) {
                text += (text.empty() ? "" : ",") + std::string(header.key) + "=";
                text += header.value ? std::string(header.value->text()) : "NULL";
            }
            return text;
        }
        return std::string(1, c);
    }

    std::string formatted(int32_t partition, int64_t offset, int64_t timestamp,
                          const record::RecordView& record) const {
        std::string out;
        const std::string& format = options_.format;
        for (size_t i = 0; i < format.size(); ++i) {
            const char next = i + 1 < format.size() ? format[i + 1] : '\0';
            if (format[i] == '%' && next != '\0') {
                out += letter(next, partition, offset, timestamp, record);
                ++i;
            } else if (format[i] == '\\' && next != '\0') {
                out += next == 'n' ? '\n' : next == 't' ? '\t' : next;
                ++i;
            } else {
                out += format[i];
            }
        }
        return out;
    }

    const Context& context_;
    const Options& options_;
};

class Consumer {
  public:
    Consumer(Client& client, const Context& context, const Options& options)
        : client_(client),
          options_(options),
          printer_(context, options),
          topic_(client.topic(options.topic)) {
        for (const auto& p : topic_.partitions) {
            if (options.partition >= 0 && p.partition_index != options.partition) continue;
            cursors_[p.partition_index].leader = p.leader_id;
        }
        if (cursors_.empty()) {
            throw Failure{
                kNotFound,
                fmt::format("topic '{}' has no partition {}", options.topic, options.partition),
                fmt::format("it has 0 to {}", topic_.partitions.size() - 1)};
        }
        place_cursors();
    }

    void run() {
        while (!finished()) {
            std::set<int32_t> leaders;
            for (const auto& [index, cursor] : cursors_)
                leaders.insert(cursor.leader);
            for (const int32_t leader : leaders) {
                client_.renew();
                fetch(leader, leaders.size() > 1 ? kWaitMs / 5 : kWaitMs);
                if (finished()) break;
            }
            std::cout.flush();
        }
    }

  private:
    void place_cursors() {
        const bool number = !options_.from.empty() &&
                            options_.from.find_first_not_of("0123456789") == std::string::npos;
        if (number) {
            for (auto& [index, cursor] : cursors_)
                cursor.next = std::stoll(options_.from);
        } else {
            int64_t timestamp = kEarliestTimestamp;
            if (options_.from == "latest" || options_.from == "end") {
                timestamp = kLatestTimestamp;
            } else if (options_.from.starts_with("@") && options_.from.size() > 1) {
                timestamp = std::atoll(options_.from.c_str() + 1);
            } else if (options_.from != "earliest" && options_.from != "beginning") {
                throw Failure{kUsage, fmt::format("'{}' is no place to start", options_.from),
                              "earliest, latest, an offset, or @milliseconds"};
            }
            const auto starts = list_offsets(client_, topic_, timestamp, options_.committed);
            const auto ends = list_offsets(client_, topic_, kLatestTimestamp, options_.committed);
            for (auto& [index, cursor] : cursors_) {
                const auto start = starts.find(index);
                const auto end = ends.find(index);
                cursor.next = start != starts.end() ? start->second
                              : end != ends.end()   ? end->second
                                                    : 0;
            }
        }
        if (!options_.exit_at_end) return;
        for (const auto& [index, end] :
             list_offsets(client_, topic_, kLatestTimestamp, options_.committed)) {
            if (cursors_.contains(index)) cursors_[index].end = end;
        }
    }

    bool finished() const {
        if (options_.count >= 0 && printed_ >= options_.count) return true;
        if (!options_.exit_at_end) return false;
        return std::all_of(cursors_.begin(), cursors_.end(),
                           [](const auto& c) { return c.second.next >= c.second.end; });
    }

    void fetch(int32_t leader, int32_t wait_ms) {
        Connection& connection = client_.node(leader);
        const int16_t version = connection.version_of<wire::FetchRequest>();
        wire::FetchRequest request;
        request.max_wait_ms = wait_ms;
        request.min_bytes = 1;
        request.max_bytes = kFetchBytesMax;
        request.isolation_level = options_.committed ? 1 : 0;
        auto& topic = request.topics.emplace_back();
        if (version >= 13)
            topic.topic_id = topic_.topic_id;
        else
            topic.topic = options_.topic;
        for (const auto& [index, cursor] : cursors_) {
            if (cursor.leader != leader) continue;
            auto& partition = topic.partitions.emplace_back();
            partition.partition = index;
            partition.fetch_offset = cursor.next;
            partition.partition_max_bytes = kPartitionBytesMax;
        }
        const auto response =
            connection.ask<wire::FetchResponse>(request, version, client_.deadline());
        check_error(response.error_code, std::nullopt,
                    "fetch from " + connection.address().to_string());
        for (const auto& answered : response.responses) {
            for (const auto& data : answered.partitions)
                take(data);
        }
    }

    void take(const wire::FetchResponse::PartitionData& data) {
        const std::string name = fmt::format("{}-{}", options_.topic, data.partition_index);
        if (error_code_from(data.error_code) == ErrorCode::OffsetOutOfRange) {
            throw Failure{
                kNotFound,
                fmt::format("{} has no offset {}", name, cursors_[data.partition_index].next),
                "use --from earliest, or an offset that topic describe shows"};
        }
        check_error(data.error_code, std::nullopt, name);
        if (!data.records || data.records->empty()) return;
        const auto bytes = data.records->flatten();
        if (!bytes.ok()) throw Failure{kFailed, bytes.status().message(), ""};
        Cursor& cursor = cursors_[data.partition_index];
        Aborted aborted;
        if (options_.committed && data.aborted_transactions) {
            aborted.waiting = *data.aborted_transactions;
            std::sort(aborted.waiting.begin(), aborted.waiting.end(),
                      [](const auto& a, const auto& b) { return a.first_offset < b.first_offset; });
        }
        record::BatchIterator batches(bytes->view());
        while (batches.next() && !finished()) {
            open_aborted(aborted, batches.batch());
            take_batch(data, batches.batch(), cursor, aborted);
        }
    }

    /// Transactions that were aborted: their records lie between the first offset of the list and
    /// the marker (KIP-98). The list is used up in order, so that a producer's later transactions
    /// are not taken for the aborted one.
    struct Aborted {
        std::vector<wire::FetchResponse::AbortedTransaction> waiting;  // first offset rising
        std::set<int64_t> producers;
        size_t used = 0;
    };
    static void open_aborted(Aborted& aborted, const record::BatchView& batch) {
        while (aborted.used < aborted.waiting.size() &&
               aborted.waiting[aborted.used].first_offset <= batch.last_offset().value) {
            aborted.producers.insert(aborted.waiting[aborted.used++].producer_id);
        }
    }

    void take_batch(const wire::FetchResponse::PartitionData& data, const record::BatchView& batch,
                    Cursor& cursor, Aborted& aborted) {
        const int64_t producer = batch.producer_id().value;
        if (batch.last_offset().value < cursor.next) return;
        if (!batch.valid_crc()) {
            throw Failure{
                kFailed,
                fmt::format("{}-{}: the batch at offset {} has a wrong checksum", options_.topic,
                            data.partition_index, batch.base_offset().value),
                "the data are damaged on disk or on the way"};
        }
        if (batch.is_control()) {
            aborted.producers.erase(producer);
        } else if (!batch.is_transactional() || !aborted.producers.contains(producer)) {
            auto records = record::BatchRecords::open(batch);
            if (!records.ok()) throw Failure{kFailed, records.status().message(), ""};
            record::RecordView record;
            while (records->next(record)) {
                const int64_t offset = record::record_offset(batch, record).value;
                if (offset < cursor.next) continue;
                if (finished()) return;
                printer_.print(data.partition_index, offset,
                               record::record_timestamp(batch, record).value, record);
                ++printed_;
                cursor.next = offset + 1;
            }
        }
        cursor.next = batch.next_offset().value;
    }

    Client& client_;
    const Options& options_;
    Printer printer_;
    Topic topic_;
    std::map<int32_t, Cursor> cursors_;
    int64_t printed_ = 0;
};

}  // namespace

void add_consume(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("consume", "print records as they come; Ctrl-C ends");
    auto options = std::make_shared<Options>();
    command->add_option("topic", options->topic, "the topic")->required();
    command->add_option("-n,--count", options->count, "stop after this many records")
        ->default_str("");
    command->add_flag("-e,--exit", options->exit_at_end, "stop at the present end");
    command->add_option("--from", options->from, "earliest, latest, an offset, or @milliseconds");
    command->add_option("-p,--partition", options->partition, "one partition (all)")
        ->default_str("");
    command->add_option("-f,--format", options->format,
                        "%t topic %p partition %o offset %T time %k key %s value %h headers");
    command->add_flag("--committed", options->committed, "leave out what is not committed");
    add_connection_options(*command, context);
    command->callback([&context, options] {
        Client client(context);
        Consumer(client, context, *options).run();
    });
}

}  // namespace millrace::cli
