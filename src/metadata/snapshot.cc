// src/metadata/snapshot.cc: all records of an image in Kafka's order, and their reader.
#include "millrace/metadata/snapshot.h"

#include "metadata/make_records.h"
#include "millrace/metadata/delta.h"

namespace millrace::metadata {

namespace {

Buffer to_buffer(const std::vector<uint8_t>& bytes) {
    return Buffer::copy_of(ByteView(bytes.data(), bytes.size()));
}

class Snapshot {
  public:
    explicit Snapshot(const Image& image)
        : image_(image), metadata_version_(image.features.metadata_version()) {}

    std::vector<Record> take() {
        features();
        cluster();
        topics();
        configs();
        quotas();
        producer_ids();
        acls();
        scram();
        delegation_tokens();
        return std::move(records_);
    }

  private:
    void features() {
        // First, because it decides how all that follows is read.
        if (metadata_version_ > 0) {
            records_.push_back(make_feature_level(kMetadataVersionFeature, metadata_version_));
        }
        for (const auto& [name, level] : image_.features.levels) {
            if (name != kMetadataVersionFeature) {
                records_.push_back(make_feature_level(name, level));
            }
        }
    }
    void cluster() {
        for (const auto& [id, broker] : image_.cluster.brokers) {
            records_.push_back(make_register_broker(*broker, metadata_version_));
        }
        if (metadata_version_ < kMvControllerRegistration) return;
        for (const auto& [id, controller] : image_.cluster.controllers) {
            records_.push_back(make_register_controller(*controller));
        }
    }
    void topics() {
        for (const auto& [id, topic] : image_.topics.by_id) {
            wire::TopicRecord record;
            record.name = topic->name;
            record.topic_id = id;
            records_.emplace_back(std::move(record));
            for (const auto& [index, partition] : topic->partitions) {
                records_.push_back(
                    make_partition_record({id, index}, *partition, metadata_version_));
            }
        }
    }
    void configs() {
        for (const auto& [target, values] : image_.configs.by_target) {
            for (const auto& [name, value] : *values) {
                records_.push_back(make_config(target, name, value));
            }
        }
    }
    void quotas() {
        for (const auto& [entity, values] : image_.client_quotas) {
            for (const auto& [key, value] : *values) {
                wire::ClientQuotaRecord record;
                for (const QuotaEntityPart& part : entity) {
                    auto& data = record.entity.emplace_back();
                    data.entity_type = part.type;
                    data.entity_name = part.name;
                }
                record.key = key;
                record.value = value;
                records_.emplace_back(std::move(record));
            }
        }
    }
    void producer_ids() {
        if (image_.producer_ids.next_producer_id <= 0) return;
        wire::ProducerIdsRecord record;
        record.broker_id = -1;
        record.broker_epoch = -1;
        record.next_producer_id = image_.producer_ids.next_producer_id;
        records_.emplace_back(std::move(record));
    }
    void acls() {
        for (const auto& [id, acl] : image_.acls) {
            wire::AccessControlEntryRecord record;
            record.id = id;
            record.resource_type = acl->resource_type;
            record.resource_name = acl->resource_name;
            record.pattern_type = acl->pattern_type;
            record.principal = acl->principal;
            record.host = acl->host;
            record.operation = acl->operation;
            record.permission_type = acl->permission;
            records_.emplace_back(std::move(record));
        }
    }
    void scram() {
        if (metadata_version_ < kMvScram) return;
        for (const auto& [key, scram] : image_.scram) {
            wire::UserScramCredentialRecord record;
            record.name = key.second;
            record.mechanism = key.first;
            record.salt = to_buffer(scram->salt);
            record.stored_key = to_buffer(scram->stored_key);
            record.server_key = to_buffer(scram->server_key);
            record.iterations = scram->iterations;
            records_.emplace_back(std::move(record));
        }
    }
    void delegation_tokens() {
        if (metadata_version_ < kMvDelegationTokens) return;
        for (const auto& [id, token] : image_.delegation_tokens) {
            wire::DelegationTokenRecord record;
            record.owner = token->owner;
            record.requester = token->requester;
            record.renewers = token->renewers;
            record.issue_timestamp = token->issue_ms;
            record.max_timestamp = token->max_ms;
            record.expiration_timestamp = token->expiration_ms;
            record.token_id = id;
            records_.emplace_back(std::move(record));
        }
    }

    const Image& image_;
    const int16_t metadata_version_;
    std::vector<Record> records_;
};

}  // namespace

std::vector<Record> snapshot_records(const Image& image) { return Snapshot(image).take(); }

struct SnapshotReader::Working {
    Provenance last;
    Delta delta{*empty_image()};
};

SnapshotReader::SnapshotReader(Provenance last) : working_(std::make_unique<Working>()) {
    working_->last = last;
}
SnapshotReader::~SnapshotReader() = default;

Status SnapshotReader::on_record(const Record& record) {
    if (std::holds_alternative<wire::BeginTransactionRecord>(record.body) ||
        std::holds_alternative<wire::EndTransactionRecord>(record.body) ||
        std::holds_alternative<wire::AbortTransactionRecord>(record.body)) {
        return Status(Errc::Corrupt, "a metadata snapshot contains a transaction marker");
    }
    return working_->delta.replay(record);
}

ImagePtr SnapshotReader::finish() {
    auto image = std::make_shared<Image>(working_->delta.take_image());
    image->provenance = working_->last;
    return image;
}

}  // namespace millrace::metadata
