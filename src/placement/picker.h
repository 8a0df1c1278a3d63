// src/placement/picker.h: the best replica set of one partition under prices of brokers.
//
// Looks only at sets of the least loss, with a given number of new copies. Exact: it walks what may
// be kept, then candidates from the cheapest, and stops where the rest cannot be cheaper.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "placement/disks.h"
#include "placement/model.h"
#include "placement/separation.h"

namespace millrace::placement {

struct Pick {
    std::vector<Index> set;  // kept copies in their order, then new ones
    int32_t soft_loss = std::numeric_limits<int32_t>::max();
    double price = std::numeric_limits<double>::infinity();

    bool found() const { return !set.empty(); }
};

class Picker {
  public:
    explicit Picker(const Model& model);

    /// The price of a copy on a broker; call sort() before the next search.
    std::vector<double>& prices() { return prices_; }
    void sort();
    /// New copies only where they fit; null: everywhere.
    void respect(const Disks* disks) { disks_ = disks; }
    /// Soft axes count for nothing.
    void ignore_soft(bool ignore) { ignore_soft_ = ignore; }

    /// Replaces `pick` where a set with exactly `adds` new copies has less soft loss, or equal and
    /// a lower price.
    void improve(const Part& part, const Rule& rule, int adds, Pick& pick);
    /// Gathers every such set, at most `limit`; false when there are more.
    bool gather(const Part& part, const Rule& rule, int adds, size_t limit, std::vector<Pick>& all);
    /// Gathers only sets of at most this price; infinity: all.
    void cap_price(double cap) { cap_ = cap; }
    /// The least number of new copies with any such set, from `adds` on; -1 for none.
    int least_adds(const Part& part, const Rule& rule, int adds, Pick& pick);

  private:
    void start(const Part& part, const Rule& rule, int adds);
    void keep(size_t from, int left);
    void fill(size_t from, int left);
    void finish();
    int32_t soft_loss() const { return ignore_soft_ ? 0 : count_.soft_loss(); }

    const Model& model_;
    LossCount count_;
    const Disks* disks_ = nullptr;
    bool ignore_soft_ = false;
    double cap_ = std::numeric_limits<double>::infinity();
    std::vector<double> prices_;
    std::vector<Index> order_;  // targets from the cheapest

    const Part* part_ = nullptr;
    const Rule* rule_ = nullptr;
    int adds_ = 0;
    std::vector<Index> stack_;
    std::vector<uint32_t> mark_;  // brokers that hold a copy now, by epoch
    uint32_t epoch_ = 0;
    double price_ = 0;
    Pick* best_ = nullptr;
    std::vector<Pick>* all_ = nullptr;
    size_t limit_ = 0;
};

}  // namespace millrace::placement
