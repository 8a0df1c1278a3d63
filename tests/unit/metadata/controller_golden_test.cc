// tests/unit/metadata/controller_golden_test.cc: same requests as a live Kafka 4.3.1, same records.
#include <gtest/gtest.h>

#include <algorithm>

#include "unit/metadata/controller_fixture.h"
#include "unit/metadata/golden_log.h"

namespace millrace::metadata {
namespace {

/// Topic ids are random: both sides name them by their topic.
class Normaliser {
  public:
    std::string text(const Record& record) {
        Record copy = record;
        std::visit([&](auto& body) { rename(body); }, copy.body);
        const Buffer bytes = encode_record(copy);
        return std::string(record_name(record)) + "/" + std::to_string(record.version) + " " +
               std::string(bytes.text());
    }

  private:
    void rename(wire::TopicRecord& body) {
        ids_[body.topic_id] = ++count_;
        body.topic_id = {0, ids_[body.topic_id]};
    }
    template <class Body>
    void rename(Body& body) {
        if constexpr (requires { body.topic_id; }) body.topic_id = {0, ids_[body.topic_id]};
        if constexpr (requires { body.features; }) {
            // Kafka sends features in hash order; the record keeps the sender's.
            std::sort(body.features.begin(), body.features.end(),
                      [](const auto& a, const auto& b) { return a.name < b.name; });
        }
    }
    std::map<Uuid, uint64_t> ids_;
    uint64_t count_ = 0;
};

class GoldenRun : public testing::Test {
  protected:
    static ControllerOptions options() {
        ControllerOptions options = ControllerFixture::default_options();
        options.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
        options.idle_interval = milliseconds(5000);
        return options;
    }
    void load(const char* log) {
        for (const GoldenBatch& batch : read_golden(log)) {
            if (batch.control) {
                golden_.push_back({});
                continue;
            }
            golden_.push_back(decode_batch(batch));
        }
    }
    /// The batch just written against the golden batch `index`. `sorted`: Kafka's order is a
    /// hash's.
    void expect_batch(size_t index, bool sorted = false) {
        ASSERT_LT(index, golden_.size());
        std::vector<std::string> ours;
        std::vector<std::string> theirs;
        for (const Record& record : fixture_.last_batch)
            ours.push_back(our_names_.text(record));
        for (const Record& record : golden_[index])
            theirs.push_back(their_names_.text(record));
        if (sorted) {
            std::sort(ours.begin(), ours.end());
            std::sort(theirs.begin(), theirs.end());
        }
        EXPECT_EQ(ours, theirs) << "batch " << index;
    }
    template <class Body>
    const Body& golden(size_t batch, size_t at = 0) {
        return std::get<Body>(golden_[batch][at].body);
    }
    wire::BrokerRegistrationRequest registration(size_t batch) {
        const auto& record = golden<wire::RegisterBrokerRecord>(batch);
        auto request = fixture_.registration(record.broker_id);
        request.cluster_id = options().cluster_id;
        request.incarnation_id = record.incarnation_id;
        request.listeners[0].host = record.end_points[0].host;
        request.listeners[0].port = record.end_points[0].port;
        request.rack = record.rack;
        request.log_dirs = record.log_dirs;
        return request;
    }
    wire::ControllerRegistrationRequest controller_registration(size_t batch) {
        const auto& record = golden<wire::RegisterControllerRecord>(batch);
        wire::ControllerRegistrationRequest request;
        request.controller_id = record.controller_id;
        request.incarnation_id = record.incarnation_id;
        auto& listener = request.listeners.emplace_back();
        listener.name = record.end_points[0].name;
        listener.host = record.end_points[0].host;
        listener.port = record.end_points[0].port;
        for (const auto& [name, range] : supported_features()) {
            auto& feature = request.features.emplace_back();
            feature.name = name;
            feature.min_supported_version = range.min;
            feature.max_supported_version = range.max;
        }
        return request;
    }
    void create(const std::string& name, int32_t partitions,
                const std::vector<std::pair<std::string, std::string>>& configs) {
        auto request = fixture_.topic(name, partitions, 1);
        for (const auto& [key, value] : configs) {
            auto& config = request.topics[0].configs.emplace_back();
            config.name = key;
            config.value = value;
        }
        const auto result = fixture_.create(std::move(request));
        EXPECT_EQ(result.error_code, 0) << result.error_message.value_or("");
    }
    wire::IncrementalAlterConfigsResponse alter(
        int8_t type, const std::string& name,
        const std::vector<std::tuple<std::string, int8_t, std::optional<std::string>>>& ops) {
        wire::IncrementalAlterConfigsRequest request;
        auto& resource = request.resources.emplace_back();
        resource.resource_type = type;
        resource.resource_name = name;
        for (const auto& [key, op, value] : ops) {
            auto& config = resource.configs.emplace_back();
            config.name = key;
            config.config_operation = op;
            config.value = value;
        }
        auto response = fixture_.run<wire::IncrementalAlterConfigsResponse>(std::move(request));
        EXPECT_EQ(response.responses.at(0).error_code, 0);
        return response;
    }
    void noop() {
        fixture_.run<wire::BrokerHeartbeatResponse>(fixture_.heartbeat(1));
        fixture_.pass(milliseconds(5000));
    }

    ControllerFixture fixture_{options()};
    std::vector<std::vector<Record>> golden_;
    Normaliser our_names_;
    Normaliser their_names_;
};

TEST_F(GoldenRun, DynamicQuorum) {
    load("dynamic/00000000000000000000.log");
    fixture_.log_end = Offset(3);  // after leader change, kraft version and voters
    fixture_.lead();
    expect_batch(1);
    fixture_.run<wire::ControllerRegistrationResponse>(controller_registration(2));
    expect_batch(2);
    const auto registered = fixture_.run<wire::BrokerRegistrationResponse>(registration(3));
    EXPECT_EQ(registered.broker_epoch, 13);
    expect_batch(3);
    auto beat = fixture_.heartbeat(1);
    beat.cordoned_log_dirs.emplace();
    const auto unfenced = fixture_.run<wire::BrokerHeartbeatResponse>(beat);
    EXPECT_TRUE(unfenced.is_caught_up);
    EXPECT_FALSE(unfenced.is_fenced);
    expect_batch(4);
    // One request created three topics.
    wire::CreateTopicsRequest three = fixture_.topic("codecs", 1, 1);
    const auto config = [](const char* name, const char* value) {
        wire::CreateTopicsRequest::CreatableTopicConfig c;
        c.name = name;
        c.value = value;
        return c;
    };
    three.topics[0].configs = {config("segment.ms", "1500"), config("index.interval.bytes", "200")};
    three.topics.push_back(fixture_.topic("open", 1, 1).topics[0]);
    three.topics.push_back(fixture_.topic("txn", 1, 1).topics[0]);
    three.topics[2].configs = {config("segment.ms", "4000"), config("index.interval.bytes", "200")};
    fixture_.run<wire::CreateTopicsResponse>(three);
    expect_batch(5);
    alter(2, "codecs", {{"max.message.bytes", 0, "2000000"}});
    expect_batch(6);
    wire::CreatePartitionsRequest grow;
    grow.topics.emplace_back().name = "codecs";
    grow.topics[0].count = 3;
    grow.topics[0].assignments = std::nullopt;
    fixture_.run<wire::CreatePartitionsResponse>(grow);
    expect_batch(7);
    noop();
    expect_batch(8);
    wire::AllocateProducerIdsRequest ids;
    ids.broker_id = 1;
    ids.broker_epoch = 13;
    const auto block = fixture_.run<wire::AllocateProducerIdsResponse>(ids);
    EXPECT_EQ(block.producer_id_start, 0);
    EXPECT_EQ(block.producer_id_len, 1000);
    expect_batch(9);
    create("__transaction_state", 1,
           {{"compression.type", "uncompressed"},
            {"cleanup.policy", "compact"},
            {"min.insync.replicas", "1"},
            {"segment.bytes", "104857600"},
            {"unclean.leader.election.enable", "false"}});
    expect_batch(10);
    create("__consumer_offsets", 1,
           {{"compression.type", "producer"},
            {"cleanup.policy", "compact"},
            {"segment.bytes", "104857600"}});
    expect_batch(11);
    noop();
    expect_batch(12);
    create("gone", 1, {});
    expect_batch(13);
    wire::DeleteTopicsRequest remove;
    remove.topics.emplace_back().name = "gone";
    EXPECT_EQ(fixture_.run<wire::DeleteTopicsResponse>(remove).responses.at(0).error_code, 0);
    expect_batch(14);
    noop();
    expect_batch(15);
    auto leaving = fixture_.run<wire::BrokerHeartbeatResponse>(fixture_.heartbeat(1, false, true));
    EXPECT_FALSE(leaving.should_shut_down);
    expect_batch(16, true);
    leaving = fixture_.run<wire::BrokerHeartbeatResponse>(fixture_.heartbeat(1, false, true));
    EXPECT_TRUE(leaving.should_shut_down);
    expect_batch(17);
    EXPECT_EQ(golden_.size(), 18u);
    EXPECT_EQ(fixture_.log_end, Offset(58));
}

TEST_F(GoldenRun, StaticQuorumWithTwoDirectories) {
    load("static/00000000000000000000.log");
    fixture_.log_end = Offset(1);
    fixture_.lead();
    expect_batch(1);
    fixture_.run<wire::ControllerRegistrationResponse>(controller_registration(2));
    expect_batch(2);
    fixture_.run<wire::BrokerRegistrationResponse>(registration(3));
    expect_batch(3);
    fixture_.pass(milliseconds(5000));
    expect_batch(4);
    auto beat = fixture_.heartbeat(1);
    beat.cordoned_log_dirs.emplace();
    fixture_.run<wire::BrokerHeartbeatResponse>(beat);
    expect_batch(5);
    fixture_.pass(milliseconds(5000));
    create("t", 2, {});
    expect_batch(7);
    noop();
    // The broker reports where it put the two partitions.
    wire::AssignReplicasToDirsRequest assign;
    assign.broker_id = 1;
    assign.broker_epoch = 11;
    const auto id = *fixture_.controller.image().topics.ids_by_name.find(std::string("t"));
    for (size_t i = 0; i < 2; ++i) {
        const auto& change = golden<wire::PartitionChangeRecord>(9, i);
        auto& directory = assign.directories.emplace_back();
        directory.id = change.directories->at(0);
        auto& topic = directory.topics.emplace_back();
        topic.topic_id = id;
        topic.partitions.emplace_back().partition_index = change.partition_id;
    }
    const auto assigned = fixture_.run<wire::AssignReplicasToDirsResponse>(assign);
    EXPECT_EQ(assigned.directories.at(1).topics.at(0).partitions.at(0).error_code, 0);
    expect_batch(9);
}

}  // namespace
}  // namespace millrace::metadata
