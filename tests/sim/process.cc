// tests/sim/process.cc: start, stop and death of the simulated broker process.
#include "sim/process.h"

#include <utility>

#include "millrace/broker/storage_format.h"
#include "sim/peer_links.h"

namespace millrace::sim {

namespace {
constexpr Duration kDrainTime = milliseconds(500);
constexpr uint64_t kNextDisk = 1'000'003;
const std::string kDirectoryKey = "directory.id=";

broker::BrokerConfig made_config(const metadata::ConfigMap& map) {
    Result<broker::BrokerConfig> config = broker::make_broker_config(map);
    MILLRACE_ASSERT(config.ok(), config.status().message().c_str());
    return *std::move(config);
}

/// Objects of killed processes: no destructor may run, but a leak checker must still see them.
std::vector<ProcessPorts*>& all_ports() {
    static auto* ports = new std::vector<ProcessPorts*>();
    return *ports;
}
template <class T>
void set_aside(T* object) {
    static auto* objects = new std::vector<T*>();
    if (object != nullptr) objects->push_back(object);
}
}  // namespace

Process::Process(World& world, metadata::ConfigMap config, uint64_t seed, Site site)
    : world_(world),
      seed_(seed),
      site_(site),
      disk_(site.disk != nullptr ? *site.disk : world.disk()),
      config_(made_config(config)),
      incarnation_(first_owner(site.number)) {
    disk_.set_post([this](MoveFunction<void()> done) {
        world_.at(world_.now() + world_.random_delay(background_delay_max_), incarnation_,
                  std::move(done));
    });
}

Process::~Process() {
    if (state_ != State::Down) kill(Crash::Process);
    disk_.set_post(nullptr);
}

Status Process::format() {
    Rng rng(seed_ + disks_lost_ * kNextDisk);
    broker::StorageFormatOptions options;
    options.node_id = config_.node_id;
    options.log_dirs = config_.log_dirs;
    options.metadata_log_dir = config_.metadata_log_dir;
    options.has_controller_role = true;
    options.controller_listener_name = "CONTROLLER";
    options.controller_host = config_.advertised_controller_listeners.front().host;
    options.controller_port = 9093;
    options.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
    options.has_static_voters = quorum == Quorum::Static;
    options.standalone = quorum == Quorum::Alone;
    options.no_initial_controllers = quorum == Quorum::Later;
    if (quorum == Quorum::Initial) options.initial_controllers = initial_voters;
    options.ignore_formatted = true;
    for (const std::string& dir : config_.log_dirs) {
        MILLRACE_TRY(disk_.make_directories(dir));
    }
    MILLRACE_TRY(disk_.sync_directory("/"));  // the operator made them long ago
    return broker::format_storage(disk_, world_.wall(), rng, options,
                                  [](const std::string&) {});
}

Uuid Process::directory_id() {
    const std::string text = disk_.contents(config_.metadata_log_dir + "/meta.properties");
    const size_t at = text.find(kDirectoryKey);
    if (at == std::string::npos) return Uuid{};
    const size_t from = at + kDirectoryKey.size();
    return Uuid::parse(text.substr(from, text.find('\n', from) - from)).value_or(Uuid{});
}

void Process::lose_disk() {
    disk_.replace();
    ++disks_lost_;
    if (quorum == Quorum::Initial) quorum = Quorum::Later;
}

void Process::set_background_delay_max(Duration delay) {
    background_delay_max_ = delay;
    if (ports_ != nullptr) ports_->background_delay_max = delay;
}

void Process::start() {
    MILLRACE_ASSERT(state_ == State::Down, "one process at a time");
    ++incarnation_;
    fatal_ = false;
    last_error_.clear();
    state_ = State::Starting;
    ports_ = new ProcessPorts(world_, incarnation_);
    all_ports().push_back(ports_);
    ports_->background_delay_max = background_delay_max_;
    ports_->wall_shift_ms = wall_shift_ms_;
    if (site_.hosts != nullptr) {
        peers_ = std::make_unique<PeerLinks>(world_, *site_.hosts, site_.number, incarnation_);
        peers_->meddler = meddler;
    }
    started_ = false;
    paused_until_ = Instant{};
    api::SessionHost::Options options;
    options.limits.max_request_bytes = static_cast<uint32_t>(config_.socket_request_max_bytes);
    sessions_ = std::make_unique<api::SessionHost>(nullptr, options);
    const uint64_t node_seed = seed_ * 1000 + incarnation_;
    node_ = std::make_unique<broker::Node>(
        ports_->env(disk_, peers_.get(), node_seed), config_,
        broker::NodeEvents{[this] {
                               world_.say("ready");
                               if (state_ == State::Starting) state_ = State::Up;
                           },
                           [this](const Status& cause) {
                               world_.say("fatal: " + cause.to_string());
                               last_error_ = cause.to_string();
                               fatal_ = true;
                           }});
    world_.say("start of process " + std::to_string(incarnation_));
    const Status status = node_->start();
    if (!status.ok()) {
        last_error_ = status.to_string();
        world_.say("start failed: " + last_error_);
        fatal_ = true;
        return;
    }
    sessions_->attach(&node_->shard());
    started_ = true;
}

void Process::kill(Crash kind) {
    if (state_ == State::Down) return;
    world_.say(kind == Crash::Process ? "kill of the process" : "crash of the machine");
    for (auto& [id, connection] : std::exchange(connections_, {})) {
        connection->bury(kind == Crash::Machine);
    }
    world_.bury_events_of(incarnation_);
    if (peers_) peers_->abandon(kind == Crash::Process);
    set_aside(peers_.release());
    set_aside(node_.release());
    set_aside(sessions_.release());
    if (kind == Crash::Process) {
        disk_.kill_process();
    } else {
        disk_.crash(crash_style, world_.rng());
    }
    went_down(kind, false);
}

void Process::went_down(Crash kind, bool clean) {
    state_ = State::Down;
    fatal_ = false;
    if (on_down) on_down(kind, clean);
}

void Process::stop() {
    if (state_ != State::Up) return;
    world_.say("controlled stop");
    state_ = State::Stopping;
    node_->stop([this] {
        // Answers in flight get a moment, then the connections close (net::Server::drain).
        world_.at(world_.now() + world_.random_delay(kDrainTime), incarnation_,
                  [this] {
                      destroy();
                      world_.say("stopped");
                      went_down(Crash::Process, true);
                  });
    });
}

void Process::exit_after_fatal() {
    world_.say("exit after: " + last_error_);
    destroy();
    went_down(Crash::Process, false);
}

void Process::destroy() {
    node_.reset();
    if (peers_) peers_->abandon(true);
    peers_.reset();
    for (auto& [id, connection] : std::exchange(connections_, {})) connection->close_from_server();
    sessions_.reset();
    world_.drop_events_of(incarnation_);
    disk_.kill_process();
}

bool Process::listens(api::ListenerKind listener) const {
    if (state_ == State::Starting) return started_ && listener == api::ListenerKind::Controller;
    return state_ == State::Up || state_ == State::Stopping;
}

std::shared_ptr<Connection> Process::connect(const Caller& caller) {
    if (!listens(caller.listener)) return nullptr;
    auto connection = std::make_shared<Connection>(world_, *this, next_connection_++, caller);
    connection->open();
    connections_.emplace(connection->id_, connection);
    return connection;
}

void Process::break_a_connection(Rng& rng) {
    if (connections_.empty()) return;
    auto it = connections_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(rng.below(connections_.size())));
    const auto connection = it->second;
    connection->close_from_server();
}

void Process::pause(Duration time) {
    if (state_ == State::Down) return;
    paused_until_ = world_.now() + time;
    world_.pause(incarnation_, paused_until_);
}

void Process::hold_fetches(Duration time) {
    if (peers_) peers_->fetches_held_until = world_.now() + time;
}

void Process::set_wall_shift(int64_t ms) {
    wall_shift_ms_ = ms;
    if (ports_ != nullptr) ports_->wall_shift_ms = wall_shift_ms_;
}

}  // namespace millrace::sim
