// src/app/dev_cluster.cc: configs, directories and processes of a cluster on loopback.
#include "app/dev_cluster.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <thread>

#include "app/config_file.h"
#include "app/format.h"
#include "app/run.h"
#include "cli/client.h"
#include "cli/output.h"
#include "millrace/base/uuid.h"
#include "millrace/broker/storage_format.h"
#include "millrace/net/posix_disk.h"

namespace millrace::app {

namespace {

using cli::Failure;
namespace fs = std::filesystem;

constexpr int kFirstId = 1001;
constexpr int kControllersMax = 3;
constexpr int kReplicasMax = 3;
constexpr std::chrono::seconds kReadyTime{60};
/// An orderly stop of a node takes milliseconds, unless too many others were killed before.
constexpr std::chrono::seconds kStopTime{10};

/// Where `dev kill` finds the cluster that was started last.
fs::path last_cluster_file() {
    return fs::temp_directory_path() / fmt::format("millrace-dev-{}", ::getuid());
}

struct DevNode {
    int id = 0;
    int port = 0;
    int controller_port = 0;  // 0: broker only
    std::string rack;
    Uuid directory_id;
    std::string directory;
    std::string config_path;
    pid_t pid = -1;
};

/// A port that can be bound now; `wanted` 0 asks for any.
int probe(int wanted) {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(wanted));
    socklen_t size = sizeof address;
    const bool bound = ::bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    ::close(probe);
    if (bound) return ntohs(address.sin_port);
    throw Failure{cli::kFailed, fmt::format("port {} of localhost is taken", wanted),
                  "choose another first port with --port, or 0 for free ones"};
}

struct Grid {
    int fault_domains = 0;
    int update_domains = 0;
};
std::optional<Grid> parse_grid(const std::string& text) {
    if (text.empty()) return std::nullopt;
    Grid grid;
    char rest = 0;
    if (std::sscanf(text.c_str(), "%dx%d%c", &grid.fault_domains, &grid.update_domains, &rest) != 2 ||
        grid.fault_domains < 1 || grid.update_domains < 1 ||
        grid.fault_domains > kDevBrokersMax || grid.update_domains > kDevBrokersMax) {
        throw Failure{cli::kUsage, fmt::format("'{}' is no grid of racks", text),
                      "write fault domains x update domains, as in --racks 3x3"};
    }
    return grid;
}

std::vector<DevNode> lay_out(const DevClusterOptions& options) {
    const std::optional<Grid> grid = parse_grid(options.racks);
    const int controllers = options.brokers >= kControllersMax ? kControllersMax : 1;
    Rng rng = system_rng();
    std::vector<DevNode> nodes;
    for (int i = 0; i < options.brokers; ++i) {
        DevNode& node = nodes.emplace_back();
        node.id = kFirstId + i;
        node.directory = fmt::format("{}/{}", options.data, node.id);
        node.config_path = node.directory + "/server.properties";
        node.port = options.port == 0 ? probe(0) : options.port + i;
        if (i < controllers) node.controller_port = probe(0);
        node.directory_id = Uuid::from_random_bits(rng.next(), rng.next());
        if (grid.has_value()) {
            // Along the diagonals: three brokers of a 3x3 grid already have domains of their own.
            const int fault = i % grid->fault_domains;
            const int update = (fault + i / grid->fault_domains) % grid->update_domains;
            node.rack = fmt::format("FD{}UD{}", fault, update);
        }
    }
    return nodes;
}

std::string config_text(const DevNode& node, const std::vector<DevNode>& nodes,
                        const DevClusterOptions& options) {
    const auto count = static_cast<int>(nodes.size());
    std::string servers;
    for (const DevNode& other : nodes) {
        if (other.controller_port == 0) continue;
        servers += fmt::format("{}127.0.0.1:{}", servers.empty() ? "" : ",", other.controller_port);
    }
    const bool controls = node.controller_port != 0;
    const auto places = [&](const char* host) {
        return fmt::format("PLAINTEXT://{}:{}", host, node.port) +
               (controls ? fmt::format(",CONTROLLER://127.0.0.1:{}", node.controller_port) : "");
    };
    const int replicas = std::min(count, kReplicasMax);
    metadata::ConfigMap map{
        {"process.roles", controls ? "broker,controller" : "broker"},
        {"node.id", std::to_string(node.id)},
        {"controller.listener.names", "CONTROLLER"},
        {"controller.quorum.bootstrap.servers", servers},
        {"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"},
        {"listeners", places("127.0.0.1")},
        {"advertised.listeners", places("localhost")},
        {"log.dirs", node.directory + "/data"},
        {"default.replication.factor", std::to_string(replicas)},
        {"offsets.topic.replication.factor", std::to_string(replicas)},
        {"transaction.state.log.replication.factor", std::to_string(replicas)},
        {"transaction.state.log.min.isr", replicas > 1 ? "2" : "1"},
        {"group.initial.rebalance.delay.ms", "0"},
    };
    if (!node.rack.empty()) map["broker.rack"] = node.rack;
    for (const std::string& text : options.overrides) {
        const size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw Failure{cli::kUsage, fmt::format("'{}' is not key=value", text),
                          "write --override key=value"};
        }
        map[text.substr(0, equals)] = text.substr(equals + 1);
    }
    std::string text;
    for (const auto& [key, value] : map) text += fmt::format("{}={}\n", key, value);
    return text;
}

void write_text(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::trunc);
    file << text;
    file.close();
    if (!file) throw Failure{cli::kFailed, "cannot write " + path, "give another --data DIR"};
}

broker::BrokerConfig read_config(const DevNode& node) {
    auto config = broker::make_broker_config(read_config_file(node.config_path).values);
    if (!config.ok()) throw Failure{cli::kUsage, config.status().message(), "correct " + node.config_path};
    return *std::move(config);
}

void create(std::vector<DevNode>& nodes, const DevClusterOptions& options) {
    std::string voters;
    for (const DevNode& node : nodes) {
        if (node.controller_port == 0) continue;
        voters += fmt::format("{}{}@127.0.0.1:{}:{}", voters.empty() ? "" : ",", node.id,
                              node.controller_port, node.directory_id.to_string());
    }
    Rng rng = system_rng();
    const std::string cluster_id = Uuid::from_random_bits(rng.next(), rng.next()).to_string();
    const auto files = net::make_posix_file_system(nullptr);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    for (const DevNode& node : nodes) {
        std::error_code error;
        fs::create_directories(node.directory + "/data", error);
        write_text(node.config_path, config_text(node, nodes, options));
        broker::StorageFormatOptions format = format_options(read_config(node));
        format.cluster_id = cluster_id;
        if (node.controller_port != 0) format.initial_controllers = voters;
        const Status status = broker::format_storage(
            *files, WallMs{std::chrono::duration_cast<std::chrono::milliseconds>(now).count()}, rng,
            format, [](const std::string&) {});
        if (!status.ok()) throw Failure{cli::kFailed, status.message(), "give another --data DIR"};
    }
}

/// The nodes that an earlier run left; none in a new directory.
std::vector<DevNode> existing(const DevClusterOptions& options) {
    std::vector<DevNode> nodes;
    for (int id = kFirstId; id < kFirstId + kDevBrokersMax; ++id) {
        DevNode node;
        node.id = id;
        node.directory = fmt::format("{}/{}", options.data, id);
        node.config_path = node.directory + "/server.properties";
        if (!fs::exists(node.config_path)) break;
        const broker::BrokerConfig config = read_config(node);
        node.rack = config.broker_rack.value_or("");
        for (const broker::Listener& listener : config.advertised_listeners) {
            node.port = listener.port;
        }
        for (const broker::Listener& listener : config.controller_listeners) {
            if (config.controller_role) node.controller_port = listener.port;
        }
        nodes.push_back(std::move(node));
    }
    return nodes;
}

/// What wakes the parent: its end, and `dev start`.
sigset_t supervised_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1})
        ::sigaddset(&set, signal);
    return set;
}

/// Runs the node in a child process, which writes its id into `ready` when it serves.
void spawn(DevNode& node, int ready) {
    const broker::BrokerConfig config = read_config(node);
    const pid_t parent = ::getpid();
    node.pid = ::fork();
    if (node.pid < 0) throw Failure{cli::kFailed, "no process can be started", "see ulimit -u"};
    if (node.pid > 0) return write_text(node.directory + "/pid", std::to_string(node.pid) + "\n");
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) std::_Exit(1);
    const sigset_t signals = supervised_signals();  // blocked here when a node is started again
    ::sigprocmask(SIG_UNBLOCK, &signals, nullptr);
    ::setpgid(0, 0);  // Ctrl-C goes to the parent, who stops the nodes in order
    RunOptions run;
    run.quiet = true;
    run.config_path = node.config_path;
    run.on_ready = [ready, id = node.id](const std::vector<int>&) {
        static_cast<void>(::write(ready, &id, sizeof id));
    };
    std::_Exit(run_broker(config, std::move(run)));
}

class Supervisor {
  public:
    explicit Supervisor(std::vector<DevNode>& nodes) : nodes_(nodes) {
        if (::pipe(pipe_) != 0) throw Failure{cli::kFailed, "no pipe can be made", ""};
        for (DevNode& node : nodes_) spawn(node, pipe_[1]);
        // After the children, who handle these signals themselves.
        const sigset_t set = supervised_signals();
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        ::close(pipe_[1]);
    }
    ~Supervisor() { ::close(pipe_[0]); }

    /// False when a node ended first, or the time is over.
    bool wait_until_ready() {
        const auto deadline = std::chrono::steady_clock::now() + kReadyTime;
        size_t ready = 0;
        while (ready < nodes_.size() && std::chrono::steady_clock::now() < deadline) {
            pollfd wait{pipe_[0], POLLIN, 0};
            int id = 0;
            if (::poll(&wait, 1, 100) > 0 && ::read(pipe_[0], &id, sizeof id) == sizeof id) ++ready;
            for (const DevNode& node : nodes_) {
                if (::waitpid(node.pid, nullptr, WNOHANG) == node.pid) return false;
            }
        }
        return ready == nodes_.size();
    }
    void wait_for_stop() {
        const sigset_t set = supervised_signals();
        for (int signal = 0; ::sigwait(&set, &signal) == 0;) {
            if (signal != SIGUSR1) return;
            for (DevNode& node : nodes_)
                start_again(node);
        }
    }
    /// Brokers first, all at once: they hand their partitions over while controllers live; then the
    /// controllers one by one. The last of three has no quorum left to ask, and nobody to hand over
    /// to.
    void stop() {
        for (const DevNode& node : nodes_) {
            ::kill(node.pid, SIGCONT);
            if (node.controller_port == 0) ::kill(node.pid, SIGTERM);
        }
        for (const DevNode& node : nodes_) {
            if (node.controller_port == 0) reap(node.pid);
        }
        for (size_t i = nodes_.size(); i-- > 0;) {
            if (nodes_[i].controller_port == 0) continue;
            const bool alone = i == 0 && nodes_.size() >= kControllersMax;
            ::kill(nodes_[i].pid, alone ? SIGKILL : SIGTERM);
            reap(nodes_[i].pid);
        }
    }

  private:
    /// A node that ended and that `dev start` asks for.
    static void start_again(DevNode& node) {
        std::error_code error;
        if (!fs::remove(node.directory + "/start", error)) return;
        if (::waitpid(node.pid, nullptr, WNOHANG) == 0) return;  // it runs
        spawn(node, -1);
    }
    static void reap(pid_t pid) {
        const auto deadline = std::chrono::steady_clock::now() + kStopTime;
        while (::waitpid(pid, nullptr, WNOHANG) == 0) {
            if (std::chrono::steady_clock::now() > deadline) ::kill(pid, SIGKILL);
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }

    std::vector<DevNode>& nodes_;
    int pipe_[2] = {-1, -1};
};

void print_ready(const std::vector<DevNode>& nodes, double seconds) {
    std::cout << fmt::format("ready in {:.2f} s\n\n  Bootstrap   ", seconds);
    for (size_t i = 0; i < nodes.size() && i < 3; ++i) {
        std::cout << (i == 0 ? "" : ",") << "localhost:" << nodes[i].port;
    }
    std::cout << "\n\n";
    for (const DevNode& node : nodes) {
        std::cout << fmt::format("  {}  localhost:{}  {}\n", node.id, node.port, node.rack);
    }
    std::cout << fmt::format(
                     "\n  try:   millrace topic create orders -p 12 -r {} -b localhost:{}\n"
                     "         millrace dev kill {}      (and: pause, resume, start, kill-rack)\n"
                     "Ctrl-C stops.\n",
                     std::min<size_t>(nodes.size(), kReplicasMax), nodes.front().port,
                     nodes.back().id)
              << std::flush;
}

void print_ready_json(const std::vector<DevNode>& nodes) {
    cli::Json items = cli::Json::array();
    for (const DevNode& node : nodes) {
        items.push_back({{"nodeId", node.id},
                         {"port", node.port},
                         {"rack", node.rack.empty() ? cli::Json(nullptr) : cli::Json(node.rack)},
                         {"data", node.directory}});
    }
    cli::print_items("DevReady", std::move(items));
    std::cout.flush();
}

}  // namespace

int run_dev_cluster(const DevClusterOptions& options) {
    const auto started = std::chrono::steady_clock::now();
    std::vector<DevNode> nodes = existing(options);
    if (nodes.empty()) {
        nodes = lay_out(options);
        create(nodes, options);
    } else if (static_cast<int>(nodes.size()) != options.brokers) {
        throw Failure{cli::kUsage,
                      fmt::format("{} holds a cluster of {} brokers", options.data, nodes.size()),
                      fmt::format("ask for --brokers {}, or give another --data DIR",
                                  nodes.size())};
    }
    if (!options.json) {
        std::cout << fmt::format("starting {} brokers{} … ", nodes.size(),
                                 options.racks.empty() ? "" : " in " + options.racks + " racks")
                  << std::flush;
    }
    write_text(last_cluster_file(), fs::absolute(options.data).string() + "\n");
    write_text(options.data + "/pid", std::to_string(::getpid()) + "\n");
    Supervisor supervisor(nodes);
    const bool ready = supervisor.wait_until_ready();
    if (ready) {
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
        options.json ? print_ready_json(nodes) : print_ready(nodes, taken.count());
        supervisor.wait_for_stop();
    }
    supervisor.stop();
    if (!ready) {
        throw Failure{cli::kFailed, "not every node came up", "see the lines above"};
    }
    return 0;
}

namespace {

std::string cluster_directory(const std::string& data) {
    if (!data.empty()) return data;
    std::string last;
    std::getline(std::ifstream(last_cluster_file()) >> std::ws, last);
    return last;
}

pid_t read_pid(const std::string& path, const std::string& what) {
    std::ifstream file(path);
    pid_t pid = 0;
    if ((file >> pid) && pid > 1) return pid;
    throw Failure{cli::kFailed, what, "millrace dev prints the ids and the directory"};
}

/// A broker's id, or the nodes whose rack has that label: FD1, UD0, or the whole rack.
std::vector<int> ids_of(const std::string& data, const std::string& word) {
    if (word.find_first_not_of("0123456789") == std::string::npos) return {std::atoi(word.c_str())};
    std::vector<int> ids;
    for (int id = kFirstId; id < kFirstId + kDevBrokersMax; ++id) {
        const std::string path = fmt::format("{}/{}/server.properties", data, id);
        if (!fs::exists(path)) break;
        const auto values = read_config_file(path).values;
        const auto rack = values.find("broker.rack");
        if (rack == values.end()) continue;
        const bool fault = rack->second.starts_with(word + "UD");
        const bool update = word.starts_with("UD") && rack->second.ends_with(word);
        if (fault || update || rack->second == word) ids.push_back(id);
    }
    if (ids.empty()) {
        throw Failure{cli::kNotFound, fmt::format("no node of {} is in {}", data, word),
                      "give a node's id, or a domain as in FD1 or UD0"};
    }
    return ids;
}

void wait_until_serving(int id, int port) {
    // The port is bound before anybody answers there, so a connection alone says nothing.
    const auto deadline = std::chrono::steady_clock::now() + kReadyTime;
    while (std::chrono::steady_clock::now() < deadline) {
        try {
            cli::Connection({"localhost", port}, deadline, "millrace-dev");
            return;
        } catch (const Failure&) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    throw Failure{cli::kFailed, fmt::format("node {} did not come up", id),
                  "see what millrace dev printed"};
}

}  // namespace

void signal_dev_nodes(const std::string& given, const std::vector<std::string>& words, int signal) {
    const std::string data = cluster_directory(given);
    for (const std::string& word : words) {
        for (const int id : ids_of(data, word)) {
            const pid_t pid = read_pid(fmt::format("{}/{}/pid", data, id),
                                       fmt::format("{} has no node {}", data, id));
            if (::kill(pid, signal) != 0)
                throw Failure{cli::kFailed, fmt::format("node {}: {}", id, std::strerror(errno)),
                              "it may have ended; millrace dev start runs it again"};
        }
    }
}

void start_dev_nodes(const std::string& given, const std::vector<std::string>& words) {
    const std::string data = cluster_directory(given);
    const pid_t parent = read_pid(data + "/pid", data + " has no cluster that runs");
    std::vector<int> ids;
    for (const std::string& word : words) {
        for (const int id : ids_of(data, word)) {
            const std::string directory = fmt::format("{}/{}", data, id);
            if (!fs::exists(directory)) read_pid(directory + "/pid", data + " has no such node");
            write_text(directory + "/start", "");
            ids.push_back(id);
        }
    }
    if (::kill(parent, SIGUSR1) != 0) {
        throw Failure{cli::kFailed, data + " has no cluster that runs",
                      "millrace dev --data " + data + " starts it"};
    }
    for (const int id : ids) {
        DevNode node;
        node.config_path = fmt::format("{}/{}/server.properties", data, id);
        for (const broker::Listener& listener : read_config(node).advertised_listeners)
            wait_until_serving(id, listener.port);
    }
}

}  // namespace millrace::app
