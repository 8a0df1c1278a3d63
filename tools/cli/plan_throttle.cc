// tools/cli/plan_throttle.cc: throttles that live and die with a plan.
#include "cli/plan_throttle.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
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
constexpr int kSilentMs = 2'000;
constexpr auto kSeenLimit = std::chrono::seconds(5);
constexpr int kSeenPollMs = 20;
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

/// Brokers that do not answer are no longer among the living after it.
ConfigValues broker_values(Client& client, std::set<int32_t>& living,
                           const std::set<int32_t>& brokers) {
    ConfigValues values;
    for (const int32_t id : brokers) {
        if (!living.contains(id)) continue;
        Request request;
        add_resource(request, kBrokerResource, std::to_string(id));
        try {
            client.renew(kSilentMs);
            note_values(client.ask_node<wire::DescribeConfigsResponse>(id, request), values);
        } catch (const Failure& failure) {
            if (failure.exit_code != kNoConnection && failure.exit_code != kNotFound) throw;
            client.forget_connections();
            living.erase(id);
        }
        client.renew();
    }
    return values;
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
    /// Returns when those who were asked see it themselves: who looked a moment later would take
    /// what is gone for an operator's value, and miss what was set.
    void apply(Client& client, std::set<int32_t> living) const {
        std::vector<ResourceChange> resources;
        for (const auto& [key, change] : changes_) {
            const bool broker = change.type == kBrokerResource;
            if (!broker || living.contains(std::atoi(change.name.c_str())))
                resources.push_back(change);
        }
        if (resources.empty()) return;
        alter_resources(client, resources);
        const auto until = std::chrono::steady_clock::now() + kSeenLimit;
        while (!is_seen(client, resources, living) && std::chrono::steady_clock::now() < until)
            ::poll(nullptr, 0, kSeenPollMs);
    }

  private:
    static bool is_seen(Client& client, const std::vector<ResourceChange>& resources,
                        std::set<int32_t>& living) {
        std::set<std::string> topics;
        std::set<int32_t> brokers;
        for (const ResourceChange& one : resources) {
            if (one.type == kTopicResource)
                topics.insert(one.name);
            else
                brokers.insert(std::atoi(one.name.c_str()));
        }
        const ConfigValues of_topics = topic_values(client, topics);
        const ConfigValues of_brokers = broker_values(client, living, brokers);
        for (const ResourceChange& one : resources) {
            const bool topic = one.type == kTopicResource;
            if (!topic && !living.contains(std::atoi(one.name.c_str()))) continue;
            for (const ConfigChange& change : one.changes) {
                const std::string* set =
                    find_value(topic ? of_topics : of_brokers, one.name, change.key);
                const bool same = set == nullptr ? change.operation == 1
                                                 : change.operation == 0 && *set == change.value;
                if (!same) return false;
            }
        }
        return true;
    }

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
                for (const std::string& entry : placement::list_entries(*set))
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

std::vector<std::string> set_throttles(Client& client, PlanStore& store, StoredPlan& plan) {
    if (plan.throttle <= 0) return {};
    const ThrottleLists lists = throttle_lists(plan);
    std::set<std::string> names;
    for (const auto& [topic, entries] : lists.leaders)
        names.insert(topic);
    const ConfigValues topics = topic_values(client, names);
    std::set<int32_t> living = living_brokers(client);
    const ConfigValues brokers = broker_values(client, living, lists.brokers);
    const auto left = throttles_of_absent(plan.throttles, living);
    plan.throttles = needed_throttles(plan, topics, brokers);
    keep_notes(plan.throttles, left);
    const std::set<std::string> gone = gone_topics(plan, look_at(client, plan.moves));
    std::erase_if(plan.throttles, [&gone](const OwnThrottle& one) {
        return one.type == kTopicResource && gone.contains(one.name);
    });
    store.note_throttles(plan);
    Changes changes;
    for (const OwnThrottle& one : plan.throttles) {
        std::string value = one.value;
        const std::string* set = find_value(topics, one.name, one.key);
        if (one.type == kTopicResource && set != nullptr && !set->empty())
            value = *set + "," + value;
        changes.add(one, 0, std::move(value));
    }
    changes.apply(client, living);
    plan.throttle_set = plan.throttle;
    std::vector<std::string> left_alone;
    for (const std::string& topic : gone)
        left_alone.push_back(fmt::format("topic {} is gone: passed over", topic));
    for (const auto& [where, value] : brokers)
        left_alone.push_back(
            fmt::format("broker {} keeps its own {}={}", where.first, where.second, value));
    return left_alone;
}

void remove_throttles(Client& client, PlanStore& store, StoredPlan& plan) {
    plan.throttle_set = 0;
    if (plan.throttles.empty()) return;
    const ConfigValues topics = topic_values(client, names_of(plan.throttles, kTopicResource));
    std::set<int32_t> living = living_brokers(client);
    const ConfigValues brokers =
        broker_values(client, living, ids_of(names_of(plan.throttles, kBrokerResource)));
    Changes changes;
    for (const OwnThrottle& one : plan.throttles) {
        const std::string* set =
            find_value(one.type == kTopicResource ? topics : brokers, one.name, one.key);
        if (set == nullptr) continue;
        if (const auto removal = placement::removal_of(one, *set))
            changes.add(one, removal->rest ? 0 : 1, removal->rest.value_or(""));
    }
    changes.apply(client, living);
    plan.throttles = throttles_of_absent(plan.throttles, living);
    store.note_throttles(plan);
    for (const std::string& id : names_of(plan.throttles, kBrokerResource))
        std::cerr << fmt::format("the throttle of broker {}, which is down, is still noted\n", id);
}

void change_throttle(Client& client, PlanStore& store, StoredPlan& plan) {
    std::set<int32_t> living = living_brokers(client);
    const ConfigValues brokers =
        broker_values(client, living, ids_of(names_of(plan.throttles, kBrokerResource)));
    const std::string rate = std::to_string(plan.throttle);
    std::vector<OwnThrottle> changed;
    for (OwnThrottle& one : plan.throttles) {
        if (one.type != kBrokerResource) continue;
        const std::string* set = find_value(brokers, one.name, one.key);
        if (set == nullptr || !placement::list_entries(one.value).contains(*set)) continue;
        // Whichever of the two is found there when this process dies is ours.
        one.value = *set + "," + rate;
        changed.push_back({one.type, one.name, one.key, rate});
    }
    store.note_throttles(plan);
    Changes changes;
    for (const OwnThrottle& one : changed)
        changes.add(one, 0, rate);
    changes.apply(client, living);
    keep_notes(plan.throttles, changed);
    store.note_throttles(plan);
    plan.throttle_set = plan.throttle;
}

}  // namespace millrace::cli
