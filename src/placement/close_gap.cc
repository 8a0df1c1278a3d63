// src/placement/close_gap.cc: all plans that could still be better than the one at hand.
#include <algorithm>
#include <limits>

#include "placement/bounds.h"

namespace millrace::placement {
namespace {

constexpr int64_t kMaxSteps = 2'000'000;
constexpr size_t kMaxOptions = 400;  // per partition
constexpr size_t kMaxOpen = 2'000;   // partitions with a choice

class Closer {
  public:
    Closer(Draft& draft, const std::vector<size_t>& parts, const Window& window,
           const Bounds& bounds, const Bounds::Priced& priced)
        : draft_(draft), model_(draft.model), parts_(parts), window_(window), priced_(priced) {
        bytes_ = draft.cost()[0];
        gap_ = (bytes_ - bounds.weight(window, priced)) * priced.fractions;
        load_ = draft.load;
    }

    bool run() {
        if (!priced_.exact || !inside() || gap_ > kWidest) return false;
        if (gap_ <= 0) return true;
        if (!gather()) return false;
        prepare();
        picked_.assign(open_.size(), 0);
        search(0, 0, 0);
        if (!best_.empty()) apply();
        return steps_ <= kMaxSteps;
    }

  private:
    static constexpr int64_t kWidest = int64_t{1} << 45;

    struct Option {
        std::vector<Index> set;
        int64_t over = 0;  // price above the partition's best
        int64_t bytes = 0;
    };

    bool inside() const {
        return std::all_of(model_.targets.begin(), model_.targets.end(), [this](Index b) {
            const int64_t load = draft_.load[static_cast<size_t>(b)];
            return load >= window_.low && load <= window_.high;
        });
    }

    bool gather() {
        Picker& picker = draft_.picker;
        picker.prices() = priced_.prices;
        picker.sort();
        picker.respect(nullptr);
        picker.ignore_soft(true);
        bool all = true;
        for (size_t i = 0; i < parts_.size() && all; ++i)
            all = gather(i);
        picker.ignore_soft(false);
        picker.cap_price(std::numeric_limits<double>::infinity());
        return all && open_.size() <= kMaxOpen;
    }

    bool gather(size_t i) {
        const Part& part = model_.parts[parts_[i]];
        const auto size = static_cast<double>(part.weight) * static_cast<double>(priced_.fractions);
        double best = std::numeric_limits<double>::infinity();
        for (int adds = 0; adds <= part.want; ++adds) {
            Pick pick;
            draft_.picker.improve(part, draft_.rule(part), adds, pick);
            if (pick.found()) best = std::min(best, size * adds + pick.price);
        }
        std::vector<Option> options;
        for (int adds = 0; adds <= part.want; ++adds) {
            const double cap = best + static_cast<double>(gap_) - size * adds;
            std::vector<Pick> picks;
            draft_.picker.cap_price(cap);
            if (!draft_.picker.gather(part, draft_.rule(part), adds, kMaxOptions, picks))
                return false;
            for (Pick& pick : picks)
                options.push_back({std::move(pick.set),
                                   static_cast<int64_t>(size * adds + pick.price - best),
                                   part.weight * adds});
        }
        for (const Index b : std::as_const(model_).then(part))
            --load_[static_cast<size_t>(b)];
        std::stable_sort(options.begin(), options.end(),
                         [](const Option& a, const Option& b) { return a.over < b.over; });
        if (options.size() == 1) {
            settled_ += options[0].bytes;
            for (const Index b : options[0].set)
                ++load_[static_cast<size_t>(b)];
            single_.emplace_back(i, std::move(options[0].set));
            return true;
        }
        open_.push_back(i);
        options_.push_back(std::move(options));
        return true;
    }

    void prepare() {
        reach_.assign(open_.size() + 1, std::vector<int64_t>(load_.size(), 0));
        sure_ = reach_;
        for (size_t k = open_.size(); k-- > 0;) {
            reach_[k] = reach_[k + 1];
            sure_[k] = sure_[k + 1];
            std::vector<size_t> seen(load_.size(), 0);
            for (const Option& option : options_[k]) {
                for (const Index b : option.set)
                    ++seen[static_cast<size_t>(b)];
            }
            for (size_t b = 0; b < seen.size(); ++b) {
                if (seen[b] > 0) ++reach_[k][b];
                if (seen[b] == options_[k].size()) ++sure_[k][b];
            }
        }
    }

    void search(size_t k, int64_t over, int64_t bytes) {
        if (++steps_ > kMaxSteps) return;
        for (const Index b : model_.targets) {
            const auto at = static_cast<size_t>(b);
            if (load_[at] + sure_[k][at] > window_.high) return;
            if (load_[at] + reach_[k][at] < window_.low) return;
        }
        if (k == open_.size()) {
            if (settled_ + bytes >= bytes_) return;
            gap_ -= (bytes_ - settled_ - bytes) * priced_.fractions;
            bytes_ = settled_ + bytes;
            best_ = picked_;
            return;
        }
        for (size_t o = 0; o < options_[k].size(); ++o) {
            const Option& option = options_[k][o];
            if (over + option.over >= gap_) return;  // the others are dearer still
            for (const Index b : option.set)
                ++load_[static_cast<size_t>(b)];
            picked_[k] = o;
            search(k + 1, over + option.over, bytes + option.bytes);
            for (const Index b : option.set)
                --load_[static_cast<size_t>(b)];
            if (steps_ > kMaxSteps) return;
        }
    }

    void apply() {
        for (const size_t at : parts_)
            draft_.lift(model_.parts[at]);
        for (const auto& [i, set] : single_)
            draft_.put(model_.parts[parts_[i]], set);
        for (size_t k = 0; k < open_.size(); ++k)
            draft_.put(model_.parts[parts_[open_[k]]], options_[k][best_[k]].set);
    }

    Draft& draft_;
    Model& model_;
    const std::vector<size_t>& parts_;
    Window window_;
    const Bounds::Priced& priced_;
    int64_t bytes_ = 0;    // of the best plan known
    int64_t gap_ = 0;      // in fractions of a byte; what a better plan's sets may cost in all
    int64_t settled_ = 0;  // bytes of partitions without a choice
    std::vector<int64_t> load_;
    std::vector<std::pair<size_t, std::vector<Index>>> single_;
    std::vector<size_t> open_;
    std::vector<std::vector<Option>> options_;  // parallel to open_
    std::vector<std::vector<int64_t>> reach_, sure_;
    std::vector<size_t> picked_, best_;
    int64_t steps_ = 0;
};

}  // namespace

bool close_gap(Draft& draft, const std::vector<size_t>& parts, const Window& window,
               const Bounds& bounds, const Bounds::Priced& priced) {
    return Closer(draft, parts, window, bounds, priced).run();
}

}  // namespace millrace::placement
