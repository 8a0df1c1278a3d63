// src/placement/report.cc: what changes and why, and the cluster before and after.
#include "placement/report.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "millrace/base/sha2.h"
#include "placement/waves.h"

namespace millrace::placement {
namespace {

/// Copies and preferred leaders per broker, once before and once after.
struct Counts {
    explicit Counts(size_t brokers) : replicas(brokers, 0), leaders(brokers, 0) {}
    std::vector<int64_t> replicas;
    std::vector<int64_t> leaders;
    int64_t worst_topic = 0;
};

class Reporter {
  public:
    explicit Reporter(Draft& draft)
        : draft_(draft),
          model_(draft.model),
          before_(model_.ids.size()),
          after_(model_.ids.size()) {}

    Plan run() {
        count(before_, [this](const Part& p) { return model_.now(p); });
        count(after_, [this](const Part& p) { return std::as_const(model_).then(p); });
        for (const Part& part : model_.parts) {
            if (!part.chosen) continue;
            ++plan_.partitions_looked_at;
            if (violates_now(part)) ++plan_.summary.violations_before;
            if (violates_then(part)) ++plan_.summary.violations_after;
            if (part.hold != Hold::No)
                plan_.skipped.push_back({model_.name_of(part), hold_text(part)});
            else
                add_change(part);
        }
        summarize();
        split_into_waves(*model_.request, rank_, plan_);
        plan_.metadata_offset = model_.metadata_offset;
        plan_.hash = hash();
        return std::move(plan_);
    }

  private:
    bool on_leaving(std::span<const Index> set) const {
        return std::any_of(set.begin(), set.end(),
                           [this](Index b) { return model_.role_of(b) == Role::Leave; });
    }
    int wish(const Part& part) const {
        return model_.request->replication_factor.value_or(part.copies);
    }
    bool violates_now(const Part& part) {
        return part.copies != wish(part) || on_leaving(model_.now(part)) ||
               draft_.separation.violates(draft_.separation.rule(part, part.copies),
                                          model_.now(part));
    }
    bool violates_then(const Part& part) {
        const auto set = std::as_const(model_).then(part);
        return part.want != wish(part) || on_leaving(set) ||
               draft_.separation.violates(draft_.separation.rule(part, part.want), set);
    }

    template <class SetOf>
    void count(Counts& counts, const SetOf& set_of) {
        std::vector<int64_t> topic(model_.ids.size(), 0);
        for (size_t at = 0; at < model_.parts.size(); ++at) {
            const Part& part = model_.parts[at];
            const auto set = set_of(part);
            for (const Index b : set)
                ++counts.replicas[static_cast<size_t>(b)];
            ++counts.leaders[static_cast<size_t>(set.front())];
            ++topic[static_cast<size_t>(set.front())];
            if (at + 1 < model_.parts.size() && model_.parts[at + 1].topic == part.topic) continue;
            counts.worst_topic = std::max(counts.worst_topic, spread(topic));
            std::fill(topic.begin(), topic.end(), int64_t{0});
        }
    }

    int64_t spread(const std::vector<int64_t>& counts) const {
        if (model_.targets.empty()) return 0;
        int64_t low = counts[static_cast<size_t>(model_.targets.front())];
        int64_t high = low;
        for (const Index b : model_.targets) {
            low = std::min(low, counts[static_cast<size_t>(b)]);
            high = std::max(high, counts[static_cast<size_t>(b)]);
        }
        return high - low;
    }

    std::string hold_text(const Part& part) const {
        if (part.hold == Hold::NoLeader)
            return "it has no leader: bring a replica of it back first";
        if (part.hold == Hold::OnlyDown)
            return "only copies on brokers that are down would be left: bring one back first";
        const Topic& topic = *model_.topics[static_cast<size_t>(part.topic)];
        std::string missing;
        for (const Partition& p : topic.partitions) {
            if (p.partition != part.number) continue;
            for (const int32_t id : p.replicas) {
                if (std::find(p.isr->begin(), p.isr->end(), id) == p.isr->end())
                    missing += fmt::format("{}{}", missing.empty() ? "" : ", ", id);
            }
            break;
        }
        return fmt::format("not in sync: {}; let it catch up first", missing);
    }

    std::vector<int32_t> ids_of(std::span<const Index> set) const {
        std::vector<int32_t> ids;
        for (const Index b : set)
            ids.push_back(model_.ids[static_cast<size_t>(b)]);
        return ids;
    }

    void add_change(const Part& part) {
        const auto now = model_.now(part);
        const auto then = std::as_const(model_).then(part);
        if (std::equal(now.begin(), now.end(), then.begin(), then.end())) return;
        Change change;
        change.name = model_.name_of(part);
        change.from = ids_of(now);
        change.to = ids_of(then);
        bool placed = false;
        std::vector<std::string> dirs;
        for (size_t i = 0; i < then.size(); ++i) {
            dirs.emplace_back("any");
            if (!draft_.is_new(part, then[i])) continue;
            change.adding.push_back(change.to[i]);
            const auto b = static_cast<size_t>(then[i]);
            if (model_.dirs[b].size() < 2) continue;
            dirs.back() =
                model_.brokers[b]->log_dirs[static_cast<size_t>(draft_.dir[part.plan + i])].path;
            placed = true;
        }
        for (const int32_t id : change.from) {
            if (std::find(change.to.begin(), change.to.end(), id) == change.to.end())
                change.removing.push_back(id);
        }
        if (placed) change.log_dirs = std::move(dirs);
        change.bytes = part.size * static_cast<int64_t>(change.adding.size());
        change.reason = reason(part, change);
        rank_.push_back(rank(part, change));
        plan_.changes.push_back(std::move(change));
    }

    int rank(const Part& part, const Change& change) {
        if (change.adding.empty() && change.removing.empty()) return 3;
        for (const Index b : model_.now(part)) {
            if (model_.dead[static_cast<size_t>(b)] != 0) return 0;
        }
        return violates_now(part) ? 1 : 2;
    }

    /// "dead 1007, FD 2/3 -> 3/3, leader 1002 -> 1006".
    std::string reason(const Part& part, const Change& change) {
        std::string text;
        const auto say = [&text](const std::string& more) {
            text += (text.empty() ? "" : ", ") + more;
        };
        for (const Index b : model_.now(part)) {
            const auto at = static_cast<size_t>(b);
            if (model_.role[at] != Role::Leave) continue;
            say(fmt::format("{} {}", model_.dead[at] != 0 ? "dead" : "away from", model_.ids[at]));
        }
        if (part.want != part.copies) say(fmt::format("RF {} → {}", part.copies, part.want));
        for (size_t a = 0; a < static_cast<size_t>(model_.hard); ++a) {
            const std::string axis = axis_reason(part, a);
            if (!axis.empty()) say(axis);
        }
        if (model_.request->balance && (text.empty() || more_than_needed(part, change)))
            say("balance");
        if (change.from.front() != change.to.front())
            say(fmt::format("leader {} → {}", change.from.front(), change.to.front()));
        return text;
    }

    bool more_than_needed(const Part& part, const Change& change) {
        int kept = 0;
        for (const Index b : model_.now(part))
            kept += model_.role_of(b) == Role::Leave ? 0 : 1;
        draft_.picker.respect(nullptr);
        Pick pick;
        const int least =
            draft_.picker.least_adds(part, draft_.rule(part), std::max(0, part.want - kept), pick);
        return static_cast<int>(change.adding.size()) > least;
    }

    /// How the copies lie over the values of an axis, the most first.
    std::vector<int> shares(std::span<const Index> set, size_t axis) const {
        std::vector<int32_t> values;
        for (const Index b : set) {
            if (model_.value_of(b, axis) >= 0) values.push_back(model_.value_of(b, axis));
        }
        std::sort(values.begin(), values.end());
        std::vector<int> shares;
        for (size_t i = 0; i < values.size(); ++i) {
            if (i == 0 || values[i] != values[i - 1]) shares.push_back(0);
            ++shares.back();
        }
        std::sort(shares.rbegin(), shares.rend());
        return shares;
    }

    /// Values that copies of this partition can have.
    int values_of(const Part& part, size_t axis) const {
        std::set<int32_t> own;
        for (const Index b : model_.now(part)) {
            const int32_t value = model_.value_of(b, axis);
            const Role role = model_.role_of(b);
            if (value >= 0 && (role == Role::Stay || role == Role::Pinned) &&
                model_.has_target[axis][static_cast<size_t>(value)] == 0)
                own.insert(value);
        }
        return model_.target_values[axis] + static_cast<int>(own.size());
    }

    static int lost(const std::vector<int>& shares, int copies, int cap) {
        int score = 0;
        for (const int share : shares)
            score += std::min(share, cap);
        return copies - score;
    }

    /// "FD 2/3 → 3/3": values that the copies have, of those they could have; "FD 3+1 → 2+2" where
    /// only their shares change. Nothing where the axis is as good as before.
    std::string axis_reason(const Part& part, size_t axis) const {
        const std::vector<int> was = shares(model_.now(part), axis);
        const std::vector<int> is = shares(std::as_const(model_).then(part), axis);
        const int values = std::max(1, values_of(part, axis));
        const auto cap = [values](int copies) { return (copies + values - 1) / values; };
        if (lost(was, part.copies, cap(part.copies)) == lost(is, part.want, cap(part.want)))
            return "";
        std::string name = model_.axes[axis];
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        if (was.size() == is.size())
            return fmt::format("{} {} → {}", name, fmt::join(was, "+"), fmt::join(is, "+"));
        return fmt::format("{} {}/{} → {}/{}", name, was.size(), std::min<int>(part.copies, values),
                           is.size(), std::min<int>(part.want, values));
    }

    void summarize() {
        Summary& sum = plan_.summary;
        for (size_t b = 0; b < model_.ids.size(); ++b) {
            const auto index = static_cast<Index>(b);
            plan_.brokers.push_back({model_.ids[b],
                                     model_.label_text(index),
                                     model_.usable(index),
                                     {before_.replicas[b], after_.replicas[b]},
                                     {before_.leaders[b], after_.leaders[b]},
                                     0,
                                     0});
        }
        for (const Change& change : plan_.changes) {
            sum.replica_moves += static_cast<int64_t>(change.adding.size());
            sum.bytes_moved += change.bytes;
            if (change.from.front() != change.to.front()) ++sum.leader_changes;
            if (change.adding.empty()) continue;
            const int64_t each = change.bytes / static_cast<int64_t>(change.adding.size());
            for (const int32_t id : change.adding)
                line(id).bytes_in += each;
            line(change.from.front()).bytes_out += change.bytes;
        }
        sum.replica_spread = {spread(before_.replicas), spread(after_.replicas)};
        sum.leader_spread = {spread(before_.leaders), spread(after_.leaders)};
        sum.topic_leader_spread = {before_.worst_topic, after_.worst_topic};
        sum.gap_bytes = std::max<int64_t>(0, sum.bytes_moved - draft_.bound_bytes);
        sum.optimal = draft_.optimal;
    }

    BrokerLine& line(int32_t id) {
        const auto at = std::lower_bound(model_.ids.begin(), model_.ids.end(), id);
        return plan_.brokers[static_cast<size_t>(at - model_.ids.begin())];
    }

    std::string hash() const {
        std::string text =
            fmt::format("v1 {}\n", model_.metadata_offset ? *model_.metadata_offset : -1);
        const auto number = [&text](int32_t value) {
            text += fmt::format_int(value).str();
            text += ' ';
        };
        const auto list = [&](const std::vector<int32_t>& ids) {
            for (const int32_t id : ids)
                number(id);
            text += '|';
        };
        for (const Change& change : plan_.changes) {
            text += change.name.topic;
            text += ' ';
            number(change.name.partition);
            text += fmt::format_int(change.wave).str();
            text += '|';
            list(change.from);
            list(change.to);
            for (const std::string& dir : change.log_dirs)
                text += dir + '|';
            text += '\n';
        }
        std::string hex;
        const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
        for (const uint8_t byte : sha2(ShaKind::Sha256, ByteView(bytes, text.size())))
            hex += fmt::format("{:02x}", byte);
        return hex;
    }

    Draft& draft_;
    Model& model_;
    Counts before_, after_;
    std::vector<int> rank_;
    Plan plan_;
};

}  // namespace

Plan make_report(Draft& draft) { return Reporter(draft).run(); }

}  // namespace millrace::placement
