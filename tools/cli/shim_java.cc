// tools/cli/shim_java.cc: what shows through of Java in the text of Kafka's tools.
#include "cli/shim_java.h"

#include <fmt/core.h>

#include <chrono>
#include <ctime>
#include <iostream>

#include "millrace/base/error_code.h"

namespace millrace::cli {
namespace {

struct Row {
    ErrorCode code;
    const char* exception;
    const char* message;
};
// org.apache.kafka.common.protocol.Errors, as far as these tools can meet it.
constexpr Row kErrors[] = {
    {ErrorCode::UnknownTopicOrPartition, "UnknownTopicOrPartitionException",
     "This server does not host this topic-partition."},
    {ErrorCode::LeaderNotAvailable, "LeaderNotAvailableException",
     "There is no leader for this topic-partition as we are in the middle of a leadership "
     "election."},
    {ErrorCode::RequestTimedOut, "TimeoutException", "The request timed out."},
    {ErrorCode::MessageTooLarge, "RecordTooLargeException",
     "The request included a message larger than the max message size the server will accept."},
    {ErrorCode::CoordinatorLoadInProgress, "CoordinatorLoadInProgressException",
     "The coordinator is loading and hence can't process requests."},
    {ErrorCode::CoordinatorNotAvailable, "CoordinatorNotAvailableException",
     "The coordinator is not available."},
    {ErrorCode::NotCoordinator, "NotCoordinatorException",
     "This is not the correct coordinator."},
    {ErrorCode::InvalidTopicException, "InvalidTopicException",
     "The request attempted to perform an operation on an invalid topic."},
    {ErrorCode::InvalidGroupId, "InvalidGroupIdException", "The group id is invalid."},
    {ErrorCode::UnknownMemberId, "UnknownMemberIdException",
     "The coordinator is not aware of this member."},
    {ErrorCode::TopicAuthorizationFailed, "TopicAuthorizationException",
     "Topic authorization failed."},
    {ErrorCode::GroupAuthorizationFailed, "GroupAuthorizationException",
     "Group authorization failed."},
    {ErrorCode::ClusterAuthorizationFailed, "ClusterAuthorizationException",
     "Cluster authorization failed."},
    {ErrorCode::UnsupportedVersion, "UnsupportedVersionException",
     "The version of API is not supported."},
    {ErrorCode::TopicAlreadyExists, "TopicExistsException",
     "Topic with this name already exists."},
    {ErrorCode::InvalidPartitions, "InvalidPartitionsException",
     "Number of partitions is below 1."},
    {ErrorCode::InvalidReplicationFactor, "InvalidReplicationFactorException",
     "Replication factor is below 1 or larger than the number of available brokers."},
    {ErrorCode::InvalidReplicaAssignment, "InvalidReplicaAssignmentException",
     "Replica assignment is invalid."},
    {ErrorCode::InvalidConfig, "InvalidConfigurationException", "Configuration is invalid."},
    {ErrorCode::PolicyViolation, "PolicyViolationException",
     "Request parameters do not satisfy the configured policy."},
    {ErrorCode::NonEmptyGroup, "GroupNotEmptyException", "The group is not empty."},
    {ErrorCode::GroupIdNotFound, "GroupIdNotFoundException", "The group id does not exist."},
    {ErrorCode::TopicDeletionDisabled, "TopicDeletionDisabledException",
     "Topic deletion is disabled."},
    {ErrorCode::GroupSubscribedToTopic, "GroupSubscribedToTopicException",
     "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed "
     "to it."},
    {ErrorCode::InvalidRecord, "InvalidRecordException",
     "This record has failed the validation on broker and hence will be rejected."},
    {ErrorCode::UnknownTopicId, "UnknownTopicIdException",
     "This server does not host this topic ID."},
    {ErrorCode::UnknownServerError, "UnknownServerException",
     "The server experienced an unexpected error when processing the request."},
};

const Row* find(int16_t kafka_error) {
    for (const Row& row : kErrors) {
        if (wire_error(row.code) == kafka_error) return &row;
    }
    return nullptr;
}

}  // namespace

int32_t java_hash(std::string_view utf8) {
    uint32_t hash = 0;
    const auto add = [&hash](uint32_t unit) { hash = 31 * hash + unit; };
    for (size_t i = 0; i < utf8.size();) {
        const auto lead = static_cast<uint8_t>(utf8[i]);
        const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        uint32_t point = size == 1 ? lead : lead & (0xFFU >> (size + 1));
        for (size_t k = 1; k < size && i + k < utf8.size(); ++k)
            point = point << 6 | (static_cast<uint8_t>(utf8[i + k]) & 0x3FU);
        i += size;
        if (point < 0x10000) {
            add(point);
        } else {
            add(0xD800 + ((point - 0x10000) >> 10));
            add(0xDC00 + ((point - 0x10000) & 0x3FF));
        }
    }
    return static_cast<int32_t>(hash);
}

int32_t java_hash(const TopicPartition& partition) {
    uint32_t hash = 31 + static_cast<uint32_t>(partition.partition);
    hash = 31 * hash + static_cast<uint32_t>(java_hash(partition.topic));
    return static_cast<int32_t>(hash);
}

std::string java_class(int16_t kafka_error) {
    const Row* row = find(kafka_error);
    return std::string("org.apache.kafka.common.errors.") +
           (row != nullptr ? row->exception : "UnknownServerException");
}

std::string java_message(int16_t kafka_error, const std::string& from_broker) {
    if (!from_broker.empty()) return from_broker;
    if (const Row* row = find(kafka_error)) return row->message;
    const auto code = error_code_from(kafka_error);
    return code ? error_code_message(*code) : "";
}

std::string java_message(const Failure& failure) {
    if (failure.kafka_error != 0) return java_message(failure.kafka_error, failure.kafka_message);
    return failure.kafka_message.empty() ? failure.error : failure.kafka_message;
}

std::string java_text(const Failure& failure) {
    if (failure.kafka_error == 0) return java_message(failure);
    return java_class(failure.kafka_error) + ": " + java_message(failure);
}

void java_log(const char* level, const std::string& message, const char* logger) {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm local{};
    localtime_r(&seconds, &local);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
    std::cerr << fmt::format("[{},{:03}] {} {} ({})\n", text, ms.count() % 1000, level, message,
                             logger);
}

}  // namespace millrace::cli
