// tools/cli/rack_commands.cc: `rack list`, `rack set` and `rack import`.
//
// A broker's rack is what its own config file says when it starts; nothing in the cluster can
// change it. So set and import edit that file, on the broker's machine.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "cli/cluster_state.h"
#include "cli/output.h"
#include "cli/rack_file.h"

namespace millrace::cli {
namespace {

void list_racks(const Context& context) {
    Client client(context);
    const ClusterState state = read_cluster(client);
    Json items = Json::array();
    Table table({">BROKER", "HOST", "RACK", "LABELS", "STATE"});
    for (const ClusterBroker& broker : state.brokers) {
        Json labels = Json::object();
        std::string text;
        for (const placement::Label& label : state.labels_of(broker.id).labels) {
            labels[label.first] = label.second;
            text += fmt::format("{}{}={}", text.empty() ? "" : " ", label.first, label.second);
        }
        items.push_back({{"broker", broker.id},
                         {"host", broker.host},
                         {"rack", broker.rack.empty() ? Json(nullptr) : Json(broker.rack)},
                         {"labels", labels},
                         {"state", broker.state()}});
        table.add({std::to_string(broker.id), broker.host,
                   broker.rack.empty() ? "-" : broker.rack, text.empty() ? "-" : text,
                   broker.state()});
    }
    if (context.json())
        print_items("RackList", std::move(items));
    else
        std::cout << table.to_string();
}

std::string read_text(const std::string& path) {
    constexpr std::streamoff kMaxBytes = 16 << 20;
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file || file.tellg() < 0 || file.tellg() > kMaxBytes)
        throw Failure{kNotFound, "cannot read " + path, "give the path of a file of this machine"};
    file.seekg(0);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// Ends with the file behind `path` replaced whole, owner and mode kept, or not touched at all.
class Replacement {
  public:
    explicit Replacement(const std::string& path) : path_(path) {
        std::error_code error;
        target_ = std::filesystem::canonical(path, error).string();  // links stay links
        if (error || ::stat(target_.c_str(), &old_) != 0 || !S_ISREG(old_.st_mode))
            throw Failure{kNotFound, "cannot read " + path, "give the path of a regular file"};
        next_ = target_ + ".new";
    }
    Replacement(const Replacement&) = delete;
    Replacement& operator=(const Replacement&) = delete;
    ~Replacement() {
        if (fd_ >= 0) ::close(fd_);
        if (made_) ::unlink(next_.c_str());
    }

    void write(const std::string& text) {
        ::unlink(next_.c_str());
        fd_ = ::open(next_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        made_ = fd_ >= 0;
        require(made_, "its directory must be writable");
        struct stat made {};
        require(::fstat(fd_, &made) == 0, "its disk must be healthy");
        if (made.st_uid != old_.st_uid || made.st_gid != old_.st_gid) {
            require(::fchown(fd_, old_.st_uid, old_.st_gid) == 0,
                    "run this as the owner of the file, or as root");
        }
        require(::fchmod(fd_, old_.st_mode & 07777) == 0, "run this as the owner of the file");
        for (size_t done = 0; done < text.size();) {
            const ssize_t more = ::write(fd_, text.data() + done, text.size() - done);
            require(more > 0, "its disk must have room");
            done += static_cast<size_t>(more);
        }
        require(::fsync(fd_) == 0, "its disk must have room");
        require(::rename(next_.c_str(), target_.c_str()) == 0, "its directory must be writable");
        made_ = false;
    }

  private:
    void require(bool done, const char* fix) const {
        if (done) return;
        const std::string why = std::strerror(errno);
        throw Failure{kFailed, fmt::format("cannot write {} ({}); it is as it was", path_, why),
                      fix};
    }

    const std::string path_;
    std::string target_, next_;
    struct stat old_ {};
    int fd_ = -1;
    bool made_ = false;
};

void write_rack(const std::string& path, const std::string& rack, const ReadConfig& read) {
    const std::string before = read_text(path);
    Replacement file(path);
    const std::string after = checked_with_rack(path, before, rack, read);
    if (after != before) file.write(after);
}

struct RackOptions {
    std::string rack;
    std::string config;
    std::string topology;
    std::string host;
};

void set_rack(const Context& context, const RackOptions& options, const ReadConfig& read) {
    const bool bad = options.rack.find_first_of(" \t\r\n#:=") != std::string::npos;
    if (options.rack.empty() || bad) {
        throw Failure{kUsage, fmt::format("'{}' is no rack", options.rack),
                      "FD0UD1, /row1/shelf2, or a plain name"};
    }
    write_rack(options.config, options.rack, read);
    if (context.json()) {
        print_items("Rack", Json::array({{{"rack", options.rack}, {"file", options.config}}}));
        return;
    }
    std::cout << fmt::format("broker.rack={} in {}; it counts from the next start of the node on\n",
                             options.rack, options.config);
}

std::string this_host() {
    char name[256] = {};
    return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

/// Without -c only shows what the file says; with it, writes this machine's rack into its config.
void import_racks(const Context& context, RackOptions options, const ReadConfig& read) {
    const auto hosts = parse_topology(read_text(options.topology), options.topology);
    if (options.host.empty()) options.host = this_host();
    std::string own;
    Json items = Json::array();
    Table table({"HOST", "RACK"});
    for (const TopologyHost& host : hosts) {
        table.add({host.host, host.rack});
        items.push_back({{"host", host.host}, {"rack", host.rack}});
        if (same_host(host.host, options.host)) own = host.rack;
    }
    if (!options.config.empty()) {
        if (own.empty()) {
            throw Failure{kNotFound, fmt::format("{} does not name {}", options.topology,
                                                 options.host),
                          "give this machine's name as it stands there: --host NAME"};
        }
        options.rack = own;
        set_rack(context, options, read);
        return;
    }
    if (context.json()) {
        print_items("RackList", std::move(items));
        return;
    }
    std::cout << table.to_string();
    std::cerr << "on each of them: millrace rack import " << options.topology
              << " -c /etc/millrace/millrace.yaml\n";
}

}  // namespace

void add_rack_commands(CLI::App& root, Context& context) {
    CLI::App* rack = root.add_subcommand("rack", "fault and update domains of the brokers");
    rack->require_subcommand(1);
    CLI::App* list = rack->add_subcommand("list", "racks and what they mean, broker by broker");
    add_connection_options(*list, context);
    list->callback([&context] { list_racks(context); });
}

void add_rack_file_commands(CLI::App& root, Context& context, const ReadConfig& read) {
    CLI::App* rack = find_command(root, "rack");
    auto options = std::make_shared<RackOptions>();
    CLI::App* set = rack->add_subcommand("set", "write broker.rack into a node's config file");
    set->add_option("rack", options->rack, "FD0UD1, /row1/shelf2, or a plain name")->required();
    set->add_option("-c,--config", options->config, "the node's config file")->required();
    add_output_option(*set, context);
    set->callback([&context, options, read] { set_rack(context, *options, read); });

    CLI::App* import = rack->add_subcommand("import", "racks from HDInsight's clusterTopology.json");
    import->add_option("file", options->topology, "the topology file")->required();
    import->add_option("-c,--config", options->config,
                       "this machine's config file, to be given its rack");
    import->add_option("--host", options->host, "the name of this machine in the file");
    add_output_option(*import, context);
    import->callback([&context, options, read] { import_racks(context, *options, read); });
}

}  // namespace millrace::cli
