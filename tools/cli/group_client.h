// tools/cli/group_client.h: consumer groups over the protocol: list, describe, offsets, delete.
//
// One GroupClient serves one command. Every request goes to the group's coordinator, and is
// repeated until the deadline while the coordinator moves or loads (what Kafka's admin client does:
// org.apache.kafka.clients.admin.internals.CoordinatorStrategy and the *Handler classes). Failures
// carry the broker's error code, so that the shims can print Kafka's words.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "cli/client.h"
#include "cli/offsets.h"

namespace millrace::cli {

struct GroupListing {
    std::string id;
    std::string protocol_type;  // "consumer", or "" for a group that only commits
    std::string state;
    std::string type;  // "classic", "consumer", "share", "streams"
    int32_t coordinator = -1;
};

struct GroupMember {
    std::string id;
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string host;
    std::vector<TopicPartition> assignment;
    std::vector<TopicPartition> target;
    std::optional<int32_t> epoch;   // consumer protocol only
    std::optional<bool> upgraded;   // consumer protocol only: false for a classic member
};

struct GroupDescription {
    std::string id;
    std::string type;
    std::string state;
    std::string protocol_type;
    std::string assignor;
    int32_t coordinator = -1;
    Address coordinator_address;
    std::optional<int32_t> epoch;
    std::optional<int32_t> target_epoch;
    std::vector<GroupMember> members;
};

struct Committed {
    int64_t offset = -1;
    int32_t leader_epoch = -1;
    std::string metadata;
};
using CommittedOffsets = std::map<TopicPartition, Committed>;

class GroupClient {
  public:
    explicit GroupClient(Client& client) : client_(client) {}

    /// Groups of every broker, by id. Empty filters let all pass.
    std::vector<GroupListing> list(const std::vector<std::string>& states = {},
                                   const std::vector<std::string>& types = {});
    /// A Failure with GroupIdNotFound when neither protocol knows the group.
    GroupDescription describe(const std::string& group);
    CommittedOffsets committed(const std::string& group, bool require_stable = false);
    /// Commits as a tool, not as a member: only a group without members accepts it.
    void commit(const std::string& group, const std::map<TopicPartition, int64_t>& offsets);
    /// The error code of deleting one group.
    int16_t remove(const std::string& group);
    /// The group's error code, and one for each partition.
    int16_t remove_offsets(const std::string& group, const std::set<TopicPartition>& partitions,
                           std::map<TopicPartition, int16_t>& results);

    int32_t coordinator(const std::string& group);
    void forget_coordinator(const std::string& group) { coordinators_.erase(group); }
    Client& client() { return client_; }

  private:
    /// Runs `attempt` (which answers the group's error code) until the coordinator is there.
    int16_t with_coordinator(const std::string& group,
                             const std::function<int16_t(Connection&)>& attempt);
    std::optional<GroupDescription> describe_consumer(const std::string& group);
    GroupDescription describe_classic(const std::string& group);

    Client& client_;
    std::map<std::string, int32_t> coordinators_;
    std::map<int32_t, Address> addresses_;
};

/// True while another attempt at the coordinator can help.
bool coordinator_may_come(ErrorCode code);
/// Waits before the next attempt; throws when the time limit is over.
void wait_for_coordinator(Client& client, const std::string& group, ErrorCode code);

/// The partitions of an assignment as the consumer protocol writes it; nothing when unreadable.
std::optional<std::vector<TopicPartition>> parse_assignment(const Buffer& bytes);

/// GroupIdNotFound with did-you-mean.
Failure unknown_group(GroupClient& groups, const std::string& group);

}  // namespace millrace::cli
