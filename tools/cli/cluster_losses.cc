// tools/cli/cluster_losses.cc: what is short now, and what the loss of a domain would add.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "cli/cluster_state.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

bool is_number(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// FD0 for fd=0, the value alone for anything else.
std::string domain_name(const placement::Label& label) {
    const bool numbered = label.first == "fd" || label.first == "ud";
    if (!numbered || !is_number(label.second)) return label.second;
    return (label.first == "fd" ? "FD" : "UD") + label.second;
}

int32_t min_isr_of(const ClusterState& state, const placement::Topic& topic,
                   const placement::Partition& partition) {
    const auto found = state.min_isr.find(topic.name);
    const int32_t wanted = found == state.min_isr.end() ? 1 : found->second;
    return std::min(wanted, static_cast<int32_t>(partition.replicas.size()));
}

void lose(const ClusterState& state, Domain& domain) {
    const std::set<int32_t> lost(domain.brokers.begin(), domain.brokers.end());
    for (const placement::Topic& topic : state.snapshot.topics) {
        for (const placement::Partition& partition : topic.partitions) {
            if (partition.leader.value_or(-1) < 0) continue;  // it has nothing left to lose
            const auto before = static_cast<int32_t>(partition.isr->size());
            const auto after = static_cast<int32_t>(
                std::count_if(partition.isr->begin(), partition.isr->end(),
                              [&](int32_t id) { return !lost.contains(id); }));
            const int32_t needed = min_isr_of(state, topic, partition);
            if (after == 0) {
                domain.offline.push_back({topic.name, partition.partition});
            } else if (after < needed && before >= needed) {
                domain.under_min_isr.push_back({topic.name, partition.partition});
            }
        }
    }
}

/// "1 partition offline (orders-0)".
std::string loss_text(const Domain& domain) {
    const auto amount = [](const std::vector<placement::PartitionName>& names, const char* what) {
        constexpr size_t kShown = 3;
        std::string text = fmt::format("{} {} (", counted(static_cast<int64_t>(names.size()),
                                                          "partition"), what);
        for (size_t i = 0; i < std::min(kShown, names.size()); ++i)
            text += fmt::format("{}{}-{}", i == 0 ? "" : ", ", names[i].topic, names[i].partition);
        return text + (names.size() > kShown ? ", …)" : ")");
    };
    std::string text;
    if (!domain.offline.empty()) text = amount(domain.offline, "offline");
    if (!domain.under_min_isr.empty()) {
        text += text.empty() ? "" : " and ";
        text += amount(domain.under_min_isr, "below min.insync.replicas");
    }
    return text;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (size_t i = 0; i < words.size(); ++i) {
        if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
        text += words[i];
    }
    return text;
}

std::string axis_word(const std::string& axis) {
    return axis == "fd" ? "fault domain" : axis == "ud" ? "update domain" : axis;
}

}  // namespace

Shortage shortage_of(const ClusterState& state) {
    Shortage shortage;
    shortage.topics = static_cast<int64_t>(state.snapshot.topics.size());
    for (const placement::Topic& topic : state.snapshot.topics) {
        for (const placement::Partition& partition : topic.partitions) {
            ++shortage.partitions;
            shortage.replicas += static_cast<int64_t>(partition.replicas.size());
            const size_t in_sync = partition.isr ? partition.isr->size() : 0;
            if (in_sync < partition.replicas.size()) ++shortage.under_replicated;
            if (partition.leader.value_or(-1) < 0)
                ++shortage.offline;
            else if (static_cast<int32_t>(in_sync) < min_isr_of(state, topic, partition))
                ++shortage.under_min_isr;
        }
    }
    return shortage;
}

std::vector<Domain> domains_of(const ClusterState& state) {
    std::vector<Domain> domains;
    for (const std::string& axis : state.snapshot.axes) {
        std::map<std::pair<size_t, std::string>, Domain> found;  // numbers in their own order
        for (const ClusterBroker& broker : state.brokers) {
            for (const placement::Label& label : state.labels_of(broker.id).labels) {
                if (label.first != axis) continue;
                const size_t size = is_number(label.second) ? label.second.size() : 0;
                Domain& domain = found[{size, label.second}];
                domain.axis = axis;
                domain.value = label.second;
                domain.name = domain_name(label);
                domain.brokers.push_back(broker.id);
                domain.up += broker.fenced ? 0 : 1;
                domain.leaders += broker.leaders;
                domain.replicas += broker.replicas;
            }
        }
        for (auto& [key, domain] : found) {
            lose(state, domain);
            domains.push_back(std::move(domain));
        }
    }
    return domains;
}

Spread spread_of(const ClusterState& state) {
    placement::Snapshot snapshot = state.snapshot;
    for (placement::Broker& broker : snapshot.brokers)
        broker.log_dirs.clear();  // the question is where copies are, not what fits
    placement::Request request;
    request.leaders = placement::Leaders::Keep;
    const placement::Outcome outcome = placement::make_plan(snapshot, request);
    Spread spread;
    if (outcome.refusal) {
        spread.refused = outcome.refusal->message;
        return spread;
    }
    spread.violations = outcome.plan.summary.violations_before;
    const auto note = [&spread](const std::string& topic) {
        const bool known = !spread.topics.empty() && spread.topics.back() == topic;
        if (!known && spread.topics.size() < kMaxSpreadTopics) spread.topics.push_back(topic);
    };
    for (const placement::Change& change : outcome.plan.changes)
        note(change.name.topic);
    return spread;
}

std::string what_if_text(const std::vector<Domain>& domains, const std::string& axis) {
    std::string text;
    std::vector<std::string> harmless;
    for (const Domain& domain : domains) {
        if (domain.axis != axis) continue;
        if (domain.offline.empty() && domain.under_min_isr.empty()) {
            harmless.push_back(domain.name);
        } else {
            text += fmt::format("{}losing {} now takes {}", text.empty() ? "" : "; ", domain.name,
                                loss_text(domain));
        }
    }
    constexpr size_t kNamed = 4;
    if (harmless.empty()) return text;
    if (text.empty()) return fmt::format("losing any one {} takes no partition offline", axis_word(axis));
    return fmt::format("{}; losing {} takes none", text,
                       harmless.size() > kNamed ? "any other" : joined(harmless));
}

}  // namespace millrace::cli
