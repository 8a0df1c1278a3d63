// tests/sim/cluster.cc: nodes and their addresses; leaders as clients know them.
#include "sim/cluster.h"

#include "millrace/broker/quorum_driver.h"
#include "millrace/wire/gen/metadata_request.h"

namespace millrace::sim {

namespace {

constexpr Duration kAskEvery = milliseconds(250);
constexpr Duration kAnswerMax = milliseconds(900);
constexpr int16_t kMetadataVersion = 12;
const char* const kOffsetsTopic = "__consumer_offsets";
const char* const kTransactionsTopic = "__transaction_state";

std::string host_of(int number) { return "n" + std::to_string(number); }

metadata::ConfigMap config_of(int number, const ClusterOptions& options) {
    metadata::ConfigMap config = options.config;
    const std::string host = host_of(number);
    std::string voters;
    std::string servers;
    for (int n = 1; n <= options.nodes; ++n) {
        voters += (n > 1 ? "," : "") + std::to_string(n) + "@" + host_of(n) + ":9093";
        servers += (n > 1 ? "," : "") + host_of(n) + ":9093";
    }
    config["process.roles"] = "broker,controller";
    config["node.id"] = std::to_string(number);
    if (options.first_voters == 0) {
        config["controller.quorum.voters"] = voters;
    } else {
        config["controller.quorum.bootstrap.servers"] = servers;
    }
    config["controller.listener.names"] = "CONTROLLER";
    config["listeners"] = "PLAINTEXT://" + host + ":9092,CONTROLLER://" + host + ":9093";
    config["advertised.listeners"] = config["listeners"];
    config["log.dirs"] = "/d0,/d1";
    config["metadata.log.dir"] = "/d0";
    return config;
}

/// Kafka's partition of a group or a transactional id: String.hashCode, made positive.
int32_t coordinator_partition(const std::string& key, int32_t count) {
    uint32_t hash = 0;
    for (const char c : key) hash = hash * 31 + static_cast<uint8_t>(c);
    return static_cast<int32_t>(hash & 0x7fffffffU) % count;
}

}  // namespace

Cluster::Cluster(World& world, const ClusterOptions& options, uint64_t seed)
    : links(world), world_(world), rng_(world.rng().fork()) {
    for (int n = 1; n <= options.nodes; ++n) {
        Site site{n, &world.add_disk(), &links, this};
        nodes_.push_back(std::make_unique<Process>(
            world, config_of(n, options), seed * 16 + static_cast<uint64_t>(n), site));
        nodes_.back()->quorum = Process::Quorum::Static;
    }
    if (options.first_voters > 0) name_voters(options.first_voters);
}

void Cluster::name_voters(int count) {
    std::string voters;
    for (int n = 1; n <= count; ++n) {
        voters += (n > 1 ? "," : "") + std::to_string(n) + "@" + host_of(n) + ":9093:" +
                  Uuid::from_random_bits(rng_.next(), rng_.next()).to_string();
    }
    for (int n = 1; n <= size(); ++n) {
        node(n).quorum = n <= count ? Process::Quorum::Initial : Process::Quorum::Later;
        node(n).initial_voters = voters;
    }
}

raft::VoterSet Cluster::voters() {
    int32_t epoch = -1;
    raft::VoterSet newest;
    for (auto& process : nodes_) {
        if (!process->started() || process->state() == Process::State::Down) continue;
        broker::QuorumStatus status = process->node().shard().quorum->status();
        if (status.role != raft::QuorumRole::Leader || status.epoch.value <= epoch) continue;
        epoch = status.epoch.value;
        newest = std::move(status.voter_set);
    }
    return newest;
}

Cluster::~Cluster() = default;

Process* Cluster::find(const std::string& host) {
    for (auto& process : nodes_) {
        if (host == host_of(process->site().number)) return process.get();
    }
    return nullptr;
}

std::vector<Process*> Cluster::all_servers() {
    std::vector<Process*> all;
    for (auto& process : nodes_) all.push_back(process.get());
    return all;
}

Process* Cluster::anybody() { return nodes_[rng_.below(nodes_.size())].get(); }

Process* Cluster::leader_of(const Uuid& topic, int32_t partition) {
    const auto found = leaders_.find({topic, partition});
    if (found == leaders_.end() || found->second.node < 1) return anybody();
    return &node(found->second.node);
}

Process* Cluster::server_for(const Target& target) {
    const auto id_of = [&](const std::string& topic) {
        const auto found = topic_ids_.find(topic);
        return found == topic_ids_.end() ? Uuid{} : found->second;
    };
    switch (target.kind) {
        case Target::Kind::Anybody:
        case Target::Kind::AsBefore: return anybody();
        case Target::Kind::Leader: {
            if (!target.exact && rng_.chance(wrong_percent, 100)) return anybody();
            return leader_of(target.name.empty() ? target.topic_id : id_of(target.name),
                             target.partition);
        }
        case Target::Kind::Group:
        case Target::Kind::Transaction: {
            const bool group = target.kind == Target::Kind::Group;
            const Uuid topic = id_of(group ? kOffsetsTopic : kTransactionsTopic);
            const auto count = partition_counts_.find(topic);
            if (count == partition_counts_.end()) return anybody();
            return leader_of(topic, coordinator_partition(target.name, count->second));
        }
    }
    return nullptr;
}

void Cluster::begin_discovery() {
    asker_ = std::make_unique<Client>(world_, *this, "discovery");
    asker_->timeout = kAnswerMax;
    ask();
}

void Cluster::ask() {
    wire::MetadataRequest request;
    request.topics.reset();
    request.allow_auto_topic_creation = false;
    asker_->talk_to(anybody());
    asker_->call<wire::MetadataResponse>(
        request, kMetadataVersion, [this](std::optional<wire::MetadataResponse> answer) {
            if (answer) learn(*answer);
            world_.after(Duration{1} + world_.random_delay(kAskEvery), [this] { ask(); });
        });
}

void Cluster::learn(const wire::MetadataResponse& answer) {
    for (const auto& topic : answer.topics) {
        if (topic.error_code != 0 || !topic.name) continue;
        bool newer = !topic_ids_.contains(*topic.name);
        for (const auto& part : topic.partitions) {
            Leader& leader = leaders_[{topic.topic_id, part.partition_index}];
            newer |= part.leader_epoch > leader.epoch;
            if (part.leader_epoch < leader.epoch) continue;
            leader = {part.leader_id, part.leader_epoch};
        }
        // A name may stand for another topic by now; a node that lags behind does not know.
        if (newer) topic_ids_[*topic.name] = topic.topic_id;
        int32_t& count = partition_counts_[topic.topic_id];
        count = std::max(count, static_cast<int32_t>(topic.partitions.size()));
    }
}

}  // namespace millrace::sim
