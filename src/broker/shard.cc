// src/broker/shard.cc: metadata images become hosted partitions.
#include "millrace/broker/shard.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "broker/fetch_driver.h"
#include "broker/isr_changes.h"
#include "broker/log_dir_moves.h"
#include "millrace/base/log.h"
#include "millrace/broker/controller_link.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/env/clock.h"
#include "millrace/env/shards.h"

namespace millrace::broker {

namespace {
constexpr LogChannel kLog{"shard"};
constexpr Duration kFollowerCallPause = milliseconds(20);
/// New logs that one image makes before its publication is over, and that each later turn makes.
/// A log costs 0.1 ms, and on a busy ext4 up to 3 ms: a topic of thousands of partitions must not
/// keep heartbeats, elections and clients waiting for all of them.
constexpr size_t kLogsAtOnceMax = 64;
constexpr size_t kLogsPerTurnMax = 16;
constexpr size_t kReportsAtOnce = 2000;
/// Directories remembered for partitions that are yet to come.
constexpr size_t kPreferredDirsMax = 100'000;

ReplicationQuotas make_quotas(const BrokerConfig& config) {
    const auto options = [&](const std::string& prefix) {
        replication::ReplicationQuota::Options made;
        made.windows = static_cast<int32_t>(config.number(prefix + ".num"));
        made.window = seconds(config.number(prefix + ".size.seconds"));
        return made;
    };
    const auto between_brokers = options("replication.quota.window");
    return {replication::ReplicationQuota(between_brokers),
            replication::ReplicationQuota(between_brokers),
            replication::ReplicationQuota(options("alter.log.dirs.replication.quota.window"))};
}
}  // namespace

Shard::Shard(ShardParts parts)
    : parts_(parts),
      image_(metadata::empty_image()),
      partition_host_{parts_.config.node_id,
                      parts_.env.clock,
                      parts_.env.timers,
                      scratch_,
                      [this](const std::string& directory, const Status& status) {
                          parts_.log_dirs.fail(directory, status);
                      },
                      false,
                      milliseconds(parts_.config.replica_lag_time_max_ms),
                      [this](Partition& partition, replication::IsrProposal proposal) {
                          isr_changes_->propose(partition, std::move(proposal));
                      },
                      [this] { call_followers(); }},
      fetch_sessions_(static_cast<uint32_t>(
                          std::max(0, parts_.config.max_incremental_fetch_session_cache_slots)),
                      parts_.env.seed ^ 0xfe7cU),
      quotas_(make_quotas(parts_.config)),
      producer_ids_([this] { request_producer_ids(); }),
      rng_(parts_.env.seed),
      isr_changes_(std::make_unique<IsrChanges>(*this)),
      fetch_driver_(std::make_unique<FetchDriver>(*this)),
      log_dir_moves_(std::make_unique<LogDirMoves>(*this)) {
    refresh_settings();
    coordinators_ = std::make_unique<CoordinatorHost>(*this);
}

Shard::~Shard() {
    *alive_ = false;
    parked_fetches_.abandon_all();
}

// At once, and then again only after a pause: a follower may not have the image yet in which it
// gets the partition, and one that is down must not keep the others from waiting.
void Shard::call_followers() {
    if (follower_call_armed_) return;
    const Instant now = parts_.env.clock.now();
    if (now >= next_follower_call_) {
        next_follower_call_ = now + kFollowerCallPause;
        ++follower_calls_;
        return parked_follower_fetches_.notify(kWakeEveryFetch);
    }
    follower_call_armed_ = true;
    parts_.env.timers.arm(next_follower_call_, [this, alive = alive_] {
        if (!*alive) return;
        follower_call_armed_ = false;
        call_followers();
    });
}

metadata::BrokerConfigLayers Shard::config_layers() const {
    const std::string id = std::to_string(parts_.config.node_id.value);
    return broker::config_layers(parts_.config, &image_->configs.broker(id),
                                 &image_->configs.broker(""));
}

void Shard::refresh_settings() {
    const metadata::BrokerConfigLayers layers = config_layers();
    dynamic_ = make_dynamic_settings(layers);
    quotas_.leader.set_bytes_per_second(dynamic_.leader_replication_throttled_rate);
    quotas_.follower.set_bytes_per_second(dynamic_.follower_replication_throttled_rate);
    quotas_.log_dirs.set_bytes_per_second(dynamic_.replica_alter_log_dirs_io_max_bytes_per_second);
    default_settings_ = make_topic_settings({}, layers, parts_.config);
}

std::shared_ptr<const TopicSettings> Shard::settings_for(std::string_view topic) {
    const metadata::ConfigMap& own = image_->configs.topic(topic);
    if (own.empty()) return default_settings_;
    return make_topic_settings(own, config_layers(), parts_.config);
}

Partition* Shard::partition(const Uuid& topic_id, PartitionIndex index) {
    const auto found = topics_.find(topic_id);
    if (found == topics_.end()) return nullptr;
    const auto& by_index = found->second.by_index;
    const auto place = static_cast<size_t>(index.value);
    return index.value >= 0 && place < by_index.size() ? by_index[place].get() : nullptr;
}

void Shard::for_each_partition(const std::function<void(Partition&)>& visit) {
    for (const Uuid& id : topic_order_) {
        for (const auto& partition : topics_.at(id).by_index) {
            if (partition) visit(*partition);
        }
    }
}

void Shard::publish(const metadata::ImageLoader::Published& published, const Uuid& incarnation) {
    const metadata::ImagePtr before = image_;
    image_ = published.image;
    incarnation_ = incarnation;
    new_logs_left_ = kLogsAtOnceMax;
    apply_configs(published.changes);
    if (!taken_over_) return;
    for (const auto& [id, name] : published.changes.topics_deleted) {
        const auto hosted = topics_.find(id);
        if (hosted == topics_.end()) continue;
        const size_t count = hosted->second.by_index.size();
        for (size_t i = 0; i < count; ++i) drop(id, PartitionIndex(static_cast<int32_t>(i)), true);
    }
    for (const auto& [id, indexes] : published.changes.partitions) {
        const metadata::TopicImage* topic = image_->topics.find(id);
        if (topic == nullptr) continue;
        for (const PartitionIndex index : indexes) apply_partition(*topic, index);
    }
    coordinators_->on_image();
    tell_broker_changes(published.changes);
    fetch_driver_->on_image();
    send_directory_reports();
}

/// Leaders wait for followers that are about to be in sync only as long as these live.
void Shard::tell_broker_changes(const metadata::Changes& changes) {
    for (const NodeId id : changes.brokers) {
        if (id == parts_.config.node_id) continue;
        const metadata::BrokerImage* broker = image_->cluster.broker(id);
        const bool eligible = broker != nullptr && broker->active();
        for_each_partition(
            [&](Partition& partition) { partition.on_broker_changed(id, eligible); });
    }
}

void Shard::apply_configs(const metadata::Changes& changes) {
    const std::string own_id = std::to_string(parts_.config.node_id.value);
    bool broker_changed = false;
    for (const metadata::ConfigTarget& resource : changes.configs) {
        if (resource.type == metadata::ConfigResource::Broker &&
            (resource.name.empty() || resource.name == own_id)) {
            broker_changed = true;
        }
    }
    if (broker_changed) {
        refresh_settings();
        for_each_partition([this](Partition& partition) {
            partition.set_settings(settings_for(partition.name().topic));
        });
        return;
    }
    for (const metadata::ConfigTarget& resource : changes.configs) {
        if (resource.type != metadata::ConfigResource::Topic) continue;
        const metadata::TopicImage* topic = image_->topics.find(resource.name);
        const auto hosted = topic == nullptr ? topics_.end() : topics_.find(topic->id);
        if (hosted == topics_.end()) continue;
        const auto settings = settings_for(resource.name);
        for (const auto& partition : hosted->second.by_index) {
            if (partition) partition->set_settings(settings);
        }
    }
}

void Shard::take_over_logs() {
    for (const auto& dir : parts_.log_dirs.dirs()) {
        if (dir->online) adopt_logs(*dir);
    }
    for (const auto& dir : parts_.log_dirs.dirs()) {
        if (dir->online) adopt_futures(*dir);
    }
    taken_over_ = true;
    // All of them: once this node is unfenced it may be asked to lead any.
    new_logs_left_ = std::numeric_limits<size_t>::max();
    for (const auto& [id, topic] : image_->topics.by_id) {
        for (const auto& [index, state] : topic->partitions) apply_partition(*topic, index);
    }
    coordinators_->on_image();
    send_directory_reports();
}

void Shard::adopt_logs(LogDir& dir) {
    std::vector<TopicPartition> strays;
    dir.store->for_each([&](storage::Log& log) {
        const TopicPartition& name = log.partition();
        const metadata::TopicImage* topic = image_->topics.find(name.topic);
        const metadata::PartitionImage* state =
            topic == nullptr ? nullptr : topic->partition(name.partition);
        const bool ours = state != nullptr && state->has_replica(parts_.config.node_id) &&
                          (log.topic_id().is_zero() || log.topic_id() == topic->id);
        if (!ours || partition(topic->id, name.partition) != nullptr) {
            strays.push_back(name);
            return;
        }
        // A crash while a move changed over leaves two; the controller knows which one is it.
        const std::optional<Uuid> assigned = state->directory_of(parts_.config.node_id);
        const LogDir* named = assigned ? parts_.log_dirs.find(*assigned) : nullptr;
        if (named != nullptr && named != &dir && named->online &&
            named->store->find(name) != nullptr) {
            strays.push_back(name);
            return;
        }
        if (log.damaged()) {
            add_partition(name, topic->id, log, dir)->go_offline();
            return;
        }
        if (log.topic_id().is_zero()) {
            const Status status = log.set_topic_id(topic->id);
            if (!status.ok()) return parts_.log_dirs.fail(dir.path, status);
        }
        add_partition(name, topic->id, log, dir);
    });
    for (const TopicPartition& name : strays) {
        log_warn(kLog, "{} in {} belongs to no topic of this cluster that is assigned here; "
                 "it is renamed to ...-stray and kept", name.to_string(), dir.path);
        const Status status = dir.store->set_aside(name);
        if (!status.ok()) parts_.log_dirs.fail(dir.path, status);
    }
}

/// Copies that an earlier run began: they go on, or go.
void Shard::adopt_futures(LogDir& dir) {
    std::vector<TopicPartition> useless;
    dir.store->for_each_future([&](storage::Log& log) {
        const TopicPartition& name = log.partition();
        const metadata::TopicImage* topic = image_->topics.find(name.topic);
        Partition* here = topic == nullptr ? nullptr : partition(topic->id, name.partition);
        if (here != nullptr && !here->offline() && here->directory_id() != dir.id &&
            log.topic_id() == topic->id && !log_dir_moves_->moving(*here)) {
            log_dir_moves_->resume(*here, dir, log);
        } else if (!parts_.log_dirs.any_offline()) {
            useless.push_back(name);  // with a directory offline its log may be there
        }
    });
    for (const TopicPartition& name : useless) {
        const Status status =
            dir.store->remove_future(name, parts_.env.clock.now(), Duration{});
        if (!status.ok()) parts_.log_dirs.fail(dir.path, status);
    }
}

void Shard::apply_partition(const metadata::TopicImage& topic, PartitionIndex index) {
    const std::pair<Uuid, PartitionIndex> key{topic.id, index};
    const metadata::PartitionImage* state = topic.partition(index);
    if (state == nullptr || !state->has_replica(parts_.config.node_id)) {
        logs_to_make_.erase(key);
        if (partition(topic.id, index) != nullptr) drop(topic.id, index, true);
        return;
    }
    const auto waiting = logs_to_make_.find(key);
    const bool fresh = waiting != logs_to_make_.end()
                           ? waiting->second
                           : state->leader_epoch.value == 0 && state->partition_epoch == 0;
    // Coordinators look for their partitions when an image comes: those are made with it.
    const bool at_once = topic.name == kOffsetsTopic || topic.name == kTransactionsTopic;
    if (partition(topic.id, index) == nullptr && new_logs_left_ == 0 && !at_once) {
        logs_to_make_.emplace(key, fresh);
        return make_logs_later();
    }
    logs_to_make_.erase(key);
    host(topic, index, *state, fresh);
}

void Shard::make_logs_later() {
    if (std::exchange(making_logs_, true)) return;
    // A message, because posted tasks run many in a row before sockets have their turn.
    parts_.env.shards.post(parts_.env.shards.current(), [this, alive = alive_] {
        if (!*alive) return;
        making_logs_ = false;
        make_logs();
    });
}

/// Follows the image of now, not the one in which the partition came: that one may be history.
void Shard::make_logs() {
    new_logs_left_ = kLogsPerTurnMax;
    while (!logs_to_make_.empty() && new_logs_left_ > 0) {
        const auto [topic_id, index] = logs_to_make_.begin()->first;
        const metadata::TopicImage* topic = image_->topics.find(topic_id);
        if (topic == nullptr) {
            logs_to_make_.erase(logs_to_make_.begin());
        } else {
            apply_partition(*topic, index);  // takes it off, whether it makes the log or not
        }
    }
    // One request for many: each is a sync of the metadata log.
    if (logs_to_make_.empty() || directory_reports_.size() >= kReportsAtOnce) {
        send_directory_reports();
    }
    if (!logs_to_make_.empty()) make_logs_later();
}

void Shard::host(const metadata::TopicImage& topic, PartitionIndex index,
                 const metadata::PartitionImage& state, bool fresh) {
    Partition* hosted = partition(topic.id, index);
    if (hosted == nullptr) hosted = create_log(topic, index, state, fresh);
    if (hosted == nullptr) return;
    const std::optional<Uuid> assigned = state.directory_of(parts_.config.node_id);
    // A damaged log is nowhere: the controller gives its leadership to another replica.
    const Uuid here = hosted->log().damaged() ? metadata::kDirectoryLost : hosted->directory_id();
    const bool on_its_way = assigned && log_dir_moves_->on_assigned_directory(*hosted, *assigned);
    if (assigned && *assigned != here && !on_its_way) report_directory(topic.id, index, here);
    const metadata::BrokerImage* self = image_->cluster.broker(parts_.config.node_id);
    if (self == nullptr || self->incarnation != incarnation_) return;
    const Status status = hosted->apply(state);
    fetch_driver_->update(*hosted);
    if (!status.ok()) {
        log_error(kLog, "{}: {}", hosted->name().to_string(), status.to_string());
    }
}

Partition* Shard::create_log(const metadata::TopicImage& topic, PartitionIndex index,
                             const metadata::PartitionImage& state, bool fresh) {
    if (new_logs_left_ > 0) --new_logs_left_;
    const TopicPartition name{topic.name, index};
    LogDir* dir = preferred_dir(name, state);
    if (dir == nullptr) {
        // With a directory offline a partition that is not new may live there.
        if (parts_.log_dirs.any_offline() && !fresh) return nullptr;
        dir = parts_.log_dirs.choose(dynamic_.cordoned_log_dirs);
    }
    if (dir == nullptr || !dir->online) return nullptr;
    // The log that it was copied from lies in a directory that is offline: an empty log must not
    // take the place of what may be the last copy.
    if (dir->store->find_future(name) != nullptr) {
        log_error(kLog,
                  "{} stays offline: {} has an unfinished copy of it, and the directory of the log "
                  "itself is offline; bring that back, or delete the copy's folder",
                  name.to_string(), dir->path);
        return nullptr;
    }
    Result<storage::Log*> log = dir->store->create(name, topic.id, settings_for(topic.name)->log,
                                                   parts_.env.clock.wall());
    if (!log.ok()) {
        log_error(kLog, "{}: cannot be created: {}", name.to_string(), log.status().to_string());
        parts_.log_dirs.fail(dir->path, log.status());
        return nullptr;
    }
    return add_partition(name, topic.id, **log, *dir);
}

/// Where an operator wants it, else where the controller has it; null: anywhere.
LogDir* Shard::preferred_dir(const TopicPartition& name, const metadata::PartitionImage& state) {
    if (const auto wanted = preferred_dirs_.extract(name); !wanted.empty()) {
        LogDir* dir = parts_.log_dirs.find_path(wanted.mapped());
        if (dir != nullptr && dir->online) return dir;
    }
    const std::optional<Uuid> assigned = state.directory_of(parts_.config.node_id);
    return assigned ? parts_.log_dirs.find(*assigned) : nullptr;
}

ErrorCode Shard::alter_log_dir(const TopicPartition& name, const std::string& path) {
    LogDir* to = parts_.log_dirs.find_path(path);
    if (to == nullptr) return ErrorCode::LogDirNotFound;
    if (!to->online) return ErrorCode::KafkaStorageError;
    for (const std::string& cordoned : dynamic_.cordoned_log_dirs) {
        if (cordoned == "*" || cordoned == path) return ErrorCode::InvalidReplicaAssignment;
    }
    const metadata::TopicImage* topic = image_->topics.find(name.topic);
    Partition* here = topic == nullptr ? nullptr : partition(topic->id, name.partition);
    if (here == nullptr) {
        if (preferred_dirs_.size() < kPreferredDirsMax) preferred_dirs_[name] = path;
        const bool known = topic != nullptr && topic->partition(name.partition) != nullptr;
        return known ? ErrorCode::ReplicaNotAvailable : ErrorCode::UnknownTopicOrPartition;
    }
    if (here->offline()) return ErrorCode::KafkaStorageError;
    return log_dir_moves_->start(*here, *to);
}

bool Shard::moving_directory(const Partition& partition) const {
    return log_dir_moves_->moving(partition);
}

Partition* Shard::add_partition(const TopicPartition& name, const Uuid& topic_id,
                                storage::Log& log, const LogDir& dir) {
    HostedTopic& hosted = topics_[topic_id];
    topic_order_.insert(topic_id);
    const auto place = static_cast<size_t>(name.partition.value);
    if (hosted.by_index.size() <= place) hosted.by_index.resize(place + 1);
    hosted.by_index[place] = std::make_unique<Partition>(partition_host_, name, topic_id, log,
                                                         dir.id, settings_for(name.topic));
    ++hosted.count;
    ++partition_count_;
    return hosted.by_index[place].get();
}

void Shard::drop(const Uuid& topic_id, PartitionIndex index, bool delete_files) {
    Partition* hosted = partition(topic_id, index);
    if (hosted == nullptr) return;
    const TopicPartition name = hosted->name();
    const Uuid directory = hosted->directory_id();
    const Duration delay = milliseconds(default_settings_->topic.file_delete_delay_ms);
    hosted->stop(ErrorCode::UnknownTopicOrPartition);
    fetch_driver_->forget(topic_id, index);
    log_dir_moves_->forget(topic_id, index, delete_files);
    HostedTopic& topic = topics_.at(topic_id);
    topic.by_index[static_cast<size_t>(index.value)].reset();
    --partition_count_;
    if (--topic.count == 0) {
        topics_.erase(topic_id);
        topic_order_.erase(topic_id);
    }
    LogDir* dir = parts_.log_dirs.find(directory);
    if (!delete_files || dir == nullptr || !dir->online) return;
    const Status status = dir->store->remove(name, parts_.env.clock.now(), delay);
    if (!status.ok()) return parts_.log_dirs.fail(dir->path, status);
    // A stale line would be believed by a topic of the same name after a crash.
    parts_.log_dirs.checkpoint(storage::CheckpointKind::RecoveryPoint);
    parts_.log_dirs.checkpoint(storage::CheckpointKind::LogStart);
}

void Shard::report_directory(const Uuid& topic_id, PartitionIndex index, const Uuid& directory) {
    directory_reports_.push_back({topic_id, index, directory});
}

void Shard::report_directory(const Partition& partition) {
    report_directory(partition.topic_id(), partition.name().partition, partition.directory_id());
    send_directory_reports();
}

void Shard::assign_directory(const Uuid& topic_id, PartitionIndex index, const Uuid& directory,
                             MoveFunction<void(ErrorCode)> done) {
    const metadata::BrokerImage* self = image_->cluster.broker(parts_.config.node_id);
    wire::AssignReplicasToDirsRequest request;
    request.broker_id = parts_.config.node_id.value;
    request.broker_epoch = self == nullptr ? -1 : self->epoch.value;
    auto& entry = request.directories.emplace_back();
    entry.id = directory;
    auto& topic = entry.topics.emplace_back();
    topic.topic_id = topic_id;
    topic.partitions.emplace_back().partition_index = index.value;
    parts_.controller.run(
        std::move(request), {},
        Reply<metadata::ControllerResponse>([done = std::move(done)](auto response) mutable {
            const auto& answer = std::get<wire::AssignReplicasToDirsResponse>(response);
            auto error = static_cast<ErrorCode>(answer.error_code);
            const bool one = answer.directories.size() == 1 &&
                             answer.directories[0].topics.size() == 1 &&
                             answer.directories[0].topics[0].partitions.size() == 1;
            if (error == ErrorCode::None) {
                error = one ? static_cast<ErrorCode>(
                                  answer.directories[0].topics[0].partitions[0].error_code)
                            : ErrorCode::UnknownServerError;
            }
            done(error);
        }));
}

void Shard::send_directory_reports() {
    if (directory_reports_.empty()) return;
    const metadata::BrokerImage* self = image_->cluster.broker(parts_.config.node_id);
    if (self == nullptr || self->incarnation != incarnation_) return;
    wire::AssignReplicasToDirsRequest request;
    request.broker_id = parts_.config.node_id.value;
    request.broker_epoch = self->epoch.value;
    std::map<Uuid, std::map<Uuid, std::vector<int32_t>>> by_directory;
    for (const DirectoryReport& report : directory_reports_) {
        by_directory[report.directory][report.topic_id].push_back(report.partition.value);
    }
    directory_reports_.clear();
    for (auto& [directory, topics] : by_directory) {
        auto& entry = request.directories.emplace_back();
        entry.id = directory;
        for (auto& [topic_id, partitions] : topics) {
            auto& topic = entry.topics.emplace_back();
            topic.topic_id = topic_id;
            for (const int32_t index : partitions) {
                topic.partitions.emplace_back().partition_index = index;
            }
        }
    }
    // An answer with an error needs no retry here: the next image shows the old directory again.
    parts_.controller.run(std::move(request), {},
                          Reply<metadata::ControllerResponse>([](const auto&) {}));
}

void Shard::request_producer_ids() {
    const metadata::BrokerImage* self = image_->cluster.broker(parts_.config.node_id);
    wire::AllocateProducerIdsRequest request;
    request.broker_id = parts_.config.node_id.value;
    request.broker_epoch = self == nullptr ? -1 : self->epoch.value;
    parts_.controller.run(
        std::move(request), {}, Reply<metadata::ControllerResponse>([this](auto response) {
            const auto& answer = std::get<wire::AllocateProducerIdsResponse>(response);
            producer_ids_.on_block(static_cast<ErrorCode>(answer.error_code),
                                   answer.producer_id_start, answer.producer_id_len);
        }));
}

void Shard::on_directory_offline(const LogDir& dir) {
    for_each_partition([&](Partition& partition) {
        if (partition.directory_id() != dir.id) return;
        partition.go_offline();
        fetch_driver_->update(partition);
    });
    log_dir_moves_->on_directory_offline(dir);
    coordinators_->on_image();
}

void Shard::stop_partitions() {
    fetch_driver_->stop();
    log_dir_moves_->stop();
    coordinators_->stop();
    logs_to_make_.clear();
    topics_.clear();
    topic_order_.clear();
    partition_count_ = 0;
    parked_fetches_.notify(kWakeEveryFetch);
}

bool Shard::take_high_watermarks_moved() {
    return std::exchange(partition_host_.high_watermarks_moved, false);
}

}  // namespace millrace::broker
