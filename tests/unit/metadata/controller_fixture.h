// tests/unit/metadata/controller_fixture.h: a controller with an instant log, and short requests.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "millrace/metadata/controller.h"

namespace millrace::metadata {

inline Uuid directory(int32_t broker, uint64_t n = 0) {
    return {1000 + static_cast<uint64_t>(broker), n};
}

/// Plays the driver: appends go to `log`, commit_all() commits them.
class ControllerFixture {
  public:
    explicit ControllerFixture(ControllerOptions options = default_options())
        : controller(std::move(options)) {}

    static ControllerOptions default_options() {
        ControllerOptions options;
        options.node_id = NodeId(1);
        options.cluster_id = "c";
        options.voters = {NodeId(1)};
        options.features = supported_features();
        options.idle_interval = Duration{0};
        options.leader_rebalance = false;
        return options;
    }

    Tick tick() const { return {now, WallMs{now.nanos / 1'000'000}, log_end}; }

    void lead(int32_t epoch = 1) {
        controller.on_leader(tick(), LeaderEpoch(epoch), out);
        carry_out();
        commit_all();
    }
    /// Appends what was put out; replies stay in `replies`.
    void carry_out() {
        EXPECT_TRUE(out.fatal.ok()) << out.fatal.to_string();
        for (BatchToAppend& batch : out.append) {
            EXPECT_EQ(batch.base_offset, log_end);
            last_batch.clear();
            for (const Buffer& value : batch.values) {
                auto record = decode_record(value, log_end);
                EXPECT_TRUE(record.ok()) << record.status().to_string();
                last_batch.push_back(*record);
                all.push_back(*record);
                values.push_back(value);
                log_end = log_end + 1;
            }
        }
        out.append.clear();
        for (ControllerReply& reply : out.replies) {
            replies[reply.id] = std::move(reply.response);
        }
        out.replies.clear();
    }
    void commit_all() {
        controller.on_high_watermark(tick(), log_end, out);
        carry_out();
    }
    RequestId start(ControllerRequest request, const Requester& who = {}) {
        const RequestId id = next_id++;
        last_batch.clear();
        controller.run(tick(), id, who, std::move(request), out);
        carry_out();
        return id;
    }
    /// Runs, commits and gives the response.
    template <class Response, class Request>
    Response run(Request request, const Requester& who = {}) {
        const RequestId id = start(ControllerRequest(std::move(request)), who);
        commit_all();
        EXPECT_EQ(replies.count(id), 1u);
        return std::get<Response>(replies.at(id));
    }
    void pass(Duration time) {
        now = now + time;
        last_batch.clear();
        controller.on_tick(tick(), out);
        carry_out();
        commit_all();
    }

    wire::BrokerRegistrationRequest registration(int32_t id, uint64_t incarnation = 1) const {
        wire::BrokerRegistrationRequest request;
        request.broker_id = id;
        request.cluster_id = "c";
        request.incarnation_id = {77, incarnation};
        auto& listener = request.listeners.emplace_back();
        listener.name = "PLAINTEXT";
        listener.host = "h" + std::to_string(id);
        listener.port = 9092;
        for (const auto& [name, range] : supported_features()) {
            auto& feature = request.features.emplace_back();
            feature.name = name;
            feature.min_supported_version = range.min;
            feature.max_supported_version = range.max;
        }
        request.rack = std::nullopt;
        request.log_dirs = {directory(id)};
        return request;
    }
    wire::BrokerHeartbeatRequest heartbeat(int32_t id, bool want_fence = false,
                                           bool want_shut_down = false) const {
        wire::BrokerHeartbeatRequest request;
        request.broker_id = id;
        const BrokerImage* broker = controller.image().cluster.broker(NodeId(id));
        request.broker_epoch = broker ? broker->epoch.value : -1;
        request.current_metadata_offset = log_end.value - 1;
        request.want_fence = want_fence;
        request.want_shut_down = want_shut_down;
        return request;
    }
    /// Registers and unfences brokers 1..count.
    void brokers(int32_t count) {
        for (int32_t id = 1; id <= count; ++id) {
            EXPECT_EQ(run<wire::BrokerRegistrationResponse>(registration(id)).error_code, 0);
            EXPECT_FALSE(run<wire::BrokerHeartbeatResponse>(heartbeat(id)).is_fenced);
        }
    }
    wire::CreateTopicsRequest topic(const std::string& name, int32_t partitions,
                                    int16_t replicas) const {
        wire::CreateTopicsRequest request;
        auto& asked = request.topics.emplace_back();
        asked.name = name;
        asked.num_partitions = partitions;
        asked.replication_factor = replicas;
        return request;
    }
    wire::CreateTopicsRequest assigned(const std::string& name,
                                       const std::vector<std::vector<int32_t>>& replicas) const {
        wire::CreateTopicsRequest request = topic(name, -1, -1);
        for (size_t i = 0; i < replicas.size(); ++i) {
            auto& assignment = request.topics[0].assignments.emplace_back();
            assignment.partition_index = static_cast<int32_t>(i);
            assignment.broker_ids = replicas[i];
        }
        return request;
    }
    wire::CreateTopicsResponse::CreatableTopicResult create(wire::CreateTopicsRequest request) {
        return run<wire::CreateTopicsResponse>(std::move(request)).topics.at(0);
    }
    const PartitionImage& partition(const std::string& name, int32_t index = 0) const {
        const PartitionImage* image =
            controller.image().topics.partition(name, PartitionIndex(index));
        EXPECT_NE(image, nullptr);
        return *image;
    }
    std::string batch_names() const {
        std::string names;
        for (const Record& record : last_batch) {
            if (!names.empty()) names += ' ';
            names += record_name(record);
            if (record.version != 0) names += "/" + std::to_string(record.version);
        }
        return names;
    }

    Controller controller;
    ControllerOutput out;
    Instant now{1'000'000'000};
    Offset log_end{0};
    RequestId next_id = 1;
    std::vector<Record> last_batch;
    std::vector<Record> all;
    std::vector<Buffer> values;
    std::map<RequestId, ControllerResponse> replies;
};

}  // namespace millrace::metadata
