// src/broker/config.cc: makes the typed config of a node from its file.
#include "millrace/broker/config.h"

#include "broker/config_checks.h"
#include "broker/config_listeners.h"
#include "broker/config_reader.h"

namespace millrace::broker {
namespace {

/// The rack that a fault domain and an update domain make together; else what broker.rack says.
std::optional<std::string> read_rack(const ConfigReader& r) {
    if (r.null("broker.fault.domain") || r.null("broker.update.domain")) {
        if (r.null("broker.rack")) return std::nullopt;
        return r.text("broker.rack");
    }
    const std::string fault = r.text("broker.fault.domain");
    const std::string update = r.text("broker.update.domain");
    const auto is_number = [](const std::string& text) {
        return text.find_first_not_of("0123456789") == std::string::npos;
    };
    if (is_number(fault) && is_number(update)) return "FD" + fault + "UD" + update;
    return "/" + fault + "/" + update;
}

void read_identity(const ConfigReader& r, BrokerConfig& c) {
    c.node_id = NodeId(r.number32("node.id"));
    for (const std::string& role : r.list("process.roles")) {
        c.broker_role = c.broker_role || role == "broker";
        c.controller_role = c.controller_role || role == "controller";
    }
    c.broker_rack = read_rack(r);
}

void read_network(const ConfigReader& r, BrokerConfig& c) {
    c.connections_max_idle_ms = r.number("connections.max.idle.ms");
    c.connection_failed_authentication_delay_ms =
        r.number32("connection.failed.authentication.delay.ms");
    c.socket_send_buffer_bytes = r.number32("socket.send.buffer.bytes");
    c.socket_receive_buffer_bytes = r.number32("socket.receive.buffer.bytes");
    c.socket_request_max_bytes = r.number32("socket.request.max.bytes");
    c.socket_listen_backlog_size = r.number32("socket.listen.backlog.size");
    c.queued_max_request_bytes = r.number("queued.max.request.bytes");
    c.queued_max_requests = r.number32("queued.max.requests");
    c.num_network_threads = r.number32("num.network.threads");
    c.num_io_threads = r.number32("num.io.threads");
}

void read_quorum(const ConfigReader& r, BrokerConfig& c) {
    for (const std::string& voter : r.list("controller.quorum.voters")) {
        c.quorum_voters.push_back(parse_quorum_endpoint(voter));
    }
    for (const std::string& server : r.list("controller.quorum.bootstrap.servers")) {
        c.quorum_bootstrap_servers.push_back(parse_quorum_endpoint(server));
    }
    c.quorum_election_timeout_ms = r.number32("controller.quorum.election.timeout.ms");
    c.quorum_election_backoff_max_ms = r.number32("controller.quorum.election.backoff.max.ms");
    c.quorum_fetch_timeout_ms = r.number32("controller.quorum.fetch.timeout.ms");
    c.quorum_fetch_max_bytes = r.number32("controller.quorum.fetch.max.bytes");
    c.quorum_fetch_snapshot_max_bytes = r.number32("controller.quorum.fetch.snapshot.max.bytes");
    c.quorum_request_timeout_ms = r.number32("controller.quorum.request.timeout.ms");
    c.quorum_retry_backoff_ms = r.number32("controller.quorum.retry.backoff.ms");
    c.quorum_append_linger_ms = r.number32("controller.quorum.append.linger.ms");
    c.quorum_auto_join_enable = r.flag("controller.quorum.auto.join.enable");
    c.broker_heartbeat_interval_ms = r.number32("broker.heartbeat.interval.ms");
    c.broker_session_connection_grace_ms =
        r.number32("broker.session.connection.grace.ms");
    c.broker_session_timeout_ms = r.number32("broker.session.timeout.ms");
    c.initial_broker_registration_timeout_ms = r.number32("initial.broker.registration.timeout.ms");
    c.metadata_log_max_record_bytes_between_snapshots =
        r.number("metadata.log.max.record.bytes.between.snapshots");
    c.metadata_log_max_snapshot_interval_ms = r.number("metadata.log.max.snapshot.interval.ms");
    c.metadata_log_segment_bytes = r.null("internal.metadata.log.segment.bytes")
                                       ? r.number32("metadata.log.segment.bytes")
                                       : r.number32("internal.metadata.log.segment.bytes");
    c.metadata_log_segment_ms = r.number("metadata.log.segment.ms");
    c.metadata_max_retention_bytes = r.number("metadata.max.retention.bytes");
    c.metadata_max_retention_ms = r.number("metadata.max.retention.ms");
    c.metadata_max_idle_interval_ms = r.number32("metadata.max.idle.interval.ms");
}

void read_logs(const ConfigReader& r, BrokerConfig& c) {
    c.log_dirs = r.list(r.null("log.dirs") ? "log.dir" : "log.dirs");
    c.metadata_log_dir =
        r.null("metadata.log.dir") ? c.log_dirs.front() : r.text("metadata.log.dir");
    c.num_recovery_threads_per_data_dir = r.number32("num.recovery.threads.per.data.dir");
    c.log_flush_offset_checkpoint_interval_ms =
        r.number32("log.flush.offset.checkpoint.interval.ms");
    c.log_flush_start_offset_checkpoint_interval_ms =
        r.number32("log.flush.start.offset.checkpoint.interval.ms");
    c.log_flush_scheduler_interval_ms = r.number("log.flush.scheduler.interval.ms");
    c.log_retention_check_interval_ms = r.number("log.retention.check.interval.ms");
    c.log_initial_task_delay_ms = r.number("log.initial.task.delay.ms");
    c.log_dir_failure_timeout_ms = r.number("log.dir.failure.timeout.ms");
    c.log_cleaner_enable = r.flag("log.cleaner.enable");
}

void read_topics(const ConfigReader& r, BrokerConfig& c) {
    c.auto_create_topics_enable = r.flag("auto.create.topics.enable");
    c.auto_leader_rebalance_enable = r.flag("auto.leader.rebalance.enable");
    c.delete_topic_enable = r.flag("delete.topic.enable");
    c.controlled_shutdown_enable = r.flag("controlled.shutdown.enable");
    c.num_partitions = r.number32("num.partitions");
    c.default_replication_factor = r.number32("default.replication.factor");
    c.fetch_max_bytes = r.number32("fetch.max.bytes");
    c.max_incremental_fetch_session_cache_slots =
        r.number32("max.incremental.fetch.session.cache.slots");
    c.max_request_partition_size_limit = r.number32("max.request.partition.size.limit");
    c.request_timeout_ms = r.number32("request.timeout.ms");
    c.producer_id_expiration_check_interval_ms =
        r.number32("producer.id.expiration.check.interval.ms");
    c.unstable_api_versions_enable = r.flag("unstable.api.versions.enable");
    c.unstable_feature_versions_enable = r.flag("unstable.feature.versions.enable");
    c.compressed_batch_validation_header_only = r.text("compressed.batch.validation") == "header";
}

void read_replicas(const ConfigReader& r, BrokerConfig& c) {
    c.replica_fetch_max_bytes = r.number32("replica.fetch.max.bytes");
    c.replica_fetch_min_bytes = r.number32("replica.fetch.min.bytes");
    c.replica_fetch_response_max_bytes = r.number32("replica.fetch.response.max.bytes");
    c.replica_fetch_wait_max_ms = r.number32("replica.fetch.wait.max.ms");
    c.replica_fetch_backoff_ms = r.number32("replica.fetch.backoff.ms");
    c.replica_lag_time_max_ms = r.number("replica.lag.time.max.ms");
    c.replica_high_watermark_checkpoint_interval_ms =
        r.number("replica.high.watermark.checkpoint.interval.ms");
    c.replica_socket_timeout_ms = r.number32("replica.socket.timeout.ms");
    c.leader_imbalance_check_interval_seconds = r.number("leader.imbalance.check.interval.seconds");
    c.unclean_leader_election_interval_ms = r.number("unclean.leader.election.interval.ms");
}

metadata::ConfigValue value_of(const BrokerConfig& config, std::string_view name) {
    metadata::BrokerConfigLayers layers;
    layers.static_file = &config.raw;
    const auto* key = metadata::find_config_key(metadata::ConfigResource::Broker, name);
    const auto text = metadata::effective_broker_value(layers, name);
    if (!text) return {};
    if (key == nullptr) return *text;
    auto value = metadata::parse_config_value(*key, *text);
    return value.ok() ? std::move(*value) : metadata::ConfigValue();
}

}  // namespace

Result<BrokerConfig> make_broker_config(const metadata::ConfigMap& raw,
                                        std::vector<ConfigWarning>* warnings) {
    const ConfigReader reader(raw);
    if (!reader.faults().empty()) return Status(Errc::InvalidInput, reader.faults().front());
    const std::vector<std::string> broken = broken_rules(reader);
    if (!broken.empty()) return Status(Errc::InvalidInput, broken.front());
    MILLRACE_TRY_ASSIGN(ListenerPlan plan, plan_listeners(reader));

    BrokerConfig config;
    config.raw = raw;
    read_identity(reader, config);
    read_network(reader, config);
    read_quorum(reader, config);
    read_logs(reader, config);
    read_topics(reader, config);
    read_replicas(reader, config);
    config.listeners = std::move(plan.listeners);
    config.advertised_listeners = std::move(plan.advertised_brokers);
    config.controller_listeners = std::move(plan.controller_listeners);
    config.advertised_controller_listeners = std::move(plan.advertised_controllers);
    config.controller_listener_names = std::move(plan.controller_names);
    config.inter_broker_listener_name = std::move(plan.inter_broker_name);
    if (warnings != nullptr) {
        for (ConfigWarning& w : config_warnings(reader))
            warnings->push_back(std::move(w));
    }
    return config;
}

std::vector<std::string> all_config_faults(const metadata::ConfigMap& raw) {
    const ConfigReader reader(raw);
    std::vector<std::string> faults = reader.faults();
    // Rules over values that did not parse would complain about the defaults put in their place.
    if (!faults.empty()) return faults;
    return broken_rules(reader);
}

std::string BrokerConfig::text(std::string_view key) const {
    return metadata::config_value_text(value_of(*this, key)).value_or("");
}

int64_t BrokerConfig::number(std::string_view key) const {
    const metadata::ConfigValue value = value_of(*this, key);
    const int64_t* n = std::get_if<int64_t>(&value);
    return n != nullptr ? *n : 0;
}

}  // namespace millrace::broker
