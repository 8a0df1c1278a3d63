// tests/unit/broker/controller_host_test.cc: what the controller keeps while its leadership ends.
#include "broker/controller_host.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "support/stub_env.h"

namespace millrace::broker {
namespace {

constexpr LeaderEpoch kEpoch{3};
constexpr int8_t kBrokerResource = 4;

/// A quorum that appends what it is given, or has stepped down already.
class ToyQuorum final : public QuorumDriver {
  public:
    bool leads = true;
    std::vector<MetadataBatch> appended;

    raft::ProposeResult propose(LeaderEpoch epoch, std::vector<Buffer> records) override {
        raft::ProposeResult result;
        if (!leads) {
            result.error = raft::ProposeError::NotLeader;
            return result;
        }
        MetadataBatch& batch = appended.emplace_back();
        batch.base_offset = next_;
        next_ = next_ + static_cast<int64_t>(records.size());
        batch.last_offset = result.last_offset = next_ + -1;
        batch.epoch = epoch;
        batch.records = std::move(records);
        return result;
    }
    Offset next_offset() const override { return next_; }
    void resign(LeaderEpoch) override {}
    QuorumStatus status() const override { return {}; }

    void add_listener(QuorumListener*) override {}
    void start() override {}
    Result<std::unique_ptr<MetadataSnapshotSink>> begin_snapshot(Offset) override {
        return Status(Errc::AlreadyExists, "no snapshots here");
    }
    void shutdown(MoveFunction<void(Status)>) override {}
    void vote(QuorumCaller, wire::VoteRequest, Reply<wire::VoteResponse>) override {}
    void begin_epoch(QuorumCaller, wire::BeginQuorumEpochRequest,
                     Reply<wire::BeginQuorumEpochResponse>) override {}
    void end_epoch(QuorumCaller, wire::EndQuorumEpochRequest,
                   Reply<wire::EndQuorumEpochResponse>) override {}
    void fetch(QuorumCaller, wire::FetchRequest, Reply<wire::FetchResponse>) override {}
    void fetch_snapshot(QuorumCaller, wire::FetchSnapshotRequest,
                        Reply<wire::FetchSnapshotResponse>) override {}
    void add_voter(QuorumCaller, wire::AddRaftVoterRequest,
                   Reply<wire::AddRaftVoterResponse>) override {}
    void remove_voter(QuorumCaller, wire::RemoveRaftVoterRequest,
                      Reply<wire::RemoveRaftVoterResponse>) override {}
    void update_voter(QuorumCaller, wire::UpdateRaftVoterRequest,
                      Reply<wire::UpdateRaftVoterResponse>) override {}
    std::optional<std::string> kraft_upgrade_problem() const override { return std::nullopt; }
    void upgrade_kraft_version() override {}
    std::optional<env::PeerAddress> leader_address() const override { return std::nullopt; }
    Offset log_start_offset() const override { return Offset(0); }

  private:
    Offset next_{0};
};

wire::IncrementalAlterConfigsRequest some_change(const char* value) {
    wire::IncrementalAlterConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = kBrokerResource;
    auto& config = resource.configs.emplace_back();
    config.name = "message.max.bytes";
    config.value = value;
    return request;
}

struct ControllerHostTest : testing::Test {
    support::StubWorld world;
    ToyQuorum quorum;
    MoveFunction<void()> on_publish;
    std::vector<ErrorCode> answers;
    std::unique_ptr<ControllerHost> host;

    ControllerHostTest() {
        metadata::ControllerOptions options;
        options.node_id = NodeId(1);
        options.features = metadata::supported_features();
        options.bootstrap = metadata::default_bootstrap_records(metadata::kMetadataVersionLatest);
        host = std::make_unique<ControllerHost>(
            world.env(), quorum, std::move(options), ControllerHost::Settings{},
            ControllerHost::Events{[this](const metadata::ImageLoader::Published&) {
                                       if (on_publish) on_publish();
                                   },
                                   [](const Status& cause) { ADD_FAILURE() << cause.to_string(); }});
    }
    ~ControllerHostTest() override { host->answer_waiting(); }

    void alter(const char* value) {
        host->run_here(some_change(value), {},
                       Reply<metadata::ControllerResponse>(
                           [this](const metadata::ControllerResponse& response) {
                               const auto& all =
                                   std::get<wire::IncrementalAlterConfigsResponse>(response);
                               answers.push_back(
                                   static_cast<ErrorCode>(all.responses.at(0).error_code));
                           }));
    }
};

TEST_F(ControllerHostTest, KeepsWhatWasCommittedWhenItStepsDownWhileItPublishes) {
    host->on_leader(kEpoch, Offset(0));
    alter("2000000");
    const auto committed = quorum.appended;
    const Offset end = quorum.next_offset();
    // The quorum removed this voter with that very commit; a broker reacts to the new image.
    on_publish = [this] {
        on_publish = nullptr;
        alter("3000000");
    };
    quorum.leads = false;
    host->on_commit(committed);
    ASSERT_FALSE(host->machine().active());
    EXPECT_EQ(host->machine().applied_end(), end);
    EXPECT_EQ(answers, (std::vector<ErrorCode>{ErrorCode::NotController, ErrorCode::None}));
}

}  // namespace
}  // namespace millrace::broker
