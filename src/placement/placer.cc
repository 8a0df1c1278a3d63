// src/placement/placer.cc: a cheapest flow for each partition, then leaders by hand-overs.
#include "millrace/placement/placer.h"

#include <algorithm>
#include <map>

#include "millrace/base/assert.h"
#include "placement/small_flow.h"

namespace millrace::placement {
namespace {

// What a copy costs, the greater before the smaller: a loss on an axis (more on the first), a fenced
// broker, a copy of this topic there, a copy of any topic, chance. Each field is wide enough for the
// sum over kMaxReplicationFactor copies.
constexpr int kChanceBits = 10;
constexpr int kTotalShift = 16;
constexpr int kTotalBits = 24;
constexpr int kTopicShift = 46;
constexpr int kFencedShift = 76;
constexpr int kLossShift = 84;
constexpr Wide kLoss = Wide{1'000} << kLossShift;
constexpr Wide kFirstLoss = Wide{1'001} << kLossShift;

constexpr int kPasses = 3;             // over all partitions, while their copies are uneven
constexpr int kMaxHandOvers = 10'000;  // chains, of one topic

class NewPartitions {
  public:
    NewPartitions(std::vector<Site>& sites, int32_t replication_factor, Rng& rng)
        : sites_(sites), want_(replication_factor), rng_(rng) {
        for (size_t s = 0; s < sites.size(); ++s) {
            if (!sites[s].fenced) open_.push_back(s);
        }
        if (open_.size() < static_cast<size_t>(want_)) {
            for (size_t s = 0; s < sites.size(); ++s) {
                if (sites[s].fenced) open_.push_back(s);
            }
        }
        copies_.assign(sites.size(), 0);
        leads_.assign(sites.size(), 0);
        number_values();
    }

    std::vector<std::vector<int32_t>> run(int32_t partitions) {
        SmallFlow flow = make_graph();
        for (int32_t p = 0; p < partitions; ++p)
            sets_.push_back(cheapest_set(flow));
        for (int pass = 0; pass < kPasses && uneven(); ++pass) {
            for (std::vector<size_t>& set : sets_) {
                count(set, -1);
                set = cheapest_set(flow);
            }
        }
        for (size_t p = 0; p < sets_.size(); ++p)
            choose_leader(p);
        hand_over();
        std::vector<std::vector<int32_t>> answer;
        for (const std::vector<size_t>& set : sets_) {
            std::vector<int32_t>& ids = answer.emplace_back();
            for (const size_t s : set)
                ids.push_back(sites_[s].id);
            ++sites_[set.front()].leaders;
        }
        return answer;
    }

  private:
    void number_values() {
        for (size_t axis = 0; axis < 2; ++axis) {
            std::map<std::string_view, size_t> numbers;
            value_[axis].assign(sites_.size(), 0);
            // By the name of the first site's label: a site may list them in another order.
            const std::string& name = sites_.front().labels[axis].first;
            for (const size_t s : open_) {
                for (const Label& label : sites_[s].labels) {
                    if (label.first != name) continue;
                    value_[axis][s] = numbers.emplace(label.second, numbers.size()).first->second;
                }
            }
            values_[axis] = numbers.size();
            const auto count = static_cast<int32_t>(numbers.size());
            cap_[axis] = (want_ + count - 1) / count;
        }
    }

    /// Source, values of the first axis, of the second, sink; a copy is a unit.
    SmallFlow make_graph() {
        const size_t sink = 1 + values_[0] + values_[1];
        SmallFlow flow(sink + 1);
        const auto ends = [&](size_t axis, size_t from, size_t to, Wide over) {
            const size_t within = flow.edge(from, to, cap_[axis], 0);
            const size_t above = flow.edge(from, to, want_, over);
            ends_.push_back({within, cap_[axis], 0});
            ends_.push_back({above, want_, over});
        };
        for (size_t v = 0; v < values_[0]; ++v)
            ends(0, 0, 1 + v, kFirstLoss);
        for (const size_t s : open_) {
            edges_.push_back(
                flow.edge(1 + value_[0][s], 1 + values_[0] + value_[1][s], 1, Wide{0}));
        }
        for (size_t v = 0; v < values_[1]; ++v)
            ends(1, 1 + values_[0] + v, sink, kLoss);
        return flow;
    }

    bool uneven() const {
        int32_t low = copies_[open_.front()];
        int32_t high = low;
        for (const size_t s : open_) {
            low = std::min(low, copies_[s]);
            high = std::max(high, copies_[s]);
        }
        return high - low > 1;
    }

    void count(const std::vector<size_t>& set, int change) {
        for (const size_t s : set) {
            copies_[s] += change;
            sites_[s].replicas += change;
        }
    }

    std::vector<size_t> cheapest_set(SmallFlow& flow) {
        int64_t least_total = sites_[open_.front()].replicas;
        for (const size_t s : open_)
            least_total = std::min(least_total, sites_[s].replicas);
        constexpr int64_t kTotalMax = (int64_t{1} << kTotalBits) - 1;
        for (size_t i = 0; i < open_.size(); ++i) {
            const Site& site = sites_[open_[i]];
            const Wide total = std::min(site.replicas - least_total, kTotalMax);
            const Wide cost = (Wide{site.fenced ? 1 : 0} << kFencedShift) +
                              (Wide{copies_[open_[i]]} << kTopicShift) + (total << kTotalShift) +
                              static_cast<Wide>(rng_.below(uint64_t{1} << kChanceBits));
            flow.refill(edges_[i], 1, cost);
        }
        for (const End& end : ends_)
            flow.refill(end.edge, end.room, end.cost);
        const bool sent = flow.send(0, 1 + values_[0] + values_[1], want_).has_value();
        MILLRACE_ASSERT(sent, "as many brokers as copies are there");
        std::vector<size_t> set;
        for (size_t i = 0; i < open_.size(); ++i) {
            if (flow.sent(edges_[i]) != 0) set.push_back(open_[i]);
        }
        count(set, 1);
        for (size_t i = set.size(); i > 1; --i)
            std::swap(set[i - 1], set[static_cast<size_t>(rng_.below(i))]);
        // Fenced ones last: clients try the replicas in order.
        std::stable_partition(set.begin(), set.end(),
                              [this](size_t s) { return !sites_[s].fenced; });
        return set;
    }

    void choose_leader(size_t p) {
        std::vector<size_t>& set = sets_[p];
        const auto key = [this](size_t s) {
            return std::tuple(sites_[s].fenced, leads_[s], sites_[s].leaders + leads_[s]);
        };
        const auto best = std::min_element(set.begin(), set.end(),
                                           [&](size_t a, size_t b) { return key(a) < key(b); });
        std::iter_swap(set.begin(), best);
        ++leads_[set.front()];
    }

    /// Chains of hand-overs from a broker to one that leads at least two fewer of this topic.
    void hand_over() {
        for (int i = 0; i < kMaxHandOvers; ++i) {
            size_t most = open_.front();
            for (const size_t s : open_) {
                if (leads_[s] > leads_[most]) most = s;
            }
            if (!chain_from(most)) return;
        }
    }

    bool chain_from(size_t source) {
        std::vector<std::vector<size_t>> led(sites_.size());
        for (size_t p = 0; p < sets_.size(); ++p)
            led[sets_[p].front()].push_back(p);
        constexpr size_t kNone = SIZE_MAX;
        std::vector<size_t> by(sites_.size(), kNone);  // the partition that comes over
        std::vector<size_t> queue{source};
        for (size_t head = 0; head < queue.size(); ++head) {
            const size_t from = queue[head];
            if (leads_[from] + 2 <= leads_[source]) {
                walk_back(source, from, by);
                return true;
            }
            for (const size_t p : led[from]) {
                for (const size_t to : sets_[p]) {
                    if (to == source || by[to] != kNone || sites_[to].fenced) continue;
                    by[to] = p;
                    queue.push_back(to);
                }
            }
        }
        return false;
    }

    void walk_back(size_t source, size_t end, const std::vector<size_t>& by) {
        ++leads_[end];
        --leads_[source];
        for (size_t at = end; at != source;) {
            std::vector<size_t>& set = sets_[by[at]];
            const size_t before = set.front();
            std::iter_swap(set.begin(), std::find(set.begin(), set.end(), at));
            at = before;
        }
    }

    struct End {
        size_t edge;
        int64_t room;
        Wide cost;
    };

    std::vector<Site>& sites_;
    const int32_t want_;
    Rng& rng_;
    std::vector<size_t> open_;  // sites that take part
    std::vector<size_t> value_[2];
    size_t values_[2] = {0, 0};
    int32_t cap_[2] = {0, 0};
    std::vector<End> ends_;
    std::vector<size_t> edges_;  // parallel to open_
    std::vector<int32_t> copies_;  // of this topic
    std::vector<int32_t> leads_;
    std::vector<std::vector<size_t>> sets_;
};

}  // namespace

bool have_two_axes(const std::vector<Site>& sites) {
    for (const Site& site : sites) {
        if (site.labels.size() != 2) return false;
        for (const Label& label : site.labels) {
            const auto& first = sites.front().labels;
            const bool known = std::any_of(first.begin(), first.end(),
                                           [&](const Label& f) { return f.first == label.first; });
            if (!known) return false;
        }
    }
    return !sites.empty();
}

uint64_t placement_seed(std::string_view topic, int32_t first) {
    uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
    for (const char c : topic)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return hash ^ (static_cast<uint64_t>(first) << 32);
}

std::vector<std::vector<int32_t>> place_new(std::vector<Site>& sites, int32_t partitions,
                                            int32_t replication_factor, Rng& rng) {
    MILLRACE_ASSERT(have_two_axes(sites), "sites have two axes");
    MILLRACE_ASSERT(replication_factor >= 1 && static_cast<size_t>(replication_factor) <=
                                                   sites.size(),
                    "as many sites as copies");
    return NewPartitions(sites, replication_factor, rng).run(partitions);
}

}  // namespace millrace::placement
