// src/placement/leaders.cc: leaders as an assignment, made even by chains of hand-overs.
#include "placement/leaders.h"

#include <algorithm>

namespace millrace::placement {
namespace {

constexpr size_t kMaxCells = 64'000'000;   // topics times brokers
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
                put_in_place(part);
            }
            if (!take_seat(at, changed)) count(part, model_.then(part).front(), 1);
        }
        for (Seat& seat : seats_)
            sit(seat);
        improve_one_by_one();
        even_topics();
        even_total();
        even_traffic();
        for (const Seat& seat : seats_)
            lead(model_.parts[seat.part], seat.leader);
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

    /// Kept copies stay where they are in the order; new ones stand where others have gone.
    void put_in_place(const Part& part) {
        const Placed before = draft_.placed(part);
        Placed after;
        std::vector<size_t> fresh;
        for (size_t i = 0; i < before.set.size(); ++i) {
            if (draft_.is_new(part, before.set[i])) fresh.push_back(i);
        }
        size_t next = 0;
        const auto push = [&](size_t i) {
            after.set.push_back(before.set[i]);
            after.dirs.push_back(before.dirs[i]);
        };
        for (const Index b : model_.now(part)) {
            const auto at = std::find(before.set.begin(), before.set.end(), b);
            if (at != before.set.end())
                push(static_cast<size_t>(at - before.set.begin()));
            else if (next < fresh.size())
                push(fresh[next++]);
        }
        while (next < fresh.size())
            push(fresh[next++]);
        write(part, after);
    }

    void write(const Part& part, const Placed& placed) {
        for (size_t i = 0; i < placed.set.size(); ++i) {
            model_.planned[part.plan + i] = placed.set[i];
            draft_.dir[part.plan + i] = placed.dirs[i];
        }
    }

    void lead(const Part& part, Index leader) {
        Placed placed = draft_.placed(part);
        const auto at = std::find(placed.set.begin(), placed.set.end(), leader);
        const auto by = at - placed.set.begin();
        std::rotate(placed.set.begin(), at, at + 1);
        std::rotate(placed.dirs.begin(), placed.dirs.begin() + by, placed.dirs.begin() + by + 1);
        write(part, placed);
    }

    std::vector<Index> candidates_of(const Part& part) const {
        const auto set = std::as_const(model_).then(part);
        for (const Role role : {Role::Target, Role::Stay}) {
            std::vector<Index> found;
            for (const Index b : set) {
                if (model_.role_of(b) == role) found.push_back(b);
            }
            if (!found.empty()) return found;
        }
        return {set.front()};
    }

    /// False where the first of the set simply leads.
    bool take_seat(size_t at, bool changed) {
        const Part& part = model_.parts[at];
        if (!model_.free(part)) return false;
        const Leaders wish = model_.request->leaders;
        if (!changed && wish != Leaders::All) return false;
        const Index now = model_.now(part).front();
        const auto set = std::as_const(model_).then(part);
        if (wish == Leaders::Keep) {
            if (std::find(set.begin(), set.end(), now) == set.end()) {
                std::vector<Index> candidates = candidates_of(part);
                const auto kept = std::find_if(candidates.begin(), candidates.end(),
                                               [&](Index b) { return !draft_.is_new(part, b); });
                lead(part, kept != candidates.end() ? *kept : candidates.front());
            }
            return false;
        }
        seats_.push_back({at, -1, candidates_of(part)});
        return true;
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

    /// No hand-over may take a topic outside [low, high], its spread as it is.
    void even_total() {
        find_windows();
        const auto counts = [&](Index b) { return total_[static_cast<size_t>(b)]; };
        const auto legal = [&](const Seat& seat, Index to) { return stays_in_window(seat, to); };
        steps_ = 0;
        chains(0, seats_.size(), counts, legal);
        // Topics that are evener than the worst may give way for the sake of the total.
        int32_t worst = 0;
        for (size_t t = 0; t < low_.size(); ++t)
            worst = std::max(worst, high_[t] - low_[t]);
        for (size_t t = 0; t < low_.size(); ++t)
            high_[t] = low_[t] + worst;
        chains(0, seats_.size(), counts, legal);
    }

    void find_windows() {
        if (!per_topic_ || model_.targets.empty()) return;
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
    std::vector<int32_t> low_, high_;  // by topic
    std::vector<Seat> seats_;          // by topic and number
    int64_t steps_ = 0;
};

}  // namespace

void choose_leaders(Draft& draft) { Leading(draft).run(); }

}  // namespace millrace::placement
