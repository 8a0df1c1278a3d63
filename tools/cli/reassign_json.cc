// tools/cli/reassign_json.cc: the JSON files of kafka-reassign-partitions, read with its errors.
#include "cli/reassign_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/jackson.h"
#include "cli/output.h"
#include "cli/shim_java.h"

namespace millrace::cli {
namespace {

using Kind = JacksonValue::Kind;

constexpr const char* kAnyDir = "any";

JavaProblem mapping_problem(std::string message) {
    return {"com.fasterxml.jackson.databind.JsonMappingException", std::move(message)};
}

/// AdminOperationException around what the parser threw.
JavaProblem parse_problem(const std::string& message, bool end_of_input) {
    JavaProblem problem = operation_failed(message);
    problem.cause = std::string("com.fasterxml.jackson.core.") +
                    (end_of_input ? "io.JsonEOFException" : "JsonParseException") + ": " + message;
    return problem;
}

const JacksonValue& object(const JacksonValue& value) {
    if (value.kind != Kind::Object)
        throw mapping_problem("Expected JSON object, received " + value.to_string());
    return value;
}

const std::vector<JacksonValue>& array(const JacksonValue& value) {
    if (value.kind != Kind::Array)
        throw mapping_problem("Expected JSON array, received " + value.to_string());
    return value.elements;
}

const JacksonValue& field(const JacksonValue& value, const char* name) {
    const JacksonValue* found = value.get(name);
    if (found == nullptr) throw mapping_problem(fmt::format("No such field exists: `{}`", name));
    return *found;
}

[[noreturn]] void not_a(const char* what, const JacksonValue& value) {
    throw mapping_problem(fmt::format("Expected `{}` value, received {}", what, value.to_string()));
}

int32_t integer(const JacksonValue& value) {
    if (value.kind != Kind::Int) not_a("Integer", value);
    return value.number;
}

std::string text(const JacksonValue& value) {
    if (value.kind != Kind::Text) not_a("String", value);
    return value.text;
}

template <class T>
std::vector<T> list(const JacksonValue& value, T (*decode)(const JacksonValue&)) {
    if (value.kind != Kind::Array) not_a("JSON array", value);
    std::vector<T> decoded;
    for (const JacksonValue& element : value.elements)
        decoded.push_back(decode(element));
    return decoded;
}

void check_version(const JacksonValue& root) {
    const JacksonValue* version = object(root).get("version");
    const int32_t number = version == nullptr ? 1 : integer(*version);
    if (number != 1)
        throw operation_failed(fmt::format("Not supported version field value {}", number));
}

/// Elements that come more than once, in the walk of the HashSet that Kafka keeps them in.
template <class T>
std::vector<T> duplicates(const std::vector<T>& elements) {
    std::vector<T> found;
    for (size_t i = 0; i < elements.size(); ++i) {
        const bool before = std::find(elements.begin(), elements.begin() + static_cast<long>(i),
                                      elements[i]) != elements.begin() + static_cast<long>(i);
        if (before && std::find(found.begin(), found.end(), elements[i]) == found.end())
            found.push_back(elements[i]);
    }
    return java_hash_order(found);
}

/// Sorted, because a plan may have a hundred thousand rows.
std::vector<TopicPartition> duplicate_partitions(const ReassignmentFile& file) {
    std::set<TopicPartition> seen, noted;
    std::vector<TopicPartition> found;
    for (const auto& [partition, replicas] : file.rows) {
        if (!seen.insert(partition).second && noted.insert(partition).second)
            found.push_back(partition);
    }
    return java_hash_order(found);
}

std::string joined(const std::vector<TopicPartition>& partitions, const char* between) {
    std::string text;
    for (const TopicPartition& one : partitions)
        text += (text.empty() ? "" : between) + one.to_string();
    return text;
}

}  // namespace

std::string problem_text(const JavaProblem& problem) {
    if (problem.class_name.empty()) return problem.message + "\n";
    const bool bare = problem.class_name == kNullPointerException;
    std::string text = fmt::format("Error: {}\n{}{}\n", problem.message, problem.class_name,
                                   bare ? "" : ": " + problem.message);
    if (!problem.cause.empty()) text += "Caused by: " + problem.cause + "\n";
    return text + "\n";
}

JavaProblem command_failed(std::string message, std::string cause) {
    return {"org.apache.kafka.tools.AdminCommandFailedException", std::move(message),
            std::move(cause)};
}

JavaProblem operation_failed(std::string message) {
    return {"org.apache.kafka.tools.AdminOperationException", std::move(message)};
}

JavaProblem execution_failed(const std::string& class_name, const std::string& message) {
    const std::string cause = class_name + ": " + message;
    return {"java.util.concurrent.ExecutionException", cause, cause};
}

std::map<TopicPartition, std::vector<int32_t>> ReassignmentFile::targets() const {
    std::map<TopicPartition, std::vector<int32_t>> targets;
    for (const auto& [partition, replicas] : rows)
        targets[partition] = replicas;
    return targets;
}

ReassignmentFile parse_reassignment(const std::string& input) {
    if (input.empty())
        throw parse_problem(
            "The input string shouldn't be empty\n at [Source: UNKNOWN; byte offset: #UNKNOWN]",
            false);
    JacksonValue root;
    const JacksonProblem problem = read_jackson(input, root);
    if (!problem.message.empty()) throw parse_problem(problem.to_string(), problem.end_of_input);
    check_version(root);
    ReassignmentFile file;
    const JacksonValue* partitions = root.get("partitions");
    if (partitions == nullptr) return file;
    for (const JacksonValue& element : array(*partitions)) {
        const JacksonValue& row = object(element);
        TopicPartition partition{text(field(row, "topic")), integer(field(row, "partition"))};
        std::vector<int32_t> replicas = list(field(row, "replicas"), integer);
        const JacksonValue* dirs_given = row.get("log_dirs");
        if (dirs_given != nullptr) {
            const std::vector<std::string> dirs = list(*dirs_given, text);
            if (dirs.size() != replicas.size())
                throw command_failed(fmt::format(
                    "Size of replicas list {} is different from size of log dirs list {} for "
                    "partition {}",
                    java_list(replicas), java_list(dirs), partition.to_string()));
            for (size_t i = 0; i < dirs.size(); ++i) {
                if (dirs[i] != kAnyDir) file.dirs[{replicas[i], partition}] = dirs[i];
            }
        }
        file.rows.emplace_back(std::move(partition), std::move(replicas));
    }
    return file;
}

void check_reassignment(const ReassignmentFile& file) {
    if (file.rows.empty()) throw command_failed("Partition reassignment list cannot be empty");
    for (const auto& [partition, replicas] : file.rows) {
        if (replicas.empty()) throw command_failed("Partition replica list cannot be empty");
    }
    if (const auto twice = duplicate_partitions(file); !twice.empty())
        throw command_failed("Partition reassignment contains duplicate topic partitions: " +
                             joined(twice, ","));
    std::string entries;
    for (const auto& [partition, replicas] : file.rows) {
        const auto twice = duplicates(replicas);
        if (twice.empty()) continue;
        entries += fmt::format("{}{} contains multiple entries for {}", entries.empty() ? "" : ". ",
                               partition.to_string(), comma_list(twice));
    }
    if (!entries.empty())
        throw command_failed("Partition replica lists may not contain duplicate entries: " +
                             entries);
}

std::vector<std::string> parse_topics_to_move(const std::string& input) {
    JacksonValue root;
    if (input.empty() || !read_jackson(input, root).message.empty())
        throw operation_failed("The input string is not a valid JSON");
    check_version(root);
    std::vector<std::string> topics;
    if (const JacksonValue* given = root.get("topics"); given != nullptr) {
        for (const JacksonValue& element : array(*given))
            topics.push_back(text(field(object(element), "topic")));
    }
    if (const auto twice = duplicates(topics); !twice.empty())
        throw command_failed("List of topics to reassign contains duplicate entries: " +
                             java_list(twice));
    return topics;
}

std::vector<int32_t> parse_broker_list(const std::string& input) {
    // String.split leaves out empty elements at the end, but not the only one.
    std::vector<std::string> words;
    for (size_t from = 0;;) {
        const size_t comma = input.find(',', from);
        words.push_back(input.substr(from, comma - from));
        if (comma == std::string::npos) break;
        from = comma + 1;
    }
    if (words.size() > 1) {
        while (!words.empty() && words.back().empty())
            words.pop_back();
    }
    std::vector<int32_t> brokers;
    for (const std::string& word : words) {
        int32_t id = 0;
        const char* begin = word.data() + (word.starts_with("+") ? 1 : 0);
        const auto [end, error] = std::from_chars(begin, word.data() + word.size(), id);
        if (error != std::errc() || end != word.data() + word.size())
            throw JavaProblem{"java.lang.NumberFormatException",
                              fmt::format("For input string: \"{}\"", word)};
        brokers.push_back(id);
    }
    if (const auto twice = duplicates(brokers); !twice.empty())
        throw command_failed("Broker list contains duplicate entries: " + java_list(twice));
    return brokers;
}

std::string reassignment_json(const std::map<TopicPartition, std::vector<int32_t>>& partitions,
                              const std::map<PartitionReplica, std::string>& dirs) {
    std::string out = "{\"version\":1,\"partitions\":[";
    bool first = true;
    for (const auto& [partition, replicas] : partitions) {
        out += fmt::format("{}{{\"topic\":{},\"partition\":{},\"replicas\":[{}],\"log_dirs\":[",
                           first ? "" : ",", Json(partition.topic).dump(), partition.partition,
                           comma_list(replicas));
        first = false;
        for (size_t i = 0; i < replicas.size(); ++i) {
            const auto dir = dirs.find({replicas[i], partition});
            out += (i == 0 ? "" : ",") + Json(dir == dirs.end() ? kAnyDir : dir->second).dump();
        }
        out += "]}";
    }
    return out + "]}";
}

std::string comma_list(const std::vector<int32_t>& ids) {
    return fmt::format("{}", fmt::join(ids, ","));
}

std::string java_list(const std::vector<int32_t>& ids) {
    return fmt::format("[{}]", fmt::join(ids, ", "));
}

std::string java_list(const std::vector<std::string>& words) {
    return fmt::format("[{}]", fmt::join(words, ", "));
}

}  // namespace millrace::cli
