// tests/unit/metadata/controller_model_test.cc: random commands, commits and failovers: log, image,
// snapshot and indexes always agree.
#include <gtest/gtest.h>

#include <algorithm>

#include "metadata/controller_context.h"
#include "millrace/metadata/snapshot.h"
#include "unit/metadata/controller_fixture.h"

namespace millrace::metadata {
namespace {

/// One log, several controllers taking turns; what a leader did not commit may be lost.
class Model {
  public:
    explicit Model(uint64_t seed) : rng_(seed) {
        ControllerOptions options = ControllerFixture::default_options();
        options.seed = seed;
        options.leader_rebalance = true;
        options.leader_rebalance_interval = seconds(20);
        f_ = std::make_unique<ControllerFixture>(options);
        f_->lead();
    }
    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            step();
            if (rng_.chance(1, 2)) commit(f_->log_end);
            if (rng_.chance(1, 60)) fail_over();
            if (rng_.chance(1, 50)) check();
        }
        commit(f_->log_end);
        check();
    }

  private:
    void commit(Offset end) {
        committed_ = end;
        f_->controller.on_high_watermark(f_->tick(), end, f_->out);
        f_->carry_out();
    }
    /// The leader goes; the batches it had not committed vanish, the log continues after them.
    void fail_over() {
        f_->controller.on_resign(f_->tick(), f_->out);
        f_->carry_out();
        const auto kept = static_cast<size_t>(committed_.value);
        f_->all.resize(kept);
        f_->values.resize(kept);
        f_->log_end = committed_;
        ASSERT_EQ(f_->controller.applied_end(), committed_);
        f_->controller.on_leader(f_->tick(), LeaderEpoch(++epoch_), f_->out);
        f_->carry_out();
        f_->commit_all();
        committed_ = f_->log_end;
    }
    int32_t broker() { return static_cast<int32_t>(rng_.between(1, 5)); }
    std::string topic_name() { return "t" + std::to_string(rng_.below(6)); }

    void step() {
        switch (rng_.below(10)) {
            case 0: f_->start(f_->registration(broker(), rng_.below(3))); break;
            case 1:
            case 2:
            case 3:
                f_->start(f_->heartbeat(broker(), rng_.chance(1, 8), rng_.chance(1, 10)));
                break;
            case 4:
                f_->start(f_->topic(topic_name(), static_cast<int32_t>(rng_.between(1, 4)),
                                    static_cast<int16_t>(rng_.between(1, 3))));
                break;
            case 5: alter_partition(); break;
            case 6: reassign(); break;
            case 7: small_things(); break;
            case 8:
                f_->now = f_->now + milliseconds(rng_.between(0, 4000));
                f_->controller.on_tick(f_->tick(), f_->out);
                f_->carry_out();
                break;
            default: {
                wire::ElectLeadersRequest elect;
                elect.election_type = static_cast<int8_t>(rng_.below(2));
                elect.topic_partitions = std::nullopt;
                f_->start(elect);
            }
        }
    }
    void alter_partition() {
        const TopicImage* topic = f_->controller.image().topics.find(topic_name());
        if (topic == nullptr) return;
        const auto& [index, partition] = *topic->partitions.begin();
        const BrokerImage* leader = f_->controller.image().cluster.broker(partition->leader);
        if (leader == nullptr) return;
        wire::AlterPartitionRequest request;
        request.broker_id = leader->id.value;
        request.broker_epoch = leader->epoch.value;
        auto& topic_data = request.topics.emplace_back();
        topic_data.topic_id = topic->id;
        auto& data = topic_data.partitions.emplace_back();
        data.partition_index = index.value;
        data.leader_epoch = partition->leader_epoch.value;
        data.partition_epoch = partition->partition_epoch;
        for (NodeId node : partition->replicas) {
            const BrokerImage* image = f_->controller.image().cluster.broker(node);
            const bool can = image != nullptr && image->active() && rng_.chance(3, 4);
            if (node != partition->leader && !can) continue;
            auto& state = data.new_isr_with_epochs.emplace_back();
            state.broker_id = node.value;
            state.broker_epoch = -1;
        }
        f_->start(request);
    }
    void reassign() {
        wire::AlterPartitionReassignmentsRequest request;
        auto& topic = request.topics.emplace_back();
        topic.name = topic_name();
        auto& partition = topic.partitions.emplace_back();
        if (rng_.chance(3, 4)) {
            partition.replicas.emplace();
            for (int32_t id = 1; id <= 5; ++id) {
                if (rng_.chance(1, 2)) partition.replicas->push_back(id);
            }
        }
        f_->start(request);
    }
    void small_things() {
        switch (rng_.below(4)) {
            case 0: {
                wire::DeleteTopicsRequest remove;
                remove.topics.emplace_back().name = topic_name();
                f_->start(remove);
                break;
            }
            case 1: {
                wire::IncrementalAlterConfigsRequest alter;
                auto& resource = alter.resources.emplace_back();
                resource.resource_type = 2;
                resource.resource_name = topic_name();
                auto& config = resource.configs.emplace_back();
                config.name =
                    rng_.chance(1, 2) ? "min.insync.replicas" : "unclean.leader.election.enable";
                config.value = config.name[0] == 'm' ? "2" : "true";
                f_->start(alter);
                break;
            }
            case 2: {
                wire::UnregisterBrokerRequest request;
                request.broker_id = broker();
                f_->start(request);
                break;
            }
            default: {
                wire::CreatePartitionsRequest grow;
                auto& topic = grow.topics.emplace_back();
                topic.name = topic_name();
                topic.count = 5;
                topic.assignments = std::nullopt;
                f_->start(grow);
            }
        }
    }

    void check() {
        const Image& image = f_->controller.image();
        ImageLoader loader(empty_image());
        ControllerState state;
        Offset offset{0};
        for (const Record& record : f_->all) {
            ASSERT_TRUE(loader.on_record(offset, LeaderEpoch(1), WallMs{1}, record).ok());
            ASSERT_TRUE(state.replay(std::span(&record, 1), offset).ok());
            offset = offset + 1;
        }
        ASSERT_EQ(offset, f_->log_end);
        loader.publish();
        EXPECT_TRUE(same_contents(*loader.published(), image)) << "log against state";
        SnapshotReader reader(image.provenance);
        for (const Record& record : snapshot_records(image)) {
            ASSERT_TRUE(reader.on_record(record).ok());
        }
        EXPECT_TRUE(same_contents(*reader.finish(), image)) << "snapshot against state";
        check_indexes(state);
        check_indexes(ControllerState::of(image));
    }
    static void check_indexes(const ControllerState& state) {
        const Image& image = state.image;
        std::map<NodeId, std::vector<PartitionKey>> isr;
        std::map<NodeId, std::vector<PartitionKey>> elr;
        std::set<NodeId> leaders;
        std::vector<PartitionKey> leaderless;
        std::vector<PartitionKey> reassigning;
        for (const auto& [id, topic] : image.topics.by_id) {
            for (const auto& [index, partition] : topic->partitions) {
                for (NodeId node : partition->isr)
                    isr[node].push_back({id, index});
                for (NodeId node : partition->elr)
                    elr[node].push_back({id, index});
                leaders.insert(partition->leader);
                if (!partition->has_leader()) leaderless.push_back({id, index});
                if (partition->is_reassigning()) reassigning.push_back({id, index});
            }
        }
        for (int32_t n = 1; n <= 5; ++n) {
            EXPECT_EQ(state.indexes.in_isr(image, NodeId(n)), isr[NodeId(n)]);
            EXPECT_EQ(state.indexes.in_elr(image, NodeId(n)), elr[NodeId(n)]);
            EXPECT_EQ(state.indexes.has_leaderships(NodeId(n)), leaders.count(NodeId(n)) == 1);
        }
        EXPECT_EQ(state.indexes.leaderless(image), leaderless);
        EXPECT_EQ(state.indexes.reassigning(image), reassigning);
    }

    Rng rng_;
    std::unique_ptr<ControllerFixture> f_;
    Offset committed_{0};
    int32_t epoch_ = 1;
};

/// Records with small random fields: contradictions are statuses, never asserts.
Record random_record(Rng& rng) {
    const auto small = [&](int64_t low, int64_t high) {
        return static_cast<int32_t>(rng.between(low, high));
    };
    const auto some_nodes = [&] {
        std::vector<int32_t> nodes;
        for (int32_t n = small(0, 3); n > 0; --n)
            nodes.push_back(small(-1, 4));
        return nodes;
    };
    const Uuid topic{9, rng.below(3)};
    switch (rng.below(8)) {
        case 0: {
            wire::TopicRecord r;
            r.name = "t." + std::to_string(rng.below(3));
            r.topic_id = topic;
            return Record(r);
        }
        case 1: {
            wire::RemoveTopicRecord r;
            r.topic_id = topic;
            return Record(r);
        }
        case 2:
        case 3: {
            wire::PartitionRecord r;
            r.topic_id = topic;
            r.partition_id = small(-1, 2);
            r.replicas = some_nodes();
            r.isr = some_nodes();
            r.eligible_leader_replicas = some_nodes();
            r.leader = small(-2, 4);
            r.leader_recovery_state = static_cast<int8_t>(small(-1, 3));
            for (int32_t n = small(0, 3); n > 0; --n)
                r.directories.push_back({7, rng.below(9)});
            return Record(r, 2);
        }
        case 4: {
            wire::PartitionChangeRecord r;
            r.topic_id = topic;
            r.partition_id = small(-1, 2);
            if (rng.chance(1, 2)) r.isr = some_nodes();
            if (rng.chance(1, 3)) r.replicas = some_nodes();
            if (rng.chance(1, 3)) r.adding_replicas = some_nodes();
            if (rng.chance(1, 3)) r.directories.emplace();
            r.leader = small(-3, 4);
            return Record(r, 2);
        }
        case 5: {
            wire::RegisterBrokerRecord r;
            r.broker_id = small(-1, 4);
            r.broker_epoch = small(0, 3);
            r.fenced = rng.chance(1, 2);
            r.log_dirs = {{7, rng.below(9)}, {7, rng.below(9)}};
            return Record(r, 4);
        }
        case 6: {
            wire::BrokerRegistrationChangeRecord r;
            r.broker_id = small(-1, 4);
            r.broker_epoch = small(0, 3);
            r.fenced = static_cast<int8_t>(small(-2, 2));
            return Record(r, 3);
        }
        default: {
            wire::UnregisterBrokerRecord r;
            r.broker_id = small(-1, 4);
            r.broker_epoch = small(0, 3);
            return Record(r);
        }
    }
}

TEST(ControllerModel, SenselessLogsDoNotCrashIt) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        Rng rng(seed);
        ControllerFixture f;
        f.lead();
        f.controller.on_resign(f.tick(), f.out);
        for (int i = 0; i < 100; ++i) {
            std::vector<Record> batch;
            for (int64_t n = rng.between(1, 3); n > 0; --n)
                batch.push_back(random_record(rng));
            const Offset last = f.log_end + (static_cast<int64_t>(batch.size()) - 1);
            f.controller.on_committed(f.tick(), f.log_end, last, LeaderEpoch(1), WallMs{1}, batch,
                                      f.out);
            if (f.out.fatal.ok()) f.log_end = last + 1;
            f.out.fatal = Status();
        }
        // What stuck is led and asked about.
        f.lead(2);
        for (int32_t id = -1; id <= 4; ++id) {
            f.start(f.heartbeat(id, rng.chance(1, 3), rng.chance(1, 3)));
            wire::UnregisterBrokerRequest request;
            request.broker_id = id;
            f.start(request);
        }
        wire::ElectLeadersRequest elect;
        elect.topic_partitions = std::nullopt;
        f.start(elect);
        wire::CreatePartitionsRequest grow;
        grow.topics.emplace_back().name = "t.0";
        grow.topics[0].count = 7;
        grow.topics[0].assignments = std::nullopt;
        f.start(grow);
        f.pass(seconds(4000));
    }
}

TEST(ControllerModel, LogImageSnapshotAndIndexesAgree) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        Model model(seed);
        model.run(400);
        if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace millrace::metadata
