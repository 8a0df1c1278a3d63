// include/millrace/metadata/image.h: the cluster's metadata at one offset, immutable and shared.
//
// An Image is what the records of __cluster_metadata up to `provenance.offset` mean. It is made by
// Delta (delta.h) or read from a snapshot, then held by shared_ptr<const Image> and posted to every
// shard; nobody changes it, so nobody locks. Structural sharing: every collection is a
// PersistentMap, so an image that differs in one partition shares all else with its predecessor,
// and copying an Image costs a dozen pointers. Iteration is in key order everywhere.
//
// Source of the shape: org.apache.kafka.image.*Image of 4.3.1 and the metadata record schemas.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/ids.h"
#include "millrace/base/persistent_map.h"
#include "millrace/base/time.h"
#include "millrace/base/uuid.h"
#include "millrace/metadata/config_def.h"

namespace millrace::metadata {

// Directory ids with a meaning of their own (org.apache.kafka.common.DirectoryId).
inline constexpr Uuid kDirectoryMigrating{0, 0};
inline constexpr Uuid kDirectoryUnassigned{0, 1};
inline constexpr Uuid kDirectoryLost{0, 2};

enum class LeaderRecoveryState : int8_t { Recovered = 0, Recovering = 1 };

struct PartitionImage {
    std::vector<NodeId> replicas;
    std::vector<Uuid> directories;  // same order and size as replicas
    std::vector<NodeId> isr;
    std::vector<NodeId> removing;
    std::vector<NodeId> adding;
    std::vector<NodeId> elr;  // eligible leader replicas, KIP-966
    std::vector<NodeId> last_known_elr;
    NodeId leader = kNoNode;
    LeaderEpoch leader_epoch{0};
    int32_t partition_epoch = 0;
    LeaderRecoveryState recovery = LeaderRecoveryState::Recovered;

    bool has_leader() const { return leader != kNoNode; }
    bool is_reassigning() const { return !removing.empty() || !adding.empty(); }
    bool has_replica(NodeId node) const;
    bool in_isr(NodeId node) const;
    /// The directory that holds `node`'s copy; nothing when `node` is no replica.
    std::optional<Uuid> directory_of(NodeId node) const;
    friend bool operator==(const PartitionImage&, const PartitionImage&) = default;
};
using PartitionPtr = std::shared_ptr<const PartitionImage>;

struct TopicImage {
    std::string name;
    Uuid id;
    PersistentMap<PartitionIndex, PartitionPtr> partitions;  // indexes 0..size-1

    const PartitionImage* partition(PartitionIndex index) const;
};
using TopicPtr = std::shared_ptr<const TopicImage>;

struct TopicsImage {
    PersistentMap<Uuid, TopicPtr> by_id;
    PersistentMap<std::string, Uuid> ids_by_name;

    const TopicImage* find(std::string_view name) const;
    const TopicImage* find(const Uuid& id) const;
    const PartitionImage* partition(const Uuid& id, PartitionIndex index) const;
    const PartitionImage* partition(std::string_view topic, PartitionIndex index) const;
};

struct Endpoint {
    std::string listener;  // listener name, upper case
    std::string host;
    uint16_t port = 0;
    int16_t security_protocol = 0;  // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
struct VersionRange {
    int16_t min = 0;
    int16_t max = 0;
    friend bool operator==(const VersionRange&, const VersionRange&) = default;
};

struct BrokerImage {
    NodeId id;
    BrokerEpoch epoch;
    Uuid incarnation;
    std::vector<Endpoint> endpoints;               // sorted by listener name
    std::map<std::string, VersionRange> features;  // supported ranges
    std::optional<std::string> rack;
    bool fenced = true;
    bool in_controlled_shutdown = false;
    bool is_migrating_zk = false;
    std::vector<Uuid> directories;                          // sorted; online log directories
    std::optional<std::vector<Uuid>> cordoned_directories;  // nothing: not reported yet

    bool active() const { return !fenced && !in_controlled_shutdown; }
    /// Reserved ids count as online except LOST; so does everything on a broker without a list.
    bool directory_online(const Uuid& directory) const;
    const Endpoint* endpoint(std::string_view listener) const;
    friend bool operator==(const BrokerImage&, const BrokerImage&) = default;
};
using BrokerPtr = std::shared_ptr<const BrokerImage>;

struct ControllerImage {
    NodeId id;
    Uuid incarnation;
    bool zk_migration_ready = false;
    std::vector<Endpoint> endpoints;
    std::map<std::string, VersionRange> features;
    friend bool operator==(const ControllerImage&, const ControllerImage&) = default;
};
using ControllerPtr = std::shared_ptr<const ControllerImage>;

struct ClusterImage {
    PersistentMap<NodeId, BrokerPtr> brokers;
    PersistentMap<NodeId, ControllerPtr> controllers;

    const BrokerImage* broker(NodeId id) const;
    const ControllerImage* controller(NodeId id) const;
};

/// What a set of configs belongs to. BROKER "" is the default of all brokers.
struct ConfigTarget {
    ConfigResource type = ConfigResource::Topic;
    std::string name;
    friend auto operator<=>(const ConfigTarget&, const ConfigTarget&) = default;
};
using ConfigMap = std::map<std::string, std::string, std::less<>>;
using ConfigMapPtr = std::shared_ptr<const ConfigMap>;

struct ConfigsImage {
    PersistentMap<ConfigTarget, ConfigMapPtr> by_target;

    /// What is stored for the target (no defaults merged); an empty map when nothing is.
    const ConfigMap& of(const ConfigTarget& target) const;
    const ConfigMap& topic(std::string_view name) const;
    /// "" gives the cluster-wide default.
    const ConfigMap& broker(std::string_view id_or_empty) const;
};

inline constexpr const char* kMetadataVersionFeature = "metadata.version";
inline constexpr const char* kKraftVersionFeature = "kraft.version";
inline constexpr const char* kElrFeature = "eligible.leader.replicas.version";

struct FeaturesImage {
    /// Finalized levels, metadata.version included; kraft.version never (control record).
    std::map<std::string, int16_t, std::less<>> levels;
    int16_t metadata_version() const { return level(kMetadataVersionFeature); }
    /// 0 when not finalized.
    int16_t level(std::string_view feature) const;
    bool elr() const { return level(kElrFeature) > 0; }
    friend bool operator==(const FeaturesImage&, const FeaturesImage&) = default;
};

struct QuotaEntityPart {
    std::string type;                 // "user", "client-id", "ip"
    std::optional<std::string> name;  // nothing: the default entity
    friend auto operator<=>(const QuotaEntityPart&, const QuotaEntityPart&) = default;
};
using QuotaEntity = std::vector<QuotaEntityPart>;  // sorted by type
using QuotaMap = std::map<std::string, double, std::less<>>;

struct ProducerIdsImage {
    int64_t next_producer_id = 0;
    friend bool operator==(const ProducerIdsImage&, const ProducerIdsImage&) = default;
};

struct AclImage {
    int8_t resource_type = 0;
    std::string resource_name;
    int8_t pattern_type = 0;
    std::string principal;
    std::string host;
    int8_t operation = 0;
    int8_t permission = 0;
    friend auto operator<=>(const AclImage&, const AclImage&) = default;
};
using AclPtr = std::shared_ptr<const AclImage>;

struct ScramImage {
    std::vector<uint8_t> salt;
    std::vector<uint8_t> stored_key;
    std::vector<uint8_t> server_key;
    int32_t iterations = 0;
    friend bool operator==(const ScramImage&, const ScramImage&) = default;
};
using ScramKey = std::pair<int8_t, std::string>;  // mechanism (1 SHA-256, 2 SHA-512), user

struct DelegationTokenImage {
    std::string owner;
    std::string requester;
    std::vector<std::string> renewers;
    int64_t issue_ms = 0;
    int64_t max_ms = 0;
    int64_t expiration_ms = 0;
    friend bool operator==(const DelegationTokenImage&, const DelegationTokenImage&) = default;
};

/// Which log position an image stands for: its last contained record.
struct Provenance {
    Offset offset = kNoOffset;
    LeaderEpoch epoch = kNoLeaderEpoch;
    WallMs timestamp{0};
    friend bool operator==(const Provenance&, const Provenance&) = default;
};

struct Image {
    Provenance provenance;
    FeaturesImage features;
    ClusterImage cluster;
    TopicsImage topics;
    ConfigsImage configs;
    PersistentMap<QuotaEntity, std::shared_ptr<const QuotaMap>> client_quotas;
    ProducerIdsImage producer_ids;
    PersistentMap<Uuid, AclPtr> acls;
    PersistentMap<ScramKey, std::shared_ptr<const ScramImage>> scram;
    PersistentMap<std::string, std::shared_ptr<const DelegationTokenImage>> delegation_tokens;

    bool empty() const;
};
using ImagePtr = std::shared_ptr<const Image>;

ImagePtr empty_image();
/// Equal contents, provenance aside. O(size): for tests and verify builds.
bool same_contents(const Image& a, const Image& b);

}  // namespace millrace::metadata
