// src/broker/topic_settings.cc: from effective topic configs to log settings and produce rules.
#include "millrace/broker/topic_settings.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace millrace::broker {

namespace {
storage::LogConfig make_log_config(const TopicConfig& topic, const DynamicSettings& dynamic) {
    storage::LogConfig log;
    log.segment_bytes = topic.segment_bytes;
    log.segment_ms = topic.segment_ms;
    log.segment_jitter_ms = topic.segment_jitter_ms;
    log.segment_index_bytes = topic.segment_index_bytes;
    log.index_interval_bytes = topic.index_interval_bytes;
    log.preallocate = topic.preallocate;
    log.max_message_bytes = topic.max_message_bytes;
    log.cleanup_delete = topic.cleanup_delete;
    log.cleanup_compact = topic.cleanup_compact;
    log.retention_bytes = topic.retention_bytes;
    log.retention_ms = topic.retention_ms;
    log.file_delete_delay_ms = topic.file_delete_delay_ms;
    log.delete_retention_ms = topic.delete_retention_ms;
    log.min_compaction_lag_ms = topic.min_compaction_lag_ms;
    log.max_compaction_lag_ms = topic.max_compaction_lag_ms;
    log.min_cleanable_dirty_ratio = topic.min_cleanable_dirty_ratio;
    log.flush_messages = topic.flush_messages;
    log.flush_ms = topic.flush_ms;
    log.producer_id_expiration_ms = dynamic.producer_id_expiration_ms;
    log.transaction_verification = dynamic.transaction_partition_verification_enable;
    return log;
}

record::ProduceRules make_produce_rules(const TopicConfig& topic, const BrokerConfig& broker) {
    record::ProduceRules rules;
    rules.timestamp_type = topic.message_timestamp_log_append_time
                               ? record::TimestampType::LogAppendTime
                               : record::TimestampType::CreateTime;
    rules.timestamp_before_max_ms = topic.message_timestamp_before_max_ms;
    rules.timestamp_after_max_ms = topic.message_timestamp_after_max_ms;
    rules.max_message_bytes = topic.max_message_bytes;
    rules.compacted = topic.cleanup_compact;
    if (topic.compression_type == "uncompressed") {
        rules.target = record::CompressionType::None;
    } else if (topic.compression_type != "producer") {
        rules.target = record::compression_from_name(topic.compression_type);
    }
    rules.levels.gzip = topic.compression_gzip_level;
    rules.levels.lz4 = topic.compression_lz4_level;
    rules.levels.zstd = topic.compression_zstd_level;
    rules.compressed_validation = broker.compressed_batch_validation_header_only
                                      ? record::CompressedValidation::Header
                                      : record::CompressedValidation::Full;
    return rules;
}
std::optional<int32_t> number(std::string_view text) {
    int32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// Entries that are not "partition:broker" cannot come through a controller that validates.
ThrottledReplicas throttled(const std::vector<std::string>& list) {
    ThrottledReplicas result;
    for (const std::string_view entry : list) {
        if (entry == "*") result.all = true;
        const size_t colon = entry.find(':');
        if (colon == std::string_view::npos) continue;
        const auto partition = number(entry.substr(0, colon));
        const auto broker = number(entry.substr(colon + 1));
        if (partition && broker) result.replicas.emplace_back(*partition, *broker);
    }
    std::sort(result.replicas.begin(), result.replicas.end());
    return result;
}
}  // namespace

bool ThrottledReplicas::contains(PartitionIndex partition, NodeId broker) const {
    return all || std::binary_search(replicas.begin(), replicas.end(),
                                     std::pair(partition.value, broker.value));
}

std::shared_ptr<const TopicSettings> make_topic_settings(const metadata::ConfigMap& own,
                                                         const metadata::BrokerConfigLayers& layers,
                                                         const BrokerConfig& broker) {
    auto settings = std::make_shared<TopicSettings>();
    settings->topic = make_topic_config(own, layers);
    settings->log = std::make_shared<storage::LogConfig>(
        make_log_config(settings->topic, make_dynamic_settings(layers)));
    settings->leader_throttled = throttled(settings->topic.leader_replication_throttled_replicas);
    settings->follower_throttled =
        throttled(settings->topic.follower_replication_throttled_replicas);
    settings->produce = make_produce_rules(settings->topic, broker);
    return settings;
}

}  // namespace millrace::broker
