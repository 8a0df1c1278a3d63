// src/app/run.cc: builds a node on the production ports and runs it to its end.
#include "app/run.h"

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "app/format.h"
#include "cli/report.h"
#include "millrace/api/session.h"
#include "millrace/base/log.h"
#include "millrace/broker/node.h"
#include "millrace/broker/shard.h"
#include "millrace/broker/storage_format.h"
#include "millrace/env/clock.h"
#include "millrace/env/disk.h"
#include "millrace/env/timers.h"
#include "millrace/net/runtime.h"
#include "millrace/net/server.h"
#include "millrace/storage/meta_properties.h"

namespace millrace::app {

namespace {

constexpr LogChannel kLog{"app"};
constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;

/// What to do about a node that cannot go on (broker::NodeEvents::on_fatal).
const char* fix_of(Errc errc) {
    if (errc == Errc::Unsupported) {
        return "a newer version wrote this metadata: start that version, or a later one";
    }
    if (errc == Errc::Corrupt) {
        return "restore the metadata directory from a copy; where other voters run, format it anew "
               "and replace this voter (millrace quorum remove-voter, then add-voter)";
    }
    return "repair or replace the device, then start the node again";
}
/// Requests in flight get this long after the controlled shutdown.
constexpr Duration kDrainTime = seconds(5);

/// What an operator can do about a failed start.
std::string fix_for(const Status& status, const RunOptions& options) {
    const std::string config = options.config_path.empty() ? "FILE" : options.config_path;
    switch (status.errc()) {
        case Errc::Busy:
            return "stop the other process that uses this directory, or give this node a log.dirs "
                   "of its own";
        case Errc::NotFound:
            return "format the directories first: millrace storage format -t $(millrace storage "
                   "random-uuid) --standalone -c " + config;
        case Errc::Permission: return "give the user of this process write access to the directory";
        case Errc::NoSpace: return "free space on the device, or move log.dirs to another one";
        case Errc::InvalidInput:
            return "look at the message: millrace storage info -c " + config +
                   " shows what is on disk";
        default: return "see the log lines above";
    }
}

api::SecurityProtocol protocol_of(broker::SecurityProtocol protocol) {
    return static_cast<api::SecurityProtocol>(protocol);
}

/// listener.name.<name>. as Kafka looks it up: in lower case.
std::string listener_prefix(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return "listener.name." + name + ".";
}

net::ListenerOptions listener_options(const broker::BrokerConfig& config,
                                      const broker::Listener& listener, bool controller) {
    net::ListenerOptions options;
    options.name = listener.name;
    options.kind = controller ? api::ListenerKind::Controller : api::ListenerKind::Broker;
    options.security = protocol_of(listener.protocol);
    options.host = listener.host;
    options.port = static_cast<uint16_t>(listener.port);
    const auto own_limit = [&](const char* key, uint32_t& limit) {
        const auto text = config.raw.find(listener_prefix(listener.name) + key);
        if (text == config.raw.end()) return;
        std::from_chars(text->second.data(), text->second.data() + text->second.size(), limit);
    };
    own_limit("max.connections", options.max_connections);
    own_limit("max.connection.creation.rate", options.max_creation_rate);
    // Kafka's default of 100 KiB would halve the speed of loopback and fast links, and a backlog of
    // 50 makes a burst of connects wait a second each, so only values that somebody wrote into the
    // file count; else the kernel tunes the buffers and the backlog is net's.
    if (config.raw.contains("socket.listen.backlog.size")) {
        options.backlog = config.socket_listen_backlog_size;
    }
    if (config.raw.contains("socket.send.buffer.bytes")) {
        options.send_buffer_bytes = config.socket_send_buffer_bytes;
    }
    if (config.raw.contains("socket.receive.buffer.bytes")) {
        options.receive_buffer_bytes = config.socket_receive_buffer_bytes;
    }
    return options;
}

/// How the process's descriptors are shared out, so that connections never take those of the logs:
/// a log that cannot open its file would be taken for broken.
struct DescriptorShares {
    size_t log_files = 4'000;
    uint32_t connections = 0x7fffffff;
};

/// Raises the limit as far as it goes: shells often start with 1,024.
DescriptorShares share_descriptors() {
    constexpr rlim_t kOtherMax = 200;  // peers, checkpoints, threads at work on files
    constexpr rlim_t kWanted = 8192;
    DescriptorShares shares;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return shares;
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    if (limit.rlim_cur < kWanted) {
        shares.log_files = std::clamp<size_t>(limit.rlim_cur / 4, 16, shares.log_files);
        log_warn(kLog,
                 "only {} files may be open at once; raise the limit (ulimit -n, LimitNOFILE=) to {} "
                 "or more",
                 limit.rlim_cur, kWanted);
    }
    const rlim_t taken = shares.log_files + kOtherMax;
    const rlim_t left = limit.rlim_cur > taken ? limit.rlim_cur - taken : 16;
    shares.connections = static_cast<uint32_t>(std::min<rlim_t>(left, shares.connections));
    return shares;
}

net::ServerLimits server_limits(const broker::DynamicSettings& settings,
                                const DescriptorShares& shares) {
    net::ServerLimits limits;
    limits.max_connections =
        std::min(static_cast<uint32_t>(settings.max_connections), shares.connections);
    limits.max_creation_rate = static_cast<uint32_t>(settings.max_connection_creation_rate);
    limits.max_connections_per_ip = static_cast<uint32_t>(settings.max_connections_per_ip);
    for (const auto& [host, count] : settings.max_connections_per_ip_overrides) {
        limits.max_connections_per_ip_overrides[host] = static_cast<uint32_t>(count);
    }
    return limits;
}

net::ServerOptions server_options(const broker::BrokerConfig& config,
                                  const DescriptorShares& shares) {
    net::ServerOptions options;
    options.connections_max_idle = milliseconds(config.connections_max_idle_ms);
    options.limits = server_limits(
        broker::make_dynamic_settings(broker::config_layers(config, nullptr, nullptr)), shares);
    return options;
}

api::SessionHost::Options session_options(const broker::BrokerConfig& config) {
    api::SessionHost::Options options;
    options.limits.max_request_bytes = static_cast<uint32_t>(config.socket_request_max_bytes);
    options.queued_request_bytes_max = config.queued_max_request_bytes;
    return options;
}

bool same_place(const broker::Listener& a, const broker::Listener& b) { return a.name == b.name; }

/// Everything of one run. The parts are destroyed in reverse order.
class Run {
  public:
    Run(const broker::BrokerConfig& config, RunOptions options)
        : shares_(share_descriptors()),
          config_(config),
          options_(std::move(options)),
          runtime_(runtime_options()),
          sessions_(nullptr, session_options(config)),
          server_(runtime_, ShardId(0), sessions_, server_options(config, shares_)) {
        config_.log_open_files_max = shares_.log_files;
    }

    int run() {
        if (const int code = format_when_empty(); code != kExitOk) return code;
        if (const int code = bind(); code != kExitOk) return code;
        const Status signals = runtime_.on_stop_signal([this](int) { on_signal(); });
        if (!signals.ok()) {
            print_error(signals.to_string(), "look at the limits of this process");
            return kExitFailed;
        }
        node_ = std::make_unique<broker::Node>(
            runtime_.env(ShardId(0)), config_,
            broker::NodeEvents{[this] { on_ready(); },
                               [this](const Status& cause) { on_fatal(cause); }});
        runtime_.run([this](ShardId) { start(); });
        return exit_code_;
    }

  private:
    static net::RuntimeOptions runtime_options() {
        net::RuntimeOptions options;
        std::random_device entropy;
        options.seed = (uint64_t{entropy()} << 32) | entropy();
        options.background_threads = 2;
        return options;
    }

    int format_when_empty() {
        if (!options_.format_if_empty) return kExitOk;
        const auto ensemble =
            storage::MetaPropertiesEnsemble::load(runtime_.files(), config_.log_dirs);
        if (!ensemble.log_dirs.empty() || !ensemble.error_log_dirs.empty()) return kExitOk;
        // A directory with data but without meta.properties lost it: formatting would orphan the
        // data, so the start refuses it below.
        for (const std::string& path : config_.log_dirs) {
            const auto entries = runtime_.files().list(path);
            if (entries.ok() && !entries->empty()) return kExitOk;
        }
        Rng rng(runtime_.env(ShardId(0)).seed);
        broker::StorageFormatOptions format = format_options(config_);
        format.cluster_id = options_.cluster_id.empty()
                                ? Uuid::from_random_bits(rng.next(), rng.next()).to_string()
                                : options_.cluster_id;
        format.standalone = format.has_controller_role && !format.has_static_voters;
        const Status status =
            broker::format_storage(runtime_.files(), runtime_.env(ShardId(0)).clock.wall(), rng,
                                   format, [](const std::string&) {});
        if (status.ok()) return kExitOk;
        print_error(status.to_string(), fix_for(status, options_));
        return kExitFailed;
    }

    /// Binds every listener, so that port 0 is known before the node advertises itself.
    int bind() {
        for (broker::Listener& listener : config_.listeners) {
            bool controller = false;
            for (const broker::Listener& other : config_.controller_listeners) {
                controller |= same_place(other, listener);
            }
            const Result<uint16_t> port =
                server_.bind(listener_options(config_, listener, controller));
            if (!port.ok()) {
                print_error("cannot listen on " + listener.to_string() + ": " +
                                port.status().message(),
                            "free the port, or change `listeners`");
                return kExitFailed;
            }
            learn_port(listener, *port);
            ports_.push_back(*port);
        }
        return kExitOk;
    }

    void learn_port(broker::Listener& listener, uint16_t port) {
        if (listener.port != 0) return;
        listener.port = port;
        const auto fill = [&](std::vector<broker::Listener>& listeners) {
            for (broker::Listener& other : listeners) {
                if (same_place(other, listener) && other.port == 0) other.port = port;
            }
        };
        fill(config_.advertised_listeners);
        fill(config_.controller_listeners);
        fill(config_.advertised_controller_listeners);
    }

    void start() {
        const Status status = node_->start();
        if (!status.ok()) {
            print_error(status.message(), fix_for(status, options_));
            exit_code_ = kExitFailed;
            runtime_.stop();
            return;
        }
        sessions_.attach(&node_->shard());
        server_.before_accept([this] { follow_dynamic_limits(); });
        server_.start_accepting(api::ListenerKind::Controller);
    }

    /// max.connections and its like may change while the node runs.
    void follow_dynamic_limits() {
        server_.set_limits(server_limits(node_->shard().dynamic_settings(), shares_));
    }

    void on_ready() {
        server_.start_accepting();
        for (const broker::Listener& listener : config_.listeners) {
            log_info(kLog, "listening on {}", listener.to_string());
        }
        if (options_.on_ready) options_.on_ready(ports_);
    }

    void print_error(const std::string& problem, const std::string& fix) const {
        cli::print_failure({kExitFailed, problem, fix}, options_.json);
    }

    void on_fatal(const Status& cause) {
        print_error(cause.message(), fix_of(cause.errc()));
        exit_code_ = kExitFailed;
        runtime_.stop();
    }

    void on_signal() {
        if (std::exchange(stopping_, true)) {
            exit_code_ = kExitFailed;
            runtime_.stop();  // asked twice: now
            return;
        }
        log_info(kLog, "stopping");
        node_->stop([this] {
            const Instant deadline = runtime_.env(ShardId(0)).clock.now() + kDrainTime;
            server_.drain(deadline, [this] { runtime_.stop(); });
        });
    }

    DescriptorShares shares_;
    broker::BrokerConfig config_;
    RunOptions options_;
    net::Runtime runtime_;
    api::SessionHost sessions_;
    net::Server server_;
    std::unique_ptr<broker::Node> node_;
    std::vector<int> ports_;
    int exit_code_ = kExitOk;
    bool stopping_ = false;
};

}  // namespace

int run_broker(const broker::BrokerConfig& config, RunOptions options) {
    // Receive buffers come and go by the megabyte: keep them in the heap instead of giving pages
    // back to the kernel each time, whose first touch costs more than the copy into them.
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_ARENA_MAX, 2);
    log_to_stderr();
    set_log_level(options.quiet ? LogLevel::Warn : LogLevel::Info);
    Run run(config, std::move(options));
    return run.run();
}

}  // namespace millrace::app
