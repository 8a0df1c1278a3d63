// tools/cli/group_member_classic.cc: a member of a group in the classic protocol.
#include <fmt/core.h>

#include <algorithm>

#include "cli/group_member.h"
#include "cli/interrupt.h"
#include "millrace/base/endian.h"
#include "millrace/wire/gen/consumer_protocol_assignment.h"
#include "millrace/wire/gen/consumer_protocol_subscription.h"
#include "millrace/wire/gen/heartbeat_request.h"
#include "millrace/wire/gen/heartbeat_response.h"
#include "millrace/wire/gen/join_group_request.h"
#include "millrace/wire/gen/join_group_response.h"
#include "millrace/wire/gen/leave_group_request.h"
#include "millrace/wire/gen/leave_group_response.h"
#include "millrace/wire/gen/sync_group_request.h"
#include "millrace/wire/gen/sync_group_response.h"

namespace millrace::cli {
namespace {

constexpr const char* kProtocolType = "consumer";
constexpr const char* kAssignor = "range";
constexpr int16_t kSubscriptionVersion = 1;
constexpr int kAnswerGraceMs = 5'000;

/// The version in front, as ConsumerProtocol writes it.
template <class Message>
Buffer versioned(const Message& message, int16_t version) {
    wire::Writer writer;
    writer.i16(version);
    message.encode(writer, version);
    return writer.finish_flat();
}

/// The topics that another member subscribes to; none when its bytes cannot be read.
std::set<std::string> topics_in(const Buffer& metadata) {
    if (metadata.size() < sizeof(int16_t)) return {};
    const int16_t version = std::clamp(load_big<int16_t>(metadata.data()), int16_t{0},
                                       wire::ConsumerProtocolSubscription::kMaxVersion);
    wire::Reader reader(metadata.slice(sizeof(int16_t), metadata.size() - sizeof(int16_t)));
    wire::ConsumerProtocolSubscription subscription;
    if (!subscription.decode(reader, version)) return {};
    return {subscription.topics.begin(), subscription.topics.end()};
}

Buffer assignment_bytes(std::vector<TopicPartition> partitions) {
    std::sort(partitions.begin(), partitions.end());
    wire::ConsumerProtocolAssignment assignment;
    for (const TopicPartition& partition : partitions) {
        auto& topics = assignment.assigned_partitions;
        if (topics.empty() || topics.back().topic != partition.topic)
            topics.emplace_back().topic = partition.topic;
        topics.back().partitions.push_back(partition.partition);
    }
    return versioned(assignment, kSubscriptionVersion);
}

class ClassicMember : public Membership {
  public:
    ClassicMember(GroupClient& groups, MemberOptions options)
        : groups_(groups), client_(groups.client()), options_(std::move(options)) {}

    void subscribe(const std::map<std::string, int32_t>& topics) override {
        must_join_ = must_join_ || topics != topics_;
        topics_ = topics;
    }

    MemberSignal check() override {
        if (lost_) return MemberSignal::Lost;
        if (must_join_) return MemberSignal::Rebalance;
        if (std::chrono::steady_clock::now() < next_heartbeat_) return MemberSignal::Settled;
        heartbeat();
        if (lost_) return MemberSignal::Lost;
        return must_join_ ? MemberSignal::Rebalance : MemberSignal::Settled;
    }

    std::set<TopicPartition> rebalance(const std::set<TopicPartition>& owned,
                                       const Release& release) override {
        if (!lost_ && !owned.empty()) release(owned);
        lost_ = false;
        std::optional<std::set<TopicPartition>> assigned;
        while (!assigned) {
            const wire::JoinGroupResponse joined = join();
            assigned = sync(joined);
        }
        must_join_ = false;
        schedule_heartbeat();
        return *assigned;
    }

    MemberIdentity identity() const override { return {member_id_, generation_}; }

    void leave() override {
        if (member_id_.empty() || options_.instance_id) return;  // static members stay
        wire::LeaveGroupRequest request;
        request.group_id = options_.group;
        Connection& connection = coordinator();
        const int16_t version = connection.version_of<wire::LeaveGroupRequest>();
        if (version < 3) {
            request.member_id = member_id_;
        } else {
            auto& member = request.members.emplace_back();
            member.member_id = member_id_;
            if (version >= 5) member.reason = "the consumer is being closed";
        }
        connection.ask<wire::LeaveGroupResponse>(request, version, client_.deadline());
        member_id_.clear();
    }

  private:
    Connection& coordinator() { return client_.node(groups_.coordinator(options_.group)); }

    void schedule_heartbeat() {
        next_heartbeat_ = std::chrono::steady_clock::now() +
                          std::chrono::milliseconds(options_.heartbeat_interval_ms);
    }

    void forget_membership(ErrorCode code) {
        if (code != ErrorCode::IllegalGeneration) member_id_.clear();
        generation_ = -1;
        lost_ = true;
        must_join_ = true;
    }

    void heartbeat() {
        schedule_heartbeat();
        wire::HeartbeatRequest request;
        request.group_id = options_.group;
        request.generation_id = generation_;
        request.member_id = member_id_;
        Connection& connection = coordinator();
        const int16_t version = connection.version_of<wire::HeartbeatRequest>();
        if (version >= 3) request.group_instance_id = options_.instance_id;
        const auto response =
            connection.ask<wire::HeartbeatResponse>(request, version, client_.deadline());
        const auto code =
            error_code_from(response.error_code).value_or(ErrorCode::UnknownServerError);
        if (code == ErrorCode::RebalanceInProgress) {
            must_join_ = true;
        } else if (code == ErrorCode::UnknownMemberId || code == ErrorCode::IllegalGeneration) {
            forget_membership(code);
        } else if (coordinator_may_come(code)) {
            groups_.forget_coordinator(options_.group);
            next_heartbeat_ = {};
        } else {
            check_error(response.error_code, std::nullopt, "group '" + options_.group + "'");
        }
    }

    wire::JoinGroupRequest join_request(int16_t version) const {
        wire::ConsumerProtocolSubscription subscription;
        for (const auto& [topic, count] : topics_)
            subscription.topics.push_back(topic);
        wire::JoinGroupRequest request;
        request.group_id = options_.group;
        request.session_timeout_ms = options_.session_timeout_ms;
        request.rebalance_timeout_ms = options_.rebalance_timeout_ms;
        request.member_id = member_id_;
        if (version >= 5) request.group_instance_id = options_.instance_id;
        request.protocol_type = kProtocolType;
        auto& protocol = request.protocols.emplace_back();
        protocol.name = kAssignor;
        protocol.metadata = versioned(subscription, kSubscriptionVersion);
        return request;
    }

    /// Waits for all members; an interrupt ends the wait.
    wire::JoinGroupResponse join() {
        const InterruptibleWaits ctrl_c_ends_it;
        while (true) {
            client_.renew(options_.rebalance_timeout_ms + kAnswerGraceMs);
            Connection& connection = coordinator();
            const int16_t version = connection.version_of<wire::JoinGroupRequest>();
            const auto response = connection.ask<wire::JoinGroupResponse>(
                join_request(version), version, client_.deadline());
            client_.renew();
            const auto code =
                error_code_from(response.error_code).value_or(ErrorCode::UnknownServerError);
            if (code == ErrorCode::None) {
                member_id_ = response.member_id;
                generation_ = response.generation_id;
                return response;
            }
            if (code == ErrorCode::MemberIdRequired) {
                member_id_ = response.member_id;
            } else if (code == ErrorCode::UnknownMemberId) {
                member_id_.clear();
            } else if (code == ErrorCode::InconsistentGroupProtocol) {
                throw Failure{kConflict,
                              fmt::format("group '{}' shares its partitions in another way than "
                                          "by ranges",
                                          options_.group),
                              "its members must offer the 'range' assignor too",
                              response.error_code, ""};
            } else if (coordinator_may_come(code)) {
                groups_.forget_coordinator(options_.group);
                wait_for_coordinator(client_, options_.group, code);
            } else if (code != ErrorCode::RebalanceInProgress) {
                check_error(response.error_code, std::nullopt, "group '" + options_.group + "'");
            }
        }
    }

    std::vector<wire::SyncGroupRequest::SyncGroupRequestAssignment> assignments_of(
        const wire::JoinGroupResponse& joined) {
        std::vector<Subscriber> subscribers;
        std::set<std::string> unknown;
        for (const auto& member : joined.members) {
            subscribers.push_back({member.member_id, member.group_instance_id,
                                   topics_in(member.metadata)});
            for (const std::string& topic : subscribers.back().topics) {
                if (!topics_.contains(topic)) unknown.insert(topic);
            }
        }
        std::map<std::string, int32_t> counts = topics_;
        for (const auto& [partition, leader] : leaders_of(client_, unknown)) {
            int32_t& count = counts[partition.topic];
            count = std::max(count, partition.partition + 1);
        }
        std::vector<wire::SyncGroupRequest::SyncGroupRequestAssignment> assignments;
        for (auto& [member, partitions] : assign_ranges(std::move(subscribers), counts)) {
            auto& one = assignments.emplace_back();
            one.member_id = member;
            one.assignment = assignment_bytes(std::move(partitions));
        }
        return assignments;
    }

    /// Nothing when the group wants everybody to join again.
    std::optional<std::set<TopicPartition>> sync(const wire::JoinGroupResponse& joined) {
        const InterruptibleWaits ctrl_c_ends_it;
        wire::SyncGroupRequest request;
        request.group_id = options_.group;
        request.generation_id = generation_;
        request.member_id = member_id_;
        if (joined.leader == joined.member_id && !joined.skip_assignment)
            request.assignments = assignments_of(joined);
        client_.renew(options_.rebalance_timeout_ms + kAnswerGraceMs);
        Connection& connection = coordinator();
        const int16_t version = connection.version_of<wire::SyncGroupRequest>();
        if (version >= 3) request.group_instance_id = options_.instance_id;
        if (version >= 5) {
            request.protocol_type = kProtocolType;
            request.protocol_name = joined.protocol_name;
        }
        const auto response =
            connection.ask<wire::SyncGroupResponse>(request, version, client_.deadline());
        client_.renew();
        const auto code =
            error_code_from(response.error_code).value_or(ErrorCode::UnknownServerError);
        if (code == ErrorCode::UnknownMemberId) member_id_.clear();
        if (code == ErrorCode::RebalanceInProgress || code == ErrorCode::IllegalGeneration ||
            code == ErrorCode::UnknownMemberId)
            return std::nullopt;
        if (coordinator_may_come(code)) {
            groups_.forget_coordinator(options_.group);
            return std::nullopt;
        }
        check_error(response.error_code, std::nullopt, "group '" + options_.group + "'");
        const auto partitions = parse_assignment(response.assignment);
        if (!partitions) {
            throw Failure{kFailed,
                          fmt::format("the assignment from group '{}' cannot be read",
                                      options_.group),
                          "another member of the group made it"};
        }
        return std::set<TopicPartition>(partitions->begin(), partitions->end());
    }

    GroupClient& groups_;
    Client& client_;
    MemberOptions options_;
    std::map<std::string, int32_t> topics_;
    std::string member_id_;
    int32_t generation_ = -1;
    bool must_join_ = true;
    bool lost_ = false;
    TimePoint next_heartbeat_;
};

}  // namespace

std::map<std::string, std::vector<TopicPartition>> assign_ranges(
    std::vector<Subscriber> subscribers, const std::map<std::string, int32_t>& topics) {
    // Static members first, by instance id, so that they keep their ranges over restarts.
    std::sort(subscribers.begin(), subscribers.end(), [](const Subscriber& a, const Subscriber& b) {
        if (a.instance_id && b.instance_id) return *a.instance_id < *b.instance_id;
        if (a.instance_id || b.instance_id) return a.instance_id.has_value();
        return a.member_id < b.member_id;
    });
    std::map<std::string, std::vector<TopicPartition>> assigned;
    for (const Subscriber& subscriber : subscribers)
        assigned[subscriber.member_id];
    for (const auto& [topic, count] : topics) {
        std::vector<std::string> members;
        for (const Subscriber& subscriber : subscribers) {
            if (subscriber.topics.contains(topic)) members.push_back(subscriber.member_id);
        }
        int32_t next = 0;
        for (size_t i = 0; i < members.size(); ++i) {
            const auto size = static_cast<int32_t>(members.size());
            const int32_t share = count / size + (static_cast<int32_t>(i) < count % size ? 1 : 0);
            for (int32_t k = 0; k < share; ++k)
                assigned[members[i]].push_back({topic, next++});
        }
    }
    return assigned;
}

std::unique_ptr<Membership> make_classic_member(GroupClient& groups, const MemberOptions& options) {
    return std::make_unique<ClassicMember>(groups, options);
}

}  // namespace millrace::cli
