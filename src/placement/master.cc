// src/placement/master.cc: the simplex over replica sets.
#include "placement/master.h"

#include <algorithm>
#include <cmath>

namespace millrace::placement {
namespace {

constexpr double kTiny = 1e-9;
constexpr double kGain = 1e-7;
constexpr int64_t kMaxPivots = 30'000;
constexpr size_t kBlock = 64;    // partitions priced before the best of them enters
constexpr double kPenalty = 16;  // per copy outside the window, in largest partitions

/// A different small amount for each row: without it ties make the simplex turn on the spot.
double nudge(size_t row) {
    const auto mixed = static_cast<double>((row * 2654435761U + 12345) % 1000003);
    return 1e-6 * (0.5 + mixed / 1000003.0);
}

}  // namespace

Master::Master(Draft& draft, const std::vector<size_t>& parts)
    : draft_(draft), model_(draft.model), parts_(parts), row_of_(draft.model.ids.size(), -1) {
    for (size_t i = 0; i < model_.targets.size(); ++i)
        row_of_[static_cast<size_t>(model_.targets[i])] = static_cast<int32_t>(i);
    for (const size_t at : parts_)
        scale_ = std::max(scale_, static_cast<double>(model_.parts[at].weight));
}

void Master::start() {
    columns_.clear();
    loose_.clear();
    key_.clear();
    pivots_ = 0;
    for (size_t i = 0; i < parts_.size(); ++i) {
        const auto set = std::as_const(model_).then(model_.parts[parts_[i]]);
        key_.push_back(add(column_of(i, {set.begin(), set.end()})));
    }
    basics_.assign(key_.size(), {});
    basis_.assign(rows_, -1);
    inverse_.assign(rows_ * rows_, 0);
    right_.assign(rows_, 0);
}

Master::Column Master::column_of(size_t part, std::vector<Index> set) const {
    const Part& p = model_.parts[parts_[part]];
    Column column;
    column.group = static_cast<int32_t>(part);
    for (const Index b : set) {
        if (bytes_ && draft_.is_new(p, b)) column.cost += static_cast<double>(p.weight) / scale_;
        const int32_t row = row_of_[static_cast<size_t>(b)];
        if (row < 0) continue;
        column.rows.emplace_back(row, 1.0);
        if (!bytes_) column.rows.emplace_back(row + static_cast<int32_t>(rows_ / 2), -1.0);
    }
    column.set = std::move(set);
    return column;
}

int32_t Master::add(Column column) {
    columns_.push_back(std::move(column));
    return static_cast<int32_t>(columns_.size() - 1);
}

void Master::make_basis(size_t row, int32_t column, double scale) {
    basis_[row] = column;
    inverse_[row * rows_ + row] = 1 / scale;
    const int32_t group = columns_[static_cast<size_t>(column)].group;
    if (group >= 0) basics_[static_cast<size_t>(group)].push_back(row);
}

bool Master::solve_bytes(int64_t low, int64_t high) {
    bytes_ = true;
    rows_ = model_.targets.size();
    start();
    const auto width = static_cast<double>(high - low);
    std::vector<int64_t> fixed(draft_.load);
    for (const size_t at : parts_) {
        for (const Index b : std::as_const(model_).then(model_.parts[at]))
            --fixed[static_cast<size_t>(b)];
    }
    for (size_t row = 0; row < rows_; ++row) {
        const auto b = static_cast<size_t>(model_.targets[row]);
        const auto r = static_cast<int32_t>(row);
        const auto slack = static_cast<double>(high - draft_.load[b]);
        const int32_t over = add({-1, kPenalty, {{r, -1.0}}, {}});
        const int32_t under = add({-1, kPenalty, {{r, 1.0}}, {}});
        loose_.push_back(over);
        loose_.push_back(under);
        // The nudge keeps what is basic positive, wherever the load stands.
        const double shift = slack < 0 || (width > 0 && slack == width) ? -nudge(row) : nudge(row);
        right_[row] = static_cast<double>(high - fixed[b]) + shift;
        int32_t full = -1;
        if (width > 0) {
            // The slack is a mixture of none and all of the width.
            const auto group = static_cast<int32_t>(key_.size());
            const int32_t none = add({group, 0, {}, {}});
            full = add({group, 0, {{r, width}}, {}});
            key_.push_back(slack > width ? full : none);
            basics_.emplace_back();
            loose_.push_back(full);
            loose_.push_back(none);
        }
        if (slack < 0)
            make_basis(row, over, -1);
        else if (slack > width || width == 0)
            make_basis(row, under, 1);
        else
            make_basis(row, full, width);
    }
    return run();
}

bool Master::solve_spread() {
    bytes_ = false;
    const size_t brokers = model_.targets.size();
    rows_ = 2 * brokers;
    start();
    Column high{-1, 1, {}, {}};
    Column low{-1, -1, {}, {}};
    std::vector<int64_t> fixed(draft_.load);
    for (const size_t at : parts_) {
        for (const Index b : std::as_const(model_).then(model_.parts[at]))
            --fixed[static_cast<size_t>(b)];
    }
    size_t top = 0;
    size_t bottom = 0;
    for (size_t row = 0; row < rows_; ++row) {
        const size_t i = row % brokers;
        const auto b = static_cast<size_t>(model_.targets[i]);
        const double sign = row < brokers ? 1 : -1;
        const int32_t slack = add({-1, 0, {{static_cast<int32_t>(row), 1.0}}, {}});
        loose_.push_back(slack);
        make_basis(row, slack, 1);
        right_[row] = -sign * static_cast<double>(fixed[b]) + nudge(row);
        (row < brokers ? high : low).rows.emplace_back(static_cast<int32_t>(row), -sign);
    }
    set_values();
    for (size_t i = 0; i < brokers; ++i) {
        if (value_[i] < value_[top]) top = i;
        if (value_[brokers + i] < value_[brokers + bottom]) bottom = i;
    }
    for (auto [column, row] : {std::pair(high, top), std::pair(low, brokers + bottom)}) {
        const int32_t made = add(std::move(column));
        loose_.push_back(made);
        const Vector direction = direction_of(made);
        pivot(row, direction);
        basis_[row] = made;
        low_column_ = made;
    }
    // L is subtracted from its rows, so both stand at their extremes and every slack is positive.
    set_values();
    return run();
}

void Master::set_values() {
    Vector left = right_;
    for (const int32_t key : key_) {
        for (const auto& [row, factor] : columns_[static_cast<size_t>(key)].rows)
            left[static_cast<size_t>(row)] -= factor;
    }
    value_.assign(rows_, 0);
    for (size_t i = 0; i < rows_; ++i) {
        for (size_t k = 0; k < rows_; ++k)
            value_[i] += inverse_[i * rows_ + k] * left[k];
    }
}

void Master::set_duals() {
    dual_.assign(rows_, 0);
    for (size_t i = 0; i < rows_; ++i) {
        const Column& column = columns_[static_cast<size_t>(basis_[i])];
        double cost = column.cost;
        if (column.group >= 0)
            cost -= columns_[static_cast<size_t>(key_[static_cast<size_t>(column.group)])].cost;
        if (cost == 0) continue;
        for (size_t k = 0; k < rows_; ++k)
            dual_[k] += cost * inverse_[i * rows_ + k];
    }
}

double Master::reduced(const Column& column) const {
    double cost = column.cost;
    for (const auto& [row, factor] : column.rows)
        cost -= dual_[static_cast<size_t>(row)] * factor;
    return cost;
}

/// How much a unit of the column saves.
double Master::gain(int32_t at) const {
    const Column& column = columns_[static_cast<size_t>(at)];
    if (column.group < 0) return -reduced(column);
    return reduced(columns_[static_cast<size_t>(key_[static_cast<size_t>(column.group)])]) -
           reduced(column);
}

Master::Vector Master::direction_of(int32_t at) const {
    Vector direction(rows_, 0);
    const auto apply = [&](const Column& column, double sign) {
        for (const auto& [row, factor] : column.rows) {
            for (size_t i = 0; i < rows_; ++i)
                direction[i] += sign * factor * inverse_[i * rows_ + static_cast<size_t>(row)];
        }
    };
    const Column& column = columns_[static_cast<size_t>(at)];
    apply(column, 1);
    if (column.group >= 0)
        apply(columns_[static_cast<size_t>(key_[static_cast<size_t>(column.group)])], -1);
    return direction;
}

void Master::pivot(size_t row, const Vector& direction) {
    const double by = direction[row];
    double* own = &inverse_[row * rows_];
    for (size_t k = 0; k < rows_; ++k)
        own[k] /= by;
    for (size_t i = 0; i < rows_; ++i) {
        const double factor = direction[i];
        if (i == row || factor == 0) continue;
        double* other = &inverse_[i * rows_];
        for (size_t k = 0; k < rows_; ++k)
            other[k] -= factor * own[k];
    }
}

/// The basic column at position `at` becomes its group's key, and the old key takes its place.
void Master::move_key(int32_t group, size_t at, Vector& direction, int32_t entering) {
    const std::vector<size_t>& positions = basics_[static_cast<size_t>(group)];
    if (columns_[static_cast<size_t>(entering)].group == group) direction[at] -= 1;
    double sum = 0;
    Vector row(rows_, 0);
    for (const size_t position : positions) {
        sum += direction[position];
        for (size_t k = 0; k < rows_; ++k)
            row[k] -= inverse_[position * rows_ + k];
    }
    direction[at] = -sum;
    std::copy(row.begin(), row.end(), inverse_.begin() + static_cast<int64_t>(at * rows_));
    std::swap(key_[static_cast<size_t>(group)], basis_[at]);
}

bool Master::enter(int32_t entering) {
    Vector direction = direction_of(entering);
    const int32_t own = columns_[static_cast<size_t>(entering)].group;
    double step = std::numeric_limits<double>::infinity();
    int64_t leaving = -1;
    int32_t leaving_key = -1;
    const auto offer = [&](double amount, double rate, int64_t position, int32_t group) {
        if (rate <= kTiny) return;
        const double limit = std::max(0.0, amount) / rate;
        if (limit >= step) return;
        step = limit;
        leaving = position;
        leaving_key = group;
    };
    for (size_t i = 0; i < rows_; ++i)
        offer(value_[i], direction[i], static_cast<int64_t>(i), -1);
    for (size_t i = 0; i < rows_; ++i) {
        const int32_t group = columns_[static_cast<size_t>(basis_[i])].group;
        if (group < 0 || basics_[static_cast<size_t>(group)].front() != i) continue;
        double amount = 1;
        double rate = group == own ? 1 : 0;
        for (const size_t position : basics_[static_cast<size_t>(group)]) {
            amount -= value_[position];
            rate -= direction[position];
        }
        offer(amount, rate, -1, group);
    }
    if (own >= 0 && basics_[static_cast<size_t>(own)].empty()) offer(1, 1, -1, own);
    if (leaving < 0 && leaving_key < 0) return false;  // unbounded: cannot be
    if (leaving < 0 && basics_[static_cast<size_t>(leaving_key)].empty()) {
        key_[static_cast<size_t>(leaving_key)] = entering;
        set_values();
        return true;
    }
    if (leaving < 0) {
        const auto at = basics_[static_cast<size_t>(leaving_key)].front();
        move_key(leaving_key, at, direction, entering);
        leaving = static_cast<int64_t>(at);
    }
    const auto row = static_cast<size_t>(leaving);
    if (std::abs(direction[row]) < kTiny) return false;
    const int32_t left = columns_[static_cast<size_t>(basis_[row])].group;
    if (left >= 0) std::erase(basics_[static_cast<size_t>(left)], row);
    pivot(row, direction);
    basis_[row] = entering;
    if (own >= 0) basics_[static_cast<size_t>(own)].push_back(row);
    set_values();
    return true;
}

/// The cheapest set of a partition at the present prices, as a new column; -1 when its key is.
int32_t Master::best_column(size_t i) {
    const Part& part = model_.parts[parts_[i]];
    const Rule& rule = draft_.rule(part);
    const double own = reduced(columns_[static_cast<size_t>(key_[i])]);
    const double size = bytes_ ? static_cast<double>(part.weight) / scale_ : 0;
    Pick best;
    best.soft_loss = 0;
    double bound = own - kGain;
    const int first = adds_ != nullptr ? (*adds_)[i] : 0;
    const int last = adds_ != nullptr ? first : part.want;
    for (int adds = first; adds <= last; ++adds) {
        Pick pick;
        draft_.picker.improve(part, rule, adds, pick);
        if (!pick.found() || pick.price + size * adds >= bound) continue;
        bound = pick.price + size * adds;
        best = std::move(pick);
    }
    return best.found() ? add(column_of(i, std::move(best.set))) : -1;
}

/// Prices the next partitions and lets the best column enter; false after a whole round in vain.
bool Master::price_block(size_t& next) {
    std::vector<double>& prices = draft_.picker.prices();
    std::fill(prices.begin(), prices.end(), 0.0);
    for (size_t i = 0; i < model_.targets.size(); ++i) {
        const auto b = static_cast<size_t>(model_.targets[i]);
        prices[b] = -dual_[i];
        if (!bytes_) prices[b] += dual_[i + rows_ / 2];
    }
    draft_.picker.sort();
    int32_t best = -1;
    double most = kGain;
    for (const int32_t column : loose_) {
        if (gain(column) <= most) continue;
        most = gain(column);
        best = column;
    }
    for (size_t looked = 0; looked < parts_.size(); ++looked) {
        if (looked % kBlock == 0 && looked > 0 && best >= 0) break;
        next = next + 1 < parts_.size() ? next + 1 : 0;
        const size_t before = columns_.size();
        const int32_t column = best_column(next);
        if (column < 0) continue;
        if (gain(column) > most) {
            most = gain(column);
            best = column;
        } else {
            columns_.resize(before);
        }
    }
    return best >= 0 && enter(best);
}

bool Master::run() {
    draft_.picker.respect(nullptr);
    draft_.picker.ignore_soft(true);
    set_values();
    size_t next = 0;
    bool more = true;
    while (more && ++pivots_ < kMaxPivots) {
        set_duals();
        more = price_block(next);
    }
    draft_.picker.ignore_soft(false);
    return !more;
}

double Master::lowest() const {
    for (size_t i = 0; i < rows_; ++i) {
        if (basis_[i] == low_column_) return value_[i];
    }
    return 0;
}

std::vector<double> Master::prices() const {
    std::vector<double> prices(model_.ids.size(), 0);
    for (size_t i = 0; i < model_.targets.size(); ++i) {
        const auto b = static_cast<size_t>(model_.targets[i]);
        prices[b] = bytes_ ? -dual_[i] * scale_ : dual_[i + rows_ / 2] - dual_[i];
    }
    return prices;
}

std::vector<Master::Share> Master::shares(size_t part) const {
    std::vector<Share> shares;
    double rest = 1;
    for (const size_t position : basics_[part]) {
        shares.push_back({columns_[static_cast<size_t>(basis_[position])].set, value_[position]});
        rest -= value_[position];
    }
    shares.push_back({columns_[static_cast<size_t>(key_[part])].set, rest});
    std::stable_sort(shares.begin(), shares.end(),
                     [](const Share& a, const Share& b) { return a.weight > b.weight; });
    return shares;
}

}  // namespace millrace::placement
