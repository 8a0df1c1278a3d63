// src/metadata/partition_election.cc: the order of steps that makes one partition change.
#include "metadata/partition_election.h"

#include <algorithm>

#include "millrace/base/assert.h"

namespace millrace::metadata {

namespace {

using Nodes = std::vector<NodeId>;

bool contains(const Nodes& nodes, NodeId node) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}
bool contains_all(const Nodes& nodes, const Nodes& wanted) {
    return std::all_of(wanted.begin(), wanted.end(),
                       [&](NodeId node) { return contains(nodes, node); });
}
Nodes without(const Nodes& nodes, const Nodes& gone) {
    Nodes left;
    for (NodeId node : nodes) {
        if (!contains(gone, node)) left.push_back(node);
    }
    return left;
}

/// What every change must leave behind; Kafka's logs are expected to hold it too, but not asserted.
[[maybe_unused]] bool is_consistent(const PartitionImage& p) {
    if (p.has_leader() && !contains(p.isr, p.leader)) return false;
    if (!contains_all(p.replicas, p.isr) || !contains_all(p.replicas, p.elr)) return false;
    return std::none_of(p.elr.begin(), p.elr.end(),
                        [&](NodeId node) { return contains(p.isr, node); });
}

struct ElectionResult {
    NodeId leader;
    bool unclean = false;
};

class ChangeBuilder {
  public:
    ChangeBuilder(const PartitionImage& partition, const PartitionTargets& targets,
                  const LeaderAcceptor& acceptable, const ElectionRules& rules)
        : partition_(partition),
          acceptable_(acceptable),
          rules_(rules),
          targets_(targets),
          isr_(targets.isr.value_or(partition.isr)),
          replicas_(targets.replicas.value_or(partition.replicas)),
          removing_(targets.removing.value_or(partition.removing)),
          adding_(targets.adding.value_or(partition.adding)),
          elr_(partition.elr) {}

    PartitionChange build() {
        complete_reassignment();
        compute_elr();
        elect();
        // A reader of the old replica set must not keep fetching: a lost replica raises the epoch.
        if (change_.leader == kLeaderUnchanged && !contains_all(replicas_, partition_.replicas)) {
            change_.leader = partition_.leader;
        }
        record_elr();
        if (!change_.isr && (!isr_.empty() || rules_.elr) && isr_ != partition_.isr) {
            change_.isr = isr_;
        }
        bump_epoch_for_isr_shrink();
        record_last_known_leader();
        record_assignment();
        if (targets_.recovery && *targets_.recovery != partition_.recovery) {
            change_.recovery = targets_.recovery;
        }
        return std::move(change_);
    }

  private:
    // KIP-455, with the rule of 4.3: a lagging replica that merely stays blocks only a move that
    // lowers the replica count.
    void complete_reassignment() {
        if (removing_.empty() && adding_.empty()) return;
        const Nodes final_isr = without(isr_, removing_);
        const Nodes final_replicas = without(replicas_, removing_);
        if (!removing_.empty() && final_isr.empty()) return;
        if (!contains_all(final_isr, adding_)) return;
        if (adding_.size() < removing_.size() && !contains_all(final_isr, final_replicas)) return;
        isr_ = final_isr;
        replicas_ = final_replicas;
        removing_.clear();
        adding_.clear();
    }

    void compute_elr() {
        if (!rules_.elr) return;
        if (isr_.size() >= static_cast<size_t>(std::max(rules_.min_isr, 0))) {
            elr_.clear();
            return;
        }
        Nodes candidates = elr_;
        candidates.insert(candidates.end(), partition_.isr.begin(), partition_.isr.end());
        std::sort(candidates.begin(), candidates.end());
        candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
        elr_ = without(candidates, isr_);
        // Kafka keeps brokers there that a completed reassignment has removed; they can never lead.
        std::erase_if(elr_, [&](NodeId node) { return !contains(replicas_, node); });
        if (targets_.unclean_shutdown != kNoNode) {
            elr_ = without(elr_, Nodes{targets_.unclean_shutdown});
        }
    }

    bool valid_leader(NodeId node) const {
        const bool in_sync = contains(isr_, node) || (isr_.empty() && contains(elr_, node));
        return in_sync && acceptable_(node);
    }
    std::optional<NodeId> first_valid(size_t from) const {
        for (size_t i = from; i < replicas_.size(); ++i) {
            if (valid_leader(replicas_[i])) return replicas_[i];
        }
        return std::nullopt;
    }
    bool last_known_leader_electable() const {
        return rules_.elr && isr_.empty() && elr_.empty() &&
               partition_.last_known_elr.size() == 1 && acceptable_(partition_.last_known_elr[0]);
    }

    ElectionResult choose() const {
        const bool preferred = targets_.election == ElectionMode::Preferred;
        if (preferred && !replicas_.empty() && valid_leader(replicas_[0])) return {replicas_[0]};
        if (valid_leader(partition_.leader)) return {partition_.leader};
        if (const auto online = first_valid(preferred ? 1 : 0)) return {*online};
        if (last_known_leader_electable()) return {partition_.last_known_elr[0], true};
        if (targets_.election == ElectionMode::Unclean) {
            for (NodeId node : replicas_) {
                if (acceptable_(node)) return {node, true};
            }
        }
        return {kNoNode};
    }

    void elect() {
        const ElectionResult result = choose();
        if (result.leader == partition_.leader) return;
        if (contains(elr_, result.leader)) {
            isr_ = {result.leader};
            elr_ = without(elr_, Nodes{result.leader});
        }
        change_.leader = result.leader;
        if (!result.unclean) return;
        change_.isr = Nodes{result.leader};
        if (partition_.recovery != LeaderRecoveryState::Recovering) {
            change_.recovery = LeaderRecoveryState::Recovering;
        }
    }

    void record_elr() {
        // After an unclean election nobody outside the new ISR is known to have all data.
        if (change_.isr || !rules_.elr) elr_.clear();
        if (elr_ != partition_.elr) change_.elr = elr_;
    }

    // Before 3.6 followers noticed a shrunken ISR only by the leader epoch.
    void bump_epoch_for_isr_shrink() {
        constexpr int16_t kNoBumpSince = 12;
        if (rules_.metadata_version >= kNoBumpSince) return;
        if (change_.leader != kLeaderUnchanged || !change_.isr) return;
        if (!contains_all(*change_.isr, partition_.isr)) change_.leader = partition_.leader;
    }

    void record_last_known_leader() {
        if (!rules_.elr) return;
        if (change_.leader == kNoNode && partition_.last_known_elr.empty()) {
            change_.last_known_elr = Nodes{partition_.leader};
        } else if (change_.leader.value >= 0 && !partition_.last_known_elr.empty()) {
            change_.last_known_elr = Nodes{};
        }
    }

    Uuid directory_for(NodeId node) const {
        if (targets_.directory && targets_.directory->first == node) {
            return targets_.directory->second;
        }
        if (const auto kept = partition_.directory_of(node)) return *kept;
        return default_directory(acceptable_.cluster, node);
    }

    void record_assignment() {
        constexpr int16_t kDirectoriesSince = 17;
        if (!replicas_.empty()) {
            if (rules_.metadata_version >= kDirectoriesSince) {
                std::vector<Uuid> directories;
                directories.reserve(replicas_.size());
                for (NodeId node : replicas_)
                    directories.push_back(directory_for(node));
                if (directories != partition_.directories) {
                    change_.directories = std::move(directories);
                }
            }
            if (replicas_ != partition_.replicas) change_.replicas = replicas_;
        }
        if (removing_ != partition_.removing) change_.removing = removing_;
        if (adding_ != partition_.adding) change_.adding = adding_;
    }

    const PartitionImage& partition_;
    const LeaderAcceptor& acceptable_;
    const ElectionRules& rules_;
    const PartitionTargets& targets_;
    Nodes isr_;
    Nodes replicas_;
    Nodes removing_;
    Nodes adding_;
    Nodes elr_;
    PartitionChange change_;
};

}  // namespace

bool LeaderAcceptor::operator()(NodeId node) const {
    if (node == kNoNode || node == removed) return false;
    const BrokerImage* broker = cluster.broker(node);
    if (broker == nullptr) return false;
    if (node != added && !broker->active()) return false;
    const auto directory = partition.directory_of(node);
    return directory && broker->directory_online(*directory);
}

bool PartitionChange::empty() const { return *this == PartitionChange{}; }

std::optional<PartitionChange> decide_partition_change(const PartitionImage& partition,
                                                       const PartitionTargets& targets,
                                                       const LeaderAcceptor& acceptable,
                                                       const ElectionRules& rules) {
    PartitionChange change = ChangeBuilder(partition, targets, acceptable, rules).build();
    if (change.empty()) return std::nullopt;
    MILLRACE_VERIFY(!is_consistent(partition) || is_consistent(merge_partition(partition, change)),
                    "leader in ISR, ISR and ELR disjoint parts of the replicas");
    return change;
}

PartitionImage merge_partition(const PartitionImage& partition, const PartitionChange& change) {
    PartitionImage next = partition;
    if (change.replicas) next.replicas = *change.replicas;
    if (change.directories) {
        // An empty list stands for "not known": all MIGRATING.
        next.directories = *change.directories;
        if (next.directories.empty()) {
            next.directories.assign(next.replicas.size(), kDirectoryMigrating);
        }
    }
    if (change.isr) next.isr = *change.isr;
    if (change.removing) next.removing = *change.removing;
    if (change.adding) next.adding = *change.adding;
    if (change.elr) next.elr = *change.elr;
    if (change.last_known_elr) next.last_known_elr = *change.last_known_elr;
    if (change.recovery) next.recovery = *change.recovery;
    if (change.leader != kLeaderUnchanged) {
        next.leader = change.leader;
        next.leader_epoch = LeaderEpoch(next.leader_epoch.value + 1);
    }
    ++next.partition_epoch;
    return next;
}

Uuid default_directory(const ClusterImage& cluster, NodeId broker) {
    const BrokerImage* image = cluster.broker(broker);
    if (image == nullptr) return kDirectoryUnassigned;
    if (image->directories.empty()) return kDirectoryMigrating;
    return image->directories.size() == 1 ? image->directories[0] : kDirectoryUnassigned;
}

}  // namespace millrace::metadata
