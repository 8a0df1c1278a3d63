// src/placement/separation.h: how well a replica set is spread over the axes, and which sets are
// best.
//
// The score of an axis is the sum over its values of min(copies there, ceil(R / V)); here its
// complement is counted, the loss: copies above the cap. Loss only grows as copies are added, so a
// search may stop at the first copy too many. The least loss of a partition (all hard axes first,
// then the first axis alone) depends only on R and on its own copies on cordoned and down brokers.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "placement/model.h"

namespace millrace::placement {

struct Rule {
    std::vector<int32_t> cap;  // per axis
    int32_t loss = 0;          // the least possible over the hard axes
    int32_t first_loss = 0;    // then of the first axis
    bool possible = false;     // enough brokers for R copies
};

/// What a replica set under construction loses.
class LossCount {
  public:
    explicit LossCount(const Model& model);
    void start(const Rule& rule);  // forgets all copies
    void add(Index broker);
    void remove(Index broker);
    /// Whether the set with one more copy there is still within the rule.
    bool allows(const Rule& rule, Index broker) const;
    int32_t loss() const { return loss_; }
    int32_t first_loss() const { return first_loss_; }
    int32_t soft_loss() const { return soft_loss_; }
    bool within(const Rule& rule) const {
        return loss_ <= rule.loss && first_loss_ <= rule.first_loss;
    }

  private:
    const Model& model_;
    const Rule* rule_ = nullptr;
    std::vector<size_t> offset_;
    std::vector<int32_t> count_;
    int32_t loss_ = 0;
    int32_t first_loss_ = 0;
    int32_t soft_loss_ = 0;
};

inline void LossCount::add(Index broker) {
    for (size_t a = 0; a < offset_.size(); ++a) {
        const int32_t value = model_.value_of(broker, a);
        if (value < 0) {
            ++soft_loss_;  // hard labels are there, or the planner has refused
            continue;
        }
        if (count_[offset_[a] + static_cast<size_t>(value)]++ < rule_->cap[a]) continue;
        if (static_cast<int>(a) >= model_.hard) {
            ++soft_loss_;
        } else {
            ++loss_;
            if (a == 0) ++first_loss_;
        }
    }
}

inline void LossCount::remove(Index broker) {
    for (size_t a = 0; a < offset_.size(); ++a) {
        const int32_t value = model_.value_of(broker, a);
        if (value < 0) {
            --soft_loss_;
            continue;
        }
        if (--count_[offset_[a] + static_cast<size_t>(value)] < rule_->cap[a]) continue;
        if (static_cast<int>(a) >= model_.hard) {
            --soft_loss_;
        } else {
            --loss_;
            if (a == 0) --first_loss_;
        }
    }
}

inline bool LossCount::allows(const Rule& rule, Index broker) const {
    int32_t loss = loss_;
    for (size_t a = 0; a < static_cast<size_t>(model_.hard); ++a) {
        const int32_t value = model_.value_of(broker, a);
        if (value < 0 || count_[offset_[a] + static_cast<size_t>(value)] < rule.cap[a]) continue;
        ++loss;
        if (a == 0 && first_loss_ >= rule.first_loss) return false;
    }
    return loss <= rule.loss;
}

class Separation {
  public:
    explicit Separation(const Model& model) : model_(model), count_(model) {}

    /// The rule for `want` copies of a partition; references stay valid.
    const Rule& rule(const Part& part, int want);
    /// Whether the set is below what its brokers allow.
    bool violates(const Rule& rule, std::span<const Index> set);
    /// Loss of a set; of the hard axes, or of one.
    int32_t soft_loss(const Rule& rule, std::span<const Index> set);

  private:
    Rule make_rule(const std::vector<Index>& own, int want) const;

    const Model& model_;
    LossCount count_;
    std::vector<const Rule*> plain_;  // by want, of partitions without cordoned or down copies
    std::map<std::vector<Index>, Rule> rules_;
};

}  // namespace millrace::placement
