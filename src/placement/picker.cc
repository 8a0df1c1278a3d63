// src/placement/picker.cc: the walk over what is kept and what is added.
#include "placement/picker.h"

#include <algorithm>

namespace millrace::placement {

Picker::Picker(const Model& model)
    : model_(model),
      count_(model),
      prices_(model.ids.size(), 0.0),
      order_(model.targets),
      mark_(model.ids.size(), 0) {}

void Picker::sort() {
    // Nearly sorted from the last time: a handful of prices changed by a little.
    const auto less = [this](Index a, Index b) {
        const double x = prices_[static_cast<size_t>(a)];
        const double y = prices_[static_cast<size_t>(b)];
        return x != y ? x < y : a < b;
    };
    for (size_t i = 1; i < order_.size(); ++i) {
        const Index one = order_[i];
        size_t at = i;
        for (; at > 0 && less(one, order_[at - 1]); --at)
            order_[at] = order_[at - 1];
        order_[at] = one;
    }
}

void Picker::start(const Part& part, const Rule& rule, int adds) {
    part_ = &part;
    rule_ = &rule;
    adds_ = adds;
    stack_.clear();
    price_ = 0;
    count_.start(rule);
    ++epoch_;
    for (const Index b : model_.now(part))
        mark_[static_cast<size_t>(b)] = epoch_;
    const int kept = part.want - adds;
    if (adds >= 0 && kept >= 0 && kept <= part.copies) keep(0, kept);
}

void Picker::keep(size_t from, int left) {
    const auto now = model_.now(*part_);
    if (left == 0) {
        for (size_t i = from; i < now.size(); ++i) {
            if (model_.role_of(now[i]) == Role::Pinned) return;
        }
        fill(0, adds_);
        return;
    }
    if (from + static_cast<size_t>(left) > now.size()) return;
    const Index b = now[from];
    const Role role = model_.role_of(b);
    if (role != Role::Leave && count_.allows(*rule_, b)) {
        const double before = price_;
        price_ += prices_[static_cast<size_t>(b)];
        stack_.push_back(b);
        count_.add(b);
        keep(from + 1, left - 1);
        count_.remove(b);
        stack_.pop_back();
        price_ = before;
    }
    if (role != Role::Pinned) keep(from + 1, left);
}

void Picker::fill(size_t from, int left) {
    if (left == 0) {
        finish();
        return;
    }
    for (size_t i = from; i + static_cast<size_t>(left) <= order_.size(); ++i) {
        const Index b = order_[i];
        const double price = prices_[static_cast<size_t>(b)];
        if (best_ != nullptr && best_->found()) {
            if (soft_loss() > best_->soft_loss) return;
            if (soft_loss() == best_->soft_loss && price_ + left * price >= best_->price) return;
        }
        if (all_ != nullptr && (all_->size() > limit_ || price_ + left * price > cap_)) return;
        if (mark_[static_cast<size_t>(b)] == epoch_) continue;
        if (disks_ != nullptr && !disks_->fits(b, part_->size)) continue;
        if (!count_.allows(*rule_, b)) continue;
        const double before = price_;
        count_.add(b);
        price_ += price;
        stack_.push_back(b);
        fill(i + 1, left - 1);
        stack_.pop_back();
        price_ = before;
        count_.remove(b);
    }
}

void Picker::finish() {
    if (all_ != nullptr) {
        if (price_ > cap_) return;
        if (all_->size() <= limit_) all_->push_back({stack_, soft_loss(), price_});
        return;
    }
    const bool better = soft_loss() < best_->soft_loss ||
                        (soft_loss() == best_->soft_loss && price_ < best_->price);
    if (!better) return;
    best_->set = stack_;
    best_->soft_loss = soft_loss();
    best_->price = price_;
}

void Picker::improve(const Part& part, const Rule& rule, int adds, Pick& pick) {
    best_ = &pick;
    all_ = nullptr;
    start(part, rule, adds);
}

bool Picker::gather(const Part& part, const Rule& rule, int adds, size_t limit,
                    std::vector<Pick>& all) {
    best_ = nullptr;
    all_ = &all;
    limit_ = limit;
    start(part, rule, adds);
    all_ = nullptr;
    if (all.size() <= limit) return true;
    all.resize(limit);
    return false;
}

int Picker::least_adds(const Part& part, const Rule& rule, int adds, Pick& pick) {
    for (; adds <= part.want; ++adds) {
        improve(part, rule, adds, pick);
        if (pick.found()) return adds;
    }
    return -1;
}

}  // namespace millrace::placement
