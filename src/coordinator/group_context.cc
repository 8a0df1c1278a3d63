// src/coordinator/group_context.cc: answers behind the log, member ids, live groups after a
// rollback.
#include "coordinator/group_context.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "millrace/base/log.h"

namespace millrace::coordinator {

namespace {
constexpr LogChannel kLog{"coordinator"};
}

ClassicGroup* GroupContext::classic(const std::string& group) {
    auto it = classic_groups.find(group);
    if (it != classic_groups.end()) return &it->second;
    // A group that came into being by a commit of offsets alone, or whose removal was refused:
    // no members, hence no timers.
    const Group* known = state().find(group);
    if (known == nullptr || known->is_consumer()) return nullptr;
    ClassicGroup live;
    live.id = group;
    if (known->classic) live = ClassicGroup::from_record(group, *known->classic);
    return &classic_groups.insert_or_assign(group, std::move(live)).first->second;
}

std::string GroupContext::random_uuid() {
    // Version 4, variant 1, as java.util.UUID.randomUUID.
    const uint64_t high = (rng.next() & ~uint64_t{0xF000}) | 0x4000;
    const uint64_t low = (rng.next() & ~(uint64_t{3} << 62)) | (uint64_t{1} << 63);
    return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF,
                       high & 0xFFFF, low >> 48, low & 0xFFFF'FFFF'FFFF);
}

std::string GroupContext::new_member_id(const std::string& prefix) {
    // A client or instance id may be as long as a string can be; the member id has to fit too.
    constexpr size_t kPrefixBytesMax = INT16_MAX - 37;  // a dash and 36 digits come behind
    size_t size = std::min(prefix.size(), kPrefixBytesMax);
    if (size < prefix.size()) {
        while (size > 0 && (static_cast<uint8_t>(prefix[size]) & 0xC0) == 0x80) --size;
    }
    return prefix.substr(0, size) + "-" + random_uuid();
}

void GroupContext::answer(const Tick& tick, RequestId id, GroupResponse response, ErrorShape shape,
                          GroupOutput& out) {
    if (core.committed_end() >= core.next_offset()) {  // the common case needs no continuation
        out.replies.push_back({id, std::move(response)});
        return;
    }
    core.park(
        tick,
        [id, response = std::move(response), shape = std::move(shape)](const Tick&, ErrorCode error,
                                                                       GroupOutput& to) mutable {
            to.replies.push_back(
                {id, error == ErrorCode::None ? std::move(response) : shape(error)});
        },
        out);
}

void GroupContext::write(const Tick& tick, RequestId id, Records records, GroupResponse response,
                         ErrorShape shape, GroupOutput& out, Producer producer) {
    if (records.empty()) return answer(tick, id, std::move(response), std::move(shape), out);
    core.write(
        tick, std::move(records),
        [id, response = std::move(response), shape = std::move(shape)](const Tick&, ErrorCode error,
                                                                       GroupOutput& to) mutable {
            to.replies.push_back(
                {id, error == ErrorCode::None ? std::move(response) : shape(error)});
        },
        out, producer);
}

void GroupContext::write(const Tick& tick, Records records, GroupOutput& out, bool atomic) {
    if (records.empty()) return;
    core.write(
        tick, std::move(records),
        [](const Tick&, ErrorCode error, GroupOutput&) {
            if (error == ErrorCode::None) return;
            log_warn(kLog, "records of groups were not written: {}", error_code_name(error));
        },
        out, {}, atomic);
}

void GroupContext::forget_consumer_group(const std::string& group) {
    fresh_epochs.erase(group);
    regex_refreshes.erase(group);
    regex_resolutions.erase(group);
    timers.cancel({TimerKind::Regex, group, ""});
}

void GroupContext::forget_missing_consumer_groups() {
    std::set<std::string> missing;
    const auto look = [&](const auto& soft) {
        for (const auto& [id, value] : soft) {
            const Group* known = state().find(id);
            if (known == nullptr || !known->is_consumer()) missing.insert(id);
        }
    };
    look(fresh_epochs);
    look(regex_refreshes);
    for (const std::string& id : missing)
        forget_consumer_group(id);
}

void GroupContext::reconcile_classic_groups(const Tick& tick, ErrorCode error, GroupOutput& out) {
    std::vector<std::string> gone;
    for (const auto& [id, group] : classic_groups) {
        const Group* known = state().find(id);
        if (known == nullptr || known->is_consumer()) gone.push_back(id);
    }
    for (const std::string& id : gone)
        drop_classic_group(*this, tick, id, error, out);
    const auto groups = state().groups;  // a rebalance below may write
    for (const auto& [id, group] : groups) {
        if (!group.classic || classic_groups.contains(id)) continue;
        ClassicGroup live = ClassicGroup::from_record(id, *group.classic);
        for (const ClassicMember* m : live.in_order())
            arm_heartbeat(*this, tick, live, *m);
        const bool too_large = live.members.size() > static_cast<size_t>(settings->max_size);
        ClassicGroup& placed = classic_groups.insert_or_assign(id, std::move(live)).first->second;
        if (too_large) prepare_rebalance(*this, tick, placed, out);
    }
}

}  // namespace millrace::coordinator
