// tests/unit/broker/quorum_wire_test.cc: the quorum's messages over Kafka's wire and back.
#include "broker/quorum_wire.h"

#include <gtest/gtest.h>

#include "broker/peer_call.h"
#include "broker/quorum_records.h"
#include "millrace/wire/gen/api_versions_response.h"

namespace millrace::broker {
namespace {

const QuorumWireContext kContext{"cluster", "CONTROLLER", "raft-client-1"};
const QuorumCaller kCaller{18, "CONTROLLER", ""};
const raft::Endpoints kEndpoints{{"CONTROLLER", "host", 9093}, {"OTHER", "host", 9094}};

/// The body of a request as a server decodes it.
template <class Message>
Message as_received(const raft::PeerRequest& request, int16_t version) {
    const Buffer frame = *encode_quorum_request(kContext, 5, request, version).flatten();
    wire::Reader reader(frame);
    wire::RequestHead head;
    EXPECT_EQ(wire::decode_request_head(reader, head), wire::HeaderError::None);
    EXPECT_EQ(head.api_version, version);
    EXPECT_EQ(head.correlation_id, 5);
    EXPECT_EQ(head.client_id, "raft-client-1");
    Message message;
    EXPECT_TRUE(message.decode(reader, version)) << reader.error_text();
    return message;
}

/// An answer as the asking node gets it.
template <class Message>
Result<raft::PeerResponse> as_answered(const raft::PeerRequest& request, const Message& message,
                                       int16_t version) {
    wire::Writer writer;
    wire::encode_response_head(writer, static_cast<wire::ApiKey>(Message::kApiKey), version, 5);
    message.encode(writer, version);
    return decode_quorum_response(kContext, request, version, writer.finish_flat());
}

TEST(QuorumWire, VoteGoesThereAndBack) {
    raft::VoteRequest request;
    request.candidate = {NodeId(1), Uuid{1, 2}};
    request.voter = {NodeId(2), Uuid{3, 4}};
    request.epoch = LeaderEpoch(7);
    request.last_epoch = LeaderEpoch(6);
    request.end_offset = Offset(99);
    request.pre_vote = true;
    const auto message = as_received<wire::VoteRequest>(request, 2);
    const auto checked = to_raft("cluster", message);
    ASSERT_EQ(checked.error, ErrorCode::None);
    EXPECT_EQ(checked.request.candidate, request.candidate);
    EXPECT_EQ(checked.request.voter, request.voter);
    EXPECT_EQ(checked.request.epoch, request.epoch);
    EXPECT_EQ(checked.request.last_epoch, request.last_epoch);
    EXPECT_EQ(checked.request.end_offset, request.end_offset);
    EXPECT_TRUE(checked.request.pre_vote);
    EXPECT_EQ(to_raft("another", message).error, ErrorCode::InconsistentClusterId);
    wire::VoteRequest strange = message;
    strange.topics[0].topic_name = "birds";
    EXPECT_EQ(to_raft("cluster", strange).error, ErrorCode::InvalidRequest);

    raft::VoteResponse response;
    response.error = ErrorCode::FencedLeaderEpoch;
    response.leader_id = NodeId(3);
    response.epoch = LeaderEpoch(8);
    response.vote_granted = true;
    response.leader_endpoints = kEndpoints;
    const auto answer = as_answered(request, to_wire({2, "CONTROLLER", ""}, response), 2);
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    const auto& back = std::get<raft::VoteResponse>(*answer);
    EXPECT_EQ(back.error, response.error);
    EXPECT_EQ(back.leader_id, response.leader_id);
    EXPECT_EQ(back.epoch, response.epoch);
    EXPECT_TRUE(back.vote_granted);
    EXPECT_EQ(back.leader_endpoints, raft::Endpoints{kEndpoints[0]}) << "of this listener alone";
}

TEST(QuorumWire, EpochMessagesGoThereAndBack) {
    const raft::BeginQuorumEpochRequest begin{{NodeId(2), Uuid{3, 4}}, NodeId(1), LeaderEpoch(7),
                                              kEndpoints};
    const auto begun =
        to_raft("cluster", as_received<wire::BeginQuorumEpochRequest>(begin, 1));
    EXPECT_EQ(begun.request.voter, begin.voter);
    EXPECT_EQ(begun.request.leader_id, begin.leader_id);
    EXPECT_EQ(begun.request.epoch, begin.epoch);
    EXPECT_EQ(begun.request.leader_endpoints, kEndpoints);

    raft::EndQuorumEpochRequest end;
    end.leader_id = NodeId(1);
    end.epoch = LeaderEpoch(7);
    end.preferred_candidates = {{NodeId(3), Uuid{5, 6}}, {NodeId(2), Uuid{3, 4}}};
    const auto ended = to_raft("cluster", 1, as_received<wire::EndQuorumEpochRequest>(end, 1));
    EXPECT_EQ(ended.request.preferred_candidates, end.preferred_candidates);
    raft::EpochResponse response;
    response.leader_id = NodeId(1);
    response.epoch = LeaderEpoch(7);
    const auto answer = as_answered(end, to_end_wire({1, "CONTROLLER", ""}, response), 1);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(std::get<raft::EpochResponse>(*answer).epoch, LeaderEpoch(7));
}

TEST(QuorumWire, ChangesOfVotersGoThereAndBack) {
    const raft::AddVoterRequest add{{NodeId(4), Uuid{7, 8}}, kEndpoints, false};
    const auto added = to_raft("cluster", as_received<wire::AddRaftVoterRequest>(add, 1));
    ASSERT_EQ(added.error, ErrorCode::None);
    EXPECT_EQ(added.request.voter, add.voter);
    EXPECT_EQ(added.request.endpoints, kEndpoints);
    EXPECT_FALSE(added.request.ack_when_committed);
    EXPECT_EQ(to_raft("another", as_received<wire::AddRaftVoterRequest>(add, 1)).error,
              ErrorCode::InconsistentClusterId);

    const raft::RemoveVoterRequest remove{{NodeId(4), Uuid{7, 8}}};
    const auto removed = to_raft("cluster", as_received<wire::RemoveRaftVoterRequest>(remove, 0));
    EXPECT_EQ(removed.request.voter, remove.voter);

    const raft::UpdateVoterRequest update{LeaderEpoch(5), add.voter, kEndpoints, {0, 1}};
    const auto updated = to_raft("cluster", as_received<wire::UpdateRaftVoterRequest>(update, 0));
    EXPECT_EQ(updated.request.current_leader_epoch, update.current_leader_epoch);
    EXPECT_EQ(updated.request.endpoints, kEndpoints);
    EXPECT_EQ(updated.request.versions, update.versions);

    raft::VoterChangeResponse response;
    response.error = ErrorCode::DuplicateVoter;
    response.message = "is there already";
    response.leader_id = NodeId(3);
    response.epoch = LeaderEpoch(8);
    response.leader_endpoints = kEndpoints;
    auto answer = as_answered(add, to_add_wire(response), 1);
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    EXPECT_EQ(std::get<raft::VoterChangeResponse>(*answer).message, response.message);
    answer = as_answered(remove, to_remove_wire(response), 0);
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    EXPECT_EQ(std::get<raft::VoterChangeResponse>(*answer).error, response.error);
    answer = as_answered(update, to_update_wire({0, "CONTROLLER", ""}, response), 0);
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    const auto& back = std::get<raft::VoterChangeResponse>(*answer);
    EXPECT_EQ(back.leader_id, response.leader_id);
    EXPECT_EQ(back.epoch, response.epoch);
    EXPECT_EQ(back.leader_endpoints, raft::Endpoints{kEndpoints[0]});
}

TEST(QuorumWire, AVoterToBeSaysWhatItSupports) {
    const raft::VersionsRequest request;
    const auto message = as_received<wire::ApiVersionsRequest>(request, 4);
    EXPECT_EQ(message.client_software_name, "millrace");
    wire::ApiVersionsResponse response;
    auto answer = as_answered(request, response, 4);
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    EXPECT_FALSE(std::get<raft::VersionsResponse>(*answer).kraft_versions.has_value());
    response.supported_features.push_back({"kraft.version", 0, 1, {}});
    answer = as_answered(request, response, 4);
    EXPECT_EQ(std::get<raft::VersionsResponse>(*answer).kraft_versions,
              (raft::KRaftVersionRange{0, 1}));
}

TEST(QuorumWire, FetchCarriesBatchesAndControlRecords) {
    raft::FetchRequest request;
    request.replica = {NodeId(2), Uuid{3, 4}};
    request.current_leader_epoch = LeaderEpoch(7);
    request.fetch_offset = Offset(40);
    request.last_fetched_epoch = LeaderEpoch(6);
    request.high_watermark = Offset(39);
    request.max_wait = milliseconds(500);
    request.bytes_max = 1000;
    const auto checked = to_raft("cluster", 18, as_received<wire::FetchRequest>(request, 18));
    ASSERT_EQ(checked.error, ErrorCode::None);
    EXPECT_EQ(checked.request.replica, request.replica);
    EXPECT_EQ(checked.request.fetch_offset, request.fetch_offset);
    EXPECT_EQ(checked.request.high_watermark, request.high_watermark);
    EXPECT_EQ(checked.request.max_wait, request.max_wait);

    raft::AppendBatch control;
    control.base_offset = control.last_offset = Offset(40);
    control.epoch = LeaderEpoch(7);
    control.control_records = {raft::LeaderChange{NodeId(1), {NodeId(1)}, {NodeId(1)}}};
    raft::AppendBatch data;
    data.base_offset = Offset(41);
    data.last_offset = Offset(42);
    data.epoch = LeaderEpoch(7);
    data.records = {Buffer::copy_of("a"), Buffer::copy_of("b")};
    BufferChain records(encode_quorum_batch(control, WallMs{1}));
    records.append(encode_quorum_batch(data, WallMs{1}));
    raft::FetchResponse response;
    response.leader_id = NodeId(1);
    response.epoch = LeaderEpoch(7);
    response.high_watermark = Offset(40);
    const auto answer = as_answered(request, to_wire(kCaller, response, records), 18);
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    const auto& back = std::get<raft::FetchResponse>(*answer);
    EXPECT_EQ(back.epoch, LeaderEpoch(7)) << "in successful answers too";
    ASSERT_EQ(back.batches.size(), 2U);
    EXPECT_EQ(back.batches[0].control_records, control.control_records);
    EXPECT_EQ(back.batches[1].last_offset, Offset(42));
    EXPECT_TRUE(back.batches[1].control_records.empty());
    EXPECT_FALSE(back.diverging_epoch.has_value());
    EXPECT_FALSE(back.snapshot_id.has_value());

    Buffer broken = Buffer::copy_of(records.flatten()->view());
    broken.mutable_data()[broken.size() - 1] ^= 1;
    EXPECT_EQ(as_answered(request, to_wire(kCaller, response, BufferChain(broken)), 18)
                  .status().errc(), Errc::Corrupt);
}

TEST(QuorumWire, FetchSaysWhereToGoInstead) {
    const raft::FetchRequest request;
    raft::FetchResponse response;
    response.diverging_epoch = {LeaderEpoch(3), Offset(17)};
    response.snapshot_id = {Offset(20), LeaderEpoch(4)};
    const auto answer = as_answered(request, to_wire(kCaller, response, {}), 18);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(std::get<raft::FetchResponse>(*answer).diverging_epoch, response.diverging_epoch);
    EXPECT_EQ(std::get<raft::FetchResponse>(*answer).snapshot_id, response.snapshot_id);
}

TEST(QuorumWire, SnapshotsComeInPieces) {
    raft::FetchSnapshotRequest request;
    request.replica = {NodeId(2), Uuid{3, 4}};
    request.current_leader_epoch = LeaderEpoch(7);
    request.snapshot_id = {Offset(20), LeaderEpoch(4)};
    request.position = 5;
    request.bytes_max = 100;
    const auto checked =
        to_raft("cluster", as_received<wire::FetchSnapshotRequest>(request, 1));
    EXPECT_EQ(checked.request.replica, request.replica);
    EXPECT_EQ(checked.request.snapshot_id, request.snapshot_id);
    EXPECT_EQ(checked.request.position, 5);
    raft::FetchSnapshotResponse response;
    response.epoch = LeaderEpoch(7);
    response.snapshot_id = request.snapshot_id;
    response.size_bytes = 8;
    response.position = 5;
    const auto answer =
        as_answered(request, to_wire({1, "", ""}, response, Buffer::copy_of("xyz")), 1);
    ASSERT_TRUE(answer.ok());
    const auto& back = std::get<raft::FetchSnapshotResponse>(*answer);
    EXPECT_EQ(back.bytes.text(), "xyz");
    EXPECT_EQ(back.size_bytes, 8);
    EXPECT_EQ(back.snapshot_id, request.snapshot_id);
}

TEST(QuorumWire, WhatAPeerCannotCarryIsAskedForInNewVersionsOnly) {
    raft::VoteRequest vote;
    EXPECT_EQ(versions_of(vote).oldest, 1);
    vote.pre_vote = true;
    EXPECT_EQ(versions_of(vote).oldest, 2);
    // A leader of 4.0 knows Fetch 17 and AddRaftVoter 0.
    raft::FetchRequest fetch;
    fetch.replica = {NodeId(2), Uuid{3, 4}};
    fetch.high_watermark = Offset(5);
    const auto old = [&](const raft::PeerRequest& request, int16_t version) {
        return *encode_quorum_request(kContext, 5, request, version).flatten();
    };
    wire::Reader reader(old(fetch, 17));
    wire::RequestHead head;
    ASSERT_EQ(wire::decode_request_head(reader, head), wire::HeaderError::None);
    wire::FetchRequest message;
    EXPECT_TRUE(message.decode(reader, 17)) << reader.error_text();
    EXPECT_GT(old(raft::AddVoterRequest{{NodeId(4), Uuid{7, 8}}, kEndpoints, false}, 0).size(), 0U);
}

TEST(QuorumWire, GarbageIsNoAnswer) {
    const raft::PeerRequest requests[] = {raft::VoteRequest{}, raft::BeginQuorumEpochRequest{},
                                          raft::EndQuorumEpochRequest{}, raft::FetchRequest{},
                                          raft::FetchSnapshotRequest{}};
    for (const raft::PeerRequest& request : requests) {
        const auto answer = decode_quorum_response(
            kContext, request, versions_of(request).newest, Buffer::copy_of("HTTP/1.1"));
        EXPECT_EQ(answer.status().errc(), Errc::Corrupt);
    }
}

}  // namespace
}  // namespace millrace::broker
