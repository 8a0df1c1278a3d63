// src/broker/controller_host.h: runs the controller machine and the metadata loader over the quorum.
//
// Driver: committed batches go to the loader (images for the shard) and, on a standby, to the
// machine; commands go to the machine, its records to the quorum, its replies back.
// Owner: broker/node, on the control shard.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/remote_controller.h"
#include "broker/session_watch.h"
#include "millrace/broker/controller_link.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/env/timers.h"
#include "millrace/metadata/controller.h"
#include "millrace/metadata/delta.h"

namespace millrace::broker {

class ControllerHost final : public ControllerLink, public QuorumListener {
  public:
    /// How the node sees itself beside the quorum.
    struct Settings {
        std::string client_id;                             // of requests to another controller
        Duration heartbeat_time = milliseconds(2000);      // a heartbeat is worth sending for
        Duration connection_grace{};                       // broker.session.connection.grace.ms
        NodeId self = kNoNode;                             // this node's id
    };
    struct Events {
        MoveFunction<void(const metadata::ImageLoader::Published&)> on_publish;
        MoveFunction<void(const Status&)> on_fatal;
    };
    ControllerHost(const env::Env& env, QuorumDriver& quorum, metadata::ControllerOptions options,
                   Settings settings, Events events);
    ~ControllerHost() override;

    void run(metadata::ControllerRequest request, metadata::Requester who,
             Reply<metadata::ControllerResponse> reply) override;
    void run_here(metadata::ControllerRequest request, metadata::Requester who,
                  Reply<metadata::ControllerResponse> reply) override;
    void forward(Buffer request, metadata::Requester who, Reply<Result<Buffer>> reply) override;
    void watch_broker(NodeId id, BrokerEpoch epoch, std::function<bool()> connected) override;
    bool active_here() const override { return machine_.active(); }
    /// The node goes away: whoever waits for the controller is answered NOT_CONTROLLER.
    void answer_waiting();
    const metadata::Controller& machine() const { return machine_; }

    void on_load_snapshot(MetadataSnapshotSource& source) override;
    void on_commit(const std::vector<MetadataBatch>& batches) override;
    void on_leader(LeaderEpoch epoch, Offset offset) override;
    void on_resign(LeaderEpoch epoch, NodeId leader_id) override;
    void on_snapshot_due() override;
    void on_fatal(const Status& cause) override;

  private:
    metadata::Tick tick() const;
    void carry_out();
    void refuse_waiting();
    Duration time_for(const metadata::ControllerRequest& request) const;
    void run_there(metadata::ControllerRequest request, metadata::Requester who,
                   Reply<metadata::ControllerResponse> reply);
    void apply_batch(const MetadataBatch& batch);
    /// Tells the machine who votes, at which kraft.version.
    void learn_quorum();
    void publish();
    void stop_with(std::string_view doing, const Status& cause);

    env::Env env_;
    QuorumDriver& quorum_;
    metadata::Controller machine_;
    metadata::ImageLoader loader_;
    Settings settings_;
    Events events_;
    RemoteController remote_;
    SessionWatch watch_;
    metadata::ControllerOutput output_;
    std::map<metadata::RequestId, Reply<metadata::ControllerResponse>> waiting_;
    metadata::RequestId next_request_ = 1;
    Offset next_offset_{0};        // of the next record this leader appends
    env::TimerId timer_ = 0;
    bool caught_up_ = false;       // images are published only from then on
    bool stopped_ = false;
};

}  // namespace millrace::broker
