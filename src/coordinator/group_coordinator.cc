// src/coordinator/group_coordinator.cc: life, timers and dispatch of the group coordinator.
#include "millrace/coordinator/group_coordinator.h"

#include <fmt/core.h>

#include "coordinator/consumer_group.h"
#include "coordinator/group_context.h"

namespace millrace::coordinator {

namespace {

constexpr int16_t kLeaveBatchedFrom = 3;
constexpr int16_t kSyncNamesFrom = 5;

}  // namespace

class GroupCoordinator::Impl {
  public:
    Impl(std::shared_ptr<const GroupSettings> settings, uint64_t seed)
        : context_(std::move(settings), seed) {}

    void on_elected() { context_.core.begin_loading(); }
    Status on_load_batch(const LoadedBatch& batch, Offset high_watermark) {
        return context_.core.load(batch, high_watermark);
    }
    void on_loaded(const Tick& tick, Offset log_end, Offset high_watermark, Output& out) {
        context_.core.finish_loading(log_end, high_watermark);
        context_.reconcile_classic_groups(tick, ErrorCode::NotCoordinator, out);
        arm_all_consumer_timers(context_, tick);
        arm_expiry(tick);
        finish(out);
    }
    void on_load_failed() { context_.core.fail_loading(); }
    void on_high_watermark(const Tick& tick, Offset high_watermark, Output& out) {
        context_.core.on_high_watermark(tick, high_watermark, out);
        finish(out);
    }
    void on_append_failed(const Tick& tick, Offset base, ErrorCode error, Output& out) {
        if (context_.core.on_append_failed(tick, base, error, out)) {
            context_.reconcile_classic_groups(tick, append_error_for_client(error), out);
            arm_all_consumer_timers(context_, tick);  // those of members that are back
            context_.forget_missing_consumer_groups();
        }
        finish(out);
    }
    void on_resign(const Tick& tick, Output& out) {
        context_.core.resign(tick, out);
        // What waits inside the groups fails as well; nothing is written any more.
        while (!context_.classic_groups.empty()) {
            const std::string id = context_.classic_groups.begin()->first;
            drop_classic_group(context_, tick, id, ErrorCode::NotCoordinator, out);
        }
        context_.core.fail_waiting(tick, ErrorCode::NotCoordinator, out);
        context_.timers.clear();
        finish(out);
    }
    void on_tick(const Tick& tick, Output& out) {
        context_.core.on_tick(tick, out);
        TimerKey key;
        // Timers armed meanwhile lie later, so that the loop ends.
        while (context_.core.active() && context_.timers.pop_due(tick.now, key))
            fire(tick, key, out);
        finish(out);
    }
    void set_message_bytes_max(size_t bytes) { context_.core.set_message_bytes_max(bytes); }
    void on_image(const Tick& tick, const metadata::ImagePtr& image, Output& out) {
        const metadata::ImagePtr before = std::exchange(context_.image, image);
        if (!before->topics.ids_by_name.same_version(image->topics.ids_by_name)) {
            context_.topic_names_offset = image->provenance.offset;
        }
        if (!context_.core.active()) return finish(out);
        std::map<Uuid, std::string> deleted;
        if (!before->topics.by_id.same_version(image->topics.by_id)) {
            for (const auto& [id, topic] : before->topics.by_id) {
                if (!image->topics.by_id.contains(id)) deleted.emplace(id, topic->name);
            }
        }
        refresh_consumer_groups(context_, *before, *image);
        if (!deleted.empty()) forget_deleted_topics(context_, tick, deleted, out);
        finish(out);
    }
    void run(const Tick& tick, RequestId id, const GroupCaller& caller, Request request,
             Output& out) {
        const ErrorCode not_ready = context_.core.not_ready();
        if (not_ready != ErrorCode::None) {
            out.replies.push_back({id, group_error(request, caller.version, not_ready)});
        } else {
            std::visit([&](const auto& r) { serve(tick, id, caller, r, out); }, request);
        }
        finish(out);
    }
    void end_transaction(const Tick& tick, RequestId id, const Marker& marker, Output& out) {
        const ErrorCode not_ready = context_.core.not_ready();
        if (not_ready != ErrorCode::None) {
            out.replies.push_back({id, MarkerWritten{not_ready}});
        } else {
            context_.core.write_marker(
                tick, marker,
                [id](const Tick&, ErrorCode error, Output& to) {
                    to.replies.push_back({id, MarkerWritten{error}});
                },
                out);
        }
        finish(out);
    }
    std::string debug_line() const {
        return fmt::format("groups {} live {} soft {} timers {} next {} committed {} waiting {}",
                           context_.state().groups.size(), context_.classic_groups.size(),
                           context_.fresh_epochs.size() + context_.regex_refreshes.size(),
                           context_.timers.size(), context_.core.next_offset().value,
                           context_.core.committed_end().value, context_.core.waiting());
    }

  private:
    void finish(Output& out) {
        out.wake_at = std::min(context_.core.wake_at(), context_.timers.wake_at());
    }
    void arm_expiry(const Tick& tick) {
        context_.timers.arm(
            {TimerKind::ExpireOffsets, "", ""},
            tick.now + milliseconds(context_.settings->offsets_retention_check_interval_ms));
    }
    void fire(const Tick& tick, const TimerKey& key, Output& out) {
        switch (key.kind) {
            case TimerKind::Heartbeat: return on_classic_heartbeat_timer(context_, tick, key, out);
            case TimerKind::Join: return on_join_timer(context_, tick, key.group, out);
            case TimerKind::Sync: return on_sync_timer(context_, tick, key.group, out);
            case TimerKind::Session:
            case TimerKind::ClassicJoin:
            case TimerKind::ClassicSync: return on_session_timer(context_, tick, key, out);
            case TimerKind::Rebalance: return on_rebalance_timer(context_, tick, key, out);
            case TimerKind::Regex: return on_regex_timer(context_, tick, key.group, out);
            case TimerKind::ExpireOffsets:
                arm_expiry(tick);
                return expire_offsets(context_, tick, out);
        }
    }
    void refuse(RequestId id, const Request& request, int16_t version, ErrorCode error,
                Output& out) {
        out.replies.push_back({id, group_error(request, version, error)});
    }

    void serve(const Tick& tick, RequestId id, const GroupCaller& caller,
               const wire::JoinGroupRequest& request, Output& out) {
        if (request.group_id.empty()) {
            return refuse(id, request, caller.version, ErrorCode::InvalidGroupId, out);
        }
        if (request.session_timeout_ms < context_.settings->min_session_timeout_ms ||
            request.session_timeout_ms > context_.settings->max_session_timeout_ms) {
            return refuse(id, request, caller.version, ErrorCode::InvalidSessionTimeout, out);
        }
        Records before;
        const Group* group = context_.state().find(request.group_id);
        if (group != nullptr && group->is_consumer()) {
            if (!group->consumer->members.empty()) {
                return join_consumer(context_, tick, id, caller, request, out);
            }
            append_group_tombstones(context_, request.group_id, before);
        }
        join_classic(context_, tick, id, caller, request, std::move(before), out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller& caller,
               const wire::SyncGroupRequest& request, Output& out) {
        if (caller.version >= kSyncNamesFrom &&
            (!request.protocol_type || !request.protocol_name)) {
            return refuse(id, request, caller.version, ErrorCode::InconsistentGroupProtocol, out);
        }
        if (request.group_id.empty()) {
            return refuse(id, request, caller.version, ErrorCode::InvalidGroupId, out);
        }
        if (is_consumer(request.group_id)) {
            return sync_consumer(context_, tick, id, request, out);
        }
        sync_classic(context_, tick, id, caller, request, out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller& caller,
               const wire::HeartbeatRequest& request, Output& out) {
        if (request.group_id.empty()) {
            return refuse(id, request, caller.version, ErrorCode::InvalidGroupId, out);
        }
        if (is_consumer(request.group_id)) {
            return heartbeat_classic_in_consumer(context_, tick, id, request, out);
        }
        heartbeat_classic(context_, tick, id, request, out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller& caller,
               const wire::LeaveGroupRequest& request, Output& out) {
        if (request.group_id.empty()) {
            return refuse(id, request, caller.version, ErrorCode::InvalidGroupId, out);
        }
        wire::LeaveGroupRequest batched = request;
        const bool single = caller.version < kLeaveBatchedFrom;
        if (single) {
            batched.members.clear();
            batched.members.emplace_back().member_id = request.member_id;
        }
        if (is_consumer(request.group_id)) {
            return leave_consumer(context_, tick, id, single, batched, out);
        }
        wire::LeaveGroupResponse response = leave_classic(context_, tick, batched, out);
        if (single && response.error_code == 0) {
            response.error_code = response.members.front().error_code;
            response.members.clear();
        }
        auto shape = [](ErrorCode e) -> GroupResponse {
            wire::LeaveGroupResponse refused;
            refused.error_code = code(e);
            return refused;
        };
        context_.answer(tick, id, std::move(response), shape, out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller& caller,
               const wire::OffsetCommitRequest& request, Output& out) {
        commit_offsets(context_, tick, id, caller, request, out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller& caller,
               const wire::TxnOffsetCommitRequest& request, Output& out) {
        if (request.group_id.empty()) {
            return refuse(id, request, caller.version, ErrorCode::InvalidGroupId, out);
        }
        commit_txn_offsets(context_, tick, id, request, out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller&,
               const wire::OffsetFetchRequest& request, Output& out) {
        MILLRACE_ASSERT(request.groups.size() == 1, "the handler asks for one group at a time");
        fetch_offsets(context_, tick, id, request, out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller& caller,
               const wire::OffsetDeleteRequest& request, Output& out) {
        if (request.group_id.empty()) {
            return refuse(id, request, caller.version, ErrorCode::InvalidGroupId, out);
        }
        delete_offsets(context_, tick, id, request, out);
    }
    void serve(const Tick&, RequestId id, const GroupCaller&,
               const wire::ListGroupsRequest& request, Output& out) {
        list_groups(context_, id, request, out);
    }
    void serve(const Tick&, RequestId id, const GroupCaller& caller,
               const wire::DescribeGroupsRequest& request, Output& out) {
        describe_groups(context_, id, caller, request, out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller&,
               const wire::DeleteGroupsRequest& request, Output& out) {
        delete_groups(context_, tick, id, request, out);
    }
    void serve(const Tick& tick, RequestId id, const GroupCaller& caller,
               const wire::ConsumerGroupHeartbeatRequest& request, Output& out) {
        heartbeat_consumer(context_, tick, id, caller, request, out);
    }
    void serve(const Tick&, RequestId id, const GroupCaller&,
               const wire::ConsumerGroupDescribeRequest& request, Output& out) {
        describe_consumer_groups(context_, id, request, out);
    }
    bool is_consumer(const std::string& id) const {
        const Group* group = context_.state().find(id);
        return group != nullptr && group->is_consumer();
    }

    GroupContext context_;
};

GroupCoordinator::GroupCoordinator(std::shared_ptr<const GroupSettings> settings, uint64_t seed)
    : impl_(std::make_unique<Impl>(std::move(settings), seed)) {}
GroupCoordinator::~GroupCoordinator() = default;

void GroupCoordinator::on_elected(const Tick&, LeaderEpoch, Output&) { impl_->on_elected(); }
Status GroupCoordinator::on_load_batch(const Tick&, const LoadedBatch& batch, Offset high_watermark,
                                       Output&) {
    return impl_->on_load_batch(batch, high_watermark);
}
void GroupCoordinator::on_loaded(const Tick& tick, Offset log_end, Offset high_watermark,
                                 Output& out) {
    impl_->on_loaded(tick, log_end, high_watermark, out);
}
void GroupCoordinator::on_load_failed(const Tick&, Output&) { impl_->on_load_failed(); }
void GroupCoordinator::on_high_watermark(const Tick& tick, Offset high_watermark, Output& out) {
    impl_->on_high_watermark(tick, high_watermark, out);
}
void GroupCoordinator::on_append_failed(const Tick& tick, Offset base, ErrorCode error,
                                        Output& out) {
    impl_->on_append_failed(tick, base, error, out);
}
void GroupCoordinator::on_resign(const Tick& tick, Output& out) { impl_->on_resign(tick, out); }
void GroupCoordinator::on_tick(const Tick& tick, Output& out) { impl_->on_tick(tick, out); }
void GroupCoordinator::on_image(const Tick& tick, const metadata::ImagePtr& image, Output& out) {
    impl_->on_image(tick, image, out);
}
void GroupCoordinator::set_message_bytes_max(size_t bytes) { impl_->set_message_bytes_max(bytes); }
void GroupCoordinator::run(const Tick& tick, RequestId id, const GroupCaller& caller,
                           GroupRequest request, Output& out) {
    impl_->run(tick, id, caller, std::move(request), out);
}
void GroupCoordinator::end_transaction(const Tick& tick, RequestId id, const Marker& marker,
                                       Output& out) {
    impl_->end_transaction(tick, id, marker, out);
}
std::string GroupCoordinator::debug_line() const { return impl_->debug_line(); }

static_assert(CoordinatorMachine<GroupCoordinator>);

}  // namespace millrace::coordinator
