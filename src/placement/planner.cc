// src/placement/planner.cc: the order of the work: check, heal, balance, even out, lead, report.
#include "millrace/placement/planner.h"

#include <algorithm>

#include "placement/balance.h"
#include "placement/draft.h"
#include "placement/even.h"
#include "placement/heal.h"
#include "placement/leaders.h"
#include "placement/model.h"
#include "placement/report.h"
#include "placement/small.h"

namespace millrace::placement {

namespace {

std::optional<Refusal> solve(Draft& draft, const Request& request) {
    if (auto refusal = heal(draft)) return refusal;
    // Where balancing is wanted, many partitions will move anyway; few are worth a good start.
    constexpr size_t kFew = 2'000;
    if (!request.balance || draft.changed.size() <= kFew) even_out(draft);
    if (request.balance) balance(draft);
    choose_leaders(draft);
    settle_small(draft);
    return {};
}

Model without_limits(const Model& model) {
    Model roomy = model;
    const Disks disks(model);
    for (size_t b = 0; b < roomy.dirs.size(); ++b) {
        if (!disks.limited(static_cast<Index>(b))) continue;
        for (Dir& dir : roomy.dirs[b])
            dir.bounded = false;
    }
    return roomy;
}

/// Finds directories for the new copies on limited brokers, the largest copies first; false where
/// one would pass its mark.
bool fill(Draft& draft, Disks disks) {
    struct Copy {
        int64_t size;
        Index broker;
        size_t slot;
    };
    std::vector<Copy> copies;
    for (const Part& part : draft.model.parts) {
        for (size_t slot = part.plan; slot < part.plan + static_cast<size_t>(part.want); ++slot) {
            const Index broker = draft.model.planned[slot];
            if (draft.dir[slot] >= 0 && disks.limited(broker))
                copies.push_back({part.size, broker, slot});
        }
    }
    std::stable_sort(copies.begin(), copies.end(),
                     [](const Copy& a, const Copy& b) { return a.size > b.size; });
    for (const Copy& copy : copies) {
        const int16_t dir = disks.take(copy.broker, copy.size);
        if (disks.room(copy.broker, static_cast<size_t>(dir)) < 0) return false;
        draft.dir[copy.slot] = dir;
    }
    return true;
}

}  // namespace

Outcome make_plan(const Snapshot& snapshot, const Request& request) {
    Model model;
    if (auto refusal = load_model(snapshot, request, model)) return {std::move(refusal), {}};
    const Disks disks(model);
    if (disks.limited()) {
        // The best plan without limits is the best under them too if its copies happen to fit, and
        // its proof holds; the searches under limits prove less.
        Model roomy = without_limits(model);
        Draft draft(roomy);
        if (auto refusal = solve(draft, request)) return {std::move(refusal), {}};
        if (fill(draft, disks)) return {std::nullopt, make_report(draft)};
    }
    Draft draft(model);
    if (auto refusal = solve(draft, request)) return {std::move(refusal), {}};
    return {std::nullopt, make_report(draft)};
}

}  // namespace millrace::placement
