// tools/cli/group_member.h: membership in a consumer group, in either of Kafka's protocols.
//
// A Membership joins, keeps its place by heartbeats and says which partitions are its own. It is
// driven by GroupConsumer between two fetches, on one thread: every call returns within the time
// limit of the Client, except a join, which waits for the other members.
// Sources: KIP-62 and the classic protocol (ConsumerCoordinator), KIP-848 (ConsumerMembershipManager).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/group_client.h"

namespace millrace::cli {

struct MemberOptions {
    std::string group;
    bool consumer_protocol = false;         // KIP-848, else classic
    std::optional<std::string> instance_id;  // static membership
    std::string assignor;                   // server side, consumer protocol only
    int session_timeout_ms = 45'000;
    int heartbeat_interval_ms = 3'000;
    int rebalance_timeout_ms = 300'000;
};

/// What stands in a member's commits.
struct MemberIdentity {
    std::string member_id;
    int32_t epoch = -1;  // generation, or member epoch
};

enum class MemberSignal {
    Settled,
    Rebalance,  // what is owned may change: call rebalance()
    Lost,       // the group gave the partitions away already: nothing may be committed for them
};

class Membership {
  public:
    /// Told which partitions are about to be given up, while they may still be committed.
    using Release = std::function<void(const std::set<TopicPartition>&)>;

    virtual ~Membership() = default;
    /// Topics to take part in, and their partition counts. A change leads to a rebalance.
    virtual void subscribe(const std::map<std::string, int32_t>& topics) = 0;
    /// Heartbeats when it is time to.
    virtual MemberSignal check() = 0;
    /// Takes part in the rebalance and returns what is owned from now on. After Lost, `release` is
    /// not called.
    virtual std::set<TopicPartition> rebalance(const std::set<TopicPartition>& owned,
                                               const Release& release) = 0;
    virtual MemberIdentity identity() const = 0;
    /// Tells the group; best effort.
    virtual void leave() = 0;
};

std::unique_ptr<Membership> make_classic_member(GroupClient& groups, const MemberOptions& options);
std::unique_ptr<Membership> make_consumer_member(GroupClient& groups,
                                                 const MemberOptions& options);

/// Kafka's range assignor: per topic, each member a run of neighbours, the first ones one more
/// (org.apache.kafka.clients.consumer.RangeAssignor without racks).
struct Subscriber {
    std::string member_id;
    std::optional<std::string> instance_id;
    std::set<std::string> topics;
};
std::map<std::string, std::vector<TopicPartition>> assign_ranges(
    std::vector<Subscriber> subscribers, const std::map<std::string, int32_t>& topics);

}  // namespace millrace::cli
