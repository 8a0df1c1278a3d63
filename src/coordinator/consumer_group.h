// src/coordinator/consumer_group.h: the rules of consumer groups (KIP-848) as functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "coordinator/group_context.h"
#include "coordinator/group_state.h"

namespace millrace::coordinator {

/// As Kafka prints it: "Reconciling".
const char* consumer_phase_name(ConsumerGroupPhase phase);

// Records: consumer_records.cc.
CoordinatorRecord make_member_record(const std::string& group, const ConsumerMember& member);
CoordinatorRecord make_member_tombstone(const std::string& group, const std::string& member);
CoordinatorRecord make_epoch_record(const std::string& group, int32_t epoch, int64_t hash);
CoordinatorRecord make_partition_metadata_tombstone(const std::string& group);
CoordinatorRecord make_target_record(const std::string& group, const std::string& member,
                                     const Partitions& target);
CoordinatorRecord make_target_tombstone(const std::string& group, const std::string& member);
CoordinatorRecord make_target_epoch_record(const std::string& group, int32_t epoch,
                                           int64_t timestamp_ms);
CoordinatorRecord make_current_record(const std::string& group, const ConsumerMember& member);
CoordinatorRecord make_current_tombstone(const std::string& group, const std::string& member);
CoordinatorRecord make_regex_record(const std::string& group, const std::string& regex,
                                    const wire::ConsumerGroupRegularExpressionValue& value);
CoordinatorRecord make_regex_tombstone(const std::string& group, const std::string& regex);
/// All records of the group, in the order that replay demands (coordinators.md 2.5, rule 3).
void append_consumer_group_tombstones(const std::string& id, const ConsumerGroup& group,
                                      Records& records);

/// The records of one command on one group, with the state as they leave it: each rule sees what
/// the rules before it have done, by the same replay that everybody else uses.
class ConsumerEdit {
  public:
    ConsumerEdit(const GroupState& state, std::string id) : id_(std::move(id)), scratch_(state) {}
    void add(CoordinatorRecord record);
    const std::string& id() const { return id_; }
    /// A group at its first epoch while there is none.
    const ConsumerGroup& group() const;
    const GroupState& state() const { return scratch_; }
    Records take() { return std::move(records_); }

  private:
    std::string id_;
    GroupState scratch_;
    Records records_;
};

// The parts of a heartbeat, also used by classic members: consumer_pass.cc.

/// What one member does to its group.
struct Pass {
    ConsumerMember before;   // as stored, or a new one
    ConsumerMember updated;  // with what the request says
    bool is_new = false;
    std::optional<Partitions> owned;  // nothing: not said
    /// The group turns classic with it: it gets no new target, and a stale one is not followed.
    bool downgrades = false;
};
/// Nothing: FENCED_MEMBER_EPOCH. Else the member as it is afterwards.
std::optional<ConsumerMember> run_pass(GroupContext& context, const Tick& tick, ConsumerEdit& edit,
                                       const Pass& pass);
/// Arms the session timer, and the rebalance timer where the step made the member revoke.
void arm_consumer_timers(GroupContext& context, const Tick& tick, const std::string& group,
                         const ConsumerMember& before, const ConsumerMember& after);
void cancel_consumer_timers(GroupContext& context, const std::string& group,
                            const std::string& member);
/// After the write that removes `leaving`: when it was refused at once (too large for a batch, as a
/// downgrade may be) its members are still there, and get their timers back. True: it was.
bool restore_timers(GroupContext& context, const Tick& tick, const std::string& group,
                    const std::vector<std::string>& leaving);
/// Tombstones of members that go, and the bump that follows; downgrades the group when only
/// classic members stay and the policy allows it.
void remove_consumer_members(GroupContext& context, const Tick& tick, ConsumerEdit& edit,
                             const std::vector<std::string>& members);
/// Tombstones 8, 7, 5 and the regex when nobody else has it.
void append_member_tombstones(ConsumerEdit& edit, const ConsumerMember& member);
/// Names of all topics the group's members subscribe to, by name or by resolved expression.
std::set<std::string> subscribed_names(const ConsumerGroup& group);
/// A member nobody has heard of before.
ConsumerMember new_consumer_member(const std::string& id);
/// The slot of `old` goes to a new id; the group's epoch stays.
ConsumerMember replace_consumer_member(ConsumerEdit& edit, const ConsumerMember& old,
                                       const std::string& id);
/// Ids of the existing topics that one member subscribes to.
std::set<Uuid> subscribed_ids(const metadata::Image& image, const ConsumerGroup& group,
                              const ConsumerMember& member);
Partitions partitions_of(const AssignedPartitions& assigned);

/// Group configs over the broker's, within the broker's bounds.
struct ConsumerConfigs {
    int32_t session_timeout_ms;
    int32_t heartbeat_interval_ms;
    int32_t assignment_interval_ms;
};
ConsumerConfigs consumer_configs(const GroupContext& context, const std::string& group);
/// The assignor that most members ask for.
std::string preferred_assignor(const GroupContext& context, const ConsumerGroup& group);

// Expressions: consumer_regex.cc.
/// Resolves those of the group in an event of its own, when it is time to.
void request_regex_resolution(GroupContext& context, const Tick& tick, const ConsumerEdit& edit);
void on_regex_timer(GroupContext& context, const Tick& tick, const std::string& group,
                    GroupOutput& out);

// Classic members and conversions: consumer_classic.cc, consumer_migration.cc.
/// Why the live classic group cannot become a consumer group; nothing when it can.
std::optional<std::string> upgrade_problem(const GroupContext& context, const ClassicGroup& group);
void append_upgrade(GroupContext& context, const Tick& tick, const ClassicGroup& group,
                    ConsumerEdit& edit);
void append_downgrade(GroupContext& context, const Tick& tick,
                      const std::vector<std::string>& leaving, ConsumerEdit& edit);
/// After the write of a downgrade: the live classic group, and its rebalance where there is one.
void settle_downgrade(GroupContext& context, const Tick& tick, const ConsumerEdit& edit,
                      GroupOutput& out, bool rebalance = true);
/// For a classic member, in the version of its own subscription.
Buffer assignment_bytes(const metadata::Image& image, const ConsumerMember& member,
                        const Partitions& partitions);
bool should_downgrade(const GroupContext& context, const ConsumerGroup& group,
                      const std::vector<std::string>& leaving);
/// The same when a classic member takes the place of `replaced`.
bool should_downgrade_replacing(const GroupContext& context, const ConsumerGroup& group,
                                const std::string& replaced);

}  // namespace millrace::coordinator
