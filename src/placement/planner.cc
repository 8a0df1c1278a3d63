// src/placement/planner.cc: the order of the work: check, heal, balance, even out, lead, report.
#include "millrace/placement/planner.h"

#include "placement/balance.h"
#include "placement/draft.h"
#include "placement/even.h"
#include "placement/heal.h"
#include "placement/leaders.h"
#include "placement/model.h"
#include "placement/report.h"
#include "placement/small.h"

namespace millrace::placement {

Outcome make_plan(const Snapshot& snapshot, const Request& request) {
    Model model;
    if (auto refusal = load_model(snapshot, request, model)) return {std::move(refusal), {}};
    Draft draft(model);
    if (auto refusal = heal(draft)) return {std::move(refusal), {}};
    // Where balancing is wanted, many partitions will move anyway; few are worth a good start.
    constexpr size_t kFew = 2'000;
    if (!request.balance || draft.changed.size() <= kFew) even_out(draft);
    if (request.balance) balance(draft);
    choose_leaders(draft);
    settle_small(draft);
    return {std::nullopt, make_report(draft)};
}

}  // namespace millrace::placement
