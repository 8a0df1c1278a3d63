// src/placement/exhaustive.cc: depth first over the changed partitions, the best so far as bound.
#include "placement/exhaustive.h"

#include <algorithm>
#include <numeric>

namespace millrace::placement {
namespace {

constexpr size_t kMaxOptions = 2'000;  // per partition
constexpr size_t kMaxParts = 400;
constexpr int64_t kMaxSteps = 400'000;

struct Cost {
    int64_t bytes = 0;
    int64_t adds = 0;
    int64_t soft = 0;
    friend auto operator<=>(const Cost&, const Cost&) = default;
    friend Cost operator+(const Cost& a, const Cost& b) {
        return {a.bytes + b.bytes, a.adds + b.adds, a.soft + b.soft};
    }
};

/// Sets, brokers and directories under the disk limits.
class BytesSearch {
  public:
    BytesSearch(Draft& draft, int64_t known) : draft_(draft), model_(draft.model) {
        if (known >= 0) best_ = Cost{known, std::numeric_limits<int64_t>::max() / 2};
        has_best_ = known >= 0;
        order_.resize(draft.changed.size());
        std::iota(order_.begin(), order_.end(), size_t{0});
        std::stable_sort(order_.begin(), order_.end(),
                         [&](size_t a, size_t b) { return part(a).size > part(b).size; });
    }

    Exhausted run() {
        Exhausted result;
        if (order_.size() > kMaxParts || !gather()) return result;
        picked_.resize(order_.size());
        search(0, {});
        result.found = !placed_.empty();
        result.complete = steps_ <= kMaxSteps;
        result.bytes = best_.bytes;
        result.placed = std::move(placed_);
        return result;
    }

  private:
    const Part& part(size_t changed) const { return model_.parts[draft_.changed[changed]]; }

    /// All sets by number of new copies; the least of all that follow, for the bound.
    bool gather() {
        options_.resize(order_.size());
        rest_.assign(order_.size() + 1, {});
        for (size_t i = 0; i < order_.size(); ++i) {
            const Part& p = part(order_[i]);
            for (int adds = 0; adds <= p.want; ++adds) {
                std::vector<Pick> picks;
                if (!draft_.picker.gather(p, draft_.rule(p), adds, kMaxOptions, picks))
                    return false;
                for (Pick& pick : picks)
                    options_[i].push_back({std::move(pick.set), adds});
            }
        }
        for (size_t i = order_.size(); i-- > 0;) {
            if (options_[i].empty()) return true;  // no plan at all; the search will say so
            const int adds = options_[i].front().adds;
            rest_[i] = rest_[i + 1] + Cost{part(order_[i]).size * adds, adds};
        }
        return true;
    }

    void search(size_t depth, Cost cost) {
        if (++steps_ > kMaxSteps) return;
        if (depth == order_.size()) {
            best_ = cost;
            has_best_ = true;
            placed_ = picked_;
            return;
        }
        const Part& p = part(order_[depth]);
        for (const Option& option : options_[depth]) {
            const Cost now = cost + Cost{p.size * option.adds, option.adds};
            if (has_best_ && now + rest_[depth + 1] >= best_) return;  // later ones cost no less
            Placed& placed = picked_[order_[depth]];
            placed.set = option.set;
            placed.dirs.assign(option.set.size(), int16_t{-1});
            direct(depth, 0, option.adds, now);
        }
    }

    /// Chooses a directory for each new copy from `at` on (they stand behind the kept ones).
    void direct(size_t depth, int done, int adds, Cost cost) {
        if (done == adds) {
            search(depth + 1, cost);
            return;
        }
        const Part& p = part(order_[depth]);
        Placed& placed = picked_[order_[depth]];
        const size_t slot = placed.set.size() - static_cast<size_t>(adds - done);
        const Index b = placed.set[slot];
        const auto choices = model_.dirs[static_cast<size_t>(b)].size();
        if (!draft_.disks.limited(b)) {
            const int16_t dir = draft_.disks.take(b, p.size);
            placed.dirs[slot] = dir;
            direct(depth, done + 1, adds, cost);
            picked_[order_[depth]].dirs[slot] = -1;
            draft_.disks.give(b, dir, p.size);
            return;
        }
        for (size_t d = 0; d < choices; ++d) {
            if (draft_.disks.room(b, d) < p.size) continue;
            picked_[order_[depth]].dirs[slot] = static_cast<int16_t>(d);
            draft_.disks.give(b, static_cast<int16_t>(d), -p.size);
            direct(depth, done + 1, adds, cost);
            draft_.disks.give(b, static_cast<int16_t>(d), p.size);
            if (steps_ > kMaxSteps) return;
        }
    }

    struct Option {
        std::vector<Index> set;
        int adds;
    };
    Draft& draft_;
    const Model& model_;
    std::vector<size_t> order_;  // into draft.changed, the largest first
    std::vector<std::vector<Option>> options_;
    std::vector<Cost> rest_;
    std::vector<Placed> picked_;  // parallel to draft.changed
    std::vector<Placed> placed_;
    Cost best_;
    bool has_best_ = false;
    int64_t steps_ = 0;
};

/// The spread of the loads, over sets with as many new copies and as little soft loss as now; or,
/// with `costs`, over all sets, and among those of equal spread the fewest bytes and copies.
class SpreadSearch {
  public:
    SpreadSearch(Draft& draft, int64_t lower_bound, bool costs)
        : draft_(draft), model_(draft.model), lower_bound_(lower_bound), costs_(costs) {
        best_.spread = draft.spread();
        if (!costs) return;
        for (const size_t at : draft.changed) {
            const Part& p = model_.parts[at];
            const int64_t adds = draft.adds(p);
            const int64_t soft =
                draft.separation.soft_loss(draft.rule(p), std::as_const(model_).then(p));
            best_.cost = best_.cost + Cost{adds * p.size, adds, soft};
        }
    }

    bool run() {
        if (enough()) return true;
        if (draft_.changed.size() > kMaxParts || draft_.disks.limited()) return false;
        if (!gather()) return false;
        for (const size_t at : draft_.changed) {
            before_.push_back(draft_.placed(model_.parts[at]));
            draft_.lift(model_.parts[at]);
        }
        picked_.resize(options_.size());
        search(0, {});
        for (size_t i = 0; i < options_.size(); ++i) {
            const Part& p = model_.parts[draft_.changed[i]];
            if (chosen_.empty())
                draft_.put(p, before_[i]);
            else
                draft_.put(p, options_[i][chosen_[i]].set);
        }
        return steps_ <= kMaxSteps || enough();
    }

  private:
    struct Goal {
        int64_t spread = 0;
        Cost cost;
        friend auto operator<=>(const Goal&, const Goal&) = default;
    };
    struct Option {
        std::vector<Index> set;
        Cost cost;
    };

    bool enough() const { return !costs_ && best_.spread <= lower_bound_; }

    bool gather() {
        for (const size_t at : draft_.changed) {
            const Part& p = model_.parts[at];
            std::vector<Option>& options = options_.emplace_back();
            const int present = draft_.adds(p);
            for (int adds = costs_ ? 0 : present; adds <= (costs_ ? p.want : present); ++adds) {
                std::vector<Pick> picks;
                if (!draft_.picker.gather(p, draft_.rule(p), adds, kMaxOptions, picks))
                    return false;
                keep_soft(p, picks);
                for (Pick& pick : picks) {
                    const Cost cost = costs_ ? Cost{adds * p.size, adds, pick.soft_loss} : Cost{};
                    options.push_back({std::move(pick.set), cost});
                }
            }
            std::stable_sort(options.begin(), options.end(),
                             [](const Option& a, const Option& b) { return a.cost < b.cost; });
        }
        // What may still come to a broker from partition i on: nobody ends higher than that.
        reach_.assign(options_.size() + 1, std::vector<int64_t>(model_.ids.size(), 0));
        rest_.assign(options_.size() + 1, {});
        for (size_t i = options_.size(); i-- > 0;) {
            reach_[i] = reach_[i + 1];
            if (!options_[i].empty()) rest_[i] = rest_[i + 1] + options_[i].front().cost;
            std::vector<uint8_t> seen(model_.ids.size(), 0);
            for (const Option& option : options_[i]) {
                for (const Index b : option.set) {
                    if (seen[static_cast<size_t>(b)] == 0) ++reach_[i][static_cast<size_t>(b)];
                    seen[static_cast<size_t>(b)] = 1;
                }
            }
        }
        return true;
    }

    void keep_soft(const Part& p, std::vector<Pick>& picks) {
        if (costs_) return;
        const int32_t soft =
            draft_.separation.soft_loss(draft_.rule(p), std::as_const(model_).then(p));
        std::erase_if(picks, [soft](const Pick& pick) { return pick.soft_loss > soft; });
    }

    /// No completion from `depth` on has a smaller spread than this.
    int64_t least_from(size_t depth) const {
        int64_t high = 0;
        int64_t low = std::numeric_limits<int64_t>::max();
        for (const Index b : model_.targets) {
            const auto at = static_cast<size_t>(b);
            high = std::max(high, draft_.load[at]);
            low = std::min(low, draft_.load[at] + reach_[depth][at]);
        }
        return model_.targets.empty() ? 0 : std::max<int64_t>(0, high - low);
    }

    void search(size_t depth, Cost cost) {
        if (enough() || ++steps_ > kMaxSteps) return;
        if (Goal{least_from(depth), cost + rest_[depth]} >= best_) return;
        if (depth == options_.size()) {
            best_ = {draft_.spread(), cost};
            chosen_ = picked_;
            return;
        }
        for (size_t i = 0; i < options_[depth].size(); ++i) {
            const Option& option = options_[depth][i];
            for (const Index b : option.set)
                ++draft_.load[static_cast<size_t>(b)];
            picked_[depth] = i;
            search(depth + 1, cost + option.cost);
            for (const Index b : option.set)
                --draft_.load[static_cast<size_t>(b)];
            if (enough() || steps_ > kMaxSteps) return;
        }
    }

    Draft& draft_;
    const Model& model_;
    int64_t lower_bound_;
    bool costs_;
    Goal best_;
    std::vector<std::vector<Option>> options_;  // parallel to draft.changed
    std::vector<std::vector<int64_t>> reach_;
    std::vector<Cost> rest_;
    std::vector<Placed> before_;
    std::vector<size_t> picked_;
    std::vector<size_t> chosen_;
    int64_t steps_ = 0;
};

}  // namespace

Exhausted least_bytes(Draft& draft, int64_t known) { return BytesSearch(draft, known).run(); }

bool least_spread(Draft& draft, int64_t lower_bound) {
    return SpreadSearch(draft, lower_bound, false).run();
}

bool least_spread_then_bytes(Draft& draft) { return SpreadSearch(draft, 0, true).run(); }

}  // namespace millrace::placement
