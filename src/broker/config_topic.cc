// src/broker/config_topic.cc: the typed config of a topic, and the dynamic settings of a node.
#include <charconv>

#include "broker/config_reader.h"
#include "millrace/broker/config.h"

namespace millrace::broker {
namespace {

using metadata::BrokerConfigLayers;
using metadata::ConfigMap;
using metadata::ConfigResource;
using metadata::ConfigValue;

/// Values in force of a topic's keys.
class TopicValues {
  public:
    TopicValues(const ConfigMap& own, const BrokerConfigLayers& layers)
        : own_(own), layers_(layers) {}

    ConfigValue value(const char* name) const {
        const auto* key = metadata::find_config_key(ConfigResource::Topic, name);
        MILLRACE_ASSERT(key != nullptr, "a topic key of the table");
        const auto text = metadata::effective_value(own_, layers_, *key);
        if (!text) return {};
        auto parsed = metadata::parse_config_value(*key, *text);
        return parsed.ok() ? std::move(*parsed) : ConfigValue();
    }
    bool flag(const char* name) const { return std::get<bool>(value(name)); }
    int64_t number(const char* name) const { return std::get<int64_t>(value(name)); }
    int32_t number32(const char* name) const { return static_cast<int32_t>(number(name)); }
    double real(const char* name) const { return std::get<double>(value(name)); }
    std::string text(const char* name) const { return std::get<std::string>(value(name)); }
    std::vector<std::string> list(const char* name) const {
        return std::get<std::vector<std::string>>(value(name));
    }

  private:
    const ConfigMap& own_;
    const BrokerConfigLayers& layers_;
};

void read_storage_keys(const TopicValues& v, TopicConfig& c) {
    c.delete_retention_ms = v.number("delete.retention.ms");
    c.file_delete_delay_ms = v.number("file.delete.delay.ms");
    c.flush_messages = v.number("flush.messages");
    c.flush_ms = v.number("flush.ms");
    c.index_interval_bytes = v.number32("index.interval.bytes");
    c.local_retention_bytes = v.number("local.retention.bytes");
    c.local_retention_ms = v.number("local.retention.ms");
    c.max_compaction_lag_ms = v.number("max.compaction.lag.ms");
    c.min_cleanable_dirty_ratio = v.real("min.cleanable.dirty.ratio");
    c.min_compaction_lag_ms = v.number("min.compaction.lag.ms");
    c.preallocate = v.flag("preallocate");
    c.retention_bytes = v.number("retention.bytes");
    c.retention_ms = v.number("retention.ms");
    c.segment_bytes = v.number32("segment.bytes");
    const ConfigValue internal = v.value("internal.segment.bytes");
    if (const int64_t* bytes = std::get_if<int64_t>(&internal)) {
        c.segment_bytes = static_cast<int32_t>(*bytes);
    }
    c.segment_index_bytes = v.number32("segment.index.bytes");
    c.segment_jitter_ms = v.number("segment.jitter.ms");
    c.segment_ms = v.number("segment.ms");
}

}  // namespace

TopicConfig make_topic_config(const ConfigMap& own, const BrokerConfigLayers& layers) {
    const TopicValues v(own, layers);
    TopicConfig c;
    c.cleanup_compact = false;
    c.cleanup_delete = false;
    for (const std::string& policy : v.list("cleanup.policy")) {
        c.cleanup_compact = c.cleanup_compact || policy == "compact";
        c.cleanup_delete = c.cleanup_delete || policy == "delete";
    }
    read_storage_keys(v, c);
    c.compression_type = v.text("compression.type");
    c.compression_gzip_level = v.number32("compression.gzip.level");
    c.compression_lz4_level = v.number32("compression.lz4.level");
    c.compression_zstd_level = v.number32("compression.zstd.level");
    c.follower_replication_throttled_replicas = v.list("follower.replication.throttled.replicas");
    c.leader_replication_throttled_replicas = v.list("leader.replication.throttled.replicas");
    c.max_message_bytes = v.number32("max.message.bytes");
    c.message_timestamp_after_max_ms = v.number("message.timestamp.after.max.ms");
    c.message_timestamp_before_max_ms = v.number("message.timestamp.before.max.ms");
    c.message_timestamp_log_append_time = v.text("message.timestamp.type") == "LogAppendTime";
    c.min_insync_replicas = v.number32("min.insync.replicas");
    c.remote_log_copy_disable = v.flag("remote.log.copy.disable");
    c.remote_log_delete_on_disable = v.flag("remote.log.delete.on.disable");
    c.remote_storage_enable = v.flag("remote.storage.enable");
    c.unclean_leader_election_enable = v.flag("unclean.leader.election.enable");
    return c;
}

DynamicSettings make_dynamic_settings(const BrokerConfigLayers& layers) {
    const ConfigReader r(metadata::merge_broker_layers(layers));
    DynamicSettings s;
    s.log_cleaner_backoff_ms = r.number("log.cleaner.backoff.ms");
    s.log_cleaner_dedupe_buffer_size = r.number("log.cleaner.dedupe.buffer.size");
    s.log_cleaner_io_buffer_load_factor = r.real("log.cleaner.io.buffer.load.factor");
    s.log_cleaner_io_buffer_size = r.number32("log.cleaner.io.buffer.size");
    s.log_cleaner_io_max_bytes_per_second = r.real("log.cleaner.io.max.bytes.per.second");
    s.log_cleaner_threads = r.number32("log.cleaner.threads");
    s.max_connections = r.number32("max.connections");
    s.max_connections_per_ip = r.number32("max.connections.per.ip");
    for (const std::string& pair :
         metadata::split_config_list(r.text("max.connections.per.ip.overrides"))) {
        const size_t colon = pair.rfind(':');
        if (colon == std::string::npos) continue;
        int32_t count = 0;
        std::from_chars(pair.data() + colon + 1, pair.data() + pair.size(), count);
        s.max_connections_per_ip_overrides.emplace_back(pair.substr(0, colon), count);
    }
    s.max_connection_creation_rate = r.number32("max.connection.creation.rate");
    s.producer_id_expiration_ms = r.number32("producer.id.expiration.ms");
    s.transaction_partition_verification_enable =
        r.flag("transaction.partition.verification.enable");
    s.leader_replication_throttled_rate = r.number("leader.replication.throttled.rate");
    s.follower_replication_throttled_rate = r.number("follower.replication.throttled.rate");
    s.replica_alter_log_dirs_io_max_bytes_per_second =
        r.number("replica.alter.log.dirs.io.max.bytes.per.second");
    s.cordoned_log_dirs = r.list("cordoned.log.dirs");
    return s;
}

}  // namespace millrace::broker
