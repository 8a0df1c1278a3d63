// src/metadata/replay_settings.cc: applies config, quota, security and id records to an image.
#include <algorithm>

#include <fmt/core.h>

#include "metadata/replay.h"

namespace millrace::metadata {

namespace {

Status corrupt(std::string message) { return Status(Errc::Corrupt, std::move(message)); }

std::vector<uint8_t> to_vector(const Buffer& bytes) {
    return {bytes.data(), bytes.data() + bytes.size()};
}

}  // namespace

Status Replayer::operator()(const wire::ConfigRecord& record) {
    const ConfigTarget target{static_cast<ConfigResource>(record.resource_type),
                              record.resource_name};
    switch (target.type) {
        case ConfigResource::Topic:
        case ConfigResource::Broker:
        case ConfigResource::ClientMetrics:
        case ConfigResource::Group: break;
        case ConfigResource::BrokerLogger:
        case ConfigResource::Unknown:
            return corrupt(fmt::format("configs of resource type {} are not stored",
                                       int{record.resource_type}));
    }
    auto configs = std::make_shared<ConfigMap>(image_.configs.of(target));
    if (record.value) {
        (*configs)[record.name] = *record.value;
    } else {
        configs->erase(record.name);
    }
    if (configs->empty()) {
        image_.configs.by_target.erase(target);
    } else {
        image_.configs.by_target.set(target, std::move(configs));
    }
    changes_.configs.insert(target);
    return {};
}

Status Replayer::operator()(const wire::ClientQuotaRecord& record) {
    QuotaEntity entity;
    for (const auto& part : record.entity)
        entity.push_back({part.entity_type, part.entity_name});
    std::sort(entity.begin(), entity.end());
    const auto* old = image_.client_quotas.find(entity);
    auto quotas = old ? std::make_shared<QuotaMap>(**old) : std::make_shared<QuotaMap>();
    if (record.remove) {
        quotas->erase(record.key);
    } else {
        (*quotas)[record.key] = record.value;
    }
    if (quotas->empty()) {
        image_.client_quotas.erase(entity);
    } else {
        image_.client_quotas.set(entity, std::move(quotas));
    }
    changes_.client_quotas.insert(std::move(entity));
    return {};
}

Status Replayer::operator()(const wire::ProducerIdsRecord& record) {
    if (record.next_producer_id <= image_.producer_ids.next_producer_id) {
        return corrupt(fmt::format("next producer id {} is not above {}", record.next_producer_id,
                                   image_.producer_ids.next_producer_id));
    }
    image_.producer_ids.next_producer_id = record.next_producer_id;
    changes_.producer_ids = true;
    return {};
}

Status Replayer::operator()(const wire::AccessControlEntryRecord& record) {
    if (image_.acls.contains(record.id)) {
        return corrupt("acl " + record.id.to_string() + " exists already");
    }
    auto acl = std::make_shared<AclImage>();
    acl->resource_type = record.resource_type;
    acl->resource_name = record.resource_name;
    acl->pattern_type = record.pattern_type;
    acl->principal = record.principal;
    acl->host = record.host;
    acl->operation = record.operation;
    acl->permission = record.permission_type;
    image_.acls.set(record.id, std::move(acl));
    changes_.acls.insert(record.id);
    return {};
}

Status Replayer::operator()(const wire::RemoveAccessControlEntryRecord& record) {
    if (!image_.acls.erase(record.id)) return corrupt("no acl " + record.id.to_string());
    changes_.acls.insert(record.id);
    return {};
}

Status Replayer::operator()(const wire::UserScramCredentialRecord& record) {
    auto scram = std::make_shared<ScramImage>();
    scram->salt = to_vector(record.salt);
    scram->stored_key = to_vector(record.stored_key);
    scram->server_key = to_vector(record.server_key);
    scram->iterations = record.iterations;
    const ScramKey key{record.mechanism, record.name};
    image_.scram.set(key, std::move(scram));
    changes_.scram.insert(key);
    return {};
}

Status Replayer::operator()(const wire::RemoveUserScramCredentialRecord& record) {
    const ScramKey key{record.mechanism, record.name};
    if (!image_.scram.erase(key)) return corrupt("no scram credential of " + record.name);
    changes_.scram.insert(key);
    return {};
}

Status Replayer::operator()(const wire::DelegationTokenRecord& record) {
    auto token = std::make_shared<DelegationTokenImage>();
    token->owner = record.owner;
    token->requester = record.requester;
    token->renewers = record.renewers;
    token->issue_ms = record.issue_timestamp;
    token->max_ms = record.max_timestamp;
    token->expiration_ms = record.expiration_timestamp;
    image_.delegation_tokens.set(record.token_id, std::move(token));
    changes_.delegation_tokens.insert(record.token_id);
    return {};
}

Status Replayer::operator()(const wire::RemoveDelegationTokenRecord& record) {
    image_.delegation_tokens.erase(record.token_id);
    changes_.delegation_tokens.insert(record.token_id);
    return {};
}

}  // namespace millrace::metadata
