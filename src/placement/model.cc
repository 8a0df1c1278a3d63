// src/placement/model.cc: checks what the operator gave, and turns ids and names into indexes.
#include "placement/model.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>

#include "millrace/base/nearest.h"

namespace millrace::placement {
namespace {

using MaybeRefusal = std::optional<Refusal>;

Refusal bad(std::string rule, std::string message) {
    return {true, std::move(rule), std::move(message), {}, 0};
}

template <class T>
bool contains(const std::vector<T>& all, const T& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

Index index_of(const Model& model, int32_t id) {
    const auto at = std::lower_bound(model.ids.begin(), model.ids.end(), id);
    if (at == model.ids.end() || *at != id) return -1;
    return static_cast<Index>(at - model.ids.begin());
}

MaybeRefusal check_request(const Request& request) {
    if (request.replication_factor && *request.replication_factor < 1)
        return bad("replication-factor",
                   fmt::format("replication factor {} is below 1", *request.replication_factor));
    if (request.max_moves_per_broker < 1)
        return bad("waves", "at least one move per broker is needed");
    if (request.max_bytes_in_flight < 1) return bad("waves", "at least one byte must be in flight");
    if (request.disk_high_water_ppm < 0 || request.disk_high_water_ppm > 1'000'000)
        return bad("disk-high-water", "the high-water mark is a part of 1, for example 0.90");
    return {};
}

/// Axes in their order, soft ones last.
MaybeRefusal load_axes(const Snapshot& snapshot, const Request& request, Model& model) {
    for (const std::string& soft : request.soft_axes) {
        if (contains(snapshot.axes, soft)) continue;
        std::string names;
        for (const std::string& axis : snapshot.axes)
            names += (names.empty() ? "" : ", ") + axis;
        return bad("unknown-axis", fmt::format("no axis '{}'; there are: {}", soft, names));
    }
    std::vector<std::string> soft;
    for (const std::string& axis : snapshot.axes) {
        if (axis.empty()) return bad("axes", "an axis has no name");
        if (contains(model.axes, axis) || contains(soft, axis))
            return bad("axes", fmt::format("axis '{}' is named twice", axis));
        (contains(request.soft_axes, axis) ? soft : model.axes).push_back(axis);
    }
    model.hard = static_cast<int>(model.axes.size());
    model.axes.insert(model.axes.end(), soft.begin(), soft.end());
    return {};
}

MaybeRefusal load_brokers(const Snapshot& snapshot, const Request& request, Model& model) {
    if (snapshot.brokers.size() > kMaxBrokers)
        return bad("too-large", fmt::format("more than {} brokers", kMaxBrokers));
    std::map<int32_t, const Broker*> by_id;
    for (const Broker& broker : snapshot.brokers) {
        if (broker.id < 0)
            return bad("broker-id", fmt::format("broker id {} is negative", broker.id));
        if (!by_id.emplace(broker.id, &broker).second)
            return bad("duplicate-broker", fmt::format("broker {} is there twice", broker.id));
    }
    std::vector<int32_t> gone = request.dead;  // may name brokers that only replicas know
    std::sort(gone.begin(), gone.end());
    for (const Topic& topic : snapshot.topics) {
        for (const Partition& partition : topic.partitions) {
            for (const int32_t id : partition.replicas) {
                if (by_id.contains(id)) continue;
                if (std::binary_search(gone.begin(), gone.end(), id)) {
                    by_id.emplace(id, nullptr);
                    continue;
                }
                return bad("unknown-broker",
                           fmt::format("{}-{} has a replica on broker {}, which is not among the "
                                       "brokers; if it is gone, add --dead {}",
                                       topic.name, partition.partition, id, id));
            }
        }
    }
    for (const auto& [id, broker] : by_id) {
        model.ids.push_back(id);
        model.brokers.push_back(broker);
    }
    for (const std::vector<int32_t>* list : {&request.dead, &request.away_from}) {
        for (const int32_t id : *list) {
            if (!by_id.contains(id))
                return bad("unknown-broker", fmt::format("there is no broker {}", id));
        }
    }
    return {};
}

void load_roles(const Request& request, Model& model) {
    for (size_t b = 0; b < model.ids.size(); ++b) {
        const Broker* broker = model.brokers[b];
        const BrokerState state = broker == nullptr ? BrokerState::Dead : broker->state;
        const bool dead = state == BrokerState::Dead || contains(request.dead, model.ids[b]);
        Role role = Role::Target;
        if (dead || contains(request.away_from, model.ids[b]))
            role = Role::Leave;
        else if (state == BrokerState::Down)
            role = Role::Pinned;
        else if (state == BrokerState::Cordoned)
            role = Role::Stay;
        model.role.push_back(role);
        model.dead.push_back(dead ? 1 : 0);
        if (role == Role::Target) model.targets.push_back(static_cast<Index>(b));
    }
}

/// Values per axis, numbered in order of brokers; a broker that matters must have the hard ones.
MaybeRefusal load_labels(Model& model) {
    const size_t axes = model.axis_count();
    std::vector<std::map<std::string, int32_t>> numbers(axes);
    model.value.assign(model.ids.size() * axes, -1);
    std::string unlabelled;
    for (size_t b = 0; b < model.ids.size(); ++b) {
        std::string missing;
        for (size_t a = 0; a < axes; ++a) {
            const Broker* broker = model.brokers[b];
            const std::string* text = nullptr;
            for (size_t i = 0; broker != nullptr && i < broker->labels.size(); ++i) {
                const Label& label = broker->labels[i];
                if (label.first == model.axes[a] && !label.second.empty()) text = &label.second;
            }
            if (text != nullptr) {
                const auto next = static_cast<int32_t>(numbers[a].size());
                model.value[b * axes + a] = numbers[a].emplace(*text, next).first->second;
            } else if (static_cast<int>(a) < model.hard && model.role[b] != Role::Leave) {
                missing += (missing.empty() ? "" : ", ") + model.axes[a];
            }
        }
        if (missing.empty()) continue;
        unlabelled +=
            fmt::format("{}{} (no {})", unlabelled.empty() ? "" : ", ", model.ids[b], missing);
    }
    if (!unlabelled.empty()) {
        return Refusal{
            false,
            "unlabelled-broker",
            fmt::format("brokers without a label on a hard axis: {}; label them, or make "
                        "the axis soft with --soft",
                        unlabelled),
            {},
            0};
    }
    for (size_t a = 0; a < axes; ++a) {
        model.values.push_back(static_cast<int32_t>(numbers[a].size()));
        model.has_target.emplace_back(numbers[a].size(), uint8_t{0});
        for (const Index b : model.targets) {
            const int32_t value = model.value_of(b, a);
            if (value >= 0) model.has_target[a][static_cast<size_t>(value)] = 1;
        }
        model.target_values.push_back(static_cast<int32_t>(
            std::count(model.has_target[a].begin(), model.has_target[a].end(), uint8_t{1})));
    }
    return {};
}

/// Adds up amounts that must stay below 63 bits together.
class Sum {
  public:
    bool add(int64_t amount, int64_t times = 1) {
        sum_ += static_cast<Wide>(amount) * times;
        return sum_ <= std::numeric_limits<int64_t>::max();
    }

  private:
    Wide sum_ = 0;
};

const char* const kTooBig = "sums do not fit into 63 bits";

MaybeRefusal load_disks(const Request& request, Model& model, Sum& bytes) {
    model.dirs.resize(model.ids.size());
    Sum capacity;
    for (size_t b = 0; b < model.ids.size(); ++b) {
        if (model.brokers[b] == nullptr) continue;
        std::vector<std::string> paths;
        for (const LogDir& dir : model.brokers[b]->log_dirs) {
            const std::string where =
                fmt::format("broker {} log directory {}", model.ids[b], dir.path);
            if (contains(paths, dir.path)) return bad("log-dirs", where + " is there twice");
            paths.push_back(dir.path);
            if (dir.used_bytes < 0 || dir.capacity_bytes.value_or(0) < 0)
                return bad("log-dirs", where + ": negative bytes");
            if (!bytes.add(dir.used_bytes) || !capacity.add(dir.capacity_bytes.value_or(0)))
                return bad("overflow", where + ": " + kTooBig);
            Dir made{dir.capacity_bytes.has_value(), -dir.used_bytes};
            if (made.bounded) {
                made.room += static_cast<int64_t>(static_cast<Wide>(*dir.capacity_bytes) *
                                                  request.disk_high_water_ppm / 1'000'000);
            }
            model.dirs[b].push_back(made);
        }
    }
    return {};
}

class TopicLoader {
  public:
    TopicLoader(const Request& request, Model& model, Sum& bytes)
        : request_(request), model_(model), bytes_(bytes) {}

    MaybeRefusal load(const Topic& topic, bool chosen) {
        std::vector<const Partition*> partitions;
        for (const Partition& partition : topic.partitions)
            partitions.push_back(&partition);
        std::sort(partitions.begin(), partitions.end(), [](const Partition* a, const Partition* b) {
            return a->partition < b->partition;
        });
        for (size_t i = 0; i < partitions.size(); ++i) {
            if (i > 0 && partitions[i]->partition == partitions[i - 1]->partition)
                return refuse("duplicate-partition", topic, *partitions[i], "is there twice");
            if (auto refusal = load(topic, *partitions[i], chosen)) return refusal;
        }
        ++topic_;
        return {};
    }

  private:
    static MaybeRefusal refuse(const char* rule, const Topic& topic, const Partition& partition,
                               const std::string& message) {
        return bad(rule, fmt::format("{}-{} {}", topic.name, partition.partition, message));
    }

    MaybeRefusal check(const Topic& topic, const Partition& p) const {
        if (p.partition < 0) return refuse("partition", topic, p, "has a negative number");
        if (p.replicas.empty()) return refuse("replicas", topic, p, "has no replicas");
        if (p.replicas.size() > kMaxReplicationFactor)
            return refuse("too-large", topic, p,
                          fmt::format("has more than {} replicas", kMaxReplicationFactor));
        for (size_t i = 1; i < p.replicas.size(); ++i) {
            if (std::find(p.replicas.begin(), p.replicas.begin() + static_cast<int64_t>(i),
                          p.replicas[i]) != p.replicas.begin() + static_cast<int64_t>(i))
                return refuse("replicas", topic, p,
                              fmt::format("has broker {} twice", p.replicas[i]));
        }
        for (size_t i = 0; p.isr && i < p.isr->size(); ++i) {
            const int32_t id = (*p.isr)[i];
            if (!contains(p.replicas, id))
                return refuse("isr", topic, p,
                              fmt::format("has broker {} in sync, which is no replica", id));
            if (std::find(p.isr->begin(), p.isr->begin() + static_cast<int64_t>(i), id) !=
                p.isr->begin() + static_cast<int64_t>(i))
                return refuse("isr", topic, p, fmt::format("has broker {} in sync twice", id));
        }
        if (p.leader && *p.leader >= 0 && !contains(p.replicas, *p.leader))
            return refuse("leader", topic, p,
                          fmt::format("is led by broker {}, which is no replica", *p.leader));
        if (p.size_bytes < 0 || p.bytes_in_rate < 0)
            return refuse("size", topic, p, "has a negative size or rate");
        return {};
    }

    Hold hold_of(const Partition& p, bool has_dead) const {
        if (only_down_would_stay(p)) return Hold::OnlyDown;
        if (has_dead) return Hold::No;
        if (p.leader && *p.leader < 0) return Hold::NoLeader;
        if (p.isr && p.isr->empty()) return Hold::NoLeader;
        if (p.isr && p.isr->size() < p.replicas.size()) return Hold::ShortIsr;
        return Hold::No;
    }

    /// Fewer copies are asked for, and those on brokers that are down are as many: all that live
    /// would go.
    bool only_down_would_stay(const Partition& p) const {
        if (!request_.replication_factor) return false;
        int32_t down = 0;
        bool live = false;
        for (const int32_t id : p.replicas) {
            const Index b = index_of(model_, id);
            const bool pinned = model_.role_of(b) == Role::Pinned;
            down += pinned ? 1 : 0;
            live = live || (!pinned && model_.dead[static_cast<size_t>(b)] == 0);
        }
        return live && down == *request_.replication_factor;
    }

    MaybeRefusal load(const Topic& topic, const Partition& p, bool chosen) {
        if (auto refusal = check(topic, p)) return refusal;
        if (model_.parts.size() >= kMaxPartitions)
            return bad("too-large", fmt::format("more than {} partitions", kMaxPartitions));
        Part part;
        part.topic = topic_;
        part.number = p.partition;
        part.first = static_cast<uint32_t>(model_.current.size());
        part.copies = static_cast<int16_t>(p.replicas.size());
        part.chosen = chosen;
        part.size = p.size_bytes;
        part.rate = p.bytes_in_rate;
        bool has_dead = false;
        for (const int32_t id : p.replicas) {
            const Index b = index_of(model_, id);
            model_.current.push_back(b);
            has_dead = has_dead || model_.dead[static_cast<size_t>(b)] != 0;
        }
        part.hold = chosen ? hold_of(p, has_dead) : Hold::No;
        part.want = part.copies;
        if (chosen && part.hold == Hold::No && request_.replication_factor)
            part.want = static_cast<int16_t>(
                std::min<int64_t>(*request_.replication_factor, kMaxReplicationFactor + 1));
        part.plan = static_cast<uint32_t>(model_.planned.size());
        for (int i = 0; i < part.want; ++i)
            model_.planned.push_back(i < part.copies ? model_.now(part)[static_cast<size_t>(i)]
                                                     : -1);
        const bool fits = bytes_.add(part.size, std::max(part.copies, part.want));
        if (!fits || !rates_.add(part.rate)) return refuse("overflow", topic, p, kTooBig);
        model_.parts.push_back(part);
        return {};
    }

    const Request& request_;
    Model& model_;
    Sum& bytes_;
    Sum rates_;
    int32_t topic_ = 0;
};

MaybeRefusal load_topics(const Snapshot& snapshot, const Request& request, Model& model,
                         Sum& bytes) {
    std::vector<std::string> names;
    for (const Topic& topic : snapshot.topics) {
        if (topic.name.empty()) return bad("topic", "a topic has no name");
        model.topics.push_back(&topic);
        names.push_back(topic.name);
    }
    std::sort(names.begin(), names.end());
    for (const std::string& wish : request.topics) {
        if (std::binary_search(names.begin(), names.end(), wish)) continue;
        const auto near = nearest_names(wish, names);
        return bad("unknown-topic",
                   fmt::format("there is no topic '{}'{}", wish,
                               near.empty() ? "" : "; did you mean '" + near.front() + "'?"));
    }
    std::sort(model.topics.begin(), model.topics.end(),
              [](const Topic* a, const Topic* b) { return a->name < b->name; });
    std::vector<std::string> wishes = request.topics;
    std::sort(wishes.begin(), wishes.end());
    TopicLoader loader(request, model, bytes);
    for (size_t t = 0; t < model.topics.size(); ++t) {
        const Topic& topic = *model.topics[t];
        if (t > 0 && model.topics[t - 1]->name == topic.name)
            return bad("duplicate-topic", fmt::format("topic '{}' is there twice", topic.name));
        const bool chosen =
            (wishes.empty() || std::binary_search(wishes.begin(), wishes.end(), topic.name)) &&
            !(request.exclude_internal && is_internal_topic(topic.name));
        if (auto refusal = loader.load(topic, chosen)) return refusal;
    }
    return {};
}

/// Fewest bytes, then fewest copies, as the least of one number, where that stays small enough for
/// the exact sums of bounds.h. Without any sizes it is what keeps copies few.
void weigh(Model& model) {
    constexpr int64_t kMaxWeight = int64_t{1} << 40;
    int64_t copies = 1;
    int64_t largest = 0;
    for (const Part& part : model.parts) {
        copies += part.want;
        largest = std::max(largest, part.size);
    }
    if (static_cast<Wide>(largest) * copies < kMaxWeight) model.unit = copies;
    for (Part& part : model.parts)
        part.weight = model.unit > 1 ? part.size * model.unit + 1 : part.size;
}

/// A broker that is down cannot be emptied: nobody knows whether it comes back with the last copy.
MaybeRefusal check_emptied(const Model& model) {
    Refusal refusal{false, "down-broker", "", {}, 0};
    for (const Part& part : model.parts) {
        if (!part.chosen) continue;
        for (const Index b : model.now(part)) {
            const auto at = static_cast<size_t>(b);
            if (model.role[at] != Role::Leave || model.dead[at] != 0 ||
                model.brokers[at]->state != BrokerState::Down)
                continue;
            refusal.message = fmt::format(
                "broker {} is down, so its replicas stay; if it is gone for good, use --dead {}",
                model.ids[at], model.ids[at]);
            block(refusal, model.name_of(part));
            break;
        }
    }
    if (refusal.blocking_total == 0) return {};
    return refusal;
}

}  // namespace

PartitionName Model::name_of(const Part& part) const {
    return {topics[static_cast<size_t>(part.topic)]->name, part.number};
}

std::string Model::label_text(Index broker) const {
    const Broker* at = brokers[static_cast<size_t>(broker)];
    if (at == nullptr || at->labels.empty()) return "-";
    const std::vector<Label>& labels = at->labels;
    if (labels.size() == 1 && labels[0].first == "rack") return labels[0].second;
    const auto numeric = [](const std::string& text) {
        return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    };
    if (labels.size() == 2 && labels[0].first == "fd" && labels[1].first == "ud" &&
        numeric(labels[0].second) && numeric(labels[1].second))
        return "FD" + labels[0].second + "UD" + labels[1].second;
    std::string text;
    for (const Label& label : labels)
        text += (text.empty() ? "" : ",") + label.first + "=" + label.second;
    return text;
}

void block(Refusal& refusal, const PartitionName& name) {
    ++refusal.blocking_total;
    if (refusal.blocking.size() < kMaxBlocking) refusal.blocking.push_back(name);
}

MaybeRefusal load_model(const Snapshot& snapshot, const Request& request, Model& model) {
    model.request = &request;
    model.metadata_offset = snapshot.metadata_offset;
    Sum bytes;
    if (auto refusal = check_request(request)) return refusal;
    if (auto refusal = load_axes(snapshot, request, model)) return refusal;
    if (auto refusal = load_brokers(snapshot, request, model)) return refusal;
    load_roles(request, model);
    if (auto refusal = load_disks(request, model, bytes)) return refusal;
    if (auto refusal = load_topics(snapshot, request, model, bytes)) return refusal;
    if (auto refusal = load_labels(model)) return refusal;
    weigh(model);
    return check_emptied(model);
}

}  // namespace millrace::placement
