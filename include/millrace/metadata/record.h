// include/millrace/metadata/record.h: one metadata record, decoded, and its framed bytes.
//
// The value of a record in __cluster_metadata is: frame version (varint 1), record type (varint),
// record version (varint), message. An unknown type or too new a version is an error that names
// type, version and offset: skipping it would make this node disagree with the rest (KIP-631).
// Source: org.apache.kafka.metadata.MetadataRecordSerde.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/ids.h"
#include "millrace/base/result.h"
#include "millrace/wire/gen/abort_transaction_record.h"
#include "millrace/wire/gen/access_control_entry_record.h"
#include "millrace/wire/gen/begin_transaction_record.h"
#include "millrace/wire/gen/broker_registration_change_record.h"
#include "millrace/wire/gen/clear_elr_record.h"
#include "millrace/wire/gen/client_quota_record.h"
#include "millrace/wire/gen/config_record.h"
#include "millrace/wire/gen/delegation_token_record.h"
#include "millrace/wire/gen/end_transaction_record.h"
#include "millrace/wire/gen/feature_level_record.h"
#include "millrace/wire/gen/fence_broker_record.h"
#include "millrace/wire/gen/no_op_record.h"
#include "millrace/wire/gen/partition_change_record.h"
#include "millrace/wire/gen/partition_record.h"
#include "millrace/wire/gen/producer_ids_record.h"
#include "millrace/wire/gen/register_broker_record.h"
#include "millrace/wire/gen/register_controller_record.h"
#include "millrace/wire/gen/remove_access_control_entry_record.h"
#include "millrace/wire/gen/remove_delegation_token_record.h"
#include "millrace/wire/gen/remove_topic_record.h"
#include "millrace/wire/gen/remove_user_scram_credential_record.h"
#include "millrace/wire/gen/topic_record.h"
#include "millrace/wire/gen/unfence_broker_record.h"
#include "millrace/wire/gen/unregister_broker_record.h"
#include "millrace/wire/gen/user_scram_credential_record.h"
#include "millrace/wire/gen/zk_migration_state_record.h"

namespace millrace::metadata {

using RecordBody = std::variant<
    wire::RegisterBrokerRecord, wire::UnregisterBrokerRecord, wire::TopicRecord,
    wire::PartitionRecord, wire::ConfigRecord, wire::PartitionChangeRecord, wire::FenceBrokerRecord,
    wire::UnfenceBrokerRecord, wire::RemoveTopicRecord, wire::DelegationTokenRecord,
    wire::UserScramCredentialRecord, wire::FeatureLevelRecord, wire::ClientQuotaRecord,
    wire::ProducerIdsRecord, wire::BrokerRegistrationChangeRecord, wire::AccessControlEntryRecord,
    wire::RemoveAccessControlEntryRecord, wire::NoOpRecord, wire::ZkMigrationStateRecord,
    wire::RemoveUserScramCredentialRecord, wire::BeginTransactionRecord, wire::EndTransactionRecord,
    wire::AbortTransactionRecord, wire::RemoveDelegationTokenRecord, wire::RegisterControllerRecord,
    wire::ClearElrRecord>;

struct Record {
    RecordBody body;
    int16_t version = 0;

    Record() = default;
    template <class Body>
    explicit Record(Body b, int16_t v = 0) : body(std::move(b)), version(v) {}
};

/// Type name as Kafka's dumper prints it, e.g. "PARTITION_CHANGE_RECORD".
const char* record_name(const Record& record);
int16_t record_type(const Record& record);

/// Decodes one framed value. `offset` only serves the error text. Corrupt: malformed bytes or bytes
/// left over; Unsupported: unknown type or version.
Result<Record> decode_record(ByteView value, Offset offset);
/// REQUIRES: record.version is one its type has.
Buffer encode_record(const Record& record);

}  // namespace millrace::metadata
