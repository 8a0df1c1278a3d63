// src/broker/quorum_records.cc: encoding and decoding of the metadata log's batches.
#include "broker/quorum_records.h"

#include <fmt/core.h>

#include <utility>
#include <variant>

#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_iterator.h"
#include "millrace/record/control_record.h"
#include "millrace/wire/gen/k_raft_version_record.h"
#include "millrace/wire/gen/leader_change_message.h"
#include "millrace/wire/gen/snapshot_footer_record.h"
#include "millrace/wire/gen/snapshot_header_record.h"
#include "millrace/wire/gen/voters_record.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::broker {

namespace {

/// Control values are flexible messages of version 0, whatever their own Version field says.
template <class Message>
Buffer encode_message(const Message& message) {
    wire::Writer writer;
    message.encode(writer, 0);
    MILLRACE_ASSERT(writer.ok(), "a control record made here can be encoded");
    return writer.finish_flat();
}

template <class Message>
Result<Message> decode_message(ByteView value) {
    wire::Reader reader(value);
    Message message;
    if (!message.decode(reader, 0)) {
        return {Errc::Corrupt, fmt::format("{}: {}", Message::kName, reader.error_text())};
    }
    return message;
}

std::vector<wire::LeaderChangeMessage::Voter> to_wire(const std::vector<NodeId>& ids) {
    std::vector<wire::LeaderChangeMessage::Voter> voters;
    for (const NodeId id : ids) {
        wire::LeaderChangeMessage::Voter voter;
        voter.voter_id = id.value;
        voters.push_back(std::move(voter));
    }
    return voters;
}

wire::VotersRecord to_wire(const raft::VoterSet& set) {
    wire::VotersRecord record;
    for (const raft::Voter& voter : set.voters()) {
        wire::VotersRecord::Voter row;
        row.voter_id = voter.key.id.value;
        row.voter_directory_id = voter.key.directory_id;
        for (const raft::Endpoint& endpoint : voter.endpoints) {
            wire::VotersRecord::Endpoint address;
            address.name = endpoint.listener;
            address.host = endpoint.host;
            address.port = endpoint.port;
            row.endpoints.push_back(std::move(address));
        }
        row.k_raft_version_feature.min_supported_version = voter.versions.min;
        row.k_raft_version_feature.max_supported_version = voter.versions.max;
        record.voters.push_back(std::move(row));
    }
    return record;
}

Result<raft::VoterSet> from_wire(const wire::VotersRecord& record) {
    std::vector<raft::Voter> voters;
    for (const wire::VotersRecord::Voter& row : record.voters) {
        raft::Voter voter;
        voter.key = {NodeId(row.voter_id), row.voter_directory_id};
        for (const auto& endpoint : row.endpoints) {
            voter.endpoints.push_back({endpoint.name, endpoint.host, endpoint.port});
        }
        voter.versions = {row.k_raft_version_feature.min_supported_version,
                          row.k_raft_version_feature.max_supported_version};
        for (const raft::Voter& other : voters) {
            if (other.key.id == voter.key.id) {
                return {Errc::Corrupt,
                        fmt::format("VotersRecord names node {} twice", row.voter_id)};
            }
        }
        voters.push_back(std::move(voter));
    }
    return raft::VoterSet(std::move(voters));
}

Buffer encode_version(int16_t kraft_version) {
    wire::KRaftVersionRecord message;
    message.k_raft_version = kraft_version;
    return encode_message(message);
}

void append_control(record::BatchBuilder& builder, record::ControlType type, const Buffer& value,
                    WallMs now) {
    const auto key = record::control_key(type);
    record::NewRecord record;
    record.timestamp = now;
    record.key = ByteView(key.data(), key.size());
    record.value = value.view();
    builder.append(record);
}

void append_control(record::BatchBuilder& builder, const raft::ControlRecord& control, WallMs now) {
    if (const auto* change = std::get_if<raft::LeaderChange>(&control)) {
        wire::LeaderChangeMessage message;
        message.leader_id = change->leader_id.value;
        message.voters = to_wire(change->voters);
        message.granting_voters = to_wire(change->granting_voters);
        append_control(builder, record::ControlType::LeaderChange, encode_message(message), now);
    } else if (const auto* version = std::get_if<raft::KRaftVersionChange>(&control)) {
        append_control(builder, record::ControlType::KRaftVersion,
                       encode_version(version->kraft_version), now);
    } else {
        const auto& voters = std::get<raft::VotersChange>(control).voters;
        append_control(builder, record::ControlType::KRaftVoters, encode_message(to_wire(voters)),
                       now);
    }
}

record::BatchOptions options_of(Offset base_offset, LeaderEpoch epoch, bool is_control) {
    record::BatchOptions options;
    options.base_offset = base_offset;
    options.leader_epoch = epoch;
    options.is_control = is_control;
    return options;
}

void append_values(record::BatchBuilder& builder, const std::vector<Buffer>& values, WallMs now) {
    for (const Buffer& value : values) {
        record::NewRecord record;
        record.timestamp = now;
        record.value = value.view();
        builder.append(record);
    }
}

struct ControlEntry {
    record::ControlType type;
    ByteView value;
};

Result<std::vector<ControlEntry>> control_entries(const record::BatchView& batch) {
    auto corrupt = [&](const char* what) {
        return Status(Errc::Corrupt, fmt::format("control batch at offset {}: {}",
                                                 batch.base_offset().value, what));
    };
    if (!batch.is_control() || batch.is_compressed()) return corrupt("it is not a control batch");
    record::RecordIterator records(batch.payload(), batch.record_count());
    std::vector<ControlEntry> entries;
    for (record::RecordView view; records.next(view);) {
        if (!view.key.has_value() || !view.value.has_value()) return corrupt("no key or value");
        const auto type = record::parse_control_key(*view.key);
        if (!type.has_value()) return corrupt("malformed key");
        entries.push_back({*type, *view.value});
    }
    if (records.end_reason() != record::RecordsEnd::Complete) return corrupt("malformed records");
    return entries;
}

}  // namespace

Buffer encode_quorum_batch(const raft::AppendBatch& batch, WallMs now) {
    if (!batch.replicated_bytes.empty()) return batch.replicated_bytes;
    const bool is_control = !batch.control_records.empty();
    MILLRACE_ASSERT(is_control == batch.records.empty(), "a batch is data or control, never both");
    record::BatchBuilder builder;
    builder.start(options_of(batch.base_offset, batch.epoch, is_control));
    for (const raft::ControlRecord& control : batch.control_records) {
        append_control(builder, control, now);
    }
    append_values(builder, batch.records, now);
    return builder.finish();
}

Buffer encode_snapshot_header(const SnapshotHeader& header, LeaderEpoch epoch, WallMs now) {
    record::BatchBuilder builder;
    builder.start(options_of(Offset(0), epoch, true));
    wire::SnapshotHeaderRecord message;
    message.last_contained_log_timestamp = header.last_contained_log_timestamp.value;
    append_control(builder, record::ControlType::SnapshotHeader, encode_message(message), now);
    if (header.kraft_version.value_or(0) > 0) {
        append_control(builder, record::ControlType::KRaftVersion,
                       encode_version(*header.kraft_version), now);
        if (header.voters.has_value()) {
            append_control(builder, record::ControlType::KRaftVoters,
                           encode_message(to_wire(*header.voters)), now);
        }
    }
    return builder.finish();
}

Buffer encode_snapshot_records(Offset base_offset, LeaderEpoch epoch,
                               const std::vector<Buffer>& records, WallMs now) {
    record::BatchBuilder builder;
    builder.start(options_of(base_offset, epoch, false));
    append_values(builder, records, now);
    return builder.finish();
}

Buffer encode_snapshot_footer(Offset base_offset, LeaderEpoch epoch, WallMs now) {
    record::BatchBuilder builder;
    builder.start(options_of(base_offset, epoch, true));
    append_control(builder, record::ControlType::SnapshotFooter,
                   encode_message(wire::SnapshotFooterRecord{}), now);
    return builder.finish();
}

Result<std::vector<raft::ControlRecord>> decode_control_batch(const record::BatchView& batch) {
    MILLRACE_TRY_ASSIGN(std::vector<ControlEntry> entries, control_entries(batch));
    std::vector<raft::ControlRecord> out;
    for (const ControlEntry& entry : entries) {
        switch (entry.type) {
            case record::ControlType::LeaderChange: {
                MILLRACE_TRY_ASSIGN(auto message,
                                    decode_message<wire::LeaderChangeMessage>(entry.value));
                raft::LeaderChange change;
                change.leader_id = NodeId(message.leader_id);
                for (const auto& voter : message.voters) {
                    change.voters.emplace_back(voter.voter_id);
                }
                for (const auto& voter : message.granting_voters) {
                    change.granting_voters.emplace_back(voter.voter_id);
                }
                out.emplace_back(std::move(change));
                break;
            }
            case record::ControlType::KRaftVersion: {
                MILLRACE_TRY_ASSIGN(auto message,
                                    decode_message<wire::KRaftVersionRecord>(entry.value));
                out.emplace_back(raft::KRaftVersionChange{message.k_raft_version});
                break;
            }
            case record::ControlType::KRaftVoters: {
                MILLRACE_TRY_ASSIGN(auto message, decode_message<wire::VotersRecord>(entry.value));
                MILLRACE_TRY_ASSIGN(auto voters, from_wire(message));
                out.emplace_back(raft::VotersChange{std::move(voters)});
                break;
            }
            case record::ControlType::SnapshotHeader:
            case record::ControlType::SnapshotFooter: break;
            case record::ControlType::Abort:
            case record::ControlType::Commit:
            case record::ControlType::Unknown:
                return {Errc::Corrupt,
                        fmt::format("control batch at offset {}: a record type that has no place "
                                    "in the metadata log",
                                    batch.base_offset().value)};
        }
    }
    return out;
}

Result<SnapshotHeader> decode_snapshot_header(const record::BatchView& batch) {
    MILLRACE_TRY_ASSIGN(std::vector<ControlEntry> entries, control_entries(batch));
    if (entries.empty() || entries[0].type != record::ControlType::SnapshotHeader) {
        return {Errc::Corrupt, "a snapshot without SnapshotHeader in front"};
    }
    SnapshotHeader header;
    MILLRACE_TRY_ASSIGN(auto message, decode_message<wire::SnapshotHeaderRecord>(entries[0].value));
    header.last_contained_log_timestamp = WallMs{message.last_contained_log_timestamp};
    MILLRACE_TRY_ASSIGN(auto records, decode_control_batch(batch));
    for (raft::ControlRecord& control : records) {
        if (const auto* version = std::get_if<raft::KRaftVersionChange>(&control)) {
            header.kraft_version = version->kraft_version;
        } else if (auto* voters = std::get_if<raft::VotersChange>(&control)) {
            header.voters = std::move(voters->voters);
        }
    }
    return header;
}

Result<std::vector<Buffer>> decode_record_values(const Buffer& bytes) {
    const record::BatchView batch(bytes.view());
    auto corrupt = [&](const char* what) {
        return Status(Errc::Corrupt, fmt::format("metadata batch at offset {}: {}",
                                                 batch.base_offset().value, what));
    };
    if (batch.is_compressed()) return corrupt("it is compressed");
    record::RecordIterator records(batch.payload(), batch.record_count());
    std::vector<Buffer> values;
    for (record::RecordView view; records.next(view);) {
        if (!view.value.has_value()) return corrupt("a record without value");
        const auto from = static_cast<size_t>(view.value->data - bytes.data());
        values.push_back(bytes.slice(from, view.value->size));
    }
    if (records.end_reason() != record::RecordsEnd::Complete) return corrupt("malformed records");
    return values;
}

}  // namespace millrace::broker
