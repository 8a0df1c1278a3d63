// src/metadata/error_replies.cc: one error for a whole request, in the shape of each response.
#include <utility>

#include "metadata/commands.h"

namespace millrace::metadata {

namespace {

/// Responses with a code and a text on top.
template <class Response>
ControllerResponse with_message(const ApiError& error) {
    Response response;
    response.error_code = error.number();
    response.error_message = error.message;
    return response;
}
/// Responses with a code on top.
template <class Response>
ControllerResponse with_code(const ApiError& error) {
    Response response;
    response.error_code = error.number();
    return response;
}
template <class Entry>
void fill(Entry& entry, const ApiError& error) {
    entry.error_code = error.number();
    entry.error_message = error.message;
}

template <class Response, class Request>
ControllerResponse per_resource(const Request& request, const ApiError& error) {
    Response response;
    for (const auto& resource : request.resources) {
        auto& entry = response.responses.emplace_back();
        fill(entry, error);
        entry.resource_type = resource.resource_type;
        entry.resource_name = resource.resource_name;
    }
    return response;
}

class Replies {
  public:
    explicit Replies(const ApiError& error) : error_(error) {}

    ControllerResponse operator()(const wire::CreateTopicsRequest& request) const {
        wire::CreateTopicsResponse response;
        for (const auto& topic : request.topics) {
            auto& entry = response.topics.emplace_back();
            fill(entry, error_);
            entry.name = topic.name;
        }
        return response;
    }
    ControllerResponse operator()(const wire::DeleteTopicsRequest& request) const {
        wire::DeleteTopicsResponse response;
        const auto add = [&](const std::optional<std::string>& name, const Uuid& id) {
            auto& entry = response.responses.emplace_back();
            fill(entry, error_);
            entry.name = name;
            entry.topic_id = id;
        };
        for (const std::string& name : request.topic_names)
            add(name, kZeroUuid);
        for (const auto& topic : request.topics)
            add(topic.name, topic.topic_id);
        return response;
    }
    ControllerResponse operator()(const wire::CreatePartitionsRequest& request) const {
        wire::CreatePartitionsResponse response;
        for (const auto& topic : request.topics) {
            auto& entry = response.results.emplace_back();
            fill(entry, error_);
            entry.name = topic.name;
        }
        return response;
    }
    ControllerResponse operator()(const wire::AlterConfigsRequest& request) const {
        return per_resource<wire::AlterConfigsResponse>(request, error_);
    }
    ControllerResponse operator()(const wire::IncrementalAlterConfigsRequest& request) const {
        return per_resource<wire::IncrementalAlterConfigsResponse>(request, error_);
    }
    ControllerResponse operator()(const wire::ElectLeadersRequest& request) const {
        wire::ElectLeadersResponse response;
        response.error_code = error_.number();
        if (!request.topic_partitions) return response;
        for (const auto& topic : *request.topic_partitions) {
            auto& results = response.replica_election_results.emplace_back();
            results.topic = topic.topic;
            for (int32_t index : topic.partitions) {
                auto& entry = results.partition_result.emplace_back();
                fill(entry, error_);
                entry.partition_id = index;
            }
        }
        return response;
    }
    ControllerResponse operator()(const wire::AlterPartitionReassignmentsRequest& request) const {
        wire::AlterPartitionReassignmentsResponse response;
        fill(response, error_);
        for (const auto& topic : request.topics) {
            auto& entry = response.responses.emplace_back();
            entry.name = topic.name;
            for (const auto& partition : topic.partitions) {
                auto& result = entry.partitions.emplace_back();
                fill(result, error_);
                result.partition_index = partition.partition_index;
            }
        }
        return response;
    }
    ControllerResponse operator()(const wire::ListPartitionReassignmentsRequest&) const {
        return with_message<wire::ListPartitionReassignmentsResponse>(error_);
    }
    ControllerResponse operator()(const wire::AlterClientQuotasRequest& request) const {
        wire::AlterClientQuotasResponse response;
        for (const auto& asked : request.entries) {
            auto& entry = response.entries.emplace_back();
            fill(entry, error_);
            for (const auto& part : asked.entity) {
                auto& data = entry.entity.emplace_back();
                data.entity_type = part.entity_type;
                data.entity_name = part.entity_name;
            }
        }
        return response;
    }
    ControllerResponse operator()(const wire::AlterUserScramCredentialsRequest& request) const {
        wire::AlterUserScramCredentialsResponse response;
        const auto add = [&](const std::string& user) {
            auto& entry = response.results.emplace_back();
            fill(entry, error_);
            entry.user = user;
        };
        for (const auto& deletion : request.deletions)
            add(deletion.name);
        for (const auto& upsertion : request.upsertions)
            add(upsertion.name);
        return response;
    }
    ControllerResponse operator()(const wire::CreateAclsRequest& request) const {
        wire::CreateAclsResponse response;
        for (size_t i = 0; i < request.creations.size(); ++i) {
            fill(response.results.emplace_back(), error_);
        }
        return response;
    }
    ControllerResponse operator()(const wire::DeleteAclsRequest& request) const {
        wire::DeleteAclsResponse response;
        for (size_t i = 0; i < request.filters.size(); ++i) {
            fill(response.filter_results.emplace_back(), error_);
        }
        return response;
    }
    ControllerResponse operator()(const wire::CreateDelegationTokenRequest&) const {
        return with_code<wire::CreateDelegationTokenResponse>(error_);
    }
    ControllerResponse operator()(const wire::RenewDelegationTokenRequest&) const {
        return with_code<wire::RenewDelegationTokenResponse>(error_);
    }
    ControllerResponse operator()(const wire::ExpireDelegationTokenRequest&) const {
        return with_code<wire::ExpireDelegationTokenResponse>(error_);
    }
    ControllerResponse operator()(const wire::AlterPartitionRequest&) const {
        return with_code<wire::AlterPartitionResponse>(error_);
    }
    ControllerResponse operator()(const wire::UpdateFeaturesRequest&) const {
        return with_message<wire::UpdateFeaturesResponse>(error_);
    }
    ControllerResponse operator()(const wire::BrokerRegistrationRequest&) const {
        return with_code<wire::BrokerRegistrationResponse>(error_);
    }
    ControllerResponse operator()(const wire::BrokerHeartbeatRequest&) const {
        return with_code<wire::BrokerHeartbeatResponse>(error_);
    }
    ControllerResponse operator()(const wire::UnregisterBrokerRequest&) const {
        return with_message<wire::UnregisterBrokerResponse>(error_);
    }
    ControllerResponse operator()(const wire::AllocateProducerIdsRequest&) const {
        return with_code<wire::AllocateProducerIdsResponse>(error_);
    }
    ControllerResponse operator()(const wire::ControllerRegistrationRequest&) const {
        return with_message<wire::ControllerRegistrationResponse>(error_);
    }
    ControllerResponse operator()(const wire::AssignReplicasToDirsRequest&) const {
        return with_code<wire::AssignReplicasToDirsResponse>(error_);
    }

  private:
    const ApiError& error_;
};

}  // namespace

ControllerResponse error_reply(const ControllerRequest& request, const ApiError& error) {
    return std::visit(Replies(error), request);
}

}  // namespace millrace::metadata
