// tools/cli/cordon.cc: a broker takes no new copies, and again what it took before.
#include "cli/cordon.h"

#include <fmt/core.h>

#include <iostream>

#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"

namespace millrace::cli {
namespace {

constexpr int8_t kDynamicBroker = 2;  // DescribeConfigsResponse: set for this broker alone

}  // namespace

std::optional<std::string> cordoned_dirs(Client& client, int32_t broker) {
    wire::DescribeConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = kBrokerResource;
    resource.resource_name = std::to_string(broker);
    resource.configuration_keys.emplace().emplace_back(kCordoned);
    const auto response = client.ask_node<wire::DescribeConfigsResponse>(broker, request);
    for (const auto& result : response.results) {
        check_error(result.error_code, result.error_message, fmt::format("broker {}", broker));
        for (const auto& config : result.configs) {
            if (config.config_source == kDynamicBroker && config.value) return config.value;
        }
    }
    return std::nullopt;
}

Cordon cordon_to_note(Client& client, int32_t broker) {
    auto before = cordoned_dirs(client, broker);
    if (before == kEveryDir) return {};
    return {broker, std::move(before)};
}

void set_cordon(Client& client, int32_t broker) {
    alter_configs(client, kBrokerResource, std::to_string(broker), {{kCordoned, 0, kEveryDir}},
                  false);
}

bool take_back_cordon(Client& client, const Cordon& cordon) {
    const auto now = cordoned_dirs(client, cordon.broker);
    if (!now) return true;
    if (*now != kEveryDir) {
        std::cerr << fmt::format("broker {} keeps {}={}, which was set since\n", cordon.broker,
                                 kCordoned, *now);
        return true;
    }
    ConfigChange change{kCordoned, 1, ""};
    if (cordon.before) change = {kCordoned, 0, *cordon.before};
    alter_configs(client, kBrokerResource, std::to_string(cordon.broker), {change}, false);
    return cordon.before != kEveryDir;
}

const StoredPlan* plan_of_cordon(const std::map<std::string, StoredPlan>& plans, int32_t broker) {
    const StoredPlan* newest = nullptr;
    for (const auto& [id, plan] : plans) {
        if (plan.cordon.broker == broker) newest = &plan;
    }
    return newest;
}

}  // namespace millrace::cli
