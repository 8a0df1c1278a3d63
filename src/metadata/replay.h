// src/metadata/replay.h: the effect of each record type on an image.
#pragma once

#include "millrace/base/result.h"
#include "millrace/metadata/delta.h"

namespace millrace::metadata {

/// One arm per record type. Each arm either changes image and changes, or fails and changes
/// nothing.
class Replayer {
  public:
    Replayer(Image& image, Changes& changes, std::shared_ptr<TopicImage>& open_topic)
        : image_(image), changes_(changes), open_topic_(open_topic) {}

    Status operator()(const wire::RegisterBrokerRecord& record);
    Status operator()(const wire::UnregisterBrokerRecord& record);
    Status operator()(const wire::TopicRecord& record);
    Status operator()(const wire::PartitionRecord& record);
    Status operator()(const wire::ConfigRecord& record);
    Status operator()(const wire::PartitionChangeRecord& record);
    Status operator()(const wire::FenceBrokerRecord& record);
    Status operator()(const wire::UnfenceBrokerRecord& record);
    Status operator()(const wire::RemoveTopicRecord& record);
    Status operator()(const wire::DelegationTokenRecord& record);
    Status operator()(const wire::UserScramCredentialRecord& record);
    Status operator()(const wire::FeatureLevelRecord& record);
    Status operator()(const wire::ClientQuotaRecord& record);
    Status operator()(const wire::ProducerIdsRecord& record);
    Status operator()(const wire::BrokerRegistrationChangeRecord& record);
    Status operator()(const wire::AccessControlEntryRecord& record);
    Status operator()(const wire::RemoveAccessControlEntryRecord& record);
    Status operator()(const wire::RemoveUserScramCredentialRecord& record);
    Status operator()(const wire::RemoveDelegationTokenRecord& record);
    Status operator()(const wire::RegisterControllerRecord& record);
    Status operator()(const wire::ClearElrRecord& record);
    // Progress only; ZooKeeper state means nothing since 4.0; transactions are the loader's.
    Status operator()(const wire::NoOpRecord&) { return {}; }
    Status operator()(const wire::ZkMigrationStateRecord&) { return {}; }
    Status operator()(const wire::BeginTransactionRecord&) { return {}; }
    Status operator()(const wire::EndTransactionRecord&) { return {}; }
    Status operator()(const wire::AbortTransactionRecord&) { return {}; }

  private:
    struct RegistrationChange {
        int8_t fenced = 0;       // -1 unfence, 1 fence
        int8_t in_shutdown = 0;  // 1 enter
        const std::vector<Uuid>* directories = nullptr;
        const std::optional<std::vector<Uuid>>* cordoned = nullptr;
    };
    Status change_registration(NodeId id, BrokerEpoch epoch, const RegistrationChange& change);
    Status check_registered(NodeId id, BrokerEpoch epoch) const;
    void clear_elr(TopicPtr topic);
    void put_partition(const TopicPtr& topic, PartitionIndex index, PartitionPtr partition);
    TopicImage& open_topic(const TopicPtr& topic);

    Image& image_;
    Changes& changes_;
    std::shared_ptr<TopicImage>& open_topic_;  // see Delta
};

/// The content of a PartitionChangeRecord in our own terms; see partition_election.h.
struct PartitionChange;
PartitionChange to_change(const wire::PartitionChangeRecord& record);

}  // namespace millrace::metadata
