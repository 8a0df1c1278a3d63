// src/placement/small.cc: depth first over the sets of all partitions, then over their leaders.
#include "placement/small.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "placement/leaders.h"

namespace millrace::placement {
namespace {

constexpr size_t kMaxParts = 14;     // with a choice
constexpr size_t kMaxOptions = 400;  // per partition
constexpr int64_t kMaxSteps = 400'000;
constexpr int64_t kMaxPackings = 20'000;  // of one broker's incoming copies

struct Option {
    std::vector<Index> set;         // kept copies, then new ones
    std::array<int64_t, 3> cost{};  // bytes, new copies, soft loss
    bool changed = false;
};

/// Spreads of leaders: of the worst topic, of all, and of their traffic.
using Even = std::array<int64_t, 3>;

struct Goal {
    std::array<int64_t, 5> sets{};  // spread where it goes first, cost, spread where it goes last
    Even leaders{};
    friend auto operator<=>(const Goal&, const Goal&) = default;
};

class SmallCase {
  public:
    explicit SmallCase(Draft& draft)
        : draft_(draft), model_(draft.model), brokers_(draft.model.ids.size()) {}

    void run() {
        if (!gather()) return;
        count_others();
        bound_leaders();
        best_ = present();
        const Goal before = best_;
        lift();
        incoming_.assign(brokers_, {});
        picked_.assign(parts_.size(), nullptr);
        search(0, {});
        if (best_ < before)
            put_best();
        else
            put_back();
        if (steps_ > kMaxSteps) return;
        draft_.optimal = true;
        draft_.bound_bytes = draft_.bytes();
    }

  private:
    const Part& part(size_t i) const { return model_.parts[parts_[i]]; }
    bool balance() const { return model_.request->balance; }

    /// Everybody's sets, the cheapest first; false where there are too many.
    bool gather() {
        const bool all = balance() || model_.request->leaders == Leaders::All;
        for (size_t at = 0; at < model_.parts.size(); ++at) {
            if (!model_.free(model_.parts[at]) || !(all || is_changed(at))) continue;
            if (parts_.size() == kMaxParts) return false;
            parts_.push_back(at);
        }
        draft_.picker.respect(nullptr);
        for (const size_t at : parts_) {
            if (!gather(model_.parts[at], balance() || is_changed(at))) return false;
        }
        return !parts_.empty();
    }

    bool is_changed(size_t at) const {
        return std::binary_search(draft_.changed.begin(), draft_.changed.end(), at);
    }

    bool gather(const Part& p, bool open) {
        std::vector<Option>& options = options_.emplace_back();
        const Rule& rule = draft_.rule(p);
        // Without disks the cheapest set of each is the cheapest of all.
        const bool least = !balance() && !draft_.disks.limited();
        const int first = least || !open ? draft_.adds(p) : 0;
        const int last = least || !open ? first : p.want;
        for (int adds = first; adds <= last; ++adds) {
            std::vector<Pick> picks;
            if (!draft_.picker.gather(p, rule, adds, kMaxOptions, picks)) return false;
            for (Pick& pick : picks)
                options.push_back({std::move(pick.set),
                                   {p.size * adds, adds, pick.soft_loss},
                                   adds > 0 || p.want != p.copies});
        }
        std::stable_sort(options.begin(), options.end(),
                         [](const Option& a, const Option& b) { return a.cost < b.cost; });
        if (least)
            std::erase_if(options, [&](const Option& o) { return o.cost > options.front().cost; });
        return !options.empty();
    }

    /// Loads and leaders that stay whatever is planned.
    void count_others() {
        load_ = draft_.load;
        leaders_.assign(brokers_, 0);
        traffic_.assign(brokers_, 0);
        for (size_t i = 0; i < parts_.size(); ++i) {
            for (const Index b : std::as_const(model_).then(part(i)))
                --load_[static_cast<size_t>(b)];
            if (i == 0 || part(i).topic != part(i - 1).topic)
                topics_.push_back(std::vector<int64_t>(brokers_, 0));
            topic_of_.push_back(topics_.size() - 1);
        }
        std::vector<int64_t> other(brokers_, 0);
        size_t next = 0;
        int32_t topic = 0;
        for (size_t at = 0; at < model_.parts.size(); ++at) {
            const Part& p = model_.parts[at];
            if (p.topic != topic) {
                others_worst_ = std::max(others_worst_, spread(other));
                std::fill(other.begin(), other.end(), int64_t{0});
                topic = p.topic;
            }
            if (next < parts_.size() && parts_[next] == at) {
                ++next;
                continue;
            }
            const auto leader = static_cast<size_t>(std::as_const(model_).then(p).front());
            ++leaders_[leader];
            traffic_[leader] += p.rate;
            const auto mine = std::find_if(parts_.begin(), parts_.end(), [&](size_t own) {
                return model_.parts[own].topic == p.topic;
            });
            if (mine == parts_.end())
                ++other[leader];
            else
                ++topics_[topic_of_[static_cast<size_t>(mine - parts_.begin())]][leader];
        }
        others_worst_ = std::max(others_worst_, spread(other));
        reach_.assign(parts_.size() + 1, std::vector<int64_t>(brokers_, 0));
        rest_.assign(parts_.size() + 1, {});
        for (size_t i = parts_.size(); i-- > 0;) {
            reach_[i] = reach_[i + 1];
            for (size_t b = 0; b < brokers_; ++b) {
                const bool can =
                    std::any_of(options_[i].begin(), options_[i].end(), [b](const Option& option) {
                        return std::find(option.set.begin(), option.set.end(),
                                         static_cast<Index>(b)) != option.set.end();
                    });
                reach_[i][b] += can ? 1 : 0;
            }
            rest_[i] = plus(rest_[i + 1], options_[i].front().cost);
        }
    }

    static std::array<int64_t, 3> plus(const std::array<int64_t, 3>& a,
                                       const std::array<int64_t, 3>& b) {
        return {a[0] + b[0], a[1] + b[1], a[2] + b[2]};
    }

    int64_t spread(const std::vector<int64_t>& counts) const {
        if (model_.targets.empty()) return 0;
        int64_t low = counts[static_cast<size_t>(model_.targets.front())];
        int64_t high = low;
        for (const Index b : model_.targets) {
            low = std::min(low, counts[static_cast<size_t>(b)]);
            high = std::max(high, counts[static_cast<size_t>(b)]);
        }
        return high - low;
    }

    /// The spreads that no choice of leaders goes below: all on usable brokers, a remainder shows.
    void bound_leaders() {
        least_ = {others_worst_, 0, 0};
        if (model_.targets.empty() || model_.targets.size() < brokers_) return;
        const auto count = static_cast<int64_t>(model_.targets.size());
        std::vector<int64_t> sums;
        for (const std::vector<int64_t>& counts : topics_)
            sums.push_back(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
        int64_t sum = std::accumulate(leaders_.begin(), leaders_.end(), int64_t{0});
        int64_t rates = std::accumulate(traffic_.begin(), traffic_.end(), int64_t{0});
        for (size_t i = 0; i < parts_.size(); ++i) {
            ++sums[topic_of_[i]];
            ++sum;
            rates += part(i).rate;
        }
        for (const int64_t one : sums)
            least_[0] = std::max<int64_t>(least_[0], one % count != 0 ? 1 : 0);
        least_[1] = sum % count != 0 ? 1 : 0;
        least_[2] = rates % count != 0 ? 1 : 0;
    }

    Goal goal_of(const std::array<int64_t, 3>& cost, int64_t spread) const {
        Goal goal;
        goal.sets = {balance() ? spread : 0, cost[0], cost[1], cost[2], balance() ? 0 : spread};
        return goal;
    }

    Goal present() {
        std::array<int64_t, 3> cost{};
        std::vector<int64_t> leaders = leaders_;
        std::vector<int64_t> traffic = traffic_;
        std::vector<std::vector<int64_t>> topics = topics_;
        for (size_t i = 0; i < parts_.size(); ++i) {
            const Part& p = part(i);
            const auto set = std::as_const(model_).then(p);
            const int64_t adds = draft_.adds(p);
            cost =
                plus(cost, {adds * p.size, adds, draft_.separation.soft_loss(draft_.rule(p), set)});
            const auto leader = static_cast<size_t>(set.front());
            ++leaders[leader];
            traffic[leader] += p.rate;
            ++topics[topic_of_[i]][leader];
        }
        Goal goal = goal_of(cost, draft_.spread());
        goal.leaders = {others_worst_, spread(leaders), spread(traffic)};
        for (const std::vector<int64_t>& counts : topics)
            goal.leaders[0] = std::max(goal.leaders[0], spread(counts));
        return goal;
    }

    void lift() {
        for (size_t i = 0; i < parts_.size(); ++i) {
            before_.push_back(draft_.placed(part(i)));
            draft_.lift(part(i));
        }
    }

    void put_back() {
        for (size_t i = 0; i < parts_.size(); ++i)
            draft_.put(part(i), before_[i]);
    }

    void put_best() {
        draft_.changed.clear();
        for (size_t i = 0; i < parts_.size(); ++i) {
            draft_.put(part(i), best_sets_[i]);
            put_in_place(draft_, part(i));
            put_first(draft_, part(i), best_leaders_[i]);
            if (part(i).want != part(i).copies || draft_.adds(part(i)) > 0)
                draft_.changed.push_back(parts_[i]);
        }
    }

    /// No completion from `depth` on has a smaller spread than this.
    int64_t least_spread(size_t depth) const {
        int64_t high = 0;
        int64_t low = std::numeric_limits<int64_t>::max();
        for (const Index b : model_.targets) {
            const auto at = static_cast<size_t>(b);
            high = std::max(high, load_[at]);
            low = std::min(low, load_[at] + reach_[depth][at]);
        }
        return model_.targets.empty() ? 0 : std::max<int64_t>(0, high - low);
    }

    void search(size_t depth, const std::array<int64_t, 3>& cost) {
        if (++steps_ > kMaxSteps) return;
        Goal least = goal_of(plus(cost, rest_[depth]), least_spread(depth));
        least.leaders = least_;
        if (least >= best_) return;
        if (depth == parts_.size()) {
            settle_leaders(least);
            return;
        }
        for (const Option& option : options_[depth]) {
            if (!receive(depth, option, true)) continue;
            picked_[depth] = &option;
            search(depth + 1, plus(cost, option.cost));
            receive(depth, option, false);
            if (steps_ > kMaxSteps) return;
        }
    }

    /// Adds an option to loads and disks, or takes it away; false where a disk has no room at all.
    bool receive(size_t depth, const Option& option, bool add) {
        const auto kept = option.set.size() - static_cast<size_t>(option.cost[1]);
        for (size_t i = kept; add && i < option.set.size(); ++i) {
            if (!draft_.disks.fits(option.set[i], part(depth).size)) return false;
        }
        for (size_t i = 0; i < option.set.size(); ++i) {
            const auto b = static_cast<size_t>(option.set[i]);
            load_[b] += add ? 1 : -1;
            if (i < kept || !draft_.disks.limited(option.set[i])) continue;
            if (add)
                incoming_[b].push_back(depth);
            else
                incoming_[b].pop_back();
        }
        return true;
    }

    void settle_leaders(const Goal& least) {
        std::vector<Placed> placed;
        if (!pack(placed)) return;
        seats_.clear();
        for (size_t i = 0; i < parts_.size(); ++i)
            seats_.push_back(who_may_lead(model_, part(i), picked_[i]->set, picked_[i]->changed));
        may_.assign(parts_.size() + 1, std::vector<int64_t>(brokers_, 0));
        for (size_t i = parts_.size(); i-- > 0;) {
            may_[i] = may_[i + 1];
            for (const Index b : seats_[i])
                ++may_[i][static_cast<size_t>(b)];
        }
        led_.assign(parts_.size(), -1);
        lead(0, least, least_[0], placed);
    }

    void lead(size_t depth, const Goal& least, int64_t worst, const std::vector<Placed>& placed) {
        if (++steps_ > kMaxSteps) return;
        if (depth > 0 && (depth == parts_.size() || topic_of_[depth] != topic_of_[depth - 1]))
            worst = std::max(worst, spread(topics_[topic_of_[depth - 1]]));
        Goal goal = least;
        goal.leaders = {worst, std::max(least_[1], least_total(depth)), least_[2]};
        if (goal >= best_) return;
        if (depth == parts_.size()) {
            goal.leaders = {worst, spread(leaders_), spread(traffic_)};
            if (goal >= best_) return;
            best_ = goal;
            best_sets_ = placed;
            best_leaders_ = led_;
            return;
        }
        const int64_t rate = part(depth).rate;
        for (const Index b : seats_[depth]) {
            const auto at = static_cast<size_t>(b);
            ++leaders_[at];
            ++topics_[topic_of_[depth]][at];
            traffic_[at] += rate;
            led_[depth] = b;
            lead(depth + 1, least, worst, placed);
            --leaders_[at];
            --topics_[topic_of_[depth]][at];
            traffic_[at] -= rate;
        }
    }

    int64_t least_total(size_t depth) const {
        int64_t high = 0;
        int64_t low = std::numeric_limits<int64_t>::max();
        for (const Index b : model_.targets) {
            const auto at = static_cast<size_t>(b);
            high = std::max(high, leaders_[at]);
            low = std::min(low, leaders_[at] + may_[depth][at]);
        }
        return model_.targets.empty() ? 0 : std::max<int64_t>(0, high - low);
    }

    /// Directories for all new copies, each where most room is left if that goes.
    bool pack(std::vector<Placed>& placed) {
        for (size_t i = 0; i < parts_.size(); ++i)
            placed.push_back(
                {picked_[i]->set, std::vector<int16_t>(picked_[i]->set.size(), int16_t{-1})});
        for (size_t b = 0; b < brokers_; ++b) {
            std::vector<size_t>& copies = incoming_[b];
            std::stable_sort(copies.begin(), copies.end(),
                             [this](size_t x, size_t y) { return part(x).size > part(y).size; });
            packings_ = 0;
            const bool packed = pack(static_cast<Index>(b), copies, 0, placed);
            std::sort(copies.begin(), copies.end());
            if (packed) continue;
            take_back(placed);
            return false;
        }
        for (size_t i = 0; i < parts_.size(); ++i) {
            for (size_t k = 0; k < placed[i].set.size(); ++k) {
                const Index b = placed[i].set[k];
                if (!draft_.is_new(part(i), b) || draft_.disks.limited(b)) continue;
                placed[i].dirs[k] = draft_.disks.take(b, part(i).size);
            }
        }
        take_back(placed);
        return true;
    }

    void take_back(const std::vector<Placed>& placed) {
        for (size_t i = 0; i < parts_.size(); ++i) {
            for (size_t k = 0; k < placed[i].set.size(); ++k)
                draft_.disks.give(placed[i].set[k], placed[i].dirs[k], part(i).size);
        }
    }

    bool pack(Index b, const std::vector<size_t>& copies, size_t from,
              std::vector<Placed>& placed) {
        if (from == copies.size()) return true;
        if (++packings_ > kMaxPackings) {
            steps_ = kMaxSteps + 1;  // nothing is proven any more
            return false;
        }
        const size_t i = copies[from];
        const int64_t size = part(i).size;
        std::vector<size_t> order(model_.dirs[static_cast<size_t>(b)].size());
        std::iota(order.begin(), order.end(), size_t{0});
        std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) {
            return draft_.disks.room(b, x) > draft_.disks.room(b, y);
        });
        const auto at = static_cast<size_t>(
            std::find(placed[i].set.begin(), placed[i].set.end(), b) - placed[i].set.begin());
        for (const size_t dir : order) {
            if (draft_.disks.room(b, dir) < size) return false;
            placed[i].dirs[at] = static_cast<int16_t>(dir);
            draft_.disks.give(b, static_cast<int16_t>(dir), -size);
            if (pack(b, copies, from + 1, placed)) return true;
            draft_.disks.give(b, static_cast<int16_t>(dir), size);
            placed[i].dirs[at] = -1;
        }
        return false;
    }

    Draft& draft_;
    Model& model_;
    size_t brokers_;
    std::vector<size_t> parts_;  // that may change or be led by others
    std::vector<std::vector<Option>> options_;
    std::vector<size_t> topic_of_;  // by part, into topics_
    std::vector<int64_t> load_, leaders_, traffic_;
    std::vector<std::vector<int64_t>> topics_;  // leaders of topics with such parts
    int64_t others_worst_ = 0;
    std::vector<std::vector<int64_t>> reach_;
    std::vector<std::array<int64_t, 3>> rest_;
    Even least_{};
    std::vector<std::vector<size_t>> incoming_;  // parts with a new copy there, limited brokers
    std::vector<const Option*> picked_;
    std::vector<std::vector<Index>> seats_;
    std::vector<std::vector<int64_t>> may_;
    std::vector<Index> led_;
    std::vector<Placed> before_, best_sets_;
    std::vector<Index> best_leaders_;
    Goal best_;
    int64_t steps_ = 0;
    int64_t packings_ = 0;
};

}  // namespace

void settle_small(Draft& draft) { SmallCase(draft).run(); }

}  // namespace millrace::placement
