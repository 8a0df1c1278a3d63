// tools/cli/control_text.cc: control records as Kafka's dumper prints them.
#include "cli/control_text.h"

#include <fmt/core.h>

#include "cli/output.h"
#include "millrace/base/endian.h"
#include "millrace/record/control_record.h"
#include "millrace/wire/gen/k_raft_version_record.h"
#include "millrace/wire/gen/leader_change_message.h"
#include "millrace/wire/gen/snapshot_footer_record.h"
#include "millrace/wire/gen/snapshot_header_record.h"
#include "millrace/wire/gen/voters_record.h"
#include "millrace/wire/reader.h"

namespace millrace::cli {
namespace {

/// These values carry their version in front, which is also a field of the message.
template <class Message>
std::optional<Message> decode(const std::optional<ByteView>& value) {
    if (!value || value->size < 2) return std::nullopt;
    const int16_t version = std::min(load_big<int16_t>(value->data), Message::kMaxVersion);
    wire::Reader reader(*value);
    Message message;
    if (version < 0 || !message.decode(reader, version)) return std::nullopt;
    return message;
}

Json voters_json(const std::vector<wire::LeaderChangeMessage::Voter>& voters, int16_t version) {
    Json list = Json::array();
    for (const auto& voter : voters) {
        Json one{{"voterId", voter.voter_id}};
        if (version >= 1) one["voterDirectoryId"] = voter.voter_directory_id.to_string();
        list.push_back(std::move(one));
    }
    return list;
}

std::string leader_change(const wire::LeaderChangeMessage& m) {
    const Json json{{"version", m.version},
                    {"leaderId", m.leader_id},
                    {"voters", voters_json(m.voters, m.version)},
                    {"grantingVoters", voters_json(m.granting_voters, m.version)}};
    return " LeaderChange: " + json.dump();
}

std::string voters(const wire::VotersRecord& m) {
    Json list = Json::array();
    for (const auto& voter : m.voters) {
        Json endpoints = Json::array();
        for (const auto& e : voter.endpoints) {
            endpoints.push_back({{"name", e.name}, {"host", e.host}, {"port", e.port}});
        }
        list.push_back(
            {{"voterId", voter.voter_id},
             {"voterDirectoryId", voter.voter_directory_id.to_string()},
             {"endpoints", endpoints},
             {"kRaftVersionFeature",
              {{"minSupportedVersion", voter.k_raft_version_feature.min_supported_version},
               {"maxSupportedVersion", voter.k_raft_version_feature.max_supported_version}}}});
    }
    const Json json{{"version", m.version}, {"voters", list}};
    return " KRaftVoters " + json.dump();
}

std::string marker(const record::RecordView& record) {
    const auto found = record::parse_end_txn_marker(*record.key, record.value.value_or(ByteView()));
    if (!found) return " endTxnMarker: (unreadable)";
    return fmt::format(" endTxnMarker: {} coordinatorEpoch: {}", found->commit ? "COMMIT" : "ABORT",
                       found->coordinator_epoch.value);
}

}  // namespace

std::string control_text(const record::RecordView& record) {
    const auto type = record.key ? record::parse_control_key(*record.key) : std::nullopt;
    if (!type) return " controlType: (unreadable)";
    constexpr const char* kUnreadable = " (its value cannot be read)";
    switch (*type) {
        case record::ControlType::Abort:
        case record::ControlType::Commit: return marker(record);
        case record::ControlType::LeaderChange: {
            const auto m = decode<wire::LeaderChangeMessage>(record.value);
            return m ? leader_change(*m) : kUnreadable;
        }
        case record::ControlType::SnapshotHeader: {
            const auto m = decode<wire::SnapshotHeaderRecord>(record.value);
            if (!m) return kUnreadable;
            const Json json{{"version", m->version},
                            {"lastContainedLogTimestamp", m->last_contained_log_timestamp}};
            return " SnapshotHeader " + json.dump();
        }
        case record::ControlType::SnapshotFooter: {
            const auto m = decode<wire::SnapshotFooterRecord>(record.value);
            return m ? " SnapshotFooter " + Json{{"version", m->version}}.dump() : kUnreadable;
        }
        case record::ControlType::KRaftVersion: {
            const auto m = decode<wire::KRaftVersionRecord>(record.value);
            if (!m) return kUnreadable;
            const Json json{{"version", m->version}, {"kRaftVersion", m->k_raft_version}};
            return " KRaftVersion " + json.dump();
        }
        case record::ControlType::KRaftVoters: {
            const auto m = decode<wire::VotersRecord>(record.value);
            return m ? voters(*m) : kUnreadable;
        }
        case record::ControlType::Unknown: break;
    }
    const int16_t id =
        record.key->size >= 4 ? load_big<int16_t>(record.key->data + 2) : int16_t{-1};
    return fmt::format(" controlType: UNKNOWN({})", id);
}

}  // namespace millrace::cli
