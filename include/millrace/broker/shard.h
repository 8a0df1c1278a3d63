// include/millrace/broker/shard.h: what one reactor thread owns of a broker.
//
// The partitions it hosts, the metadata image it serves from, fetch sessions. Handlers (api) get it
// through their RequestContext. Owner: broker/node. Touched on its own thread only; images arrive
// as immutable values. One shard per node today; the partitions a request touches are looked up
// through partition(), so that a split per owner has one place to go (src/ARCHITECTURE.md).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "millrace/base/uuid.h"
#include "millrace/broker/config.h"
#include "millrace/broker/log_dirs.h"
#include "millrace/broker/partition.h"
#include "millrace/broker/producer_ids.h"
#include "millrace/env/env.h"
#include "millrace/metadata/delta.h"
#include "millrace/metadata/image.h"
#include "millrace/replication/fetch_session.h"
#include "millrace/replication/quota.h"

namespace millrace::broker {

class ControllerLink;
class CoordinatorHost;
class FetchDriver;
class IsrChanges;
class LogDirMoves;
class QuorumDriver;

/// References live as long as the node.
struct ShardParts {
    env::Env env;
    const BrokerConfig& config;
    LogDirs& log_dirs;
    ControllerLink& controller;
};

/// The rates of replication that this broker bounds, for the replicas that topics name.
struct ReplicationQuotas {
    replication::ReplicationQuota leader;    // sent to followers
    replication::ReplicationQuota follower;  // fetched from leaders
    replication::ReplicationQuota log_dirs;  // copied from one directory to another
};

class Shard {
  public:
    explicit Shard(ShardParts parts);
    ~Shard();
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;

    env::Env& env() { return parts_.env; }
    const BrokerConfig& config() const { return parts_.config; }
    LogDirs& log_dirs() { return parts_.log_dirs; }
    ControllerLink& controller() { return parts_.controller; }
    /// Null on a node without the controller role.
    QuorumDriver* quorum = nullptr;

    // --- metadata
    const metadata::Image& image() const { return *image_; }
    const metadata::ImagePtr& image_pointer() const { return image_; }
    metadata::BrokerConfigLayers config_layers() const;
    const DynamicSettings& dynamic_settings() const { return dynamic_; }
    std::shared_ptr<const TopicSettings> settings_for(std::string_view topic);
    /// `incarnation`: leaderships are taken up only from images in which this broker is registered
    /// with it (kraft.md 4.4: never act on what was published before this start).
    void publish(const metadata::ImageLoader::Published& published, const Uuid& incarnation);
    /// All folders are loaded: hosts what the image assigns here, sets strays aside.
    void take_over_logs();
    bool logs_taken_over() const { return taken_over_; }

    // --- partitions
    Partition* partition(const Uuid& topic_id, PartitionIndex index);
    /// In order of topic id and index.
    void for_each_partition(const std::function<void(Partition&)>& visit);
    size_t partition_count() const { return partition_count_; }
    /// AlterReplicaLogDirs: moves the partition to that directory, or remembers where it is to be
    /// made when it comes here.
    ErrorCode alter_log_dir(const TopicPartition& name, const std::string& path);
    /// Tells the controller where a partition's log is, or where it is about to be.
    void report_directory(const Partition& partition);
    void assign_directory(const Uuid& topic_id, PartitionIndex index, const Uuid& directory,
                          MoveFunction<void(ErrorCode)> done);
    /// Its log is being copied to another directory, and not to be compacted meanwhile.
    bool moving_directory(const Partition& partition) const;
    /// A directory failed: its partitions answer KAFKA_STORAGE_ERROR from now on.
    void on_directory_offline(const LogDir& dir);
    /// Every partition lets go of its log (before LogDirs::close).
    void stop_partitions();
    bool take_high_watermarks_moved();

    /// Every parked Fetch of the shard watches this list beside its partitions'.
    FetchWatchList& parked_fetches() { return parked_fetches_; }
    /// Parked fetches of followers watch this one, too. It is told when a partition waits for a
    /// follower that does not fetch it yet: answered as it is, a follower comes back with the
    /// partitions it got meanwhile, instead of after replica.fetch.wait.max.ms (as in Kafka).
    FetchWatchList& parked_follower_fetches() { return parked_follower_fetches_; }
    /// Rises each time that list is told.
    uint64_t follower_calls() const { return follower_calls_; }
    replication::FetchSessionCache& fetch_sessions() { return fetch_sessions_; }
    ReplicationQuotas& replication_quotas() { return quotas_; }
    ProducerIds& producer_ids() { return producer_ids_; }
    CoordinatorHost& coordinators() { return *coordinators_; }
    /// Draws for answers that Kafka randomises (Metadata's controller id).
    Rng& rng() { return rng_; }

  private:
    struct HostedTopic {
        std::vector<std::unique_ptr<Partition>> by_index;  // null where not hosted
        size_t count = 0;                                  // of those that are
    };

    void request_producer_ids();
    void apply_configs(const metadata::Changes& changes);
    void apply_partition(const metadata::TopicImage& topic, PartitionIndex index);
    void host(const metadata::TopicImage& topic, PartitionIndex index,
              const metadata::PartitionImage& state, bool fresh);
    void make_logs_later();
    void make_logs();
    Partition* create_log(const metadata::TopicImage& topic, PartitionIndex index,
                          const metadata::PartitionImage& state, bool fresh);
    Partition* add_partition(const TopicPartition& name, const Uuid& topic_id, storage::Log& log,
                             const LogDir& dir);
    void drop(const Uuid& topic_id, PartitionIndex index, bool delete_files);
    LogDir* preferred_dir(const TopicPartition& name, const metadata::PartitionImage& state);
    void adopt_logs(LogDir& dir);
    void adopt_futures(LogDir& dir);
    void report_directory(const Uuid& topic_id, PartitionIndex index, const Uuid& directory);
    void send_directory_reports();
    void call_followers();
    void refresh_settings();
    void tell_broker_changes(const metadata::Changes& changes);

    ShardParts parts_;
    metadata::ImagePtr image_;
    DynamicSettings dynamic_;
    std::shared_ptr<const TopicSettings> default_settings_;
    record::ValidateScratch scratch_;
    PartitionHost partition_host_;
    std::unordered_map<Uuid, HostedTopic> topics_;  // for lookup only, never iterated
    std::set<Uuid> topic_order_;                    // the same keys, for iteration
    size_t partition_count_ = 0;
    replication::FetchSessionCache fetch_sessions_;
    FetchWatchList parked_fetches_;
    FetchWatchList parked_follower_fetches_;
    uint64_t follower_calls_ = 0;
    Instant next_follower_call_{};
    bool follower_call_armed_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    ReplicationQuotas quotas_;
    ProducerIds producer_ids_;
    Rng rng_;
    std::unique_ptr<IsrChanges> isr_changes_;
    std::unique_ptr<FetchDriver> fetch_driver_;
    std::unique_ptr<LogDirMoves> log_dir_moves_;
    std::map<TopicPartition, std::string> preferred_dirs_;  // of partitions not here yet
    bool taken_over_ = false;
    /// Partitions of the image whose logs wait for their turn; until then clients and followers
    /// hear NOT_LEADER_OR_FOLLOWER, as from a broker whose image is older. True: the partition was
    /// new when it came, whatever became of its epochs since.
    std::map<std::pair<Uuid, PartitionIndex>, bool> logs_to_make_;
    size_t new_logs_left_ = 0;  // that this turn may make
    bool making_logs_ = false;
    Uuid incarnation_;
    struct DirectoryReport {
        Uuid topic_id;
        PartitionIndex partition;
        Uuid directory;
    };
    std::vector<DirectoryReport> directory_reports_;
    std::unique_ptr<CoordinatorHost> coordinators_;
};

}  // namespace millrace::broker
