// src/placement/draft.cc: bookkeeping of loads and disks while sets change.
#include "placement/draft.h"

#include <algorithm>

namespace millrace::placement {

Draft::Draft(Model& m)
    : model(m),
      separation(m),
      picker(m),
      disks(m),
      load(m.ids.size(), 0),
      dir(m.planned.size(), int16_t{-1}),
      count_(m) {}

bool Draft::is_new(const Part& part, Index broker) const {
    const auto now = model.now(part);
    return std::find(now.begin(), now.end(), broker) == now.end();
}

int Draft::adds(const Part& part) const {
    int adds = 0;
    for (const Index b : std::as_const(model).then(part))
        adds += is_new(part, b) ? 1 : 0;
    return adds;
}

int64_t Draft::bytes() const {
    int64_t bytes = 0;
    for (const Part& part : model.parts) {
        if (model.free(part)) bytes += part.size * adds(part);
    }
    return bytes;
}

std::array<int64_t, 3> Draft::cost() {
    std::array<int64_t, 3> cost{};
    const bool soft = model.hard != static_cast<int>(model.axis_count());
    for (const Part& part : model.parts) {
        if (!model.free(part)) continue;
        const int more = adds(part);
        cost[0] += part.weight * more;
        cost[1] += more;
        if (soft) cost[2] += separation.soft_loss(rule(part), std::as_const(model).then(part));
    }
    return cost;
}

int64_t Draft::spread() const {
    if (model.targets.empty()) return 0;
    int64_t low = load[static_cast<size_t>(model.targets.front())];
    int64_t high = low;
    for (const Index b : model.targets) {
        low = std::min(low, load[static_cast<size_t>(b)]);
        high = std::max(high, load[static_cast<size_t>(b)]);
    }
    return high - low;
}

double Draft::unevenness() const {
    double sum = 0;
    double squares = 0;
    for (const Index b : model.targets) {
        const auto one = static_cast<double>(load[static_cast<size_t>(b)]);
        sum += one;
        squares += one * one;
    }
    return squares * static_cast<double>(model.targets.size()) - sum * sum;
}

void Draft::lift(const Part& part) {
    const auto set = std::as_const(model).then(part);
    for (size_t i = 0; i < set.size(); ++i) {
        --load[static_cast<size_t>(set[i])];
        int16_t& at = dir[part.plan + i];
        if (at >= 0) disks.give(set[i], at, part.size);
        at = -1;
    }
}

void Draft::put(const Part& part, std::span<const Index> set) {
    const auto slots = model.then(part);
    for (size_t i = 0; i < slots.size(); ++i) {
        slots[i] = set[i];
        ++load[static_cast<size_t>(set[i])];
        if (is_new(part, set[i])) dir[part.plan + i] = disks.take(set[i], part.size);
    }
}

void Draft::put(const Part& part, const Placed& placed) {
    const auto slots = model.then(part);
    for (size_t i = 0; i < slots.size(); ++i) {
        slots[i] = placed.set[i];
        ++load[static_cast<size_t>(slots[i])];
        dir[part.plan + i] = placed.dirs[i];
        disks.give(slots[i], placed.dirs[i], -part.size);
    }
}

Placed Draft::placed(const Part& part) const {
    const auto set = std::as_const(model).then(part);
    Placed placed{{set.begin(), set.end()}, {}};
    for (size_t i = 0; i < set.size(); ++i)
        placed.dirs.push_back(dir[part.plan + i]);
    return placed;
}

bool Draft::may_swap(const Part& part, const Rule& rule, Index out, Index in, int most_adds,
                     bool mind_soft) {
    const auto set = std::as_const(model).then(part);
    if (model.role_of(out) == Role::Pinned) return false;
    if (std::find(set.begin(), set.end(), in) != set.end()) return false;
    const bool in_new = is_new(part, in);
    if (in_new && !model.usable(in)) return false;
    if (model.role_of(in) == Role::Leave) return false;
    if (adds(part) + (in_new ? 1 : 0) - (is_new(part, out) ? 1 : 0) > most_adds) return false;
    if (in_new && !disks.fits(in, part.size)) return false;
    count_.start(rule);
    for (const Index b : set)
        count_.add(b);
    const int32_t soft = count_.soft_loss();
    count_.remove(out);
    count_.add(in);
    return count_.within(rule) && (!mind_soft || count_.soft_loss() <= soft);
}

void Draft::swap(const Part& part, Index out, Index in) {
    std::vector<Index> set(model.then(part).begin(), model.then(part).end());
    lift(part);
    std::replace(set.begin(), set.end(), out, in);
    put(part, set);
}

void Draft::price_by_load() {
    std::vector<double>& prices = picker.prices();
    double sum = 0;
    for (const Index b : model.targets) {
        prices[static_cast<size_t>(b)] = static_cast<double>(2 * load[static_cast<size_t>(b)] + 1);
        sum += static_cast<double>(load[static_cast<size_t>(b)]);
    }
    // A copy that stays on a cordoned broker spares the others one of average weight.
    for (size_t b = 0; b < prices.size(); ++b) {
        if (model.role[b] == Role::Stay && !model.targets.empty())
            prices[b] = 2 * sum / static_cast<double>(model.targets.size());
    }
    picker.sort();
}

void Draft::price_by_load(std::span<const Index> touched) {
    std::vector<double>& prices = picker.prices();
    for (const Index b : touched) {
        if (!model.usable(b)) continue;
        prices[static_cast<size_t>(b)] = static_cast<double>(2 * load[static_cast<size_t>(b)] + 1);
    }
    picker.sort();
}

}  // namespace millrace::placement
