// src/placement/heal.cc: who must change, and the greedy rounds that give everyone a place.
#include "placement/heal.h"

#include <fmt/core.h>

#include <algorithm>

#include "placement/exhaustive.h"

namespace millrace::placement {
namespace {

constexpr int kMaxRounds = 40;

class Healer {
  public:
    explicit Healer(Draft& draft) : draft_(draft), model_(draft.model) {}

    std::optional<Refusal> run() {
        if (auto refusal = find_changed()) return refusal;
        if (!draft_.disks.limited()) return {};
        std::vector<size_t> order = draft_.changed;
        draft_.price_by_load();
        // The largest first: they have the fewest places.
        std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
            return model_.parts[a].size > model_.parts[b].size;
        });
        draft_.picker.respect(&draft_.disks);
        return under_limits(std::move(order));
    }

  private:
    bool must_change(const Part& part) {
        if (part.want != part.copies) return true;
        for (const Index b : model_.now(part)) {
            if (model_.role_of(b) == Role::Leave) return true;
        }
        return draft_.separation.violates(draft_.rule(part), model_.now(part));
    }

    std::optional<Refusal> find_changed() {
        Refusal refusal{false, "replication-factor-over-brokers", "", {}, 0};
        for (size_t at = 0; at < model_.parts.size(); ++at) {
            const Part& part = model_.parts[at];
            if (!model_.free(part)) {
                for (const Index b : model_.now(part))
                    ++draft_.load[static_cast<size_t>(b)];
                continue;
            }
            if (part.want > static_cast<int>(kMaxReplicationFactor) ||
                !draft_.rule(part).possible) {
                block(refusal, model_.name_of(part));
                if (refusal.message.empty()) refusal.message = why_impossible(part);
                continue;
            }
            if (!must_change(part)) {
                for (const Index b : model_.now(part))
                    ++draft_.load[static_cast<size_t>(b)];
                continue;
            }
            draft_.changed.push_back(at);
        }
        if (refusal.blocking_total == 0) return find_least();
        if (model_.targets.empty()) refusal.rule = "no-usable-broker";
        return refusal;
    }

    std::string why_impossible(const Part& part) const {
        const int32_t want = model_.request->replication_factor.value_or(part.want);
        size_t down = 0;
        size_t staying = 0;
        for (const Index b : model_.now(part)) {
            down += model_.role_of(b) == Role::Pinned ? 1 : 0;
            staying += model_.role_of(b) == Role::Pinned || model_.role_of(b) == Role::Stay ? 1 : 0;
        }
        const std::string wanted =
            want == 1 ? "1 copy is wanted" : fmt::format("{} copies are wanted", want);
        if (down > static_cast<size_t>(want))
            return fmt::format("{} and {} are on brokers that are down, whose replicas stay",
                               wanted, down);
        const size_t targets = model_.targets.size();
        if (static_cast<size_t>(want) <= targets + staying)
            return fmt::format("{}, more than {}", wanted, kMaxReplicationFactor);
        std::string text =
            fmt::format("{} and {} may have one (up, neither cordoned nor being emptied)", wanted,
                        targets == 1 ? "1 broker" : fmt::format("{} brokers", targets));
        if (staying > 0)
            text += fmt::format(", beside {} on brokers that are cordoned or down", staying);
        return text;
    }

    /// The fewest new copies of each, disks aside: the proven lower bound of the bytes. Without
    /// limits the evenest of these sets is taken at once.
    std::optional<Refusal> find_least() {
        draft_.price_by_load();
        least_.assign(draft_.changed.size(), 0);
        Refusal refusal{false, "separation", "no replica set keeps the separation", {}, 0};
        for (size_t i = 0; i < draft_.changed.size(); ++i) {
            const Part& part = model_.parts[draft_.changed[i]];
            int kept = 0;
            for (const Index b : model_.now(part))
                kept += model_.role_of(b) == Role::Leave ? 0 : 1;
            Pick pick;
            least_[i] = draft_.picker.least_adds(part, draft_.rule(part),
                                                 std::max(0, part.want - kept), pick);
            if (least_[i] < 0)
                block(refusal, model_.name_of(part));
            else
                draft_.bound_bytes += part.size * least_[i];
            if (least_[i] < 0 || draft_.disks.limited()) continue;
            draft_.put(part, pick.set);
            draft_.price_by_load(pick.set);
        }
        if (refusal.blocking_total > 0) return refusal;
        return {};
    }

    int least_of(size_t at) const {
        const auto found = std::lower_bound(draft_.changed.begin(), draft_.changed.end(), at);
        return least_[static_cast<size_t>(found - draft_.changed.begin())];
    }

    /// The evenest of the cheapest sets that fit; the new copies beyond the least, -1 for no place.
    int place(size_t at, int more) {
        const Part& part = model_.parts[at];
        Pick pick;
        const int least = least_of(at);
        const int adds = draft_.picker.least_adds(part, draft_.rule(part), least + more, pick);
        if (adds < 0) return -1;
        draft_.put(part, pick.set);
        draft_.price_by_load(pick.set);
        return adds - least;
    }

    std::optional<Refusal> under_limits(std::vector<size_t> order) {
        int64_t best_bytes = -1;
        std::vector<Placed> best;
        std::vector<size_t> stuck;
        for (int round = 0; round < kMaxRounds; ++round) {
            std::vector<size_t> first, rest, lost;
            int64_t bytes = 0;
            for (const size_t at : order) {
                const int more = place(at, 0);
                (more == 0 ? rest : first).push_back(at);
                if (more < 0)
                    lost.push_back(at);
                else
                    bytes += model_.parts[at].size * (least_of(at) + more);
            }
            const bool better = lost.empty() && (best_bytes < 0 || bytes < best_bytes);
            if (better) {
                best_bytes = bytes;
                best = all_placed();
            }
            if (stuck.empty() || lost.size() < stuck.size()) stuck = lost;
            const std::vector<size_t> placed = order;
            order = first;
            order.insert(order.end(), rest.begin(), rest.end());
            lift_all(placed, lost);
            if (better && bytes == draft_.bound_bytes) break;
            if (first.empty()) break;
        }
        return settle(best_bytes, best, stuck);
    }

    /// In order of draft_.changed.
    std::vector<Placed> all_placed() const {
        std::vector<Placed> all;
        for (const size_t at : draft_.changed)
            all.push_back(draft_.placed(model_.parts[at]));
        return all;
    }

    void lift_all(const std::vector<size_t>& placed, const std::vector<size_t>& lost) {
        for (const size_t at : placed) {
            if (std::find(lost.begin(), lost.end(), at) == lost.end())
                draft_.lift(model_.parts[at]);
        }
        draft_.price_by_load();
    }

    /// Small cases are settled by trying everything; the best of all is put into the draft.
    std::optional<Refusal> settle(int64_t best_bytes, std::vector<Placed> best,
                                  std::vector<size_t> stuck) {
        bool proven = best_bytes == draft_.bound_bytes;
        if (!proven) {
            const Exhausted all = least_bytes(draft_, best_bytes);
            if (all.found) best = all.placed;
            if (all.found) best_bytes = all.bytes;
            proven = all.complete;
        }
        if (best_bytes < 0) {
            Refusal refusal{false, "disk-high-water", "", {}, 0};
            std::sort(stuck.begin(), stuck.end());
            for (const size_t at : stuck)
                block(refusal, model_.name_of(model_.parts[at]));
            refusal.message = fmt::format(
                "separation needs copies on brokers whose disks would pass the high-water mark of "
                "{:g} %{}",
                static_cast<double>(model_.request->disk_high_water_ppm) / 10'000.0,
                proven ? "" : " in every order that was tried");
            return refusal;
        }
        for (size_t i = 0; i < best.size(); ++i)
            draft_.put(model_.parts[draft_.changed[i]], best[i]);
        if (proven) draft_.bound_bytes = best_bytes;
        draft_.optimal = proven;
        draft_.price_by_load();
        return {};
    }

    Draft& draft_;
    Model& model_;
    std::vector<int> least_;  // parallel to draft.changed
};

}  // namespace

std::optional<Refusal> heal(Draft& draft) { return Healer(draft).run(); }

}  // namespace millrace::placement
