// tools/cli/shim_java.h: what shows through of Java in the text of Kafka's tools.
//
// Names and messages of exceptions, and the order in which a HashMap is walked: the tools print
// straight from such maps, and scripts compare their output.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/cli.h"
#include "cli/offsets.h"

namespace millrace::cli {

/// String.hashCode, over UTF-16 units.
int32_t java_hash(std::string_view utf8);
/// TopicPartition.hashCode.
int32_t java_hash(const TopicPartition& partition);
/// Integer.hashCode.
inline int32_t java_hash(int32_t number) { return number; }

/// The walk of a java.util.HashMap into which `keys` were put in this order. `capacity` is the
/// constructor's argument.
template <class Key>
std::vector<Key> java_hash_order(std::vector<Key> keys, size_t capacity = 16) {
    size_t buckets = 1;
    while (buckets < capacity)
        buckets *= 2;
    while (keys.size() * 4 > buckets * 3)
        buckets *= 2;
    const auto bucket = [&](const Key& key) {
        const auto hash = static_cast<uint32_t>(java_hash(key));
        return (hash ^ hash >> 16) & (buckets - 1);
    };
    std::stable_sort(keys.begin(), keys.end(),
                     [&](const Key& a, const Key& b) { return bucket(a) < bucket(b); });
    return keys;
}

/// "org.apache.kafka.common.errors.GroupIdNotFoundException".
std::string java_class(int16_t kafka_error);
/// Throwable.getMessage of that exception.
std::string java_message(int16_t kafka_error, const std::string& from_broker);
/// Throwable.toString for a refusal of the broker; else the failure's own text.
std::string java_text(const Failure& failure);
/// What getMessage of a tool's exception says: for our own failures their text.
std::string java_message(const Failure& failure);
/// A line of the tools' logger on standard error.
void java_log(const char* level, const std::string& message, const char* logger);

}  // namespace millrace::cli
