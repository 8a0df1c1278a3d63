// src/broker/coordinator_settings.cc: the settings of coordinators, from a node's file.
#include <algorithm>

#include "broker/coordinator_host_impl.h"
#include "millrace/metadata/config_schema.h"

namespace millrace::broker {

namespace {
coordinator::MigrationPolicy migration_policy(const std::string& text) {
    if (text == "disabled") return coordinator::MigrationPolicy::Disabled;
    if (text == "upgrade") return coordinator::MigrationPolicy::Upgrade;
    if (text == "downgrade") return coordinator::MigrationPolicy::Downgrade;
    return coordinator::MigrationPolicy::Bidirectional;
}

/// Kafka takes class names of its own assignors too.
std::string assignor_name(const std::string& text) {
    if (text.ends_with("UniformAssignor")) return "uniform";
    if (text.ends_with("RangeAssignor")) return "range";
    return text;
}
}  // namespace

coordinator::TxnOptions make_txn_options(const BrokerConfig& config, int16_t transaction_version) {
    coordinator::TxnOptions options;
    options.timeout_max_ms = static_cast<int32_t>(config.number("transaction.max.timeout.ms"));
    options.id_expiration_ms = config.number("transactional.id.expiration.ms");
    options.abort_interval = milliseconds(
        config.number("transaction.abort.timed.out.transaction.cleanup.interval.ms"));
    options.expire_interval = milliseconds(
        config.number("transaction.remove.expired.transaction.cleanup.interval.ms"));
    options.two_phase_commit = config.text("transaction.two.phase.commit.enable") == "true";
    options.transaction_version = transaction_version;
    return options;
}

record::CompressionType make_offsets_compression(const BrokerConfig& config) {
    const auto id = static_cast<int>(config.number("offsets.topic.compression.codec"));
    return record::compression_from_id(id).value_or(record::CompressionType::None);
}

bool serves_consumer_groups(const BrokerConfig& config) {
    const std::vector<std::string> names =
        metadata::split_config_list(config.text("group.coordinator.rebalance.protocols"));
    return std::find(names.begin(), names.end(), "consumer") != names.end();
}

coordinator::GroupSettings make_group_settings(const BrokerConfig& config) {
    const auto number = [&](const char* key) { return static_cast<int32_t>(config.number(key)); };
    coordinator::GroupSettings s;
    s.min_session_timeout_ms = number("group.min.session.timeout.ms");
    s.max_session_timeout_ms = number("group.max.session.timeout.ms");
    s.initial_rebalance_delay_ms = number("group.initial.rebalance.delay.ms");
    s.max_size = number("group.max.size");
    s.consumer_session_timeout_ms = number("group.consumer.session.timeout.ms");
    s.consumer_min_session_timeout_ms = number("group.consumer.min.session.timeout.ms");
    s.consumer_max_session_timeout_ms = number("group.consumer.max.session.timeout.ms");
    s.consumer_heartbeat_interval_ms = number("group.consumer.heartbeat.interval.ms");
    s.consumer_min_heartbeat_interval_ms = number("group.consumer.min.heartbeat.interval.ms");
    s.consumer_max_heartbeat_interval_ms = number("group.consumer.max.heartbeat.interval.ms");
    s.consumer_assignment_interval_ms = number("group.consumer.assignment.interval.ms");
    s.consumer_min_assignment_interval_ms = number("group.consumer.min.assignment.interval.ms");
    s.consumer_max_assignment_interval_ms = number("group.consumer.max.assignment.interval.ms");
    s.consumer_max_size = number("group.consumer.max.size");
    s.consumer_assignors.clear();
    for (const std::string& name :
         metadata::split_config_list(config.text("group.consumer.assignors"))) {
        s.consumer_assignors.push_back(assignor_name(name));
    }
    s.consumer_migration_policy =
        migration_policy(config.text("group.consumer.migration.policy"));
    s.consumer_regex_refresh_interval_ms = number("group.consumer.regex.refresh.interval.ms");
    s.offset_metadata_max_bytes = number("offset.metadata.max.bytes");
    s.offsets_retention_ms = config.number("offsets.retention.minutes") * 60 * 1000;
    s.offsets_retention_check_interval_ms = config.number("offsets.retention.check.interval.ms");
    s.offsets_commit_timeout_ms = number("offsets.commit.timeout.ms");
    // -1: until what is queued has joined. Nothing queues here, a command runs as it comes.
    s.append_linger_ms = std::max(number("group.coordinator.append.linger.ms"), 0);
    return s;
}

}  // namespace millrace::broker
