// src/broker/node.cc: the start and the stop of a node, step by step.
#include "millrace/broker/node.h"

#include <utility>

#include "broker/broker_lifecycle.h"
#include "broker/controller_host.h"
#include "broker/log_cleaner.h"
#include "broker/log_maintenance.h"
#include "broker/throttle_keeper_driver.h"
#include "millrace/base/log.h"
#include "millrace/base/rng.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/env/clock.h"
#include "millrace/env/timers.h"
#include "millrace/record/batch_iterator.h"
#include "millrace/storage/metadata_snapshot.h"

namespace millrace::broker {

namespace {
constexpr LogChannel kLog{"node"};

std::vector<wire::BrokerRegistrationRequest::Listener> registration_listeners(
    const BrokerConfig& config) {
    std::vector<wire::BrokerRegistrationRequest::Listener> listeners;
    for (const Listener& listener : config.advertised_listeners) {
        auto& entry = listeners.emplace_back();
        entry.name = listener.name;
        entry.host = listener.host;
        entry.port = static_cast<uint16_t>(listener.port);
        entry.security_protocol = static_cast<int16_t>(listener.protocol);
    }
    return listeners;
}

/// The records that the formatter left for the first controller.
Result<std::vector<metadata::Record>> read_bootstrap(env::FileSystem& files,
                                                     const std::string& directory) {
    std::vector<metadata::Record> records;
    const std::string path = directory + "/" + storage::kBootstrapCheckpointName;
    auto reader = storage::MetadataSnapshotReader::open(files, path);
    if (!reader.ok()) {
        if (reader.status().errc() == Errc::NotFound) {
            return metadata::default_bootstrap_records(metadata::kMetadataVersionLatest);
        }
        return reader.status();
    }
    while (true) {
        MILLRACE_TRY_ASSIGN(std::optional<Buffer> batch, (*reader)->next());
        if (!batch) return records;
        const record::BatchView view(*batch);
        if (view.is_control()) continue;
        MILLRACE_TRY_ASSIGN(record::BatchRecords walk, record::BatchRecords::open(view));
        record::RecordView found;
        while (walk.next(found)) {
            if (!found.value) continue;
            MILLRACE_TRY_ASSIGN(metadata::Record decoded,
                                metadata::decode_record(*found.value, Offset(0)));
            records.push_back(std::move(decoded));
        }
    }
}
}  // namespace

struct Node::Impl {
    env::Env env;
    const BrokerConfig& config;
    NodeEvents events;
    LogDirs log_dirs;
    std::unique_ptr<QuorumDriver> quorum;
    std::unique_ptr<ControllerHost> controller;
    std::unique_ptr<Shard> shard;
    std::unique_ptr<LogMaintenance> maintenance;
    std::unique_ptr<LogCleaner> cleaner;  // null when log.cleaner.enable is false
    std::unique_ptr<ThrottleKeeperDriver> throttle_keeper;
    BrokerLifecycle lifecycle;
    LifecycleOutput lifecycle_output;
    env::TimerId lifecycle_timer = 0;
    Uuid incarnation;
    Uuid controller_incarnation;
    bool controller_registration_sent = false;  // and not answered with an error
    ErrorCode registration_error = ErrorCode::None;
    Instant registration_said;
    Offset published_offset = kNoOffset;
    bool load_started = false;
    bool closing = false;
    bool dead = false;
    MoveFunction<void()> stopped;
    std::shared_ptr<bool> alive = std::make_shared<bool>(true);

    Impl(const env::Env& e, const BrokerConfig& c, NodeEvents ev)
        : env(e),
          config(c),
          events(std::move(ev)),
          log_dirs(env, config,
                   {[this](LogDir& dir) { on_directory_offline(dir); },
                    [this](const Status& cause) { fail(cause); }}),
          lifecycle({milliseconds(c.broker_heartbeat_interval_ms), seconds(300)}) {
        Rng rng(env.seed);
        incarnation = Uuid::from_random_bits(rng.next(), rng.next());
        controller_incarnation = Uuid::from_random_bits(rng.next(), rng.next());
    }
    ~Impl() {
        *alive = false;
        env.timers.cancel(lifecycle_timer);
        // While the shard is there: its own requests wait among them.
        if (controller) controller->answer_waiting();
    }

    void fail(const Status& cause) {
        if (dead) return;
        dead = true;
        events.on_fatal(cause);
    }

    Status start();
    QuorumDriverConfig quorum_config() const;
    metadata::ControllerOptions controller_options() const;
    void on_publish(const metadata::ImageLoader::Published& published);
    void on_directory_offline(LogDir& dir);
    void load_logs();
    void carry_out_lifecycle();
    void send_registration();
    void note_registration(ErrorCode error);
    void send_heartbeat();
    void register_controller();
    void close_all();
};

QuorumDriverConfig Node::Impl::quorum_config() const {
    QuorumDriverConfig result;
    raft::QuorumConfig& quorum_settings = result.quorum;
    quorum_settings.local = {config.node_id, log_dirs.metadata_directory_id()};
    for (const Listener& listener : config.advertised_controller_listeners) {
        quorum_settings.local_endpoints.push_back(
            {listener.name, listener.host, static_cast<uint16_t>(listener.port)});
    }
    quorum_settings.election_timeout = milliseconds(config.quorum_election_timeout_ms);
    quorum_settings.election_backoff_max = milliseconds(config.quorum_election_backoff_max_ms);
    quorum_settings.fetch_timeout = milliseconds(config.quorum_fetch_timeout_ms);
    quorum_settings.request_timeout = milliseconds(config.quorum_request_timeout_ms);
    quorum_settings.retry_backoff = milliseconds(config.quorum_retry_backoff_ms);
    quorum_settings.append_linger = milliseconds(config.quorum_append_linger_ms);
    quorum_settings.fetch_bytes_max = config.quorum_fetch_max_bytes;
    quorum_settings.fetch_snapshot_bytes_max = config.quorum_fetch_snapshot_max_bytes;
    quorum_settings.can_become_voter = config.controller_role;
    quorum_settings.auto_join = config.quorum_auto_join_enable;
    quorum_settings.bootstrap_server_count =
        static_cast<uint32_t>(config.quorum_bootstrap_servers.size());
    std::vector<raft::Voter> voters;
    for (const QuorumEndpoint& voter : config.quorum_voters) {
        const std::string name =
            config.controller_listener_names.empty() ? "" : config.controller_listener_names[0];
        raft::Voter entry;
        entry.key.id = voter.id;
        entry.endpoints.push_back({name, voter.host, static_cast<uint16_t>(voter.port)});
        voters.push_back(std::move(entry));
    }
    result.static_voters = raft::VoterSet(std::move(voters));
    for (const QuorumEndpoint& server : config.quorum_bootstrap_servers) {
        result.bootstrap_servers.push_back(
            {server.host, static_cast<uint16_t>(server.port), env::PeerPurpose::Quorum});
    }
    result.listener =
        config.controller_listener_names.empty() ? "" : config.controller_listener_names[0];
    result.cluster_id = log_dirs.cluster_id();
    result.metadata_log_dir = config.metadata_log_dir;
    result.segment_bytes = config.metadata_log_segment_bytes;
    result.segment_ms = config.metadata_log_segment_ms;
    result.snapshot_record_bytes_max = config.metadata_log_max_record_bytes_between_snapshots;
    result.snapshot_interval_ms_max = config.metadata_log_max_snapshot_interval_ms;
    result.retention_bytes_max = config.metadata_max_retention_bytes;
    result.retention_ms_max = config.metadata_max_retention_ms;
    return result;
}

metadata::ControllerOptions Node::Impl::controller_options() const {
    metadata::ControllerOptions options;
    options.node_id = config.node_id;
    options.local_broker = config.broker_role;
    options.cluster_id = log_dirs.cluster_id();
    options.seed = env.seed;
    options.session_timeout = milliseconds(config.broker_session_timeout_ms);
    options.idle_interval = milliseconds(config.metadata_max_idle_interval_ms);
    options.leader_rebalance = config.auto_leader_rebalance_enable;
    options.leader_rebalance_interval = seconds(config.leader_imbalance_check_interval_seconds);
    options.unclean_election_interval = milliseconds(config.unclean_leader_election_interval_ms);
    options.default_partitions = config.num_partitions;
    options.default_replication_factor = static_cast<int16_t>(config.default_replication_factor);
    options.delete_topic_enable = config.delete_topic_enable;
    for (const QuorumEndpoint& voter : config.quorum_voters) options.voters.push_back(voter.id);
    if (options.voters.empty()) options.voters.push_back(config.node_id);
    options.kraft_version = quorum->status().kraft_version;
    options.static_config = config.raw;
    options.features = metadata::supported_features();
    return options;
}

Status Node::Impl::start() {
    MILLRACE_TRY(log_dirs.open());
    MILLRACE_TRY_ASSIGN(quorum, QuorumDriver::open(env, quorum_config()));
    metadata::ControllerOptions options = controller_options();
    MILLRACE_TRY_ASSIGN(options.bootstrap, read_bootstrap(env.files, config.metadata_log_dir));
    controller = std::make_unique<ControllerHost>(
        env, *quorum, std::move(options),
        ControllerHost::Settings{"broker-" + std::to_string(config.node_id.value),
                                 milliseconds(config.broker_heartbeat_interval_ms),
                                 milliseconds(config.broker_session_connection_grace_ms),
                                 config.node_id},
        ControllerHost::Events{
            [this](const metadata::ImageLoader::Published& published) { on_publish(published); },
            [this](const Status& cause) { fail(cause); }});
    shard = std::make_unique<Shard>(ShardParts{env, config, log_dirs, *controller});
    shard->quorum = quorum.get();
    quorum->add_listener(controller.get());
    quorum->start();
    return {};
}

void Node::Impl::on_publish(const metadata::ImageLoader::Published& published) {
    // The partitions are gone already: an image would make them anew, in folders that are there.
    if (closing) return;
    const bool first = published_offset == kNoOffset;
    published_offset = published.image->provenance.offset;
    const auto cordoned = shard->dynamic_settings().cordoned_log_dirs;
    shard->publish(published, incarnation);
    register_controller();
    if (!config.broker_role) {
        // A controller alone registers no broker and loads no logs.
        if (first) {
            log_info(kLog, "controller {} follows the metadata log", config.node_id.value);
            events.on_ready();
        }
        return;
    }
    if (shard->dynamic_settings().cordoned_log_dirs != cordoned)
        lifecycle.on_news(env.clock.now(), lifecycle_output);
    if (first) {
        lifecycle.on_start(env.clock.now(), lifecycle_output);
    } else {
        lifecycle.on_image(env.clock.now(), lifecycle_output);
    }
    carry_out_lifecycle();
}

void Node::Impl::load_logs() {
    if (std::exchange(load_started, true)) return;
    log_dirs.load([this](const std::string& topic) { return shard->settings_for(topic)->log; },
                  [this, guard = alive] {
                      if (!*guard || dead) return;
                      shard->take_over_logs();
                      maintenance = std::make_unique<LogMaintenance>(*shard);
                      maintenance->start();
                      if (config.log_cleaner_enable) {
                          cleaner = std::make_unique<LogCleaner>(*shard);
                          cleaner->start();
                      }
                      throttle_keeper = std::make_unique<ThrottleKeeperDriver>(*shard);
                      throttle_keeper->start();
                      lifecycle.on_logs_loaded(env.clock.now(), lifecycle_output);
                      carry_out_lifecycle();
                  });
}

void Node::Impl::on_directory_offline(LogDir& dir) {
    if (!shard) return;
    shard->on_directory_offline(dir);
    lifecycle.on_news(env.clock.now(), lifecycle_output);
    carry_out_lifecycle();
}

void Node::Impl::carry_out_lifecycle() {
    // Once the controller says that this node's metadata is up to date, and not before: with an
    // older image a folder of a newer topic would pass for a stray.
    if (lifecycle.state() == BrokerLifecycle::State::Recovery && !load_started) {
        env.timers.post([this, guard = alive] {
            if (*guard) load_logs();
        });
    }
    const LifecycleOutput out = std::exchange(lifecycle_output, {});
    if (out.wake_at != Instant::never()) {
        env.timers.cancel(lifecycle_timer);
        lifecycle_timer = env.timers.arm(out.wake_at, [this] {
            lifecycle_timer = env::kNoTimer;
            lifecycle.on_tick(env.clock.now(), lifecycle_output);
            carry_out_lifecycle();
        });
    }
    if (out.became_running) {
        log_info(kLog, "broker {} is registered with epoch {} and serves clients",
                 config.node_id.value, lifecycle.broker_epoch());
        events.on_ready();
    }
    // Sent after the current event: the controller may answer at once, in this very thread.
    if (out.send_registration) {
        env.timers.post([this, guard = alive] { if (*guard) send_registration(); });
    }
    if (out.send_heartbeat) {
        env.timers.post([this, guard = alive] { if (*guard) send_heartbeat(); });
    }
    if (out.may_stop) {
        env.timers.post([this, guard = alive] { if (*guard) close_all(); });
    }
}

void Node::Impl::send_registration() {
    wire::BrokerRegistrationRequest request;
    request.broker_id = config.node_id.value;
    request.cluster_id = log_dirs.cluster_id();
    request.incarnation_id = incarnation;
    request.listeners = registration_listeners(config);
    for (const auto& [name, range] : metadata::supported_features()) {
        auto& feature = request.features.emplace_back();
        feature.name = name;
        feature.min_supported_version = range.min;
        feature.max_supported_version = range.max;
    }
    request.rack = config.broker_rack;
    request.log_dirs = log_dirs.online_ids();
    request.previous_broker_epoch = log_dirs.previous_broker_epoch();
    controller->run(std::move(request), {},
                    Reply<metadata::ControllerResponse>([this, guard = alive](auto response) {
                        if (!*guard) return;
                        const auto& answer =
                            std::get<wire::BrokerRegistrationResponse>(response);
                        const auto error = static_cast<ErrorCode>(answer.error_code);
                        note_registration(error);
                        lifecycle.on_registration_answer(env.clock.now(), error,
                                                         answer.broker_epoch, lifecycle_output);
                        carry_out_lifecycle();
                    }));
}

/// Said when it changes and once a minute, not at every try.
void Node::Impl::note_registration(ErrorCode error) {
    const Instant now = env.clock.now();
    const bool again = error == registration_error && now < registration_said + seconds(60);
    registration_error = error;
    if (error == ErrorCode::None || again) return;
    registration_said = now;
    const auto cure = [error]() -> const char* {
        if (error == ErrorCode::DuplicateBrokerRegistration) {
            return "a broker with this node.id still has a session: after a crash that passes by "
                   "itself; if another process runs under this id, give one of them its own";
        }
        if (error == ErrorCode::InconsistentClusterId) {
            return "the log directories belong to another cluster than the controllers: correct "
                   "log.dirs or controller.quorum.bootstrap.servers";
        }
        if (error == ErrorCode::UnsupportedVersion) {
            return "the cluster runs a feature level that this release does not know: start a "
                   "newer release";
        }
        if (error == ErrorCode::InvalidRegistration) {
            return "a log directory is registered by another broker: a copied directory needs a "
                   "directory.id of its own";
        }
        return "it is tried again";
    };
    log_warn(kLog, "registration refused: {}: {}", error_code_name(error), cure());
}

/// Every controller makes itself known once metadata.version has a record for it (kraft.md 2.3).
void Node::Impl::register_controller() {
    constexpr int16_t kFirstVersionWithControllers = 15;
    const metadata::Image& image = shard->image();
    if (!config.controller_role || controller_registration_sent ||
        image.features.metadata_version() < kFirstVersionWithControllers) {
        return;
    }
    const metadata::ControllerImage* known = image.cluster.controller(config.node_id);
    if (known != nullptr && known->incarnation == controller_incarnation) return;
    controller_registration_sent = true;
    wire::ControllerRegistrationRequest request;
    request.controller_id = config.node_id.value;
    request.incarnation_id = controller_incarnation;
    for (const Listener& listener : config.advertised_controller_listeners) {
        auto& entry = request.listeners.emplace_back();
        entry.name = listener.name;
        entry.host = listener.host;
        entry.port = static_cast<uint16_t>(listener.port);
        entry.security_protocol = static_cast<int16_t>(listener.protocol);
    }
    for (const auto& [name, range] : metadata::supported_features()) {
        auto& feature = request.features.emplace_back();
        feature.name = name;
        feature.min_supported_version = range.min;
        feature.max_supported_version = range.max;
    }
    env.timers.post([this, guard = alive, request = std::move(request)]() mutable {
        if (!*guard) return;
        controller->run(std::move(request), {},
                        Reply<metadata::ControllerResponse>([this, guard](auto response) {
                            if (!*guard) return;
                            const auto& answer =
                                std::get<wire::ControllerRegistrationResponse>(response);
                            // Tried again with the next image.
                            if (answer.error_code != 0) controller_registration_sent = false;
                        }));
    });
}

void Node::Impl::send_heartbeat() {
    wire::BrokerHeartbeatRequest request;
    request.broker_id = config.node_id.value;
    request.broker_epoch = lifecycle.broker_epoch();
    request.current_metadata_offset = published_offset.value;
    request.want_fence = lifecycle.want_fence();
    request.want_shut_down = lifecycle.want_shut_down();
    request.offline_log_dirs = log_dirs.offline_ids();
    if (lifecycle.state() != BrokerLifecycle::State::Starting &&
        shard->image().features.metadata_version() >= 30) {
        std::vector<Uuid> cordoned;
        for (const std::string& path : shard->dynamic_settings().cordoned_log_dirs) {
            for (const auto& dir : log_dirs.dirs()) {
                if (path == "*" || path == dir->path) cordoned.push_back(dir->id);
            }
        }
        request.cordoned_log_dirs = std::move(cordoned);
    }
    controller->run(std::move(request), {},
                    Reply<metadata::ControllerResponse>([this, guard = alive](auto response) {
                        if (!*guard) return;
                        const auto& answer = std::get<wire::BrokerHeartbeatResponse>(response);
                        lifecycle.on_heartbeat_answer(
                            env.clock.now(), static_cast<ErrorCode>(answer.error_code),
                            answer.is_caught_up, answer.is_fenced, answer.should_shut_down,
                            lifecycle_output);
                        carry_out_lifecycle();
                    }));
}

void Node::Impl::close_all() {
    closing = true;
    if (maintenance) maintenance->stop();
    if (cleaner) cleaner->stop();
    if (throttle_keeper) throttle_keeper->stop();
    shard->stop_partitions();
    log_dirs.close(lifecycle.broker_epoch(), [this, guard = alive] {
        if (!*guard) return;
        quorum->shutdown([this, guard](const Status& status) {
            if (!*guard) return;
            if (!status.ok()) log_error(kLog, "metadata log: {}", status.to_string());
            if (stopped) std::exchange(stopped, nullptr)();
        });
    });
}

Node::Node(const env::Env& env, const BrokerConfig& config, NodeEvents events)
    : impl_(std::make_unique<Impl>(env, config, std::move(events))) {}
Node::~Node() = default;

Status Node::start() { return impl_->start(); }

void Node::stop(MoveFunction<void()> done) {
    impl_->stopped = std::move(done);
    if (!impl_->shard || impl_->dead) {
        impl_->env.timers.post([impl = impl_.get()] { std::exchange(impl->stopped, nullptr)(); });
        return;
    }
    impl_->lifecycle.on_stop_wanted(impl_->env.clock.now(), impl_->lifecycle_output);
    impl_->carry_out_lifecycle();
}

Shard& Node::shard() { return *impl_->shard; }
const std::string& Node::cluster_id() const { return impl_->log_dirs.cluster_id(); }

}  // namespace millrace::broker
