// src/placement/draft.h: the plan while it is made: sets, directories, loads, and how to change
// one.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "placement/disks.h"
#include "placement/model.h"
#include "placement/picker.h"
#include "placement/separation.h"

namespace millrace::placement {

/// A set and, beside it, the directories of its new copies.
struct Placed {
    std::vector<Index> set;
    std::vector<int16_t> dirs;
};

class Draft {
  public:
    explicit Draft(Model& model);

    Model& model;
    Separation separation;
    Picker picker;
    Disks disks;
    std::vector<int64_t> load;    // planned copies per broker, all partitions
    std::vector<int16_t> dir;     // parallel to model.planned: the directory of a new copy
    std::vector<size_t> changed;  // parts that must get another set, ascending
    bool optimal = true;
    int64_t bound_bytes = 0;  // no plan under the same wishes moves less

    Part& part(size_t at) { return model.parts[at]; }
    const Rule& rule(const Part& part) { return separation.rule(part, part.want); }
    bool is_new(const Part& part, Index broker) const;
    int adds(const Part& part) const;
    int64_t bytes() const;
    /// Weight, new copies and soft loss of all free parts.
    std::array<int64_t, 3> cost();
    /// max - min of the usable brokers' loads.
    int64_t spread() const;
    /// The variance of the usable brokers' loads, scaled: falls with every step towards evenness.
    double unevenness() const;

    /// Takes the planned set away from loads and disks; the slots keep it until put().
    void lift(const Part& part);
    void put(const Part& part, std::span<const Index> set);
    /// The same with the directories already chosen (-1 for kept copies).
    void put(const Part& part, const Placed& placed);
    Placed placed(const Part& part) const;
    /// Whether part's set with `out` replaced by `in` keeps the least loss, soft loss and disks,
    /// and has at most `most_adds` new copies.
    bool may_swap(const Part& part, const Rule& rule, Index out, Index in, int most_adds,
                  bool mind_soft = true);
    void swap(const Part& part, Index out, Index in);

    /// The price of a broker by its load: a copy costs what it adds to the unevenness.
    void price_by_load();
    void price_by_load(std::span<const Index> touched);

  private:
    LossCount count_;
};

}  // namespace millrace::placement
