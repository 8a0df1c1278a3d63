// src/placement/leaders.cc: leaders as an assignment, made even by chains of hand-overs.
#include "placement/leaders.h"

#include <algorithm>
#include <limits>

namespace millrace::placement {
namespace {

constexpr size_t kMaxCells = 64'000'000;  // topics times brokers
constexpr size_t kMaxFlowCells = 2'000'000;
constexpr int64_t kMaxSteps = 40'000'000;  // of all chains together
constexpr int kPasses = 8;
constexpr int kTrafficRounds = 200;

/// A partition whose leader may be chosen.
struct Seat {
    size_t part = 0;
    Index leader = -1;
    std::vector<Index> candidates;
};

class Leading {
  public:
    explicit Leading(Draft& draft)
        : draft_(draft),
          model_(draft.model),
          brokers_(draft.model.ids.size()),
          per_topic_(draft.model.topics.size() * draft.model.ids.size() <= kMaxCells),
          total_(brokers_, 0),
          traffic_(brokers_, 0) {
        if (per_topic_) of_topic_.assign(model_.topics.size() * brokers_, 0);
    }

    void run() {
        size_t next_changed = 0;
        for (size_t at = 0; at < model_.parts.size(); ++at) {
            const Part& part = model_.parts[at];
            const bool changed =
                next_changed < draft_.changed.size() && draft_.changed[next_changed] == at;
            if (changed) {
                ++next_changed;
                put_in_place(draft_, part);
            }
            take_seat(at, changed);
        }
        for (Seat& seat : seats_)
            sit(seat);
        improve_one_by_one();
        even_topics();
        even_total();
        even_traffic();
        for (const Seat& seat : seats_)
            put_first(draft_, model_.parts[seat.part], seat.leader);
    }

  private:
    int32_t& topic_count(const Part& part, Index broker) {
        return of_topic_[static_cast<size_t>(part.topic) * brokers_ + static_cast<size_t>(broker)];
    }

    void count(const Part& part, Index broker, int change) {
        if (per_topic_) topic_count(part, broker) += change;
        total_[static_cast<size_t>(broker)] += change;
        traffic_[static_cast<size_t>(broker)] += change * part.rate;
    }

    void take_seat(size_t at, bool changed) {
        const Part& part = model_.parts[at];
        std::vector<Index> may =
            who_may_lead(model_, part, std::as_const(model_).then(part), changed);
        if (may.size() > 1) {
            seats_.push_back({at, -1, std::move(may)});
            return;
        }
        put_first(draft_, part, may.front());
        count(part, may.front(), 1);
    }

    /// The present leader where it may lead, else the one that leads least.
    void sit(Seat& seat) {
        const Part& part = model_.parts[seat.part];
        const Index now = model_.now(part).front();
        const auto key = [&](Index b) {
            return std::pair(per_topic_ ? topic_count(part, b) : 0, total_[static_cast<size_t>(b)]);
        };
        seat.leader = *std::min_element(seat.candidates.begin(), seat.candidates.end(),
                                        [&](Index a, Index b) { return key(a) < key(b); });
        if (std::find(seat.candidates.begin(), seat.candidates.end(), now) != seat.candidates.end())
            seat.leader = now;
        count(part, seat.leader, 1);
    }

    void hand(Seat& seat, Index to) {
        const Part& part = model_.parts[seat.part];
        count(part, seat.leader, -1);
        seat.leader = to;
        count(part, to, 1);
    }

    void improve_one_by_one() {
        for (int i = 0; i < kPasses; ++i) {
            bool better = false;
            for (Seat& seat : seats_) {
                const Part& part = model_.parts[seat.part];
                for (const Index to : seat.candidates) {
                    const int32_t topic_gain =
                        per_topic_ ? topic_count(part, seat.leader) - topic_count(part, to) - 1 : 0;
                    const int64_t gain = total_[static_cast<size_t>(seat.leader)] -
                                         total_[static_cast<size_t>(to)] - 1;
                    if (to == seat.leader || topic_gain < 0 || (topic_gain == 0 && gain <= 0))
                        continue;
                    hand(seat, to);
                    better = true;
                }
            }
            if (!better) break;
        }
    }

    using Led = std::vector<std::vector<size_t>>;  // seats by the broker that has them

    /// Chains of hand-overs among seats [from, to), each taking a leader from a broker to one with
    /// at least two fewer; `counts` says how many they lead, `legal` which hand-over may be.
    template <class Counts, class Legal>
    void chains(size_t from, size_t to, const Counts& counts, const Legal& legal) {
        Led led(brokers_);
        for (size_t s = from; s < to; ++s)
            led[static_cast<size_t>(seats_[s].leader)].push_back(s);
        steps_ += static_cast<int64_t>(to - from + brokers_);
        while (steps_ < kMaxSteps && chain(led, counts, legal)) {}
    }

    template <class Counts, class Legal>
    bool chain(Led& led, const Counts& counts, const Legal& legal) {
        std::vector<Index> sources = model_.targets;
        std::stable_sort(sources.begin(), sources.end(),
                         [&](Index a, Index b) { return counts(a) > counts(b); });
        steps_ += static_cast<int64_t>(brokers_);
        std::vector<uint8_t> useless(brokers_, 0);  // reached from a higher source in vain
        for (const Index source : sources) {
            if (useless[static_cast<size_t>(source)] != 0) continue;
            std::vector<std::pair<Index, size_t>> by(brokers_, {-1, 0});
            by[static_cast<size_t>(source)] = {source, 0};
            std::vector<Index> queue{source};
            for (size_t head = 0; head < queue.size(); ++head) {
                const Index b = queue[head];
                if (counts(b) + 2 <= counts(source)) {
                    hand_along(source, b, by, led);
                    return true;
                }
                useless[static_cast<size_t>(b)] = 1;
                for (const size_t s : led[static_cast<size_t>(b)]) {
                    for (const Index c : seats_[s].candidates) {
                        ++steps_;
                        if (by[static_cast<size_t>(c)].first >= 0 || !model_.usable(c)) continue;
                        if (!legal(seats_[s], c)) continue;
                        by[static_cast<size_t>(c)] = {b, s};
                        queue.push_back(c);
                    }
                }
            }
        }
        return false;
    }

    void hand_along(Index source, Index end, const std::vector<std::pair<Index, size_t>>& by,
                    Led& led) {
        for (Index in = end; in != source;) {
            const auto [out, s] = by[static_cast<size_t>(in)];
            hand(seats_[s], in);
            std::erase(led[static_cast<size_t>(out)], s);
            led[static_cast<size_t>(in)].push_back(s);
            in = out;
        }
    }

    void even_topics() {
        if (!per_topic_) return;
        for (size_t from = 0; from < seats_.size();) {
            const Part& part = model_.parts[seats_[from].part];
            size_t to = from;
            while (to < seats_.size() && model_.parts[seats_[to].part].topic == part.topic)
                ++to;
            const auto counts = [&](Index b) { return topic_count(part, b); };
            chains(from, to, counts, [](const Seat&, Index) { return true; });
            from = to;
        }
    }

    /// Each topic's spread as it is; then topics evener than the worst may give way.
    void even_total() {
        if (model_.targets.size() < 2) return;
        find_windows();
        steps_ = 0;
        share_out();
        constexpr int kGivingWay = 4;
        for (int i = 0; i < kGivingWay && per_topic_; ++i) {
            find_windows();
            int32_t worst = 0;
            for (size_t t = 0; t < low_.size(); ++t)
                worst = std::max(worst, high_[t] - low_[t]);
            for (size_t t = 0; t < low_.size(); ++t)
                (i % 2 == 0 ? high_[t] : low_[t]) = i % 2 == 0 ? low_[t] + worst : high_[t] - worst;
            share_out();
        }
    }

    void share_out() {
        const auto [low, high] = std::minmax_element(
            model_.targets.begin(), model_.targets.end(), [this](Index a, Index b) {
                return total_[static_cast<size_t>(a)] < total_[static_cast<size_t>(b)];
            });
        if (total_[static_cast<size_t>(*high)] < total_[static_cast<size_t>(*low)] + 2) return;
        share_out_directly();
        if (!per_topic_ || of_topic_.size() > kMaxFlowCells) {
            const auto counts = [&](Index b) { return total_[static_cast<size_t>(b)]; };
            chains(0, seats_.size(), counts,
                   [&](const Seat& seat, Index to) { return stays_in_window(seat, to); });
            return;
        }
        if (led_in_.empty()) {
            led_in_.resize(of_topic_.size());
            for (size_t s = 0; s < seats_.size(); ++s)
                led_in_[cell(seats_[s], seats_[s].leader)].push_back(s);
        }
        while (steps_ < kMaxSteps && augment()) {}
    }

    /// What one hand-over does by itself; far fewer are left for paths.
    void share_out_directly() {
        bool better = true;
        for (int i = 0; i < kPasses && better; ++i) {
            better = false;
            for (size_t s = 0; s < seats_.size(); ++s) {
                for (const Index to : seats_[s].candidates) {
                    const Index from = seats_[s].leader;
                    if (total_[static_cast<size_t>(to)] + 2 > total_[static_cast<size_t>(from)] ||
                        !stays_in_window(seats_[s], to))
                        continue;
                    if (!led_in_.empty()) {
                        std::erase(led_in_[cell(seats_[s], from)], s);
                        led_in_[cell(seats_[s], to)].push_back(s);
                    }
                    hand(seats_[s], to);
                    better = true;
                }
            }
        }
    }

    // Chains may fail because each of their hand-overs must be legal by itself. Here leaders
    // are a flow from seats over cells (topic and broker, within the topic's window) to brokers; a
    // path in what is left of it from a broker to one with at least two fewer evens the totals, and
    // without one they are as even as the windows allow. Nodes are cells, then brokers.
    struct Step {
        size_t from = kNowhere;
        size_t seat = kNowhere;
    };
    static constexpr size_t kNowhere = std::numeric_limits<size_t>::max();

    size_t cell(const Seat& seat, Index broker) const {
        return static_cast<size_t>(model_.parts[seat.part].topic) * brokers_ +
               static_cast<size_t>(broker);
    }

    /// Paths from every source while it has one; false when none had any. What was reached in vain
    /// is not looked at again, though later paths may have opened a way: the next call finds it.
    bool augment() {
        std::vector<Index> sources = model_.targets;
        std::stable_sort(sources.begin(), sources.end(), [this](Index a, Index b) {
            return total_[static_cast<size_t>(a)] > total_[static_cast<size_t>(b)];
        });
        by_.assign(of_topic_.size() + brokers_, Step{});
        steps_ += static_cast<int64_t>(by_.size());
        bool any = false;
        for (const Index source : sources) {
            while (steps_ < kMaxSteps && path_from(of_topic_.size() + static_cast<size_t>(source)))
                any = true;
        }
        return any;
    }

    bool path_from(size_t start) {
        if (by_[start].from != kNowhere) return false;
        const int64_t top = total_[start - of_topic_.size()];
        if (std::all_of(model_.targets.begin(), model_.targets.end(),
                        [&](Index b) { return total_[static_cast<size_t>(b)] + 2 > top; }))
            return false;
        by_[start].from = start;
        std::vector<size_t> queue{start};
        for (size_t head = 0; head < queue.size(); ++head) {
            const size_t node = queue[head];
            if (node < of_topic_.size()) {
                leave_cell(node, queue);
                continue;
            }
            if (total_[node - of_topic_.size()] + 2 <= top) {
                hand_back(node);
                for (const size_t seen : queue)
                    by_[seen] = {};
                return true;
            }
            leave_broker(node, queue);
        }
        return false;
    }

    void visit(size_t node, size_t from, size_t seat, std::vector<size_t>& queue) {
        if (by_[node].from != kNowhere) return;
        by_[node] = {from, seat};
        queue.push_back(node);
    }

    void leave_cell(size_t node, std::vector<size_t>& queue) {
        const size_t topic = node / brokers_;
        if (of_topic_[node] < high_[topic])
            visit(of_topic_.size() + node % brokers_, node, kNowhere, queue);
        for (const size_t s : led_in_[node]) {
            for (const Index to : seats_[s].candidates) {
                ++steps_;
                visit(cell(seats_[s], to), node, s, queue);
            }
        }
    }

    void leave_broker(size_t node, std::vector<size_t>& queue) {
        steps_ += static_cast<int64_t>(low_.size());
        for (size_t t = 0; t < low_.size(); ++t) {
            const size_t at = t * brokers_ + node - of_topic_.size();
            if (of_topic_[at] > low_[t] && !led_in_[at].empty()) visit(at, node, kNowhere, queue);
        }
    }

    void hand_back(size_t end) {
        for (size_t node = end; by_[node].from != node; node = by_[node].from) {
            const auto [from, s] = by_[node];
            if (s == kNowhere) continue;
            hand(seats_[s], static_cast<Index>(node % brokers_));
            std::erase(led_in_[from], s);
            led_in_[node].push_back(s);
        }
    }

    void find_windows() {
        if (!per_topic_) return;
        low_.clear();
        high_.clear();
        for (size_t t = 0; t < model_.topics.size(); ++t) {
            int32_t low = of_topic_[t * brokers_ + static_cast<size_t>(model_.targets.front())];
            int32_t high = low;
            for (const Index b : model_.targets) {
                low = std::min(low, of_topic_[t * brokers_ + static_cast<size_t>(b)]);
                high = std::max(high, of_topic_[t * brokers_ + static_cast<size_t>(b)]);
            }
            low_.push_back(low);
            high_.push_back(high);
        }
    }

    bool stays_in_window(const Seat& seat, Index to) {
        if (!per_topic_) return true;
        const Part& part = model_.parts[seat.part];
        const auto t = static_cast<size_t>(part.topic);
        return topic_count(part, to) < high_[t] && topic_count(part, seat.leader) > low_[t];
    }

    /// The widest gap of traffic is narrowed by handing a seat over, or by two that change places.
    void even_traffic() {
        if (model_.targets.size() < 2 || seats_.empty()) return;
        const int rounds = seats_.size() > 20'000 ? kTrafficRounds / 20 : kTrafficRounds;
        for (int i = 0; i < rounds; ++i) {
            Index high = model_.targets.front();
            Index low = high;
            for (const Index b : model_.targets) {
                if (traffic_[static_cast<size_t>(b)] > traffic_[static_cast<size_t>(high)])
                    high = b;
                if (traffic_[static_cast<size_t>(b)] < traffic_[static_cast<size_t>(low)]) low = b;
            }
            const int64_t gap =
                traffic_[static_cast<size_t>(high)] - traffic_[static_cast<size_t>(low)];
            if (gap <= 1 || !narrow(high, low, gap)) return;
        }
    }

    bool narrow(Index high, Index low, int64_t gap) {
        const bool may_give =
            total_[static_cast<size_t>(high)] == total_[static_cast<size_t>(low)] + 1;
        Seat* give = nullptr;
        Seat* take = nullptr;
        int64_t best = 0;  // how far the two come together, at most gap / 2
        const auto offer = [&](Seat* a, Seat* b, int64_t change) {
            if (change <= 0 || change >= gap) return;
            const int64_t gain = std::min(change, gap - change);
            if (gain <= best) return;
            best = gain;
            give = a;
            take = b;
        };
        // By topic the two that change places keep its counts; between topics the windows decide.
        std::vector<Seat*> takers;
        for (Seat& seat : seats_) {
            if (seat.leader == low && may_lead(seat, high)) takers.push_back(&seat);
        }
        constexpr size_t kMaxTakers = 200;
        if (takers.size() > kMaxTakers) takers.resize(kMaxTakers);
        for (Seat& seat : seats_) {
            if (seat.leader != high || !may_lead(seat, low)) continue;
            const Part& p = model_.parts[seat.part];
            if (may_give && stays_in_window(seat, low)) offer(&seat, nullptr, p.rate);
            for (Seat* other : takers) {
                const Part& q = model_.parts[other->part];
                if (p.topic != q.topic &&
                    !(stays_in_window(seat, low) && stays_in_window(*other, high)))
                    continue;
                offer(&seat, other, p.rate - q.rate);
            }
        }
        if (give == nullptr) return false;
        hand(*give, low);
        if (take != nullptr) hand(*take, high);
        return true;
    }

    static bool may_lead(const Seat& seat, Index b) {
        return std::find(seat.candidates.begin(), seat.candidates.end(), b) !=
               seat.candidates.end();
    }

    Draft& draft_;
    Model& model_;
    size_t brokers_;
    bool per_topic_;
    std::vector<int32_t> of_topic_;  // [topic * brokers + broker]
    std::vector<int64_t> total_;
    std::vector<int64_t> traffic_;
    std::vector<int32_t> low_, high_;          // by topic
    std::vector<std::vector<size_t>> led_in_;  // seats by cell
    std::vector<Step> by_;                     // by node: how a path came there
    std::vector<Seat> seats_;                  // by topic and number
    int64_t steps_ = 0;
};

void write(Draft& draft, const Part& part, const Placed& placed) {
    for (size_t i = 0; i < placed.set.size(); ++i) {
        draft.model.planned[part.plan + i] = placed.set[i];
        draft.dir[part.plan + i] = placed.dirs[i];
    }
}

}  // namespace

std::vector<Index> who_may_lead(const Model& model, const Part& part, std::span<const Index> set,
                                bool changed) {
    const Leaders wish = model.request->leaders;
    if (!model.free(part) || (!changed && wish != Leaders::All)) return {set.front()};
    const Index now = model.now(part).front();
    if (wish == Leaders::Keep && std::find(set.begin(), set.end(), now) != set.end()) return {now};
    for (const Role role : {Role::Target, Role::Stay}) {
        std::vector<Index> found;
        for (const Index b : set) {
            if (model.role_of(b) == role) found.push_back(b);
        }
        if (!found.empty()) return found;
    }
    return {set.front()};
}

void put_in_place(Draft& draft, const Part& part) {
    const Placed before = draft.placed(part);
    Placed after;
    std::vector<size_t> fresh;
    for (size_t i = 0; i < before.set.size(); ++i) {
        if (draft.is_new(part, before.set[i])) fresh.push_back(i);
    }
    size_t next = 0;
    const auto push = [&](size_t i) {
        after.set.push_back(before.set[i]);
        after.dirs.push_back(before.dirs[i]);
    };
    for (const Index b : draft.model.now(part)) {
        const auto at = std::find(before.set.begin(), before.set.end(), b);
        if (at != before.set.end())
            push(static_cast<size_t>(at - before.set.begin()));
        else if (next < fresh.size())
            push(fresh[next++]);
    }
    while (next < fresh.size())
        push(fresh[next++]);
    write(draft, part, after);
}

void put_first(Draft& draft, const Part& part, Index leader) {
    if (std::as_const(draft.model).then(part).front() == leader) return;
    Placed placed = draft.placed(part);
    const auto at = std::find(placed.set.begin(), placed.set.end(), leader);
    const auto by = at - placed.set.begin();
    std::rotate(placed.set.begin(), at, at + 1);
    std::rotate(placed.dirs.begin(), placed.dirs.begin() + by, placed.dirs.begin() + by + 1);
    write(draft, part, placed);
}

void choose_leaders(Draft& draft) { Leading(draft).run(); }

}  // namespace millrace::placement
