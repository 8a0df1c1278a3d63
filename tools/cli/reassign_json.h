// tools/cli/reassign_json.h: the JSON files of kafka-reassign-partitions, read with its errors.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/reassign_client.h"

namespace millrace::cli {

/// What Kafka's tool throws: the class and the message of a Java exception, and its cause.
struct JavaProblem {
    std::string class_name;  // empty: TerseException, printed as the bare sentence
    std::string message;
    std::string cause{};  // "class: message", or empty
};

inline constexpr const char* kNullPointerException = "java.lang.NullPointerException";

/// What the tool prints: "Error: " and those lines of the stack trace that are not frames.
std::string problem_text(const JavaProblem& problem);

/// AdminCommandFailedException and AdminOperationException.
JavaProblem command_failed(std::string message, std::string cause = "");
JavaProblem operation_failed(std::string message);
/// ExecutionException around another one.
JavaProblem execution_failed(const std::string& class_name, const std::string& message);

struct ReassignmentFile {
    /// As they stand in the file, duplicates included.
    std::vector<std::pair<TopicPartition, std::vector<int32_t>>> rows;
    /// Where a directory was named.
    std::map<PartitionReplica, std::string> dirs;

    /// The last row of each partition.
    std::map<TopicPartition, std::vector<int32_t>> targets() const;
};

/// Throws JavaProblem.
ReassignmentFile parse_reassignment(const std::string& text);
/// The checks of --execute: empty lists and duplicates.
void check_reassignment(const ReassignmentFile& file);
/// The topics of --topics-to-move-json-file.
std::vector<std::string> parse_topics_to_move(const std::string& text);
/// The brokers of --broker-list.
std::vector<int32_t> parse_broker_list(const std::string& text);

/// {"version":1,"partitions":[...]} on one line; "any" where no directory is known.
std::string reassignment_json(const std::map<TopicPartition, std::vector<int32_t>>& partitions,
                              const std::map<PartitionReplica, std::string>& dirs);

/// "1,2,3"
std::string comma_list(const std::vector<int32_t>& ids);
/// List.toString: "[1, 2]".
std::string java_list(const std::vector<int32_t>& ids);
std::string java_list(const std::vector<std::string>& words);

}  // namespace millrace::cli
