// src/placement/balance.h: all chosen partitions may move until replicas are spread evenly.
//
// Swaps of one copy are arcs between brokers, their price the bytes they add. Cheapest chains bring
// every load into a window as narrow as possible; then cycles that save bytes are carried out until
// there is none. Where separation is a matroid (one hard axis) that is the optimum, and the
// potentials of the last search prove it: as prices of brokers they give a lower bound that no plan
// with such loads can pass, whatever the axes.
#pragma once

#include "placement/draft.h"

namespace millrace::placement {

/// After heal(): least replica spread, then least bytes. Sets draft.bound_bytes and draft.optimal.
void balance(Draft& draft);

}  // namespace millrace::placement
