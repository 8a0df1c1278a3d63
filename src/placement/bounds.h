// src/placement/bounds.h: lower bounds of a balanced plan, proven from prices of brokers.
//
// At any prices each partition's best set gives a bound (Lagrange); the better the prices, the
// nearer it comes. Weights (Part::weight) are whole numbers, so that a bound is never too high.
#pragma once

#include <vector>

#include "placement/draft.h"
#include "placement/master.h"

namespace millrace::placement {

/// The loads that usable brokers may have.
struct Window {
    int64_t low = 0;
    int64_t high = 0;
};

class Bounds {
  public:
    Bounds(Draft& draft, const std::vector<size_t>& parts) : draft_(draft), parts_(parts) {}

    /// Of sets with exactly so many new copies only (parallel to `parts`).
    void keep_adds(const std::vector<int>* adds) { adds_ = adds; }

    /// Prices and what all partitions pay at least at them: a bound for any window.
    struct Priced {
        std::vector<double> prices;  // whole numbers, of 1/fractions of a weight
        int64_t fractions = 1;
        Wide paid = 0;
        bool exact = false;  // else numbers were too large to be sure: no bound
    };
    /// Takes prices in weights to the nearest of `fractions`.
    Priced price(const std::vector<double>& prices, int64_t fractions) const;
    /// No plan with all loads in the window weighs less.
    int64_t weight(const Window& window, const Priced& priced) const;
    /// The best over several fractions.
    Priced best_priced(const Window& window, const std::vector<double>& prices) const;
    /// The least, or the most, copies that these usable brokers hold together in any plan.
    int64_t copies(const std::vector<Index>& brokers, bool least) const;
    /// No plan has a smaller spread.
    int64_t spread(std::vector<double> prices) const;

  private:
    std::vector<int64_t> fixed() const;
    double best_price(size_t i, double size, double least) const;
    double least_price() const;

    Draft& draft_;
    const std::vector<size_t>& parts_;
    const std::vector<int>* adds_ = nullptr;
};

/// The last bytes between a bound and a plan: a better plan can only use sets whose price is within
/// the gap of their partition's best, and those are few. True when the draft, improved or not, is
/// proven to weigh the least of all plans in the window.
bool close_gap(Draft& draft, const std::vector<size_t>& parts, const Window& window,
               const Bounds& bounds, const Bounds::Priced& priced);

/// Puts a whole solution near the master's mixture into the draft: partitions that mix take one of
/// their sets, such that loads lie in the window and bytes are least. False: nothing was changed.
bool round_mixture(Draft& draft, const std::vector<size_t>& parts, const Master& master,
                   const Window& window);
/// The same for a mixture of least spread: windows of that width where its loads lie.
bool round_spread(Draft& draft, const std::vector<size_t>& parts, const Master& master,
                  int64_t spread);
/// Puts everybody's heaviest set into the draft, wherever the loads come to lie.
void take_heaviest(Draft& draft, const std::vector<size_t>& parts, const Master& master);

}  // namespace millrace::placement
