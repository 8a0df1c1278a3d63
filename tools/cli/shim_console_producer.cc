// tools/cli/shim_console_producer.cc: kafka-console-producer.sh.
#include <fmt/core.h>
#include <unistd.h>

#include <iostream>
#include <regex>

#include "cli/line_input.h"
#include "cli/record_sender.h"
#include "cli/shim.h"
#include "cli/shim_java.h"
#include "cli/shim_options.h"
#include "cli/shim_topic_filter.h"

namespace millrace::cli {
namespace {

constexpr const char* kAbout =
    "This tool helps to read data from standard input and publish it to Kafka.";
constexpr const char* kLineReader = "org.apache.kafka.tools.LineMessageReader";
using Properties = std::map<std::string, std::string>;

std::vector<ShimOption> table() {
    return {
        {"topic", Takes::Value, "topic", "The topic; required."},
        {"bootstrap-server", Takes::Value, "server to connect to", "Servers; required."},
        {"sync", Takes::Nothing, "", "Wait for each record."},
        {"compression-codec", Takes::OptionalValue, "compression-codec",
         "none, gzip, snappy, lz4 or zstd; gzip without a value."},
        {"batch-size", Takes::Value, "size", "batch.size", "16384", ValueKind::Integer},
        {"message-send-max-retries", Takes::Value, "", "retries", "3", ValueKind::Integer},
        {"retry-backoff-ms", Takes::Value, "", "retry.backoff.ms", "100", ValueKind::Long},
        {"timeout", Takes::Value, "timeout_ms", "linger.ms", "1000", ValueKind::Long},
        {"request-required-acks", Takes::Value, "request required acks", "acks", "-1"},
        {"request-timeout-ms", Takes::Value, "request timeout ms", "request.timeout.ms", "1500",
         ValueKind::Integer},
        {"metadata-expiry-ms", Takes::Value, "metadata expiration interval",
         "metadata.max.age.ms", "300000", ValueKind::Long},
        {"max-block-ms", Takes::Value, "max block on send", "max.block.ms", "60000",
         ValueKind::Long},
        {"max-memory-bytes", Takes::Value, "total memory in bytes", "buffer.memory", "33554432",
         ValueKind::Long},
        {"max-partition-memory-bytes", Takes::Value, "memory in bytes per partition",
         "Deprecated: batch.size", "16384", ValueKind::Integer},
        {"line-reader", Takes::Value, "reader_class", "Class that reads lines.", kLineReader},
        {"socket-buffer-size", Takes::Value, "size", "send.buffer.bytes", "102400",
         ValueKind::Integer},
        {"property", Takes::Value, "prop", "Deprecated: --reader-property."},
        {"reader-property", Takes::Value, "prop",
         "parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, "
         "headers.key.separator, ignore.error, null.marker"},
        {"reader-config", Takes::Value, "config file", "File of such properties."},
        {"producer-property", Takes::Value, "producer_prop", "Deprecated: --command-property."},
        {"command-property", Takes::Value, "producer_prop", "Property of the producer."},
        {"producer.config", Takes::Value, "config file", "Deprecated: --command-config."},
        {"command-config", Takes::Value, "config file", "File of such properties."},
    };
}

void warn(const ShimOptions& options, const char* before, const char* now) {
    if (!options.has(before)) return;
    std::cout << fmt::format("Warning: --{} is deprecated and will be removed in a future version. "
                             "Use --{} instead.\n",
                             before, now);
}

void check(const ShimOptions& options) {
    options.help_or_version(kAbout);
    options.require("topic");
    options.exclusive("command-config", "producer.config");
    options.exclusive("command-property", "producer-property");
    options.exclusive("reader-property", "property");
    warn(options, "producer-property", "command-property");
    warn(options, "producer.config", "command-config");
    warn(options, "property", "reader-property");
    if (options.has("max-partition-memory-bytes")) {
        std::cout << "Warning: --max-partition-memory-bytes is deprecated and will be removed in "
                     "Apache Kafka 5.0. Use --batch-size instead.\n";
    }
    const auto servers = options.value("bootstrap-server");
    if (!servers || servers->empty())
        options.usage("Error while validating the bootstrap address\n");
    if (!are_servers(*servers))
        options.usage("Please provide valid host:port like host1:9091,host2:9092\n");
}

Properties merged(const ShimOptions& options, std::initializer_list<const char*> files,
                  std::initializer_list<const char*> words) {
    Properties found;
    for (const char* name : files) {
        if (const auto path = options.value(name)) found = read_properties(*path);
    }
    for (const char* name : words) {
        for (auto& [key, value] : key_values(options.values(name)))
            found[key] = value;
    }
    return found;
}

/// org.apache.kafka.tools.LineMessageReader.
class LineReader {
  public:
    explicit LineReader(const Properties& properties) {
        const auto set = [&](const char* key, std::string& value) {
            if (const auto found = properties.find(key); found != properties.end())
                value = found->second;
        };
        const auto flag = [&](const char* key) {
            std::string text;
            set(key, text);
            return text == "true" || text == "True" || text == "TRUE";
        };
        set("key.separator", key_separator_);
        set("headers.delimiter", delimiter_);
        set("headers.separator", separator_);
        set("headers.key.separator", header_key_separator_);
        parse_key_ = flag("parse.key");
        parse_headers_ = flag("parse.headers");
        ignore_error_ = flag("ignore.error");
        if (properties.contains("null.marker")) null_marker_ = properties.at("null.marker");
        check_apart();
    }

    OutgoingRecord read(std::string_view line) {
        ++number_;
        OutgoingRecord record;
        size_t at = 0;
        const auto headers = part(parse_headers_, line, at, delimiter_, "headers delimiter");
        const auto key = part(parse_key_, line, at, key_separator_, "key separator");
        if (key && key != null_marker_) record.key = key;
        const std::string value(line.substr(at));
        if (value != null_marker_) record.value = value;
        if (headers && headers != null_marker_) add_headers(*headers, record);
        return record;
    }

  private:
    void check_apart() const {
        const auto differ = [](const std::string& a, const std::string& b, const char* names) {
            if (a == b) throw Failure{kUsage, fmt::format("{} may not be equal", names), ""};
        };
        differ(delimiter_, separator_, "headers.delimiter and headers.separator");
        differ(delimiter_, header_key_separator_, "headers.delimiter and headers.key.separator");
        differ(separator_, header_key_separator_, "headers.separator and headers.key.separator");
        if (!null_marker_) return;
        differ(key_separator_, *null_marker_, "null.marker and key.separator");
        differ(separator_, *null_marker_, "null.marker and headers.separator");
        differ(delimiter_, *null_marker_, "null.marker and headers.delimiter");
        differ(header_key_separator_, *null_marker_, "null.marker and headers.key.separator");
    }

    /// The text up to the separator; moves `at` behind it.
    std::optional<std::string> part(bool wanted, std::string_view line, size_t& at,
                                    const std::string& separator, const char* name) const {
        if (!wanted) return std::nullopt;
        const size_t end = line.find(separator, at);
        if (end == std::string_view::npos) {
            if (ignore_error_) return std::nullopt;
            throw Failure{kFailed, fmt::format("No {} found on line number {}: '{}'", name, number_,
                                               line),
                          ""};
        }
        std::string text(line.substr(at, end - at));
        at = end + separator.size();
        return text;
    }

    void add_headers(const std::string& text, OutgoingRecord& record) const {
        // The separator is a regular expression, as in Java's String.split.
        const std::regex separator(separator_);
        for (std::sregex_token_iterator it(text.begin(), text.end(), separator, -1), end;
             it != end; ++it) {
            const std::string pair = *it;
            const size_t at = pair.find(header_key_separator_);
            if (at == std::string::npos) {
                if (!ignore_error_) {
                    throw Failure{kFailed,
                                  fmt::format("No header key separator found in pair '{}' on line "
                                              "number {}",
                                              pair, number_),
                                  ""};
                }
                record.headers.emplace_back(pair, std::nullopt);
                continue;
            }
            const std::string key = pair.substr(0, at);
            if (key == null_marker_) {
                throw Failure{kFailed,
                              fmt::format("Header keys should not be equal to the null marker "
                                          "'{}' as they can't be null",
                                          *null_marker_),
                              ""};
            }
            std::optional<std::string> value = pair.substr(at + header_key_separator_.size());
            if (value == null_marker_) value.reset();
            record.headers.emplace_back(key, value);
        }
    }

    std::string key_separator_ = "\t";
    std::string delimiter_ = "\t";
    std::string separator_ = ",";
    std::string header_key_separator_ = ":";
    bool parse_key_ = false;
    bool parse_headers_ = false;
    bool ignore_error_ = false;
    std::optional<std::string> null_marker_;
    int64_t number_ = 0;
};

void produce(const ShimOptions& options) {
    if (const std::string reader = *options.value("line-reader"); reader != kLineReader)
        throw Failure{kUsage, "java.lang.ClassNotFoundException: " + reader, ""};
    LineReader reader(merged(options, {"reader-config"}, {"property", "reader-property"}));
    const Properties properties = merged(options, {"producer.config", "command-config"},
                                         {"producer-property", "command-property"});
    const auto setting = [&](const char* option, const char* property) {
        const auto given = properties.find(property);
        if (!options.has(option) && given != properties.end()) return given->second;
        return *options.value(option);
    };
    const std::string acks = setting("request-required-acks", "acks");
    SenderOptions sending{*options.value("topic"), "none", -1, -1};
    if (options.has("compression-codec")) {
        sending.compression = options.value("compression-codec").value_or("");
        if (sending.compression.empty()) sending.compression = "gzip";
    }
    if (acks == "0" || acks == "1") sending.acks = static_cast<int16_t>(acks[0] - '0');
    const int timeout_ms = std::atoi(setting("max-block-ms", "max.block.ms").c_str());
    Client client(shim_context(*options.value("bootstrap-server"), timeout_ms, "console-producer",
                               properties));
    bool created = false;
    RecordSender sender(client, sending, topic_to_write(client, sending.topic, created));
    const bool prompt = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
    const bool sync = options.has("sync");
    LineInput input;
    const auto idle = [&] { sender.flush(); };
    try {
        while (true) {
            if (prompt) std::cout << '>' << std::flush;
            const auto line = input.next(idle);
            if (!line) break;
            sender.add(reader.read(line->ends_with('\r') ? line->substr(0, line->size() - 1)
                                                         : *line));
            if (sync) sender.flush();
        }
    } catch (const Failure&) {
        sender.flush();  // what was read before is sent, as by Kafka's shutdown hook
        throw;
    }
    sender.flush();
}

}  // namespace

int shim_console_producer(const std::vector<std::string>& words) {
    std::optional<ShimOptions> options;
    try {
        options.emplace(table(), words);
    } catch (const OptionProblem& problem) {
        shim_usage(table(), problem.message);
    }
    check(*options);
    try {
        produce(*options);
        return 0;
    } catch (const OptionProblem& problem) {
        std::cerr << problem.message << '\n';
    } catch (const Failure& failure) {
        const bool refused = failure.kafka_error != 0;
        std::cerr << (refused ? java_text(failure)
                              : "org.apache.kafka.common.KafkaException: " + failure.error)
                  << '\n';
    }
    return 1;
}

}  // namespace millrace::cli
