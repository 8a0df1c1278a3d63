// tools/cli/plan_throttle.cc: throttles that live and die with a plan.
#include "cli/plan_throttle.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/output.h"
#include "cli/plan_progress.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"

namespace millrace::cli {
namespace {

constexpr const char* kRates[] = {"leader.replication.throttled.rate",
                                  "follower.replication.throttled.rate"};
constexpr const char* kLists[] = {"leader.replication.throttled.replicas",
                                  "follower.replication.throttled.replicas"};
// DescribeConfigsResponse: set on the resource itself, or for all brokers.
constexpr int8_t kDynamicTopic = 1;
constexpr int8_t kDynamicBroker = 2;
constexpr int8_t kDynamicDefaultBroker = 3;

bool is_own_value(int8_t source) {
    return source == kDynamicTopic || source == kDynamicBroker || source == kDynamicDefaultBroker;
}

using Request = wire::DescribeConfigsRequest;

void add_resource(Request& request, int8_t type, const std::string& name) {
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = name;
    auto& keys = resource.configuration_keys.emplace();
    for (const char* key : type == kTopicResource ? kLists : kRates)
        keys.emplace_back(key);
}

void note_values(const wire::DescribeConfigsResponse& response, ConfigValues& values) {
    for (const auto& result : response.results) {
        if (result.error_code != 0) continue;  // gone: there is nothing to throttle
        for (const auto& config : result.configs) {
            if (is_own_value(config.config_source) && config.value)
                values[{result.resource_name, config.name}] = *config.value;
        }
    }
}

ConfigValues topic_values(Client& client, const std::set<std::string>& topics) {
    ConfigValues values;
    Request request;
    for (const std::string& topic : topics)
        add_resource(request, kTopicResource, topic);
    if (!topics.empty()) note_values(client.ask<wire::DescribeConfigsResponse>(request), values);
    return values;
}

std::set<int32_t> living_brokers(Client& client) {
    std::set<int32_t> living;
    for (const ClusterNode& node : cluster_nodes(client))
        living.insert(node.id);
    return living;
}

ConfigValues broker_values(Client& client, const std::set<int32_t>& living,
                           const std::set<int32_t>& brokers) {
    ConfigValues values;
    for (const int32_t id : brokers) {
        if (!living.contains(id)) continue;
        Request request;
        add_resource(request, kBrokerResource, std::to_string(id));
        note_values(client.ask_node<wire::DescribeConfigsResponse>(id, request), values);
    }
    return values;
}

std::set<std::string> entries_of(const std::string& list) {
    const auto words = split(list, ',');
    return {words.begin(), words.end()};
}

const std::string* find_value(const ConfigValues& values, const std::string& name,
                              const std::string& key) {
    const auto found = values.find({name, key});
    return found == values.end() ? nullptr : &found->second;
}

/// One resource's changes gathered, because a resource may stand only once in a request.
class Changes {
  public:
    void add(const OwnThrottle& one, int8_t operation, std::string value) {
        ResourceChange& change = changes_[{one.type, one.name}];
        change.type = one.type;
        change.name = one.name;
        change.changes.push_back({one.key, operation, std::move(value)});
    }
    /// Brokers that are down are passed over: only they themselves take a change of their configs.
    void apply(Client& client, const std::set<int32_t>& living) const {
        std::vector<ResourceChange> resources;
        for (const auto& [key, change] : changes_) {
            const bool broker = change.type == kBrokerResource;
            if (!broker || living.contains(std::atoi(change.name.c_str())))
                resources.push_back(change);
        }
        if (!resources.empty()) alter_resources(client, resources);
    }

  private:
    std::map<std::pair<int8_t, std::string>, ResourceChange> changes_;
};

std::set<std::string> names_of(const std::vector<OwnThrottle>& throttles, int8_t type) {
    std::set<std::string> names;
    for (const OwnThrottle& one : throttles) {
        if (one.type == type) names.insert(one.name);
    }
    return names;
}

std::set<std::string> gone_topics(const StoredPlan& plan, const PlanView& view) {
    std::set<std::string> gone;
    for (const PlannedMove& move : plan.moves)
        gone.insert(move.partition.topic);
    for (const auto& [partition, replicas] : view.replicas)
        gone.erase(partition.topic);
    return gone;
}

std::set<int32_t> ids_of(const std::set<std::string>& names) {
    std::set<int32_t> ids;
    for (const std::string& name : names)
        ids.insert(std::atoi(name.c_str()));
    return ids;
}

}  // namespace

std::vector<OwnThrottle> needed_throttles(const StoredPlan& plan, const ConfigValues& topics,
                                          const ConfigValues& brokers) {
    std::vector<OwnThrottle> needed;
    const ThrottleLists lists = throttle_lists(plan);
    for (size_t i = 0; i < std::size(kLists); ++i) {
        for (const auto& [topic, entries] : i == 0 ? lists.leaders : lists.followers) {
            const std::string* set = find_value(topics, topic, kLists[i]);
            if (set != nullptr && *set == "*") continue;
            std::set<std::string> added = entries;
            if (set != nullptr) {
                for (const std::string& entry : entries_of(*set))
                    added.erase(entry);
            }
            if (!added.empty())
                needed.push_back(
                    {kTopicResource, topic, kLists[i], fmt::format("{}", fmt::join(added, ","))});
        }
    }
    for (const int32_t id : lists.brokers) {
        for (const char* key : kRates) {
            const std::string name = std::to_string(id);
            if (find_value(brokers, name, key) == nullptr)
                needed.push_back({kBrokerResource, name, key, std::to_string(plan.throttle)});
        }
    }
    return needed;
}

std::optional<std::string> list_without(const std::string& list, const std::string& own) {
    const std::set<std::string> ours = entries_of(own);
    std::string rest;
    for (const std::string& entry : split(list, ',')) {
        if (!ours.contains(entry)) rest += (rest.empty() ? "" : ",") + entry;
    }
    if (rest.empty()) return std::nullopt;
    return rest;
}

std::vector<OwnThrottle> throttles_of_absent(const std::vector<OwnThrottle>& throttles,
                                             const std::set<int32_t>& living) {
    std::vector<OwnThrottle> absent;
    for (const OwnThrottle& one : throttles) {
        if (one.type == kBrokerResource && !living.contains(std::atoi(one.name.c_str())))
            absent.push_back(one);
    }
    return absent;
}

void keep_notes(std::vector<OwnThrottle>& throttles, const std::vector<OwnThrottle>& left) {
    for (const OwnThrottle& old : left) {
        const auto found =
            std::find_if(throttles.begin(), throttles.end(), [&](const OwnThrottle& one) {
                return one.type == old.type && one.name == old.name && one.key == old.key;
            });
        if (found == throttles.end())
            throttles.push_back(old);
        else
            *found = old;
    }
}

std::vector<std::string> set_throttles(Client& client, StoredPlan& plan,
                                       const std::function<void()>& save) {
    if (plan.throttle <= 0) return {};
    const ThrottleLists lists = throttle_lists(plan);
    std::set<std::string> names;
    for (const auto& [topic, entries] : lists.leaders)
        names.insert(topic);
    const ConfigValues topics = topic_values(client, names);
    const std::set<int32_t> living = living_brokers(client);
    const ConfigValues brokers = broker_values(client, living, lists.brokers);
    const auto left = throttles_of_absent(plan.throttles, living);
    plan.throttles = needed_throttles(plan, topics, brokers);
    keep_notes(plan.throttles, left);
    const std::set<std::string> gone = gone_topics(plan, look_at(client, plan.moves));
    std::erase_if(plan.throttles, [&gone](const OwnThrottle& one) {
        return one.type == kTopicResource && gone.contains(one.name);
    });
    save();
    Changes changes;
    for (const OwnThrottle& one : plan.throttles) {
        std::string value = one.value;
        const std::string* set = find_value(topics, one.name, one.key);
        if (one.type == kTopicResource && set != nullptr && !set->empty())
            value = *set + "," + value;
        changes.add(one, 0, std::move(value));
    }
    changes.apply(client, living);
    std::vector<std::string> left_alone;
    for (const std::string& topic : gone)
        left_alone.push_back(fmt::format("topic {} is gone: passed over", topic));
    for (const auto& [where, value] : brokers)
        left_alone.push_back(
            fmt::format("broker {} keeps its own {}={}", where.first, where.second, value));
    return left_alone;
}

void remove_throttles(Client& client, StoredPlan& plan) {
    if (plan.throttles.empty()) return;
    const ConfigValues topics = topic_values(client, names_of(plan.throttles, kTopicResource));
    const std::set<int32_t> living = living_brokers(client);
    const ConfigValues brokers =
        broker_values(client, living, ids_of(names_of(plan.throttles, kBrokerResource)));
    Changes changes;
    for (const OwnThrottle& one : plan.throttles) {
        const bool topic = one.type == kTopicResource;
        const std::string* set = find_value(topic ? topics : brokers, one.name, one.key);
        if (set == nullptr) continue;
        if (!topic) {
            // A new rate may have been set and not yet been noted.
            const bool ours = *set == one.value || *set == std::to_string(plan.throttle);
            if (ours) changes.add(one, 1, "");
        } else if (const auto rest = list_without(*set, one.value); !rest) {
            changes.add(one, 1, "");
        } else if (*rest != *set) {
            changes.add(one, 0, *rest);
        }
    }
    changes.apply(client, living);
    plan.throttles = throttles_of_absent(plan.throttles, living);
    for (const std::string& id : names_of(plan.throttles, kBrokerResource))
        std::cerr << fmt::format(
            "throttle stays on broker {} until it is back: run `millrace reassign-partitions "
            "verify {}` then\n",
            id, plan.id);
}

void change_throttle(Client& client, StoredPlan& plan, int64_t bytes_per_second,
                     const std::function<void()>& save) {
    const std::set<int32_t> living = living_brokers(client);
    const ConfigValues brokers =
        broker_values(client, living, ids_of(names_of(plan.throttles, kBrokerResource)));
    plan.throttle = bytes_per_second;
    save();
    Changes changes;
    for (OwnThrottle& one : plan.throttles) {
        if (one.type != kBrokerResource) continue;
        const std::string* set = find_value(brokers, one.name, one.key);
        if (set == nullptr || *set != one.value) continue;
        one.value = std::to_string(bytes_per_second);
        changes.add(one, 0, one.value);
    }
    changes.apply(client, living);
    save();
}

}  // namespace millrace::cli
