// src/placement/even.cc: better sets one by one, then chains of swaps, then kicks, then everything.
#include "placement/even.h"

#include <algorithm>

#include "millrace/base/rng.h"
#include "placement/bounds.h"
#include "placement/exhaustive.h"
#include "placement/master.h"

namespace millrace::placement {
namespace {

constexpr size_t kManyParts = 5'000;  // above: chains only, each pass costs as much as all before
constexpr int64_t kManyArcs = 3'000'000;
constexpr int kPasses = 30;
constexpr int kChains = 20;
constexpr int kChainsOfMany = 4;
constexpr uint8_t kTries = 60;  // partitions asked for one swap between two brokers
constexpr size_t kMaxKickedParts = 1'500;
constexpr int kKicks = 150;
constexpr int64_t kWiderWindows = 4;
constexpr size_t kMaxSolvedParts = 4'000;

class Evener {
  public:
    explicit Evener(Draft& draft) : draft_(draft), model_(draft.model) {
        for (const size_t at : draft.changed)
            adds_.push_back(draft.adds(model_.parts[at]));
    }

    void run() {
        draft_.picker.respect(draft_.disks.limited() ? &draft_.disks : nullptr);
        int64_t bound = lower_bound();
        climb(bound);
        if (draft_.spread() > bound) bound = solve(bound);
        if (draft_.spread() > bound && draft_.changed.size() <= kMaxKickedParts) kick(bound);
        if (draft_.spread() > bound) least_spread(draft_, bound);
    }

  private:
    const Part& part(size_t i) const { return model_.parts[draft_.changed[i]]; }

    /// The spread if the copies of the changed partitions could go anywhere.
    int64_t lower_bound() const {
        std::vector<int64_t> fixed = draft_.load;
        int64_t movable = 0;
        bool exact = true;  // copies on cordoned brokers may stay or come to the others
        for (const size_t at : draft_.changed) {
            for (const Index b : model_.now(model_.parts[at])) {
                if (model_.role_of(b) != Role::Stay) continue;
                exact = false;
                ++movable;
            }
            for (const Index b : std::as_const(model_).then(model_.parts[at])) {
                --fixed[static_cast<size_t>(b)];
                ++movable;
            }
        }
        std::vector<int64_t> loads;
        for (const Index b : model_.targets)
            loads.push_back(fixed[static_cast<size_t>(b)]);
        if (loads.empty()) return 0;
        std::sort(loads.begin(), loads.end());
        // Fill the lowest first; with all copies gone no level is better for either end.
        const int64_t high = loads.back();
        int64_t level = loads.front();
        size_t wide = 1;
        while (movable > 0 && wide < loads.size()) {
            const int64_t gap = loads[wide] - level;
            if (gap * static_cast<int64_t>(wide) > movable) break;
            movable -= gap * static_cast<int64_t>(wide);
            level = loads[wide++];
        }
        level += movable / static_cast<int64_t>(wide);
        const bool uneven = movable % static_cast<int64_t>(wide) != 0;
        if (level >= high) return uneven && exact ? 1 : 0;
        return high - level;
    }

    /// One pass of best answers; whether anything became more even.
    bool pass() {
        bool better = false;
        for (size_t i = 0; i < draft_.changed.size(); ++i) {
            const Part& p = part(i);
            const Placed before = draft_.placed(p);
            draft_.lift(p);
            draft_.price_by_load(before.set);
            Pick pick;
            pick.set = before.set;
            pick.soft_loss = draft_.separation.soft_loss(draft_.rule(p), before.set);
            pick.price = 0;
            for (const Index b : before.set)
                pick.price += draft_.picker.prices()[static_cast<size_t>(b)];
            const double price = pick.price;
            const int32_t soft = pick.soft_loss;
            draft_.picker.improve(p, draft_.rule(p), adds_[i], pick);
            if (pick.price < price || pick.soft_loss < soft) {
                draft_.put(p, pick.set);
                draft_.price_by_load(pick.set);
                better = true;
            } else {
                draft_.put(p, before);
                draft_.price_by_load(before.set);
            }
        }
        return better;
    }

    void climb(int64_t bound) {
        const int passes = draft_.changed.size() > kManyParts ? 0 : kPasses;
        draft_.price_by_load();
        for (int i = 0; i < passes && draft_.spread() > bound; ++i) {
            if (!pass()) break;
        }
        const auto arcs = static_cast<int64_t>(draft_.changed.size() * model_.targets.size() * 3);
        const int rounds = arcs > kManyArcs ? kChainsOfMany : kChains;
        for (int i = 0; i < rounds && draft_.spread() > bound; ++i) {
            if (!chains()) break;
        }
    }

    /// The linear program knows the least spread of mixtures, and whole solutions near it; it does
    /// not know soft axes or disks.
    int64_t solve(int64_t bound) {
        if (draft_.changed.size() > kMaxSolvedParts || draft_.disks.limited() ||
            model_.hard != static_cast<int>(model_.axis_count()))
            return bound;
        Master master(draft_, draft_.changed);
        master.keep_adds(&adds_);
        if (!master.solve_spread()) return bound;
        Bounds bounds(draft_, draft_.changed);
        bounds.keep_adds(&adds_);
        bound = std::max(bound, bounds.spread(master.prices()));
        const std::vector<Placed> before = all_placed();
        const int64_t spread = draft_.spread();
        if (spread <= bound) return bound;
        bool rounded = false;
        for (int64_t wish = bound; wish < std::min(spread, bound + kWiderWindows); ++wish) {
            rounded = round_spread(draft_, draft_.changed, master, wish);
            if (rounded) break;
        }
        if (!rounded) take_heaviest(draft_, draft_.changed, master);
        climb(bound);
        if (draft_.spread() > spread) restore(before);
        return bound;
    }

    /// For each pair of brokers a partition that may move its copy from one to the other.
    void find_arcs() {
        const size_t n = model_.ids.size();
        arcs_.assign(n * n, -1);
        std::vector<uint8_t> tries(n * n, 0);  // pairs that no separation allows are soon given up
        std::vector<size_t> open(n, model_.targets.size());  // pairs from there still looked at
        for (size_t i = 0; i < draft_.changed.size(); ++i) {
            const Part& p = part(i);
            const Rule& rule = draft_.rule(p);
            const std::vector<Index> set = draft_.placed(p).set;
            for (const Index out : set) {
                if (open[static_cast<size_t>(out)] == 0) continue;
                for (const Index in : model_.targets) {
                    const size_t pair = static_cast<size_t>(out) * n + static_cast<size_t>(in);
                    if (arcs_[pair] >= 0 || tries[pair] >= kTries) continue;
                    ++tries[pair];
                    if (draft_.may_swap(p, rule, out, in, adds_[i]))
                        arcs_[pair] = static_cast<int32_t>(i);
                    if (arcs_[pair] >= 0 || tries[pair] >= kTries) --open[static_cast<size_t>(out)];
                }
            }
        }
    }

    /// Moves one copy along a chain of swaps from a high broker to one at least two lower.
    bool chains() {
        find_arcs();
        bool any = false;
        std::vector<Index> sources = model_.targets;
        std::stable_sort(sources.begin(), sources.end(), [this](Index a, Index b) {
            return draft_.load[static_cast<size_t>(a)] > draft_.load[static_cast<size_t>(b)];
        });
        for (const Index source : sources)
            any = chain_from(source) || any;
        return any;
    }

    bool chain_from(Index source) {
        const size_t n = model_.ids.size();
        std::vector<Index> by(n, -1);
        std::vector<Index> queue{source};
        by[static_cast<size_t>(source)] = source;
        for (size_t head = 0; head < queue.size(); ++head) {
            const Index b = queue[head];
            if (draft_.load[static_cast<size_t>(b)] + 2 <=
                    draft_.load[static_cast<size_t>(source)] &&
                walk(source, b, by))
                return true;
            for (const Index c : model_.targets) {
                const auto at = static_cast<size_t>(c);
                if (by[at] >= 0 || arcs_[static_cast<size_t>(b) * n + at] < 0) continue;
                by[at] = b;
                queue.push_back(c);
            }
        }
        return false;
    }

    /// Carries the chain out from its end; earlier swaps may have made a later one illegal.
    bool walk(Index source, Index end, const std::vector<Index>& by) {
        struct Step {
            size_t i;
            Index out, in;
        };
        std::vector<Step> done;
        for (Index in = end; in != source; in = by[static_cast<size_t>(in)]) {
            const Index out = by[static_cast<size_t>(in)];
            const auto i = static_cast<size_t>(
                arcs_[static_cast<size_t>(out) * model_.ids.size() + static_cast<size_t>(in)]);
            const auto set = std::as_const(model_).then(part(i));
            if (std::find(set.begin(), set.end(), out) == set.end() ||
                !draft_.may_swap(part(i), draft_.rule(part(i)), out, in, adds_[i])) {
                for (size_t k = done.size(); k-- > 0;)
                    draft_.swap(part(done[k].i), done[k].in, done[k].out);
                return false;
            }
            draft_.swap(part(i), out, in);
            done.push_back({i, out, in});
        }
        return true;
    }

    /// Replaces a few sets by others of equal cost, climbs again, keeps what is not worse.
    void kick(int64_t bound) {
        Rng rng(0x6d696c6c72616365ULL);  // fixed: equal input, equal plan
        std::vector<std::vector<Pick>> options(draft_.changed.size());
        std::vector<Placed> best = all_placed();
        auto cost = std::pair(draft_.spread(), draft_.unevenness());
        for (int k = 0; k < kKicks && cost.first > bound; ++k) {
            const auto count = std::min<uint64_t>(draft_.changed.size(), 1 + rng.below(4));
            for (uint64_t j = 0; j < count; ++j)
                disturb(rng, options);
            climb(bound);
            const auto now = std::pair(draft_.spread(), draft_.unevenness());
            if (now <= cost) {
                cost = now;
                best = all_placed();
            } else {
                restore(best);
            }
        }
        restore(best);
    }

    void disturb(Rng& rng, std::vector<std::vector<Pick>>& options) {
        constexpr size_t kOptions = 64;
        const auto i = static_cast<size_t>(rng.below(draft_.changed.size()));
        const Part& p = part(i);
        const Placed before = draft_.placed(p);
        draft_.lift(p);
        std::vector<Pick>& all = options[i];
        if (all.empty() || draft_.disks.limited()) {
            all.clear();
            draft_.picker.gather(p, draft_.rule(p), adds_[i], kOptions, all);
            const int32_t soft = draft_.separation.soft_loss(draft_.rule(p), before.set);
            std::erase_if(all, [soft](const Pick& pick) { return pick.soft_loss > soft; });
        }
        if (all.empty())
            draft_.put(p, before);
        else
            draft_.put(p, all[static_cast<size_t>(rng.below(all.size()))].set);
        draft_.price_by_load();
    }

    std::vector<Placed> all_placed() const {
        std::vector<Placed> all;
        for (size_t i = 0; i < draft_.changed.size(); ++i)
            all.push_back(draft_.placed(part(i)));
        return all;
    }

    void restore(const std::vector<Placed>& all) {
        for (size_t i = 0; i < all.size(); ++i)
            draft_.lift(part(i));
        for (size_t i = 0; i < all.size(); ++i)
            draft_.put(part(i), all[i]);
        draft_.price_by_load();
    }

    Draft& draft_;
    Model& model_;
    std::vector<int> adds_;  // parallel to draft.changed; they do not change here
    std::vector<int32_t> arcs_;
};

}  // namespace

void even_out(Draft& draft) {
    if (!draft.changed.empty()) Evener(draft).run();
}

}  // namespace millrace::placement
