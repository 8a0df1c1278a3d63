// src/placement/balance.cc: the narrowest window of loads, the cheapest way into it, and its proof.
#include "placement/balance.h"

#include <algorithm>
#include <cmath>

#include "placement/bounds.h"
#include "placement/exhaustive.h"
#include "placement/master.h"
#include "placement/swap_graph.h"

namespace millrace::placement {
namespace {

constexpr int64_t kMaxSteps = 150'000'000;  // swaps looked at
constexpr size_t kMaxMasterParts = 12'000;
constexpr size_t kBulkParts = 5'000;  // above: direct moves first, chains mend what is left
constexpr int64_t kMaxTries = 5'000'000;
constexpr int kMaxFruitless = 200;       // partitions of a broker in a row that cannot leave it
constexpr int64_t kMaxSearches = 2'000;  // for chains, above kMaxMasterParts
constexpr int64_t kMaxWindowsOfMany = 3;
constexpr int64_t kWiderWindows = 4;
constexpr int64_t kMaxWindows = 200;
constexpr int64_t kNearWindows = 6;  // where cordoned brokers let the sum of loads vary
constexpr int kMaxMasters = 30;
constexpr size_t kFewParts = 10;  // so few are always settled by trying everything

class Balancer {
  public:
    explicit Balancer(Draft& draft)
        : draft_(draft), model_(draft.model), graph_(draft), bounds_(draft, parts_) {
        for (size_t at = 0; at < model_.parts.size(); ++at) {
            if (model_.free(model_.parts[at])) parts_.push_back(at);
        }
        for (size_t b = 0; b < model_.ids.size(); ++b) {
            if (model_.role[b] == Role::Target || model_.role[b] == Role::Stay)
                nodes_.push_back(static_cast<Index>(b));
        }
    }

    void run() {
        if (parts_.size() > kBulkParts) level_directly();
        graph_.rebuild();
        level();
        narrow();
        const int64_t least = least_spread();
        const int64_t spread = draft_.spread();
        std::vector<Placed> best = all_placed();
        best_ = draft_.cost();
        int64_t bound = std::numeric_limits<int64_t>::max();
        bool all = true;
        int64_t entered = 0;
        for (const Window& window : windows_of(spread, all)) {
            if (excluded(window)) continue;
            if (many() && ++entered > kMaxWindowsOfMany) {
                bound = std::min(bound, known_bound(window));
                continue;
            }
            const bool inside = enter(window);
            if (!inside && many()) walls_.push_back(wall_around(window));
            if (inside) save_bytes(window);
            if (!inside && excluded(window)) continue;
            bound = std::min(bound, improve(window, inside));
            if (draft_.spread() > spread || draft_.cost() >= best_) continue;
            best_ = draft_.cost();
            best = all_placed();
        }
        restore(best);
        if (has_soft()) save_softly(spread);
        bound = all ? std::min(bound, best_[0]) / model_.unit : 0;
        draft_.bound_bytes = std::max(draft_.bound_bytes, bound);
        settle(least);
    }

  private:
    int64_t load(Index b) const { return draft_.load[static_cast<size_t>(b)]; }
    bool many() const { return parts_.size() > kMaxMasterParts; }
    bool may_search() {
        return graph_.steps() < kMaxSteps && (!many() || searches_ < kMaxSearches);
    }

    /// From the highest broker its smallest partition to the lowest that may take it, while that
    /// evens the two: what chains would do as well, one search each.
    void level_directly() {
        std::vector<size_t> order = parts_;
        std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
            const Part& x = model_.parts[a];
            const Part& y = model_.parts[b];
            return x.weight != y.weight ? x.weight < y.weight : x.number < y.number;
        });
        std::vector<std::vector<size_t>> residents(model_.ids.size());
        for (const size_t at : order) {
            for (const Index b : std::as_const(model_).then(model_.parts[at]))
                residents[static_cast<size_t>(b)].push_back(at);
        }
        std::vector<size_t> next(model_.ids.size(), 0);
        std::vector<int> fruitless(model_.ids.size(), 0);
        std::vector<Index> low = model_.targets;
        for (int64_t tries = 0; tries < kMaxTries;) {
            std::sort(low.begin(), low.end(), [this](Index a, Index b) {
                return load(a) != load(b) ? load(a) < load(b) : a < b;
            });
            Index high = -1;
            for (size_t i = low.size(); i-- > 0 && high < 0;) {
                const auto at = static_cast<size_t>(low[i]);
                if (next[at] < residents[at].size() && fruitless[at] < kMaxFruitless) high = low[i];
            }
            if (high < 0) return;
            const auto from = static_cast<size_t>(high);
            bool moved = false;
            while (!moved && next[from] < residents[from].size() &&
                   fruitless[from] < kMaxFruitless) {
                moved = move_down(residents[from][next[from]++], high, low, tries);
                fruitless[from] = moved ? 0 : fruitless[from] + 1;
            }
        }
    }

    bool move_down(size_t at, Index high, const std::vector<Index>& low, int64_t& tries) {
        const Part& part = model_.parts[at];
        for (const Index to : low) {
            if (load(to) + 2 > load(high)) return false;
            ++tries;
            if (!draft_.may_swap(part, draft_.rule(part), high, to, part.want, false)) continue;
            draft_.swap(part, high, to);
            return true;
        }
        return false;
    }

    /// Why windows cannot be entered: these brokers together never hold fewer (or more) copies.
    struct Wall {
        bool over = true;
        int64_t brokers = 0;
        int64_t copies = 0;

        bool excludes(const Window& window) const {
            return over ? brokers * window.high < copies : brokers * window.low > copies;
        }
    };

    /// Those over the window and all that their copies could go to; or those under it and all that
    /// could give to them.
    Wall wall_around(const Window& window) {
        Wall wall;
        std::vector<Index> reached;
        for (const bool over : {true, false}) {
            wall.over = over;
            for (const Index b : model_.targets) {
                if (over ? load(b) > window.high : load(b) < window.low) reached.push_back(b);
            }
            if (!reached.empty()) break;
        }
        for (size_t head = 0; head < reached.size(); ++head) {
            for (const Index b : nodes_) {
                const Index at = reached[head];
                const bool arc = (wall.over ? graph_.arc(at, b) : graph_.arc(b, at)).part >= 0;
                if (arc && model_.usable(b) &&
                    std::find(reached.begin(), reached.end(), b) == reached.end())
                    reached.push_back(b);
            }
        }
        wall.brokers = static_cast<int64_t>(reached.size());
        wall.copies = bounds_.copies(reached, wall.over);
        return wall;
    }

    /// What prices found for other windows say of this one.
    int64_t known_bound(const Window& window) const {
        int64_t bound = 0;
        for (const Bounds::Priced& priced : tried_)
            bound = std::max(bound, bounds_.weight(window, priced));
        return bound;
    }

    struct Reach {
        std::vector<Wide> cost;
        std::vector<Index> by;
    };

    /// Cheapest chains from any of the sources. A cycle that saves is carried out at once, and the
    /// search begins anew.
    Reach search(const std::vector<Index>& sources) {
        for (;;) {
            ++searches_;
            Reach reach{std::vector<Wide>(model_.ids.size(), kFar),
                        std::vector<Index>(model_.ids.size(), -1)};
            for (const Index b : sources)
                reach.cost[static_cast<size_t>(b)] = 0;
            bool better = true;
            size_t rounds = 0;
            for (; better && rounds <= nodes_.size(); ++rounds)
                better = relax(reach);
            if (!better || !save_on_cycle(reach) || graph_.steps() > kMaxSteps) return reach;
        }
    }

    bool relax(Reach& reach) {
        bool better = false;
        for (const Index b : nodes_) {
            const Wide here = reach.cost[static_cast<size_t>(b)];
            if (here == kFar) continue;
            for (const Index c : nodes_) {
                const SwapGraph::Arc& arc = graph_.arc(b, c);
                if (arc.part < 0 || here + arc.cost >= reach.cost[static_cast<size_t>(c)]) continue;
                reach.cost[static_cast<size_t>(c)] = here + arc.cost;
                reach.by[static_cast<size_t>(c)] = b;
                better = true;
            }
        }
        return better;
    }

    /// After too many rounds some predecessors form a cycle.
    bool save_on_cycle(const Reach& reach) {
        for (const Index start : nodes_) {
            Index slow = start;
            for (size_t i = 0; i <= nodes_.size() && slow >= 0; ++i)
                slow = reach.by[static_cast<size_t>(slow)];
            if (slow < 0) continue;
            std::vector<Index> cycle{slow};
            for (Index b = reach.by[static_cast<size_t>(slow)]; b != slow;
                 b = reach.by[static_cast<size_t>(b)])
                cycle.push_back(b);
            cycle.push_back(slow);
            std::reverse(cycle.begin(), cycle.end());
            return walk(cycle);
        }
        return false;
    }

    /// Swaps along the brokers; all or nothing, and never dearer than the arcs promised.
    bool walk(const std::vector<Index>& brokers) {
        struct Done {
            size_t part;
            Index out, in;
        };
        std::vector<Done> done;
        for (size_t i = brokers.size() - 1; i > 0; --i) {
            const SwapGraph::Arc arc = graph_.arc(brokers[i - 1], brokers[i]);
            const bool again = std::any_of(done.begin(), done.end(), [&](const Done& d) {
                return static_cast<int32_t>(d.part) == arc.part;
            });
            if (arc.part >= 0 && !again &&
                graph_.swap(static_cast<size_t>(arc.part), brokers[i - 1], brokers[i])) {
                done.push_back({static_cast<size_t>(arc.part), brokers[i - 1], brokers[i]});
                continue;
            }
            for (size_t k = done.size(); k-- > 0;)
                graph_.swap(done[k].part, done[k].in, done[k].out);
            graph_.renew(brokers[i - 1], brokers[i]);
            return false;
        }
        return true;
    }

    std::vector<Index> chain_to(const Reach& reach, Index end) const {
        std::vector<Index> chain{end};
        while (reach.by[static_cast<size_t>(chain.back())] >= 0 && chain.size() <= nodes_.size())
            chain.push_back(reach.by[static_cast<size_t>(chain.back())]);
        std::reverse(chain.begin(), chain.end());
        return chain;
    }

    /// The cheapest chain to one of those that `wanted` admits; false when there is none.
    template <class Wanted>
    bool send(const std::vector<Index>& sources, const Wanted& wanted) {
        for (int tries = 0; tries < 5; ++tries) {
            const Reach reach = search(sources);
            Index best = -1;
            for (const Index b : nodes_) {
                const auto at = static_cast<size_t>(b);
                if (reach.cost[at] == kFar || reach.by[at] < 0 || !wanted(b)) continue;
                if (best < 0 || reach.cost[at] < reach.cost[static_cast<size_t>(best)]) best = b;
            }
            if (best < 0) return false;
            if (walk(chain_to(reach, best))) return true;
        }
        return false;
    }

    /// From the highest to any at least two lower, until no chain leads there.
    void level() {
        std::vector<uint8_t> stuck(model_.ids.size(), 0);
        while (may_search()) {
            Index high = -1;
            for (const Index b : model_.targets) {
                if (stuck[static_cast<size_t>(b)] == 0 && (high < 0 || load(b) > load(high)))
                    high = b;
            }
            if (high < 0) return;
            const int64_t top = load(high);
            if (send({high}, [&](Index b) { return model_.usable(b) && load(b) + 2 <= top; }))
                std::fill(stuck.begin(), stuck.end(), uint8_t{0});
            else
                stuck[static_cast<size_t>(high)] = 1;
        }
    }

    /// Windows narrower than the loads: cordoned brokers may give and take, so that the sum varies.
    void narrow() {
        std::vector<Placed> best = all_placed();
        int64_t spread = draft_.spread();
        while (spread > 0 && may_search()) {
            bool all = true;
            bool entered = false;
            for (const Window& window : windows_of(spread - 1, all)) {
                entered = enter(window);
                if (entered) break;
            }
            if (draft_.spread() < spread) best = all_placed();
            spread = std::min(spread, draft_.spread());
            if (!entered) break;
        }
        if (draft_.spread() > spread) {
            restore(best);
            graph_.rebuild();
        }
    }

    std::vector<Window> windows_of(int64_t spread, bool& all) const {
        std::vector<Window> windows;
        if (model_.targets.empty()) return windows;
        int64_t low = load(model_.targets.front());
        int64_t sum = 0;
        for (const Index b : model_.targets) {
            low = std::min(low, load(b));
            sum += load(b);
        }
        windows.push_back({low, low + spread});
        bool fixed = true;  // the sum of the usable brokers' loads
        for (const size_t at : parts_) {
            for (const Index b : model_.now(model_.parts[at]))
                fixed = fixed && model_.role_of(b) != Role::Stay;
        }
        const auto count = static_cast<int64_t>(model_.targets.size());
        const int64_t first = fixed ? std::max<int64_t>(0, (sum + count - 1) / count - spread)
                                    : std::max<int64_t>(0, low - kNearWindows);
        const int64_t last = fixed ? sum / count : low + kNearWindows;
        for (int64_t at = first; at <= last; ++at) {
            if (at == low) continue;
            if (static_cast<int64_t>(windows.size()) >= kMaxWindows) {
                all = false;
                break;
            }
            windows.push_back({at, at + spread});
        }
        return windows;
    }

    bool enter(const Window& window) {
        const auto inside = [&](Index b) { return !model_.usable(b); };
        while (may_search()) {
            std::vector<Index> over, some;
            Index under = -1;
            for (const Index b : nodes_) {
                if (model_.usable(b) && load(b) > window.high) over.push_back(b);
                if (inside(b) || load(b) > window.low) some.push_back(b);
                if (model_.usable(b) && load(b) < window.low) under = b;
            }
            if (over.empty() && under < 0) return true;
            const bool sent =
                !over.empty() ? send({over.front()},
                                     [&](Index b) { return inside(b) || load(b) < window.high; })
                              : send(some, [&](Index b) { return b == under; });
            if (!sent) return false;
        }
        return false;
    }

    /// Chains between brokers that have room in the window, and cycles, while they save bytes.
    void save_bytes(const Window& window) {
        while (may_search()) {
            std::vector<Index> givers;
            for (const Index b : nodes_) {
                if (!model_.usable(b) || load(b) > window.low) givers.push_back(b);
            }
            const Reach reach = search(givers);
            Index best = -1;
            for (const Index b : nodes_) {
                const auto at = static_cast<size_t>(b);
                if (reach.by[at] < 0 || reach.cost[at] >= 0) continue;
                if (model_.usable(b) && load(b) >= window.high) continue;
                if (best < 0 || reach.cost[at] < reach.cost[static_cast<size_t>(best)]) best = b;
            }
            if (best < 0) return;
            if (!walk(chain_to(reach, best)) && ++failures_ > kMaxFailures) return;
        }
    }

    /// The linear program does not know soft axes: swaps that only better those remain.
    void save_softly(int64_t spread) {
        if (model_.targets.empty()) return;
        graph_.rebuild();
        int64_t low = load(model_.targets.front());
        for (const Index b : model_.targets)
            low = std::min(low, load(b));
        save_bytes({low, low + spread});
        best_ = draft_.cost();
    }

    /// Prices of brokers at which no swap saves; free brokers of the window have the price 0 or the
    /// sign that fits the end where they stand.
    std::vector<double> prices_of(const Window& window) {
        // Distances from a ground node that gives to all above `low` and takes from all below
        // `high`.
        std::vector<Wide> distance(model_.ids.size(), 0);
        Wide ground = 0;
        bool better = true;
        for (size_t round = 0; better && round <= nodes_.size() + 1; ++round) {
            better = false;
            for (const Index b : nodes_) {
                Wide& here = distance[static_cast<size_t>(b)];
                const bool free = !model_.usable(b);
                if ((free || load(b) > window.low) && ground < here) here = ground, better = true;
                if ((free || load(b) < window.high) && here < ground) ground = here, better = true;
                for (const Index c : nodes_) {
                    const SwapGraph::Arc& arc = graph_.arc(b, c);
                    Wide& there = distance[static_cast<size_t>(c)];
                    if (arc.part < 0 || here + arc.cost >= there) continue;
                    there = here + arc.cost;
                    better = true;
                }
            }
        }
        std::vector<double> prices(model_.ids.size(), 0);
        for (const Index b : nodes_) {
            if (!model_.usable(b)) continue;
            const Wide price = SwapCost::weight_of(ground - distance[static_cast<size_t>(b)]);
            prices[static_cast<size_t>(b)] = static_cast<double>(price);
        }
        return prices;
    }

    bool has_soft() const { return model_.hard != static_cast<int>(model_.axis_count()); }

    /// The linear program is for up to so many, and knows nothing of disks.
    bool few() const { return parts_.size() <= kMaxMasterParts && !draft_.disks.limited(); }

    /// The least spread that is known to be possible at all; on the way a smaller one may be found.
    int64_t least_spread() {
        int64_t least = least_spread_by_sum();
        if (draft_.spread() <= least || !few() || model_.targets.empty()) return least;
        Master master(draft_, parts_);
        if (!master.solve_spread()) return least;
        const int64_t before = draft_.spread();
        least = std::max(least, bounds_.spread(master.prices()));
        if (before <= least) return least;
        const std::vector<Placed> all = all_placed();
        bool rounded = false;
        for (int64_t wish = least; wish < std::min(before, least + kWiderWindows); ++wish) {
            rounded = round_spread(draft_, parts_, master, wish);
            if (rounded) break;
        }
        if (!rounded) take_heaviest(draft_, parts_, master);
        graph_.rebuild();
        level();
        narrow();
        if (draft_.spread() < before) return least;
        restore(all);
        graph_.rebuild();
        return least;
    }

    /// Prices found for other windows may already show that this one has nothing better.
    bool excluded(const Window& window) const {
        if (std::any_of(walls_.begin(), walls_.end(),
                        [&](const Wall& wall) { return wall.excludes(window); }))
            return true;
        const int64_t bound = known_bound(window);
        return !tried_.empty() && (bound > best_[0] || (bound == best_[0] && !has_soft()));
    }

    /// From a plan in or near the window to the best that the master's mixture leads to; the bound
    /// of all plans in the window.
    int64_t improve(const Window& window, bool inside) {
        int64_t bound = known_bound(window);
        const std::array<int64_t, 3> cost = draft_.cost();
        if (inside) {
            tried_.push_back(bounds_.price(prices_of(window), 1));
            bound = std::max(bound, bounds_.weight(window, tried_.back()));
            if (cost[0] <= bound) return bound;
        }
        if (!few() || ++masters_ > kMaxMasters) return bound;
        Master master(draft_, parts_);
        if (!master.solve_bytes(window.low, window.high)) return bound;
        tried_.push_back(bounds_.best_priced(window, master.prices()));
        bound = std::max(bound, bounds_.weight(window, tried_.back()));
        if (inside && cost[0] <= bound) return bound;
        const std::vector<Placed> before = all_placed();
        if (!round_mixture(draft_, parts_, master, window)) take_heaviest(draft_, parts_, master);
        graph_.rebuild();
        const bool entered = enter(window);
        if (entered) save_bytes(window);
        if (!entered || (inside && draft_.cost() > cost)) restore(before);
        if (close_gap(draft_, parts_, window, bounds_, tried_.back()))
            bound = std::max(bound, draft_.cost()[0]);
        graph_.rebuild();
        return bound;
    }

    /// The bound speaks of windows of this width; that no narrower one is possible must be known
    /// too: by a bound of the spread, or, for a few partitions, by trying everything.
    void settle(int64_t least) {
        const bool known = draft_.spread() <= least && draft_.bytes() <= draft_.bound_bytes;
        if (known && parts_.size() > kFewParts) {
            draft_.optimal = true;
            return;
        }
        draft_.changed = parts_;
        draft_.optimal = least_spread_then_bytes(draft_) || known;
        if (draft_.optimal) draft_.bound_bytes = draft_.bytes();
    }

    /// 1 where the copies cannot be shared out evenly whatever their separation; else 0.
    int64_t least_spread_by_sum() const {
        for (const size_t at : parts_) {
            for (const Index b : model_.now(model_.parts[at])) {
                if (model_.role_of(b) == Role::Stay) return 0;
            }
        }
        int64_t sum = 0;
        for (const Index b : model_.targets)
            sum += load(b);
        return !model_.targets.empty() && sum % static_cast<int64_t>(model_.targets.size()) != 0
                   ? 1
                   : 0;
    }

    std::vector<Placed> all_placed() const {
        std::vector<Placed> all;
        for (const size_t at : parts_)
            all.push_back(draft_.placed(model_.parts[at]));
        return all;
    }

    void restore(const std::vector<Placed>& all) {
        for (const size_t at : parts_)
            draft_.lift(model_.parts[at]);
        for (size_t i = 0; i < parts_.size(); ++i)
            draft_.put(model_.parts[parts_[i]], all[i]);
    }

    static constexpr Wide kFar = static_cast<Wide>(1) << 120;
    static constexpr int kMaxFailures = 200;

    Draft& draft_;
    Model& model_;
    SwapGraph graph_;
    Bounds bounds_;
    std::vector<size_t> parts_;  // that may move
    std::vector<Index> nodes_;   // brokers that may give or take
    int failures_ = 0;
    int masters_ = 0;
    int64_t searches_ = 0;
    std::array<int64_t, 3> best_{};
    std::vector<Bounds::Priced> tried_;
    std::vector<Wall> walls_;
};

}  // namespace

void balance(Draft& draft) {
    Balancer(draft).run();
    draft.changed.clear();
    for (size_t at = 0; at < draft.model.parts.size(); ++at) {
        const Part& part = draft.model.parts[at];
        if (!draft.model.free(part)) continue;
        if (part.want != part.copies || draft.adds(part) > 0) {
            draft.changed.push_back(at);
            continue;
        }
        // Copies that left and came back may stand in another order.
        const auto now = draft.model.now(part);
        std::copy(now.begin(), now.end(), draft.model.then(part).begin());
    }
}

}  // namespace millrace::placement
