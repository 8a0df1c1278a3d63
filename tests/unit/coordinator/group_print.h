// tests/unit/coordinator/group_print.h: records and responses of groups as one line of text.
#pragma once

#include <fmt/core.h>

#include <string>

#include "coordinator/consumer_protocol.h"
#include "millrace/base/error_code.h"
#include "millrace/coordinator/group_coordinator.h"
#include "millrace/wire/gen/consumer_group_current_member_assignment_value.h"
#include "millrace/wire/gen/consumer_group_member_metadata_value.h"
#include "millrace/wire/gen/consumer_group_metadata_value.h"
#include "millrace/wire/gen/consumer_group_regular_expression_value.h"
#include "millrace/wire/gen/consumer_group_target_assignment_member_value.h"
#include "millrace/wire/gen/consumer_group_target_assignment_metadata_value.h"
#include "millrace/wire/gen/group_metadata_value.h"
#include "millrace/wire/gen/offset_commit_value.h"
#include "millrace/wire/record_frame.h"

namespace millrace::coordinator {

inline std::string error_text(int16_t error) {
    return error == 0 ? "ok" : error_code_name(static_cast<ErrorCode>(error));
}

/// Long texts as their length.
inline std::string short_text(const std::string& text) {
    return text.size() <= 40 ? "\"" + text + "\"" : fmt::format("<{} bytes>", text.size());
}

/// Topic ids of the tests are small numbers: "7:0,1".
template <class Topics>
std::string partitions_text(const Topics& topics) {
    std::string text;
    for (const auto& topic : topics) {
        std::string list;
        for (const int32_t partition : topic.partitions)
            list += (list.empty() ? "" : ",") + std::to_string(partition);
        text += (text.empty() ? "" : " ") + std::to_string(topic.topic_id.low) + ":" + list;
    }
    return "[" + text + "]";
}

inline std::string bytes_text(const Buffer& bytes) {
    std::string text;
    for (const char c : bytes.text())
        text += c >= 32 && c < 127 ? std::string(1, c)
                                   : fmt::format("\\{:02x}", static_cast<uint8_t>(c));
    return text;
}

/// A subscription or assignment as its topics; anything else as its bytes.
inline std::string subscription_text(const Buffer& bytes) {
    const auto parsed = parse_subscription(bytes);
    if (!parsed) return bytes_text(bytes);
    std::string text;
    for (const auto& topic : parsed->topics)
        text += (text.empty() ? "" : "+") + topic;
    return text;
}
inline std::string assignment_text(const Buffer& bytes) {
    const auto parsed = parse_assignment(bytes);
    if (!parsed || bytes.empty()) return bytes_text(bytes);
    std::string text;
    for (const auto& topic : parsed->assigned_partitions) {
        for (const int32_t partition : topic.partitions)
            text += (text.empty() ? "" : "+") + topic.topic + std::to_string(partition);
    }
    return text;
}

template <class Value>
Value decode_value(const Buffer& bytes) {
    wire::Reader reader(bytes.view());
    Value value;
    if (!wire::decode_coordinator_value(reader, value)) value = {};
    return value;
}

inline std::string value_text(int16_t type, const Buffer& bytes) {
    if (type == 1) {
        const auto v = decode_value<wire::OffsetCommitValue>(bytes);
        return fmt::format(
            "{} epoch {} {} at {} topic {}{}", v.offset, v.leader_epoch, short_text(v.metadata),
            v.commit_timestamp, v.topic_id.low,
            v.expire_timestamp < 0 ? "" : fmt::format(" expires {}", v.expire_timestamp));
    }
    if (type == 2) {
        const auto v = decode_value<wire::GroupMetadataValue>(bytes);
        std::string members;
        for (const auto& m : v.members) {
            members += fmt::format(
                " {}{}({}|{})", m.member_id, m.group_instance_id ? "=" + *m.group_instance_id : "",
                subscription_text(m.subscription), assignment_text(m.assignment));
        }
        return fmt::format("type \"{}\" gen {} protocol {} leader {} at {} members{}",
                           v.protocol_type, v.generation, v.protocol.value_or("-"),
                           v.leader.value_or("-"), v.current_state_timestamp, members);
    }
    if (type == 3) {
        return fmt::format("epoch {}", decode_value<wire::ConsumerGroupMetadataValue>(bytes).epoch);
    }
    if (type == 5) {
        const auto v = decode_value<wire::ConsumerGroupMemberMetadataValue>(bytes);
        std::string names;
        for (const auto& name : v.subscribed_topic_names)
            names += (names.empty() ? "" : "+") + name;
        return fmt::format("instance {} topics {} regex \"{}\" rebalance {} assignor {}{}",
                           v.instance_id.value_or("-"), names,
                           v.subscribed_topic_regex.value_or("-"), v.rebalance_timeout_ms,
                           v.server_assignor.value_or("-"),
                           v.classic_member_metadata ? " classic" : "");
    }
    if (type == 6) {
        const auto v = decode_value<wire::ConsumerGroupTargetAssignmentMetadataValue>(bytes);
        return fmt::format("epoch {} at {}", v.assignment_epoch, v.assignment_timestamp);
    }
    if (type == 7) {
        return partitions_text(
            decode_value<wire::ConsumerGroupTargetAssignmentMemberValue>(bytes).topic_partitions);
    }
    if (type == 8) {
        const auto v = decode_value<wire::ConsumerGroupCurrentMemberAssignmentValue>(bytes);
        return fmt::format("epoch {} previous {} state {} assigned {} revoking {}", v.member_epoch,
                           v.previous_member_epoch, v.state, partitions_text(v.assigned_partitions),
                           partitions_text(v.partitions_pending_revocation));
    }
    if (type == 16) {
        const auto v = decode_value<wire::ConsumerGroupRegularExpressionValue>(bytes);
        std::string names;
        for (const auto& name : v.topics)
            names += (names.empty() ? "" : "+") + name;
        return names;
    }
    return bytes_text(bytes);
}

inline std::string record_text(const CoordinatorRecord& record) {
    static const char* const kNames[] = {"legacy", "offset",       "classic", "group",  "topics",
                                         "member", "target-epoch", "target",  "current"};
    wire::Reader reader(record.key.view());
    const int16_t type = reader.i16();
    const std::string name = type < 9 ? kNames[type] : type == 16 ? "regex" : std::to_string(type);
    std::string key = reader.string(false);
    if (type == 5 || type == 7 || type == 8 || type == 16) key += "/" + reader.string(false);
    if (type == 1) {
        key += "/" + reader.string(false);
        key += "-" + std::to_string(reader.i32());
    }
    return name + " " + key + ": " + (record.value ? value_text(type, *record.value) : "gone");
}

inline std::string text_of(const wire::JoinGroupResponse& r) {
    if (r.error_code != 0) return error_text(r.error_code) + " member " + r.member_id;
    std::string members;
    for (const auto& m : r.members)
        members += fmt::format(" {}({})", m.member_id, subscription_text(m.metadata));
    return fmt::format("ok gen {} protocol {} member {} leader {}{} members{}", r.generation_id,
                       r.protocol_name.value_or("-"), r.member_id, r.leader,
                       r.skip_assignment ? " skip" : "", members);
}
inline std::string text_of(const wire::SyncGroupResponse& r) {
    if (r.error_code != 0) return error_text(r.error_code);
    return "ok " + r.protocol_name.value_or("-") + " (" + assignment_text(r.assignment) + ")";
}
inline std::string text_of(const wire::HeartbeatResponse& r) { return error_text(r.error_code); }
inline std::string text_of(const wire::LeaveGroupResponse& r) {
    std::string text = error_text(r.error_code);
    for (const auto& m : r.members)
        text += " " + (m.member_id.empty() ? m.group_instance_id.value_or("") : m.member_id) + "=" +
                error_text(m.error_code);
    return text;
}
template <class Commit>
std::string commit_text(const Commit& r) {
    std::string text;
    for (const auto& topic : r.topics) {
        for (const auto& p : topic.partitions)
            text += fmt::format("{}{}-{}={}", text.empty() ? "" : " ", topic.name,
                                p.partition_index, error_text(p.error_code));
    }
    return text;
}
inline std::string text_of(const wire::OffsetCommitResponse& r) { return commit_text(r); }
inline std::string text_of(const wire::TxnOffsetCommitResponse& r) { return commit_text(r); }
inline std::string text_of(const wire::OffsetDeleteResponse& r) {
    return error_text(r.error_code) + " " + commit_text(r);
}
inline std::string text_of(const wire::OffsetFetchResponse& r) {
    std::string text = error_text(r.groups.front().error_code);
    for (const auto& topic : r.groups.front().topics) {
        for (const auto& p : topic.partitions) {
            text += fmt::format(" {}-{}=", topic.name, p.partition_index);
            text += p.error_code != 0 ? error_text(p.error_code)
                                      : fmt::format("{}{}", p.committed_offset,
                                                    short_text(p.metadata.value_or("")));
        }
    }
    return text;
}
inline std::string text_of(const wire::ListGroupsResponse& r) {
    std::string text = error_text(r.error_code);
    for (const auto& g : r.groups)
        text += fmt::format(" {}({} {} \"{}\")", g.group_id, g.group_type, g.group_state,
                            g.protocol_type);
    return text;
}
inline std::string text_of(const wire::DescribeGroupsResponse& r) {
    std::string text;
    for (const auto& g : r.groups) {
        text += fmt::format("{} {} {} \"{}\" {}", g.group_id, error_text(g.error_code),
                            g.group_state, g.protocol_type, g.protocol_data);
        for (const auto& m : g.members)
            text += fmt::format(" {}({}|{})", m.member_id, subscription_text(m.member_metadata),
                                assignment_text(m.member_assignment));
    }
    return text;
}
inline std::string text_of(const wire::DeleteGroupsResponse& r) {
    std::string text;
    for (const auto& g : r.results)
        text += g.group_id + "=" + error_text(g.error_code) + " ";
    return text;
}
inline std::string text_of(const wire::ConsumerGroupHeartbeatResponse& r) {
    if (r.error_code != 0) return error_text(r.error_code);
    return fmt::format("ok member {} epoch {} interval {} assignment {}", r.member_id.value_or("-"),
                       r.member_epoch, r.heartbeat_interval_ms,
                       r.assignment ? partitions_text(r.assignment->topic_partitions) : "null");
}
inline std::string text_of(const wire::ConsumerGroupDescribeResponse& r) {
    std::string text;
    for (const auto& g : r.groups) {
        text +=
            fmt::format("{} {} {} epoch {} assignment {} {}", g.group_id, error_text(g.error_code),
                        g.group_state, g.group_epoch, g.assignment_epoch, g.assignor_name);
        for (const auto& m : g.members)
            text += fmt::format(" {}(epoch {} type {} {} target {})", m.member_id, m.member_epoch,
                                m.member_type, partitions_text(m.assignment.topic_partitions),
                                partitions_text(m.target_assignment.topic_partitions));
    }
    return text;
}
inline std::string text_of(const MarkerWritten& r) {
    return error_text(static_cast<int16_t>(r.error));
}

}  // namespace millrace::coordinator
