// src/metadata/controller_context.h: the controller's state, and what one command may look at.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metadata/heartbeats.h"
#include "metadata/partition_election.h"
#include "metadata/partition_indexes.h"
#include "millrace/base/rng.h"
#include "millrace/metadata/config_schema.h"
#include "millrace/metadata/controller.h"

namespace millrace::metadata {

/// Everything that records determine. A value of persistent maps: keeping an old one is going back.
struct ControllerState {
    Image image;
    PartitionIndexes indexes;
    PersistentMap<NodeId, Offset> register_offsets;  // of each broker's RegisterBrokerRecord
    PersistentMap<Uuid, NodeId> directory_owners;
    /// Names with '.' or '_', under their form with '.' for '_': such names must not collide.
    PersistentMap<std::pair<std::string, std::string>, bool> collision_names;
    /// The state at the Begin record of the open metadata transaction, if one is open.
    std::shared_ptr<const ControllerState> before_transaction;

    /// Replays the records of one batch; `base` is the first one's offset. All or nothing.
    Status replay(std::span<const Record> records, Offset base);
    /// Replaces everything by the image of a snapshot.
    static ControllerState of(const Image& image);

  private:
    Status replay_marker(const Record& record);
    void follow(const Image& before, const Changes& changes);
};

/// Kafka's Topic.unifyCollisionChars; nothing when the name has no such character.
std::optional<std::string> collision_form(std::string_view topic);

/// An outcome of the protocol: code and the client's text (nothing: null on the wire).
struct ApiError {
    ErrorCode code = ErrorCode::None;
    std::optional<std::string> message;

    bool failed() const { return code != ErrorCode::None; }
    int16_t number() const { return static_cast<int16_t>(code); }
    /// The code with its standard text, as Kafka does when an exception has none.
    static ApiError standard(ErrorCode code);
};

struct CommandContext {
    const ControllerState& state;
    const ControllerOptions& options;
    const Heartbeats& heartbeats;
    Rng& rng;
    const Tick& tick;
    const Requester& who;

    const Image& image() const { return state.image; }
    int16_t metadata_version() const { return state.image.features.metadata_version(); }
    bool elr() const { return state.image.features.elr(); }
    /// Layers as the controller sees them: its own node's values and the cluster default.
    BrokerConfigLayers layers() const;
    std::string topic_config(std::string_view topic, std::string_view key) const;
    bool unclean_election(std::string_view topic) const;
    /// min.insync.replicas in force, at most the replication factor.
    int32_t min_isr(const TopicImage& topic) const;
    ElectionRules election_rules(const TopicImage& topic) const;
    /// STALE_BROKER_EPOCH unless `id` is registered with `epoch`.
    ApiError check_broker_epoch(NodeId id, BrokerEpoch epoch) const;
    Uuid random_uuid() const;
};

struct CommandResult {
    ControllerResponse response;
    std::vector<Record> records;
    bool atomic = true;  // one batch or an error; otherwise cut at kRecordsPerBatchMax
    /// A broker whose controlled shutdown these records begin or continue.
    NodeId shutting_down = kNoNode;
    bool upgrade_kraft_version = false;
};

inline constexpr size_t kRecordsPerBatchMax = 10'000;  // MAX_RECORDS_PER_USER_OP
inline constexpr int32_t kPartitionsPerRequestMax = 10'000;
inline constexpr size_t kElectionsPerSweepMax = 1'000;

}  // namespace millrace::metadata
