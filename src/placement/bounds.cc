// src/placement/bounds.cc: Lagrangian bounds, and whole solutions near a mixture.
#include "placement/bounds.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace millrace::placement {
namespace {

constexpr double kWhole = 1e-4;  // a weight so near to 1 is 1
constexpr int64_t kMaxSteps = 300'000;
constexpr size_t kMaxMixed = 400;

}  // namespace

std::vector<int64_t> Bounds::fixed() const {
    std::vector<int64_t> fixed(draft_.load);
    for (const size_t at : parts_) {
        for (const Index b : std::as_const(draft_.model).then(draft_.model.parts[at]))
            --fixed[static_cast<size_t>(b)];
    }
    return fixed;
}

/// Of all brokers, at most 0: what one more copy could save at most.
double Bounds::least_price() const {
    double least = 0;
    for (const Index b : draft_.model.targets)
        least = std::min(least, draft_.picker.prices()[static_cast<size_t>(b)]);
    return least;
}

double Bounds::best_price(size_t i, double size, double least) const {
    const Part& part = draft_.model.parts[parts_[i]];
    double best = std::numeric_limits<double>::infinity();
    const int first = adds_ != nullptr ? (*adds_)[i] : 0;
    const int last = adds_ != nullptr ? first : part.want;
    for (int adds = first; adds <= last; ++adds) {
        const double bytes = size * adds;
        if (bytes + least * part.want >= best) break;
        Pick pick;
        draft_.picker.improve(part, draft_.rule(part), adds, pick);
        if (pick.found()) best = std::min(best, bytes + pick.price);
    }
    return best;
}

Bounds::Priced Bounds::price(const std::vector<double>& prices, int64_t fractions) const {
    // Below this every sum in the picker is a whole number that a double holds exactly.
    constexpr double kExact = static_cast<double>(int64_t{1} << 46);
    const Model& model = draft_.model;
    Priced priced{{}, fractions, 0, true};
    std::vector<double>& scaled = draft_.picker.prices();
    for (size_t b = 0; b < prices.size(); ++b) {
        scaled[b] = model.usable(static_cast<Index>(b))
                        ? std::round(prices[b] * static_cast<double>(fractions))
                        : 0;
        priced.exact = priced.exact && std::abs(scaled[b]) <= kExact;
    }
    priced.prices = scaled;
    draft_.picker.sort();
    draft_.picker.respect(nullptr);
    draft_.picker.ignore_soft(true);
    const double least = least_price();
    for (size_t i = 0; i < parts_.size() && priced.exact; ++i) {
        const Part& part = model.parts[parts_[i]];
        const double size = static_cast<double>(part.weight) * static_cast<double>(fractions);
        priced.exact = size <= kExact;
        if (priced.exact) priced.paid += static_cast<Wide>(best_price(i, size, least));
    }
    draft_.picker.ignore_soft(false);
    const std::vector<int64_t> others = fixed();
    for (const Index b : model.targets) {
        const auto i = static_cast<size_t>(b);
        if (priced.exact) priced.paid += static_cast<Wide>(scaled[i]) * others[i];
    }
    return priced;
}

int64_t Bounds::weight(const Window& window, const Priced& priced) const {
    if (!priced.exact) return 0;
    Wide bound = priced.paid;
    for (const Index b : draft_.model.targets) {
        const auto price = static_cast<Wide>(priced.prices[static_cast<size_t>(b)]);
        bound -= std::max(price * window.low, price * window.high);
    }
    if (bound <= 0) return 0;
    return static_cast<int64_t>((bound + priced.fractions - 1) / priced.fractions);
}

Bounds::Priced Bounds::best_priced(const Window& window, const std::vector<double>& prices) const {
    Priced best;
    for (const int64_t fractions : {1, 2, 3, 4, 6, 60}) {
        Priced priced = price(prices, fractions);
        if (!best.exact || weight(window, priced) > weight(window, best)) best = std::move(priced);
    }
    return best;
}

int64_t Bounds::copies(const std::vector<Index>& brokers, bool least) const {
    std::vector<double>& prices = draft_.picker.prices();
    std::fill(prices.begin(), prices.end(), 0.0);
    for (const Index b : brokers)
        prices[static_cast<size_t>(b)] = least ? 1 : -1;
    draft_.picker.sort();
    draft_.picker.respect(nullptr);
    draft_.picker.ignore_soft(true);
    const double lowest = least_price();
    int64_t sum = 0;
    // All sets are open to all partitions but those with copies on cordoned or absent brokers.
    std::map<const Rule*, int64_t> known;
    for (size_t i = 0; i < parts_.size(); ++i) {
        const Part& part = draft_.model.parts[parts_[i]];
        const auto now = draft_.model.now(part);
        const bool own = std::any_of(now.begin(), now.end(), [this](Index b) {
            const Role role = draft_.model.role_of(b);
            return role == Role::Stay || role == Role::Pinned;
        });
        const auto found = own ? known.end() : known.find(&draft_.rule(part));
        if (found != known.end()) {
            sum += found->second;
            continue;
        }
        const auto count = static_cast<int64_t>(std::llround(std::abs(best_price(i, 0, lowest))));
        if (!own) known.emplace(&draft_.rule(part), count);
        sum += count;
    }
    draft_.picker.ignore_soft(false);
    const std::vector<int64_t> others = fixed();
    for (const Index b : brokers)
        sum += others[static_cast<size_t>(b)];
    return sum;
}

int64_t Bounds::spread(std::vector<double> prices) const {
    const Model& model = draft_.model;
    double above = 0;
    double below = 0;
    for (const Index b : model.targets) {
        const double price = prices[static_cast<size_t>(b)];
        (price > 0 ? above : below) += std::abs(price);
    }
    if (above < 1e-9 || below < 1e-9) return 0;
    // The weights of the highest and of the lowest broker add up to one each.
    std::vector<double>& scaled = draft_.picker.prices();
    std::fill(scaled.begin(), scaled.end(), 0.0);
    for (const Index b : model.targets) {
        const auto i = static_cast<size_t>(b);
        scaled[i] = prices[i] / (prices[i] > 0 ? above : below);
    }
    draft_.picker.sort();
    draft_.picker.respect(nullptr);
    draft_.picker.ignore_soft(true);
    double bound = 0;
    const double least = least_price();
    const std::vector<double> weights = scaled;
    for (size_t i = 0; i < parts_.size(); ++i)
        bound += best_price(i, 0, least);
    draft_.picker.ignore_soft(false);
    const std::vector<int64_t> others = fixed();
    for (const Index b : model.targets) {
        const auto i = static_cast<size_t>(b);
        bound += weights[i] * static_cast<double>(others[i]);
    }
    constexpr double kRounding = 1e-5;
    return std::max<int64_t>(0, static_cast<int64_t>(std::ceil(bound - kRounding)));
}

namespace {

/// Depth first over the partitions that mix.
class Rounder {
  public:
    Rounder(Draft& draft, const std::vector<size_t>& parts, const Master& master,
            const Window& window)
        : draft_(draft), model_(draft.model), parts_(parts), window_(window) {
        load_ = draft.load;
        for (size_t i = 0; i < parts.size(); ++i) {
            for (const Index b : std::as_const(model_).then(model_.parts[parts[i]]))
                --load_[static_cast<size_t>(b)];
            std::vector<Master::Share> shares = master.shares(i);
            if (shares.front().weight < 1 - kWhole) {
                mixed_.push_back(i);
                options_.push_back(std::move(shares));
                continue;
            }
            for (const Index b : shares.front().set)
                ++load_[static_cast<size_t>(b)];
            whole_.emplace_back(i, std::move(shares.front().set));
        }
    }

    bool run() {
        if (mixed_.size() > kMaxMixed) return false;
        prepare();
        picked_.resize(mixed_.size());
        search(0, 0);
        if (best_.empty() && !(mixed_.empty() && found_)) return false;
        for (const size_t at : parts_)
            draft_.lift(model_.parts[at]);
        for (const auto& [i, set] : whole_)
            draft_.put(model_.parts[parts_[i]], set);
        for (size_t k = 0; k < mixed_.size(); ++k)
            draft_.put(model_.parts[parts_[mixed_[k]]], options_[k][best_[k]].set);
        return true;
    }

  private:
    int64_t bytes_of(size_t k, size_t option) const {
        const Part& part = model_.parts[parts_[mixed_[k]]];
        int64_t bytes = 0;
        for (const Index b : options_[k][option].set)
            bytes += draft_.is_new(part, b) ? part.weight : 0;
        return bytes;
    }

    void prepare() {
        reach_.assign(mixed_.size() + 1, std::vector<int64_t>(load_.size(), 0));
        rest_.assign(mixed_.size() + 1, 0);
        for (size_t k = mixed_.size(); k-- > 0;) {
            reach_[k] = reach_[k + 1];
            std::vector<uint8_t> seen(load_.size(), 0);
            int64_t least = std::numeric_limits<int64_t>::max();
            for (size_t o = 0; o < options_[k].size(); ++o) {
                least = std::min(least, bytes_of(k, o));
                for (const Index b : options_[k][o].set) {
                    const auto at = static_cast<size_t>(b);
                    if (seen[at] == 0) ++reach_[k][at];
                    seen[at] = 1;
                }
            }
            rest_[k] = rest_[k + 1] + least;
        }
    }

    void search(size_t k, int64_t bytes) {
        if (++steps_ > kMaxSteps) return;
        if (found_ && bytes + rest_[k] >= best_bytes_) return;
        for (const Index b : model_.targets) {
            const auto at = static_cast<size_t>(b);
            if (load_[at] > window_.high || load_[at] + reach_[k][at] < window_.low) return;
        }
        if (k == mixed_.size()) {
            found_ = true;
            best_bytes_ = bytes;
            best_ = picked_;
            return;
        }
        for (size_t o = 0; o < options_[k].size(); ++o) {
            for (const Index b : options_[k][o].set)
                ++load_[static_cast<size_t>(b)];
            picked_[k] = o;
            search(k + 1, bytes + bytes_of(k, o));
            for (const Index b : options_[k][o].set)
                --load_[static_cast<size_t>(b)];
        }
    }

    Draft& draft_;
    Model& model_;
    const std::vector<size_t>& parts_;
    Window window_;
    std::vector<int64_t> load_;
    std::vector<std::pair<size_t, std::vector<Index>>> whole_;
    std::vector<size_t> mixed_;  // into parts
    std::vector<std::vector<Master::Share>> options_;
    std::vector<std::vector<int64_t>> reach_;
    std::vector<int64_t> rest_;
    std::vector<size_t> picked_, best_;
    int64_t best_bytes_ = 0;
    bool found_ = false;
    int64_t steps_ = 0;
};

}  // namespace

bool round_mixture(Draft& draft, const std::vector<size_t>& parts, const Master& master,
                   const Window& window) {
    return Rounder(draft, parts, master, window).run();
}

bool round_spread(Draft& draft, const std::vector<size_t>& parts, const Master& master,
                  int64_t spread) {
    const auto low = static_cast<int64_t>(std::llround(master.lowest()));
    for (const int64_t at : {low, low - 1, low + 1}) {
        if (at >= 0 && round_mixture(draft, parts, master, {at, at + spread})) return true;
    }
    return false;
}

void take_heaviest(Draft& draft, const std::vector<size_t>& parts, const Master& master) {
    for (const size_t at : parts)
        draft.lift(draft.model.parts[at]);
    for (size_t i = 0; i < parts.size(); ++i)
        draft.put(draft.model.parts[parts[i]], master.shares(i).front().set);
}

}  // namespace millrace::placement
