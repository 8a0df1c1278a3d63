// src/coordinator/group_context.h: what the rules of groups and offsets share inside one machine.
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/classic_group.h"
#include "coordinator/group_state.h"
#include "coordinator/timer_queue.h"
#include "millrace/base/rng.h"
#include "millrace/coordinator/coordinator.h"
#include "millrace/coordinator/group_coordinator.h"

namespace millrace::coordinator {

using GroupOutput = CoordinatorOutput<GroupResponse>;
using Records = std::vector<CoordinatorRecord>;
/// The refusal of a request, in the shape of its response.
using ErrorShape = MoveFunction<GroupResponse(ErrorCode)>;

constexpr int16_t code(ErrorCode error) { return static_cast<int16_t>(error); }

enum class TimerKind : uint8_t {
    Heartbeat,      // classic: group and member
    Join,           // classic: group
    Sync,           // classic: group
    Session,        // consumer group: group and member
    Rebalance,      // consumer group: group and member
    ClassicJoin,    // classic member of a consumer group
    ClassicSync,    // classic member of a consumer group
    Regex,          // consumer group: expressions are to be resolved
    ExpireOffsets,  // the machine
};
struct TimerKey {
    TimerKind kind = TimerKind::ExpireOffsets;
    std::string group;
    std::string member;
    friend auto operator<=>(const TimerKey&, const TimerKey&) = default;
};

/// The expressions of one group on their way through the topics of one image, slice by slice.
struct RegexResolution {
    metadata::ImagePtr image;
    std::set<std::string> left;                             // the first one is worked on
    std::string from;                                       // its next topic
    std::map<std::string, std::vector<std::string>> found;  // topics, ascending
};

struct GroupContext {
    GroupContext(std::shared_ptr<const GroupSettings> given, uint64_t seed)
        : settings(std::move(given)),
          core({milliseconds(settings->offsets_commit_timeout_ms), kBatchBytesMax,
                milliseconds(settings->append_linger_ms)}),
          rng(seed) {}

    std::shared_ptr<const GroupSettings> settings;
    CoordinatorCore<GroupState, GroupResponse> core;
    Rng rng;
    TimerQueue<TimerKey> timers;
    metadata::ImagePtr image = metadata::empty_image();
    std::map<std::string, ClassicGroup> classic_groups;  // the live side of those in the state

    // Soft state of consumer groups. A group whose topics changed is not fresh: its next heartbeat
    // compares the hash. A fresh epoch above the group's own was rolled back.
    std::map<std::string, int32_t> fresh_epochs;
    /// The epoch of a member that must revoke before its rebalance timer fires.
    std::map<std::pair<std::string, std::string>, int32_t> rebalance_epochs;
    /// The last resolution of a group's expressions: when, and against which image.
    struct RegexRefresh {
        Instant at;
        Offset image_offset;
    };
    std::map<std::string, RegexRefresh> regex_refreshes;
    Offset topic_names_offset = kNoOffset;  // the image that changed the list of topics last
    /// Resolutions under way, by group; their Regex timer is armed.
    std::map<std::string, RegexResolution> regex_resolutions;
    /// Classic groups made by a downgrade that is being written in this very event.
    std::map<std::string, ClassicGroup> downgrades;

    const GroupState& state() const { return core.state(); }
    /// The live classic group, or nullptr.
    ClassicGroup* classic(const std::string& group);
    /// A new id: `prefix`, "-", and a random UUID as Java prints it.
    std::string new_member_id(const std::string& prefix);
    std::string random_uuid();

    /// Answers when everything written so far is committed.
    void answer(const Tick& tick, RequestId id, GroupResponse response, ErrorShape shape,
                GroupOutput& out);
    /// Answers when these records are.
    void write(const Tick& tick, RequestId id, Records records, GroupResponse response,
               ErrorShape shape, GroupOutput& out, Producer producer = {});
    /// Writes without an asker; a failure is put right by reconcile_classic_groups.
    void write(const Tick& tick, Records records, GroupOutput& out, bool atomic = true);

    /// Soft state of a consumer group that is about to go, or to become a classic one.
    void forget_consumer_group(const std::string& group);
    /// The same for all that a rollback took away.
    void forget_missing_consumer_groups();

    /// Live classic groups follow the state: after loading, and after a rollback, when those that
    /// were only just created vanish and their waiting requests are answered `error`.
    void reconcile_classic_groups(const Tick& tick, ErrorCode error, GroupOutput& out);
};

// Classic groups: classic_join.cc, classic_sync.cc, classic_members.cc.
void join_classic(GroupContext& context, const Tick& tick, RequestId id, const GroupCaller& caller,
                  const wire::JoinGroupRequest& request, Records before, GroupOutput& out);
void sync_classic(GroupContext& context, const Tick& tick, RequestId id, const GroupCaller& caller,
                  const wire::SyncGroupRequest& request, GroupOutput& out);
void heartbeat_classic(GroupContext& context, const Tick& tick, RequestId id,
                       const wire::HeartbeatRequest& request, GroupOutput& out);
wire::LeaveGroupResponse leave_classic(GroupContext& context, const Tick& tick,
                                       const wire::LeaveGroupRequest& request, GroupOutput& out);
/// None, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID.
ErrorCode check_classic_member(const ClassicGroup& group, const std::string& member,
                               const std::optional<std::string>& instance);
void arm_heartbeat(GroupContext& context, const Tick& tick, const ClassicGroup& group,
                   const ClassicMember& member);
/// Starts a rebalance where the state allows one, else completes the join when all are there.
void prepare_or_complete(GroupContext& context, const Tick& tick, ClassicGroup& group,
                         GroupOutput& out);
void prepare_rebalance(GroupContext& context, const Tick& tick, ClassicGroup& group,
                       GroupOutput& out);
void maybe_complete_join(GroupContext& context, const Tick& tick, ClassicGroup& group,
                         GroupOutput& out);
/// Answers what waits in the member with `error`, drops its timers and removes it.
void remove_classic_member(GroupContext& context, const Tick& tick, ClassicGroup& group,
                           const std::string& member, ErrorCode error, GroupOutput& out);
void answer_join(GroupContext& context, const Tick& tick, ClassicMember& member,
                 wire::JoinGroupResponse response, GroupOutput& out);
void answer_sync(GroupContext& context, const Tick& tick, ClassicMember& member,
                 wire::SyncGroupResponse response, GroupOutput& out);
/// All timers and waiting requests of a group that ceases to be classic.
void drop_classic_group(GroupContext& context, const Tick& tick, const std::string& group,
                        ErrorCode error, GroupOutput& out);
void on_classic_heartbeat_timer(GroupContext& context, const Tick& tick, const TimerKey& key,
                                GroupOutput& out);
void on_join_timer(GroupContext& context, const Tick& tick, const std::string& group,
                   GroupOutput& out);
void on_sync_timer(GroupContext& context, const Tick& tick, const std::string& group,
                   GroupOutput& out);

wire::JoinGroupResponse join_refused(int16_t version, const std::string& member, ErrorCode error);
wire::SyncGroupResponse sync_refused(ErrorCode error);

// Offsets: group_offsets.cc, offset_fetch.cc, offset_expiry.cc.
void commit_offsets(GroupContext& context, const Tick& tick, RequestId id,
                    const GroupCaller& caller, const wire::OffsetCommitRequest& request,
                    GroupOutput& out);
void commit_txn_offsets(GroupContext& context, const Tick& tick, RequestId id,
                        const wire::TxnOffsetCommitRequest& request, GroupOutput& out);
void fetch_offsets(GroupContext& context, const Tick& tick, RequestId id,
                   const wire::OffsetFetchRequest& request, GroupOutput& out);
void delete_offsets(GroupContext& context, const Tick& tick, RequestId id,
                    const wire::OffsetDeleteRequest& request, GroupOutput& out);
void expire_offsets(GroupContext& context, const Tick& tick, GroupOutput& out);
/// Tombstones for every offset of the group, committed and pending.
void append_offset_tombstones(const GroupState& state, const std::string& group, Records& records);
/// Tombstones for every offset of topics that are gone: id in `deleted`, or no id and that name.
void forget_deleted_topics(GroupContext& context, const Tick& tick,
                           const std::map<Uuid, std::string>& deleted, GroupOutput& out);

/// The response that gives every partition of the request the same code. OffsetCommit and
/// TxnOffsetCommit differ in the names of their structs only.
template <class Response, class Request>
Response every_partition(const Request& request, ErrorCode error) {
    Response response;
    for (const auto& topic : request.topics) {
        auto& into = response.topics.emplace_back();
        into.name = topic.name;
        if constexpr (requires { topic.topic_id; }) into.topic_id = topic.topic_id;
        for (const auto& partition : topic.partitions) {
            auto& answer = into.partitions.emplace_back();
            answer.partition_index = partition.partition_index;
            answer.error_code = code(error);
        }
    }
    return response;
}

// Consumer groups: consumer_heartbeat.cc, consumer_describe.cc, consumer_classic.cc.
void heartbeat_consumer(GroupContext& context, const Tick& tick, RequestId id,
                        const GroupCaller& caller,
                        const wire::ConsumerGroupHeartbeatRequest& request, GroupOutput& out);
void describe_consumer_groups(GroupContext& context, RequestId id,
                              const wire::ConsumerGroupDescribeRequest& request, GroupOutput& out);
void on_session_timer(GroupContext& context, const Tick& tick, const TimerKey& key,
                      GroupOutput& out);
void on_rebalance_timer(GroupContext& context, const Tick& tick, const TimerKey& key,
                        GroupOutput& out);
/// After loading: every member has a full session from now.
void arm_all_consumer_timers(GroupContext& context, const Tick& tick);
/// Groups whose topics changed between the images look at them again.
void refresh_consumer_groups(GroupContext& context, const metadata::Image& before,
                             const metadata::Image& after);
// A classic member in a consumer group.
void join_consumer(GroupContext& context, const Tick& tick, RequestId id, const GroupCaller& caller,
                   const wire::JoinGroupRequest& request, GroupOutput& out);
void sync_consumer(GroupContext& context, const Tick& tick, RequestId id,
                   const wire::SyncGroupRequest& request, GroupOutput& out);
void heartbeat_classic_in_consumer(GroupContext& context, const Tick& tick, RequestId id,
                                   const wire::HeartbeatRequest& request, GroupOutput& out);
void leave_consumer(GroupContext& context, const Tick& tick, RequestId id, bool single,
                    const wire::LeaveGroupRequest& request, GroupOutput& out);

// Administration: group_listing.cc.
void list_groups(GroupContext& context, RequestId id, const wire::ListGroupsRequest& request,
                 GroupOutput& out);
void describe_groups(GroupContext& context, RequestId id, const GroupCaller& caller,
                     const wire::DescribeGroupsRequest& request, GroupOutput& out);
void delete_groups(GroupContext& context, const Tick& tick, RequestId id,
                   const wire::DeleteGroupsRequest& request, GroupOutput& out);
/// Tombstones of the group itself; its offsets are another matter.
void append_group_tombstones(GroupContext& context, const std::string& group, Records& records);

}  // namespace millrace::coordinator
