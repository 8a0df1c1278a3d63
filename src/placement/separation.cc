// src/placement/separation.cc: caps and least losses, by a small min-cost flow over two axes.
#include "placement/separation.h"

#include <algorithm>

#include "placement/small_flow.h"

namespace millrace::placement {
namespace {

// A loss on any axis weighs more than all on the first; a pinned copy more than all losses.
constexpr int64_t kLoss = 1'000;
constexpr int64_t kPinned = 1'000'000'000;

/// At most two axes: source, values of the first, values of the second, sink; a copy is a unit.
std::optional<int64_t> least_by_flow(const Model& model, const std::vector<int32_t>& cap,
                                     const std::vector<Index>& brokers, int want) {
    const size_t axes = static_cast<size_t>(model.hard);
    const size_t rows = axes > 0 ? static_cast<size_t>(model.values[0]) : 1;
    const size_t columns = axes > 1 ? static_cast<size_t>(model.values[1]) : 1;
    SmallFlow flow(rows + columns + 2);
    const size_t source = rows + columns;
    const size_t sink = source + 1;
    const auto ends = [&](size_t axis, size_t count, bool from_source, int64_t over) {
        const size_t base = from_source ? 0 : rows;
        for (size_t v = 0; v < count; ++v) {
            const size_t from = from_source ? source : base + v;
            const size_t to = from_source ? base + v : sink;
            flow.edge(from, to, axes > axis ? cap[axis] : want, 0);
            if (axes > axis) flow.edge(from, to, want, over);
        }
    };
    ends(0, rows, true, kLoss + 1);
    ends(1, columns, false, kLoss);
    std::vector<int64_t> cells(rows * columns);
    int64_t pinned = 0;
    for (const Index b : brokers) {
        const size_t row = axes > 0 ? static_cast<size_t>(model.value_of(b, 0)) : 0;
        const size_t column = axes > 1 ? static_cast<size_t>(model.value_of(b, 1)) : 0;
        if (model.role_of(b) == Role::Pinned) {
            flow.edge(row, rows + column, 1, -kPinned);
            ++pinned;
        } else {
            ++cells[row * columns + column];
        }
    }
    for (size_t cell = 0; cell < cells.size(); ++cell) {
        if (cells[cell] > 0) flow.edge(cell / columns, rows + cell % columns, cells[cell], 0);
    }
    if (pinned > want) return std::nullopt;
    const auto cost = flow.send(source, sink, want);
    if (!cost) return std::nullopt;
    return static_cast<int64_t>(*cost) + pinned * kPinned;
}

/// Three and more axes: all sets, in order, with the best so far as bound.
class LeastBySearch {
  public:
    LeastBySearch(const Model& model, const Rule& rule, const std::vector<Index>& brokers, int want)
        : model_(model), brokers_(brokers), count_(model) {
        count_.start(rule);
        int left = want;
        for (const Index b : brokers) {
            if (model.role_of(b) != Role::Pinned) continue;
            count_.add(b);
            --left;
        }
        if (left >= 0) search(0, left);
    }
    std::optional<int64_t> best() const { return best_; }

  private:
    static constexpr int64_t kMaxSteps = 3'000'000;

    void search(size_t from, int left) {
        if (++steps_ > kMaxSteps && best_) return;
        const int64_t loss = count_.loss() * kLoss + count_.first_loss();
        if (best_ && loss >= *best_) return;
        if (left == 0) {
            best_ = loss;
            return;
        }
        for (size_t i = from; i + static_cast<size_t>(left) <= brokers_.size(); ++i) {
            if (model_.role_of(brokers_[i]) == Role::Pinned) continue;
            count_.add(brokers_[i]);
            search(i + 1, left - 1);
            count_.remove(brokers_[i]);
        }
    }

    const Model& model_;
    const std::vector<Index>& brokers_;
    LossCount count_;
    int64_t steps_ = 0;
    std::optional<int64_t> best_;
};

}  // namespace

LossCount::LossCount(const Model& model) : model_(model) {
    size_t total = 0;
    for (const int32_t values : model.values) {
        offset_.push_back(total);
        total += static_cast<size_t>(values);
    }
    count_.assign(total, 0);
}

void LossCount::start(const Rule& rule) {
    rule_ = &rule;
    std::fill(count_.begin(), count_.end(), 0);
    loss_ = first_loss_ = soft_loss_ = 0;
}

Rule Separation::make_rule(const std::vector<Index>& own, int want) const {
    Rule rule;
    std::vector<Index> brokers = model_.targets;
    brokers.insert(brokers.end(), own.begin(), own.end());
    for (size_t a = 0; a < model_.axis_count(); ++a) {
        int32_t values = model_.target_values[a];
        std::vector<int32_t> seen;
        for (const Index b : own) {
            const int32_t value = model_.value_of(b, a);
            if (value < 0 || model_.has_target[a][static_cast<size_t>(value)] != 0) continue;
            if (std::find(seen.begin(), seen.end(), value) != seen.end()) continue;
            seen.push_back(value);
            ++values;
        }
        rule.cap.push_back(values == 0 ? want : (want + values - 1) / values);
    }
    if (brokers.size() < static_cast<size_t>(want)) return rule;
    const std::optional<int64_t> least = model_.hard <= 2
                                             ? least_by_flow(model_, rule.cap, brokers, want)
                                             : LeastBySearch(model_, rule, brokers, want).best();
    if (!least) return rule;
    rule.possible = true;
    rule.loss = static_cast<int32_t>(*least / kLoss);
    rule.first_loss = static_cast<int32_t>(*least % kLoss);
    return rule;
}

const Rule& Separation::rule(const Part& part, int want) {
    std::vector<Index> own;
    for (const Index b : model_.now(part)) {
        if (model_.role_of(b) == Role::Stay || model_.role_of(b) == Role::Pinned) own.push_back(b);
    }
    const auto slot = static_cast<size_t>(want);
    if (own.empty() && slot < plain_.size() && plain_[slot] != nullptr) return *plain_[slot];
    std::sort(own.begin(), own.end());
    std::vector<Index> key = own;
    key.push_back(-want);
    auto at = rules_.find(key);
    if (at == rules_.end()) at = rules_.emplace(std::move(key), make_rule(own, want)).first;
    if (own.empty()) {
        if (plain_.size() <= slot) plain_.resize(slot + 1, nullptr);
        plain_[slot] = &at->second;
    }
    return at->second;
}

bool Separation::violates(const Rule& rule, std::span<const Index> set) {
    count_.start(rule);
    for (const Index b : set)
        count_.add(b);
    return !count_.within(rule);
}

int32_t Separation::soft_loss(const Rule& rule, std::span<const Index> set) {
    count_.start(rule);
    for (const Index b : set)
        count_.add(b);
    return count_.soft_loss();
}

}  // namespace millrace::placement
