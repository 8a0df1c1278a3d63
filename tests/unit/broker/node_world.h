// tests/unit/broker/node_world.h: a whole node on a simulated disk with time in its hands.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/broker/controller_link.h"
#include "millrace/broker/node.h"
#include "millrace/broker/storage_format.h"
#include "millrace/record/batch_builder.h"
#include "support/stub_env.h"
#include "unit/broker/quorum_world.h"

namespace millrace::broker {

/// Messages to the one shard, in a turn of their own.
class PostedShard final : public env::Shards {
  public:
    explicit PostedShard(env::Timers& timers) : timers_(timers) {}
    uint32_t count() const override { return 1; }
    ShardId current() const override { return ShardId(0); }
    void post(ShardId, MoveFunction<void()> message) override { timers_.post(std::move(message)); }

  private:
    env::Timers& timers_;
};

class NodeWorld {
  public:
    support::SimDisk disk;
    support::StubClock clock;
    WorldTimers timers;
    support::StubBackground background;
    metadata::ConfigMap settings = {
        {"process.roles", "broker,controller"},
        {"node.id", "1"},
        {"controller.quorum.bootstrap.servers", "localhost:9093"},
        {"controller.listener.names", "CONTROLLER"},
        {"listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"},
        {"log.dirs", "/data"},
    };
    std::unique_ptr<BrokerConfig> config;
    std::unique_ptr<Node> node;
    bool ready = false;
    std::string fatal;

    explicit NodeWorld(const std::vector<std::string>& dirs = {"/data"}) {
        disk.set_wall([this] { return clock.wall(); });
        for (const std::string& dir : dirs) EXPECT_TRUE(disk.make_directories(dir).ok());
        StorageFormatOptions options;
        options.node_id = NodeId(1);
        options.log_dirs = dirs;
        options.metadata_log_dir = "/data";
        options.has_controller_role = true;
        options.controller_listener_name = "CONTROLLER";
        options.controller_host = "localhost";
        options.controller_port = 9093;
        options.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
        options.standalone = true;
        Rng rng(1);
        EXPECT_TRUE(
            format_storage(disk, clock.wall(), rng, options, [](const std::string&) {}).ok());
    }
    ~NodeWorld() { kill(); }

    /// Starts the node and waits until it serves.
    void start() {
        Result<BrokerConfig> made = make_broker_config(settings);
        ASSERT_TRUE(made.ok()) << made.status().to_string();
        config = std::make_unique<BrokerConfig>(*std::move(made));
        ready = false;
        node = std::make_unique<Node>(
            env::Env{clock, timers, disk, background, shards_, peers_, ++starts_}, *config,
            NodeEvents{[this] { ready = true; },
                       [this](const Status& cause) { fatal = cause.to_string(); }});
        ASSERT_TRUE(node->start().ok());
        for (int i = 0; i < 200 && !ready; ++i) run(milliseconds(50));
        ASSERT_TRUE(ready) << fatal;
    }
    void stop() {
        bool stopped = false;
        node->stop([&] { stopped = true; });
        for (int i = 0; i < 200 && !stopped; ++i) run(milliseconds(50));
        EXPECT_TRUE(stopped);
        kill();
    }
    /// The process is gone, the page cache stays.
    void kill() {
        node.reset();
        timers.drop_all();
        background.drop_all();
        disk.kill_process();
    }
    void run(Duration duration) {
        const Instant end = clock.now() + duration;
        settle();
        while (timers.next() <= end) {
            if (timers.next() > clock.now()) clock.advance(timers.next() - clock.now());
            timers.fire_next();
            settle();
        }
        clock.advance(end - clock.now());
    }
    void create_topic(const std::string& name, int32_t partitions,
                      const std::vector<std::pair<std::string, std::string>>& configs) {
        wire::CreateTopicsRequest request;
        request.timeout_ms = 1000;
        auto& topic = request.topics.emplace_back();
        topic.name = name;
        topic.num_partitions = partitions;
        topic.replication_factor = 1;
        for (const auto& [key, value] : configs) {
            auto& entry = topic.configs.emplace_back();
            entry.name = key;
            entry.value = value;
        }
        int16_t error = -1;
        node->shard().controller().run(
            std::move(request), {}, Reply<metadata::ControllerResponse>([&](auto response) {
                error = std::get<wire::CreateTopicsResponse>(response).topics.at(0).error_code;
            }));
        run(seconds(1));
        ASSERT_EQ(error, 0) << name;
    }
    Partition* partition(const std::string& topic, int32_t index) {
        const metadata::TopicImage* found = node->shard().image().topics.find(topic);
        return found == nullptr ? nullptr
                                : node->shard().partition(found->id, PartitionIndex(index));
    }
    ErrorCode produce(Partition& partition, const std::string& key, const std::string& value) {
        return produce_outcome(partition, key, value).error;
    }
    ProduceOutcome produce_outcome(Partition& partition, const std::string& key,
                                   const std::string& value) {
        record::BatchBuilder builder;
        builder.start({});
        record::NewRecord record;
        record.timestamp = clock.wall();
        record.key = ByteView(key);
        record.value = ByteView(value);
        builder.append(record);
        return partition.produce(builder.finish(), 1);
    }

  private:
    void settle() {
        while (disk.run_posted() + timers.run_posted() + background.run_all() > 0) {
        }
    }

    PostedShard shards_{timers};
    support::NoPeers peers_;
    uint64_t starts_ = 0;
};

}  // namespace millrace::broker
