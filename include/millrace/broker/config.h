// include/millrace/broker/config.h: the typed configuration of a node and of a topic.
//
// BrokerConfig is made once from the node's file by make_broker_config, which applies every check
// of KafkaConfig in Kafka's order and with its texts, and is immutable afterwards; the app owns
// it, every shard reads it. Dynamic changes do not alter it: settings that can change are asked
// for through dynamic_settings(), computed from the layers of the metadata image.
// Names are Kafka's keys with underscores; units are in the names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/result.h"
#include "millrace/metadata/config_schema.h"

namespace millrace::broker {

enum class SecurityProtocol : int8_t { Plaintext = 0, Ssl = 1, SaslPlaintext = 2, SaslSsl = 3 };
const char* security_protocol_name(SecurityProtocol protocol);

/// One entry of listeners or advertised.listeners.
struct Listener {
    std::string name;  // upper case
    std::string host;  // empty: all interfaces
    int32_t port = 0;  // 0: any free port
    SecurityProtocol protocol = SecurityProtocol::Plaintext;
    /// "PLAINTEXT://:9092", with brackets around an IPv6 host.
    std::string to_string() const;
};

/// An entry of controller.quorum.voters ("id@host:port") or bootstrap.servers (id -1).
struct QuorumEndpoint {
    NodeId id = kNoNode;
    std::string host;
    int32_t port = 0;
};

/// Every topic key with its value in force. No storage or protocol types here: the broker maps it.
struct TopicConfig {
    bool cleanup_compact = false;
    bool cleanup_delete = true;
    std::string compression_type = "producer";
    int32_t compression_gzip_level = -1;
    int32_t compression_lz4_level = 9;
    int32_t compression_zstd_level = 3;
    int64_t delete_retention_ms = 86'400'000;
    int64_t file_delete_delay_ms = 60'000;
    int64_t flush_messages = INT64_MAX;
    int64_t flush_ms = INT64_MAX;
    std::vector<std::string> follower_replication_throttled_replicas;
    int32_t index_interval_bytes = 4096;
    std::vector<std::string> leader_replication_throttled_replicas;
    int64_t local_retention_bytes = -2;
    int64_t local_retention_ms = -2;
    int64_t max_compaction_lag_ms = INT64_MAX;
    int32_t max_message_bytes = 1'048'588;
    int64_t message_timestamp_after_max_ms = 3'600'000;
    int64_t message_timestamp_before_max_ms = INT64_MAX;
    bool message_timestamp_log_append_time = false;
    double min_cleanable_dirty_ratio = 0.5;
    int64_t min_compaction_lag_ms = 0;
    int32_t min_insync_replicas = 1;
    bool preallocate = false;
    bool remote_log_copy_disable = false;
    bool remote_log_delete_on_disable = false;
    bool remote_storage_enable = false;
    int64_t retention_bytes = -1;
    int64_t retention_ms = 604'800'000;
    int32_t segment_bytes = 1'073'741'824;  // internal.segment.bytes, where set, wins
    int32_t segment_index_bytes = 10'485'760;
    int64_t segment_jitter_ms = 0;
    int64_t segment_ms = 604'800'000;
    bool unclean_leader_election_enable = false;
};

/// `own` are the topic's stored overrides. A stored value that does not parse (it cannot come
/// through a controller that validates) falls back to the inherited one.
TopicConfig make_topic_config(const metadata::ConfigMap& own,
                              const metadata::BrokerConfigLayers& layers);

/// Settings of a running node that IncrementalAlterConfigs may change.
struct DynamicSettings {
    int64_t log_cleaner_backoff_ms = 15'000;
    int64_t log_cleaner_dedupe_buffer_size = 134'217'728;
    double log_cleaner_io_buffer_load_factor = 0.9;
    int32_t log_cleaner_io_buffer_size = 524'288;
    double log_cleaner_io_max_bytes_per_second = 1.7976931348623157E308;
    int32_t log_cleaner_threads = 1;
    int32_t max_connections = INT32_MAX;
    int32_t max_connections_per_ip = INT32_MAX;
    std::vector<std::pair<std::string, int32_t>> max_connections_per_ip_overrides;
    int32_t max_connection_creation_rate = INT32_MAX;
    int32_t producer_id_expiration_ms = 86'400'000;
    bool transaction_partition_verification_enable = true;
    int64_t leader_replication_throttled_rate = INT64_MAX;
    int64_t follower_replication_throttled_rate = INT64_MAX;
    int64_t replica_alter_log_dirs_io_max_bytes_per_second = INT64_MAX;
    std::vector<std::string> cordoned_log_dirs;
};

/// The node's file, checked and typed. Defaults are Kafka's.
struct BrokerConfig {
    // Identity and roles.
    NodeId node_id = kNoNode;
    bool broker_role = false;
    bool controller_role = false;
    std::optional<std::string> broker_rack;

    // Network.
    std::vector<Listener> listeners;             // of both roles
    std::vector<Listener> advertised_listeners;  // broker listeners, with their protocol
    std::vector<Listener> controller_listeners;  // those of `listeners` named in controller.*
    std::vector<Listener> advertised_controller_listeners;
    std::vector<std::string> controller_listener_names;
    std::string inter_broker_listener_name;
    int64_t connections_max_idle_ms = 600'000;
    int32_t connection_failed_authentication_delay_ms = 100;
    int32_t socket_send_buffer_bytes = 102'400;
    int32_t socket_receive_buffer_bytes = 102'400;
    int32_t socket_request_max_bytes = 104'857'600;
    int32_t socket_listen_backlog_size = 50;
    int64_t queued_max_request_bytes = -1;
    int32_t queued_max_requests = 500;
    /// Files that the logs of all directories may hold open together. Not a key: whoever starts the
    /// process lowers it to what the descriptor limit allows.
    size_t log_open_files_max = 4'000;
    int32_t num_network_threads = 3;
    int32_t num_io_threads = 8;

    // Quorum.
    std::vector<QuorumEndpoint> quorum_voters;
    std::vector<QuorumEndpoint> quorum_bootstrap_servers;
    int32_t quorum_election_timeout_ms = 1000;
    int32_t quorum_election_backoff_max_ms = 1000;
    int32_t quorum_fetch_timeout_ms = 2000;
    int32_t quorum_fetch_max_bytes = 1'048'576;
    int32_t quorum_fetch_snapshot_max_bytes = 1'048'576;
    int32_t quorum_request_timeout_ms = 2000;
    int32_t quorum_retry_backoff_ms = 20;
    int32_t quorum_append_linger_ms = 25;
    bool quorum_auto_join_enable = false;
    int32_t broker_heartbeat_interval_ms = 2000;
    int32_t broker_session_timeout_ms = 9000;
    int32_t broker_session_connection_grace_ms = 250;
    int32_t initial_broker_registration_timeout_ms = 60'000;
    int64_t metadata_log_max_record_bytes_between_snapshots = 20'971'520;
    int64_t metadata_log_max_snapshot_interval_ms = 3'600'000;
    int32_t metadata_log_segment_bytes = 1'073'741'824;
    int64_t metadata_log_segment_ms = 604'800'000;
    int64_t metadata_max_retention_bytes = 104'857'600;
    int64_t metadata_max_retention_ms = 604'800'000;
    int32_t metadata_max_idle_interval_ms = 500;

    // Log directories.
    std::vector<std::string> log_dirs;
    std::string metadata_log_dir;  // metadata.log.dir, else the first of log_dirs
    int32_t num_recovery_threads_per_data_dir = 2;
    int32_t log_flush_offset_checkpoint_interval_ms = 60'000;
    int32_t log_flush_start_offset_checkpoint_interval_ms = 60'000;
    int64_t log_flush_scheduler_interval_ms = INT64_MAX;
    int64_t log_retention_check_interval_ms = 300'000;
    int64_t log_initial_task_delay_ms = 30'000;
    int64_t log_dir_failure_timeout_ms = 30'000;
    bool log_cleaner_enable = true;

    // Topics, requests, replicas.
    bool auto_create_topics_enable = true;
    bool auto_leader_rebalance_enable = true;
    bool delete_topic_enable = true;
    bool controlled_shutdown_enable = true;
    int32_t num_partitions = 1;
    int32_t default_replication_factor = 1;
    int32_t fetch_max_bytes = 57'671'680;
    int32_t max_incremental_fetch_session_cache_slots = 1000;
    int32_t max_request_partition_size_limit = 2000;
    int32_t request_timeout_ms = 30'000;
    int32_t replica_fetch_max_bytes = 1'048'576;
    int32_t replica_fetch_min_bytes = 1;
    int32_t replica_fetch_response_max_bytes = 10'485'760;
    int32_t replica_fetch_wait_max_ms = 500;
    int32_t replica_fetch_backoff_ms = 1000;
    int64_t replica_lag_time_max_ms = 30'000;
    int64_t replica_high_watermark_checkpoint_interval_ms = 5000;
    int32_t replica_socket_timeout_ms = 30'000;
    int32_t producer_id_expiration_check_interval_ms = 600'000;
    int64_t leader_imbalance_check_interval_seconds = 300;
    int64_t unclean_leader_election_interval_ms = 300'000;
    bool unstable_api_versions_enable = false;
    bool unstable_feature_versions_enable = false;

    /// Ours: full (as Kafka does) or header (compressed batches are trusted past their header).
    bool compressed_batch_validation_header_only = false;

    /// The file as read: every key, known or not, with its text. The static layer of describe().
    metadata::ConfigMap raw;

    bool combined() const { return broker_role && controller_role; }
    /// The value in force from file and default, for keys without a field of their own; empty
    /// text when null.
    std::string text(std::string_view key) const;
    int64_t number(std::string_view key) const;
};

struct ConfigWarning {
    std::string key;
    std::string text;
};

/// Parses and checks the whole file. The Status has Errc::InvalidInput and Kafka's sentence.
/// Warnings (unknown keys, keys without effect, deprecated keys) are appended where asked for.
Result<BrokerConfig> make_broker_config(const metadata::ConfigMap& raw,
                                        std::vector<ConfigWarning>* warnings = nullptr);
/// All faults at once, for `config check`; make_broker_config stops at the first.
std::vector<std::string> all_config_faults(const metadata::ConfigMap& raw);

/// "NAME://host:port,..." with Kafka's grammar; `key` names the setting in messages.
Result<std::vector<Listener>> parse_listeners(std::string_view text, std::string_view key);

/// What the receiving broker checks of IncrementalAlterConfigs on a BROKER resource: `proposed` is
/// the whole set that the resource would hold; `cluster_level` is true for the resource "". The
/// layers are those in force now. Refusals carry InvalidRequest, as in Kafka.
metadata::ConfigCheck check_broker_change(const metadata::ConfigMap& proposed, bool cluster_level,
                                          const metadata::BrokerConfigLayers& layers);

/// The dynamic settings in force.
DynamicSettings make_dynamic_settings(const metadata::BrokerConfigLayers& layers);
/// The layers of a node: dynamic maps from the metadata image over the node's file.
inline metadata::BrokerConfigLayers config_layers(const BrokerConfig& config,
                                                  const metadata::ConfigMap* per_broker,
                                                  const metadata::ConfigMap* cluster_default) {
    return {per_broker, cluster_default, &config.raw};
}

}  // namespace millrace::broker
