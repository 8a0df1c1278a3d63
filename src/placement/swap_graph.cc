// src/placement/swap_graph.cc: arcs are searched from the smallest partition and mended one by one.
#include "placement/swap_graph.h"

#include <algorithm>

namespace millrace::placement {
namespace {

constexpr size_t kManyParts = 15'000;  // above: a search for an arc gives up early
constexpr size_t kScanOfMany = 100;

}  // namespace

SwapGraph::SwapGraph(Draft& draft)
    : draft_(draft),
      model_(draft.model),
      brokers_(draft.model.ids.size()),
      scan_(draft.model.parts.size() > kManyParts ? kScanOfMany : draft.model.parts.size()),
      count_(draft.model) {}

void SwapGraph::rebuild() {
    arcs_.assign(brokers_ * brokers_, {});
    residents_.assign(brokers_, {});
    touched_.assign(brokers_, {});
    is_touched_.assign(model_.parts.size(), 0);
    for (size_t at = 0; at < model_.parts.size(); ++at) {
        const Part& part = model_.parts[at];
        if (!model_.free(part)) continue;
        const auto set = std::as_const(model_).then(part);
        for (const Index b : set) {
            if (draft_.is_new(part, b)) is_touched_[at] = 1;
        }
        if (part.want != part.copies) is_touched_[at] = 1;
        for (const Index b : set)
            (is_touched_[at] != 0 ? touched_ : residents_)[static_cast<size_t>(b)].push_back(
                static_cast<uint32_t>(at));
        if (is_touched_[at] == 0) continue;
        // It may come to rest again, and is a resident then.
        for (const Index b : model_.now(part))
            residents_[static_cast<size_t>(b)].push_back(static_cast<uint32_t>(at));
    }
    for (std::vector<uint32_t>& list : residents_) {
        std::stable_sort(list.begin(), list.end(), [this](uint32_t a, uint32_t b) {
            const Part& x = model_.parts[a];
            const Part& y = model_.parts[b];
            return x.weight != y.weight ? x.weight < y.weight : x.number < y.number;
        });
    }
    for (size_t out = 0; out < brokers_; ++out) {
        for (size_t in = 0; in < brokers_; ++in)
            renew(static_cast<Index>(out), static_cast<Index>(in));
    }
}

bool SwapGraph::cost_of(size_t at, Index out, Index in, Wide& cost) {
    ++steps_;
    const Part& part = model_.parts[at];
    const auto set = std::as_const(model_).then(part);
    bool has_out = false;
    for (const Index b : set) {
        if (b == in) return false;
        has_out = has_out || b == out;
    }
    if (!has_out) return false;
    const bool in_new = draft_.is_new(part, in);
    const bool out_new = draft_.is_new(part, out);
    if (in_new && (!model_.usable(in) || !draft_.disks.fits(in, part.size))) return false;
    const Rule& rule = draft_.rule(part);
    count_.start(rule);
    for (const Index b : set)
        count_.add(b);
    const int32_t soft = count_.soft_loss();
    count_.remove(out);
    count_.add(in);
    if (!count_.within(rule)) return false;
    const int more = (in_new ? 1 : 0) - (out_new ? 1 : 0);
    cost = SwapCost::make(more * part.weight, more, count_.soft_loss() - soft);
    return true;
}

void SwapGraph::offer(size_t at, Index out, Index in) {
    Wide cost = 0;
    if (!cost_of(at, out, in, cost)) return;
    Arc& arc = arcs_[static_cast<size_t>(out) * brokers_ + static_cast<size_t>(in)];
    if (arc.part >= 0 && arc.cost <= cost) return;
    arc = {cost, static_cast<int32_t>(at)};
}

void SwapGraph::renew(Index out, Index in) {
    arcs_[static_cast<size_t>(out) * brokers_ + static_cast<size_t>(in)] = {};
    const Role from = model_.role_of(out);
    const Role to = model_.role_of(in);
    if (out == in || from == Role::Pinned || from == Role::Leave) return;
    if (to == Role::Pinned || to == Role::Leave) return;
    size_t left = 3 * scan_;
    for (const uint32_t at : touched_[static_cast<size_t>(out)]) {
        if (left-- == 0) break;
        offer(at, out, in);
    }
    const Arc& arc = this->arc(out, in);
    left = scan_;
    for (const uint32_t at : residents_[static_cast<size_t>(out)]) {
        if (is_touched_[at] != 0) continue;
        if (left-- == 0) return;
        if (arc.part >= 0 && arc.cost <= SwapCost::make(model_.parts[at].weight, 0, 0)) return;
        const int32_t before = arc.part;
        offer(at, out, in);
        // Those that follow are no smaller; only equal ones may lose less softly.
        if (arc.part != before && model_.hard == static_cast<int>(model_.axis_count())) return;
    }
}

bool SwapGraph::swap(size_t at, Index out, Index in) {
    Wide cost = 0;
    if (!cost_of(at, out, in, cost)) return false;
    const Part& part = model_.parts[at];
    const auto id = static_cast<uint32_t>(at);
    const std::vector<Index> before(model_.then(part).begin(), model_.then(part).end());
    for (const Index b : before) {
        if (is_touched_[at] != 0) std::erase(touched_[static_cast<size_t>(b)], id);
    }
    draft_.swap(part, out, in);
    is_touched_[at] = part.want != part.copies || draft_.adds(part) > 0 ? 1 : 0;
    const auto after = std::as_const(model_).then(part);
    for (const Index b : after) {
        if (is_touched_[at] != 0) touched_[static_cast<size_t>(b)].push_back(id);
    }
    for (const Index b : before) {
        for (size_t c = 0; c < brokers_; ++c) {
            if (arc(b, static_cast<Index>(c)).part == static_cast<int32_t>(at))
                renew(b, static_cast<Index>(c));
        }
    }
    for (const Index b : after) {
        for (const Index c : model_.targets)
            offer(at, b, c);
        for (const Index c : model_.now(part))
            if (model_.role_of(c) == Role::Stay) offer(at, b, c);
    }
    return true;
}

}  // namespace millrace::placement
