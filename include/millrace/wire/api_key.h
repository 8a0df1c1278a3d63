// include/millrace/wire/api_key.h: the APIs, their versions and where they are served.
//
// Facts of Kafka 4.3.1's message layouts; the rows come from src/wire/schema through wiregen, so
// the table and the codecs cannot disagree. What is *advertised* may differ and is the session's
// matter (Produce from 0: KAFKA-18659).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace millrace::wire {

enum class ApiKey : int16_t {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DescribeGroups = 15,
    ListGroups = 16,
    SaslHandshake = 17,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    DeleteRecords = 21,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
    DescribeAcls = 29,
    CreateAcls = 30,
    DeleteAcls = 31,
    DescribeConfigs = 32,
    AlterConfigs = 33,
    AlterReplicaLogDirs = 34,
    DescribeLogDirs = 35,
    SaslAuthenticate = 36,
    CreatePartitions = 37,
    CreateDelegationToken = 38,
    RenewDelegationToken = 39,
    ExpireDelegationToken = 40,
    DescribeDelegationToken = 41,
    DeleteGroups = 42,
    ElectLeaders = 43,
    IncrementalAlterConfigs = 44,
    AlterPartitionReassignments = 45,
    ListPartitionReassignments = 46,
    OffsetDelete = 47,
    DescribeClientQuotas = 48,
    AlterClientQuotas = 49,
    DescribeUserScramCredentials = 50,
    AlterUserScramCredentials = 51,
    Vote = 52,
    BeginQuorumEpoch = 53,
    EndQuorumEpoch = 54,
    DescribeQuorum = 55,
    AlterPartition = 56,
    UpdateFeatures = 57,
    Envelope = 58,
    FetchSnapshot = 59,
    DescribeCluster = 60,
    DescribeProducers = 61,
    BrokerRegistration = 62,
    BrokerHeartbeat = 63,
    UnregisterBroker = 64,
    DescribeTransactions = 65,
    ListTransactions = 66,
    AllocateProducerIds = 67,
    ConsumerGroupHeartbeat = 68,
    ConsumerGroupDescribe = 69,
    ControllerRegistration = 70,
    GetTelemetrySubscriptions = 71,
    PushTelemetry = 72,
    AssignReplicasToDirs = 73,
    ListConfigResources = 74,
    DescribeTopicPartitions = 75,
    ShareGroupHeartbeat = 76,
    ShareGroupDescribe = 77,
    ShareFetch = 78,
    ShareAcknowledge = 79,
    AddRaftVoter = 80,
    RemoveRaftVoter = 81,
    UpdateRaftVoter = 82,
    InitializeShareGroupState = 83,
    ReadShareGroupState = 84,
    WriteShareGroupState = 85,
    DeleteShareGroupState = 86,
    ReadShareGroupStateSummary = 87,
    StreamsGroupHeartbeat = 88,
    StreamsGroupDescribe = 89,
    DescribeShareGroupOffsets = 90,
    AlterShareGroupOffsets = 91,
    DeleteShareGroupOffsets = 92,
};

inline constexpr uint8_t kOnBroker = 1;
inline constexpr uint8_t kOnController = 2;

struct ApiInfo {
    ApiKey key;
    const char* name;  // "Produce"
    int16_t version_min;
    int16_t version_max;   // including an unstable last one
    bool last_unstable;    // hidden unless unstable.api.versions.enable
    int16_t request_flexible_from;
    int16_t response_flexible_from;
    uint8_t listeners;  // kOnBroker | kOnController

    int16_t version_max_stable() const {
        return static_cast<int16_t>(version_max - (last_unstable ? 1 : 0));
    }
    bool serves(int16_t version) const {
        return version >= version_min && version <= version_max;
    }
};

/// All rows, by ascending key.
struct ApiRows {
    const ApiInfo* rows;
    size_t count;
    const ApiInfo* begin() const { return rows; }
    const ApiInfo* end() const { return rows + count; }
};
ApiRows api_rows();

/// Nothing for a number that names no API with valid versions (4 to 7, 999).
std::optional<ApiKey> api_key_from(int16_t number);
const ApiInfo& api_info(ApiKey key);
const char* api_name(ApiKey key);

/// 2 where requests of this version are flexible, else 1.
int16_t request_header_version(ApiKey key, int16_t version);
/// 1 where responses of this version are flexible, else 0; ApiVersions always 0, so that a client
/// can read it before it knows the server (KIP-511).
int16_t response_header_version(ApiKey key, int16_t version);

}  // namespace millrace::wire
