// tools/cli/group_member_consumer.cc: a member of a group in the consumer protocol (KIP-848).
#include <fmt/core.h>

#include <algorithm>
#include <random>

#include "cli/group_member.h"
#include "millrace/base/uuid.h"
#include "millrace/wire/gen/consumer_group_heartbeat_request.h"
#include "millrace/wire/gen/consumer_group_heartbeat_response.h"

namespace millrace::cli {
namespace {

constexpr int32_t kLeaveEpoch = -1;
constexpr int32_t kLeaveStaticEpoch = -2;
constexpr int kAnswerWaitMs = 5'000;

Uuid random_uuid() {
    std::random_device device;
    const auto word = [&device] { return uint64_t{device()} << 32 | device(); };
    return Uuid::from_random_bits(word(), word());
}

class ConsumerMember : public Membership {
  public:
    ConsumerMember(GroupClient& groups, MemberOptions options)
        : groups_(groups),
          client_(groups.client()),
          options_(std::move(options)),
          member_id_(random_uuid().to_string()) {}

    void subscribe(const std::map<std::string, int32_t>& topics) override {
        std::vector<std::string> names;
        for (const auto& [topic, count] : topics)
            names.push_back(topic);
        if (names == topics_) return;
        topics_ = std::move(names);
        tell_all_ = true;
    }

    MemberSignal check() override {
        if (!lost_ && (tell_all_ || std::chrono::steady_clock::now() >= next_heartbeat_))
            heartbeat();
        if (lost_) return MemberSignal::Lost;
        return target_ ? MemberSignal::Rebalance : MemberSignal::Settled;
    }

    std::set<TopicPartition> rebalance(const std::set<TopicPartition>& owned,
                                       const Release& release) override {
        if (lost_) {
            lost_ = false;
            owned_.clear();
            target_.reset();
            tell_all_ = true;
            return {};
        }
        const std::set<TopicPartition> wanted = named(*target_);
        std::set<TopicPartition> given_up;
        std::set_difference(owned.begin(), owned.end(), wanted.begin(), wanted.end(),
                            std::inserter(given_up, given_up.end()));
        if (!given_up.empty()) release(given_up);
        owned_ = *target_;
        target_.reset();
        acknowledge_ = true;
        heartbeat();  // the coordinator gives the released partitions away only now
        return wanted;
    }

    MemberIdentity identity() const override { return {member_id_, epoch_}; }

    void leave() override {
        if (epoch_ <= 0) return;
        wire::ConsumerGroupHeartbeatRequest request;
        request.group_id = options_.group;
        request.member_id = member_id_;
        request.instance_id = options_.instance_id;
        request.member_epoch = options_.instance_id ? kLeaveStaticEpoch : kLeaveEpoch;
        ask(request);
        epoch_ = 0;
    }

  private:
    using Owned = std::map<Uuid, std::vector<int32_t>>;

    wire::ConsumerGroupHeartbeatResponse ask(const wire::ConsumerGroupHeartbeatRequest& request) {
        Connection& connection = client_.node(groups_.coordinator(options_.group));
        return connection.ask<wire::ConsumerGroupHeartbeatResponse>(
            request, connection.version_of<wire::ConsumerGroupHeartbeatRequest>(),
            client_.deadline());
    }

    /// Fields go out when they change; all of them with a join.
    wire::ConsumerGroupHeartbeatRequest request_now() const {
        wire::ConsumerGroupHeartbeatRequest request;
        request.group_id = options_.group;
        request.member_id = member_id_;
        request.member_epoch = epoch_;
        request.instance_id = options_.instance_id;
        const bool joining = epoch_ == 0;
        if (joining || tell_all_) {
            request.rebalance_timeout_ms = options_.rebalance_timeout_ms;
            request.subscribed_topic_names = topics_;
            if (!options_.assignor.empty()) request.server_assignor = options_.assignor;
        }
        if (joining || acknowledge_ || tell_all_) {
            auto& topics = request.topic_partitions.emplace();
            for (const auto& [id, partitions] : owned_) {
                auto& topic = topics.emplace_back();
                topic.topic_id = id;
                topic.partitions = partitions;
            }
        }
        return request;
    }

    void heartbeat() {
        const auto response = ask(request_now());
        const auto now = std::chrono::steady_clock::now();
        const auto code =
            error_code_from(response.error_code).value_or(ErrorCode::UnknownServerError);
        if (code == ErrorCode::UnknownMemberId || code == ErrorCode::FencedMemberEpoch) {
            epoch_ = 0;
            lost_ = true;
            return;
        }
        if (coordinator_may_come(code)) {
            groups_.forget_coordinator(options_.group);
            wait_for_coordinator(client_, options_.group, code);
            return;
        }
        check_error(response.error_code, response.error_message,
                    "group '" + options_.group + "'");
        if (response.member_id) member_id_ = *response.member_id;
        epoch_ = response.member_epoch;
        tell_all_ = false;
        acknowledge_ = false;
        next_heartbeat_ = now + std::chrono::milliseconds(std::min(
                                    response.heartbeat_interval_ms, kAnswerWaitMs));
        if (!response.assignment) return;
        Owned target;
        for (const auto& topic : response.assignment->topic_partitions) {
            auto& partitions = target[topic.topic_id];
            partitions = topic.partitions;
            std::sort(partitions.begin(), partitions.end());
        }
        if (target == owned_)
            acknowledge_ = true;
        else
            target_ = std::move(target);
    }

    /// The coordinator speaks of topic ids.
    std::set<TopicPartition> named(const Owned& owned) {
        std::set<TopicPartition> partitions;
        const auto metadata = client_.metadata(topics_);
        for (const auto& topic : metadata.topics) {
            const auto found = owned.find(topic.topic_id);
            if (found == owned.end()) continue;
            for (const int32_t partition : found->second)
                partitions.insert({topic.name.value_or(""), partition});
        }
        return partitions;
    }

    GroupClient& groups_;
    Client& client_;
    MemberOptions options_;
    std::string member_id_;
    int32_t epoch_ = 0;
    std::vector<std::string> topics_;
    Owned owned_;
    std::optional<Owned> target_;
    bool tell_all_ = true;
    bool acknowledge_ = false;
    bool lost_ = false;
    TimePoint next_heartbeat_;
};

}  // namespace

std::unique_ptr<Membership> make_consumer_member(GroupClient& groups,
                                                 const MemberOptions& options) {
    return std::make_unique<ConsumerMember>(groups, options);
}

}  // namespace millrace::cli
