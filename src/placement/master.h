// src/placement/master.h: the linear program over replica sets, for bounds and near solutions.
//
// Columns are replica sets; each partition takes a convex mixture of its own; rows speak of the
// loads of brokers. Primal simplex with generalized upper bounds (Dantzig and Van Slyke): one key
// column per partition keeps the working basis as small as the number of rows, and columns are made
// on demand by the picker. Its prices are only a guess: whoever uses them proves the bound again.
#pragma once

#include <cstdint>
#include <vector>

#include "placement/draft.h"

namespace millrace::placement {

class Master {
  public:
    /// Partitions that may move, at their planned sets; everybody else's loads are constants.
    Master(Draft& draft, const std::vector<size_t>& parts);

    /// Sets with exactly so many new copies only (parallel to `parts`), instead of any.
    void keep_adds(const std::vector<int>* adds) { adds_ = adds; }
    /// Least bytes with every load in [low, high].
    bool solve_bytes(int64_t low, int64_t high);
    /// Least max - min of the loads.
    bool solve_spread();

    /// After solve_spread(): the lowest load of the mixture.
    double lowest() const;
    /// The price of a copy on each broker in the solution (negative: worth having).
    std::vector<double> prices() const;
    /// The sets in the mixture of a partition (index into `parts`), the heaviest first.
    struct Share {
        std::vector<Index> set;
        double weight = 0;
    };
    std::vector<Share> shares(size_t part) const;

  private:
    struct Column {
        int32_t group = -1;  // partition, or slack pair behind them; -1: alone
        double cost = 0;
        std::vector<std::pair<int32_t, double>> rows;
        std::vector<Index> set;
    };
    using Vector = std::vector<double>;

    void start();
    Column column_of(size_t part, std::vector<Index> set) const;
    int32_t add(Column column);
    void make_basis(size_t row, int32_t column, double scale);
    bool run();
    bool price_block(size_t& next);
    int32_t best_column(size_t part);
    bool enter(int32_t column);
    void move_key(int32_t group, size_t at, Vector& direction, int32_t entering);
    void pivot(size_t row, const Vector& direction);
    void set_values();
    void set_duals();
    double reduced(const Column& column) const;
    double gain(int32_t column) const;
    Vector direction_of(int32_t column) const;

    Draft& draft_;
    const Model& model_;
    const std::vector<size_t>& parts_;
    const std::vector<int>* adds_ = nullptr;
    int32_t low_column_ = -1;
    std::vector<int32_t> row_of_;  // by broker: its row, -1 for one without
    size_t rows_ = 0;
    bool bytes_ = true;  // costs of sets are bytes; else 0
    double scale_ = 1;   // bytes of a cost of 1
    std::vector<Column> columns_;
    std::vector<int32_t> key_;                 // by group
    std::vector<std::vector<size_t>> basics_;  // by group: positions in the basis
    std::vector<int32_t> loose_;               // columns outside partitions
    std::vector<int32_t> basis_;               // by position
    Vector inverse_;                           // rows_ x rows_
    Vector value_;                             // by position
    Vector dual_;                              // by row
    Vector right_;                             // by row
    int64_t pivots_ = 0;
};

}  // namespace millrace::placement
