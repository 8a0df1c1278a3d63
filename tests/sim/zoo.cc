// tests/sim/zoo.cc: the lies, one small function each.
#include "sim/zoo.h"

#include <functional>
#include <limits>

#include "millrace/base/crc32c.h"
#include "millrace/base/endian.h"
#include "millrace/base/uuid.h"
#include "millrace/wire/gen/allocate_producer_ids_response.h"
#include "millrace/wire/gen/alter_partition_request.h"
#include "millrace/wire/gen/alter_partition_response.h"
#include "millrace/wire/gen/broker_registration_request.h"
#include "millrace/wire/gen/broker_registration_response.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/end_txn_request.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/fetch_response.h"
#include "millrace/wire/gen/heartbeat_response.h"
#include "millrace/wire/gen/init_producer_id_response.h"
#include "millrace/wire/gen/list_offsets_response.h"
#include "millrace/wire/gen/offset_commit_request.h"
#include "millrace/wire/gen/offset_fetch_response.h"
#include "millrace/wire/gen/produce_request.h"
#include "millrace/wire/gen/produce_response.h"
#include "millrace/wire/gen/sync_group_response.h"
#include "millrace/wire/gen/txn_offset_commit_request.h"
#include "millrace/wire/gen/vote_response.h"
#include "millrace/wire/gen/write_txn_markers_request.h"
#include "millrace/wire/headers.h"
#include "sim/process.h"

namespace millrace::sim {

namespace {

enum class Who { Nodes, Clients, All };

bool concerns(Who who, int from) {
    return who == Who::All || (who == Who::Clients) == (from == kClientSite);
}

std::string frame_of(wire::Writer& writer) {
    const BufferChain chain = writer.finish_frame();
    return std::string(chain.flatten()->text().substr(4));
}

/// Alters requests of one kind and answers of another (or the same).
template <class Request, class Response>
class Liar final : public Meddler {
  public:
    using OnRequest = std::function<void(int from, Request&)>;
    using OnAnswer = std::function<void(int from, Response&)>;
    Liar(Who who, OnRequest request, OnAnswer answer)
        : who_(who), request_(std::move(request)), answer_(std::move(answer)) {}

    bool on_request(int from, Process&, std::string& frame, std::string&) override {
        wire::RequestHead head;
        const Buffer bytes = Buffer::copy_of(std::string_view(frame));
        wire::Reader reader(bytes);
        if (!request_ || !concerns(who_, from) || !is(Request::kApiKey, reader, head)) return false;
        Request request;
        if (!request.decode(reader, head.api_version)) return false;
        request_(from, request);
        wire::Writer writer;
        writer.begin_frame();
        wire::encode_request_head(writer, head);
        request.encode(writer, head.api_version);
        frame = frame_of(writer);
        return false;
    }

    void on_answer(int from, Process&, std::string_view request, std::string& answer) override {
        wire::RequestHead head;
        const Buffer asked = Buffer::copy_of(request);
        wire::Reader asked_reader(asked);
        if (!answer_ || !concerns(who_, from) || !is(Response::kApiKey, asked_reader, head)) return;
        const Buffer bytes = Buffer::copy_of(std::string_view(answer));
        wire::Reader reader(bytes);
        wire::decode_response_head(reader, head.api, head.api_version);
        Response response;
        if (!response.decode(reader, head.api_version)) return;
        answer_(from, response);
        wire::Writer writer;
        writer.begin_frame();
        wire::encode_response_head(writer, head.api, head.api_version, head.correlation_id);
        response.encode(writer, head.api_version);
        answer = frame_of(writer);
    }

  private:
    static bool is(int16_t key, wire::Reader& reader, wire::RequestHead& head) {
        return wire::decode_request_head(reader, head) == wire::HeaderError::None &&
               static_cast<int16_t>(head.api) == key;
    }
    Who who_;
    OnRequest request_;
    OnAnswer answer_;
};

template <class Request>
std::unique_ptr<Meddler> lie_in(Who who, std::function<void(int, Request&)> alter) {
    return std::make_unique<Liar<Request, wire::FetchResponse>>(who, std::move(alter), nullptr);
}
template <class Response>
std::unique_ptr<Meddler> lie_back(Who who, std::function<void(int, Response&)> alter) {
    return std::make_unique<Liar<wire::FetchRequest, Response>>(who, nullptr, std::move(alter));
}

using FetchPartition = wire::FetchResponsePartitionData;
/// Answers to followers of partitions, or of the quorum.
std::unique_ptr<Meddler> lie_to_followers(bool quorum, void (*alter)(FetchPartition&)) {
    return lie_back<wire::FetchResponse>(Who::Nodes, [=](int, wire::FetchResponse& answer) {
        for (auto& topic : answer.responses) {
            if ((topic.topic_id == kMetadataTopicId) != quorum) continue;
            for (auto& part : topic.partitions) alter(part);
        }
    });
}

constexpr size_t kEpochAt = 12;  // in a batch: not under its checksum
constexpr size_t kCrcAt = 17;
constexpr size_t kCrcFrom = 21;
constexpr size_t kTimestampAt = 27;

/// The bytes of the first batch, if there is one, to be changed.
void alter_first_batch(FetchPartition& part, void (*alter)(uint8_t* batch, size_t size)) {
    if (!part.records || part.records->empty()) return;
    std::string bytes(part.records->flatten()->text());
    if (bytes.size() < 61) return;
    auto* batch = reinterpret_cast<uint8_t*>(bytes.data());
    const size_t size = kEpochAt + static_cast<size_t>(load_big<int32_t>(batch + 8));
    if (size > bytes.size()) return;
    alter(batch, size);
    part.records = BufferChain(Buffer::copy_of(std::string_view(bytes)));
}

std::unique_ptr<Meddler> acks_one() {
    return lie_in<wire::ProduceRequest>(Who::Clients, [](int, auto& r) {
        if (r.acks == -1) r.acks = 1;
    });
}
std::unique_ptr<Meddler> min_isr_one() {
    return lie_in<wire::CreateTopicsRequest>(Who::Clients, [](int, auto& r) {
        for (auto& topic : r.topics) {
            for (auto& config : topic.configs) {
                if (config.name == "min.insync.replicas") config.value = "1";
            }
        }
    });
}
std::unique_ptr<Meddler> votes_for_all() {
    return lie_back<wire::VoteResponse>(Who::Nodes, [](int, auto& answer) {
        for (auto& topic : answer.topics) {
            for (auto& part : topic.partitions) {
                part.vote_granted = true;
                part.leader_id = -1;
            }
        }
    });
}
std::unique_ptr<Meddler> isr_accepted() {
    return lie_back<wire::AlterPartitionResponse>(Who::Nodes, [](int, auto& answer) {
        for (auto& topic : answer.topics) {
            for (auto& part : topic.partitions) {
                if (part.isr.size() < 2) continue;
                part.isr.resize(part.isr.size() - 1);  // one is said to be out that is in
            }
        }
    });
}
std::unique_ptr<Meddler> isr_refused() {
    return lie_in<wire::AlterPartitionRequest>(Who::Nodes, [](int, auto& r) {
        for (auto& topic : r.topics) {
            for (auto& part : topic.partitions) part.partition_epoch -= 1;
        }
    });
}
std::unique_ptr<Meddler> follower_ahead() {
    return lie_in<wire::FetchRequest>(Who::Nodes, [](int, auto& r) {
        for (auto& topic : r.topics) {
            if (topic.topic_id == kMetadataTopicId) continue;
            for (auto& part : topic.partitions) part.fetch_offset += 1;
        }
    });
}
std::unique_ptr<Meddler> no_divergence() {
    return lie_in<wire::FetchRequest>(Who::Nodes, [](int, auto& r) {
        for (auto& topic : r.topics) {
            if (topic.topic_id == kMetadataTopicId) continue;
            for (auto& part : topic.partitions) part.last_fetched_epoch = -1;
        }
    });
}
std::unique_ptr<Meddler> watermark_high() {
    return lie_to_followers(false, [](FetchPartition& part) {
        if (part.error_code == 0) part.high_watermark = std::numeric_limits<int64_t>::max();
    });
}
std::unique_ptr<Meddler> quorum_watermark_high() {
    return lie_to_followers(true, [](FetchPartition& part) {
        if (part.error_code == 0 && part.high_watermark >= 0) part.high_watermark += 1000;
    });
}
std::unique_ptr<Meddler> copy_altered() {
    return lie_to_followers(false, [](FetchPartition& part) {
        alter_first_batch(part, [](uint8_t* batch, size_t size) {
            batch[kTimestampAt + 7] ^= 1;
            store_big(batch + kCrcAt, crc32c(ByteView(batch + kCrcFrom, size - kCrcFrom)));
        });
    });
}
std::unique_ptr<Meddler> copy_epoch() {
    return lie_to_followers(false, [](FetchPartition& part) {
        alter_first_batch(part, [](uint8_t* batch, size_t) {
            const auto epoch = load_big<int32_t>(batch + kEpochAt);
            if (epoch > 0) store_big(batch + kEpochAt, epoch - 1);
        });
    });
}
std::unique_ptr<Meddler> unclean_as_clean() {
    auto epochs = std::make_shared<std::map<int, int64_t>>();
    return std::make_unique<Liar<wire::BrokerRegistrationRequest, wire::BrokerRegistrationResponse>>(
        Who::Nodes,
        [epochs](int from, auto& r) {
            if (epochs->contains(from)) r.previous_broker_epoch = (*epochs)[from];
        },
        [epochs](int from, auto& answer) {
            if (answer.error_code == 0) (*epochs)[from] = answer.broker_epoch;
        });
}
std::unique_ptr<Meddler> marker_flipped() {
    return lie_in<wire::WriteTxnMarkersRequest>(Who::Nodes, [](int, auto& r) {
        for (auto& marker : r.markers) marker.transaction_result = !marker.transaction_result;
    });
}
std::unique_ptr<Meddler> marker_partition_lost() {
    return lie_in<wire::WriteTxnMarkersRequest>(Who::Nodes, [](int, auto& r) {
        for (auto& marker : r.markers) marker.producer_id += 1'000'000;
    });
}
std::unique_ptr<Meddler> read_uncommitted() {
    return lie_in<wire::FetchRequest>(Who::Clients, [](int, auto& r) { r.isolation_level = 0; });
}
std::unique_ptr<Meddler> aborted_forgotten() {
    return lie_back<wire::FetchResponse>(Who::Clients, [](int, auto& answer) {
        for (auto& topic : answer.responses) {
            for (auto& part : topic.partitions) part.aborted_transactions.emplace();
        }
    });
}
std::unique_ptr<Meddler> offset_commit_low() {
    return lie_in<wire::OffsetCommitRequest>(Who::Clients, [](int, auto& r) {
        for (auto& topic : r.topics) {
            for (auto& part : topic.partitions) part.committed_offset -= 1;
        }
    });
}
std::unique_ptr<Meddler> txn_offset_off() {
    return lie_in<wire::TxnOffsetCommitRequest>(Who::Clients, [](int, auto& r) {
        for (auto& topic : r.topics) {
            for (auto& part : topic.partitions) part.committed_offset += 1;
        }
    });
}
std::unique_ptr<Meddler> end_flipped() {
    return lie_in<wire::EndTxnRequest>(Who::Clients,
                                       [](int, auto& r) { r.committed = !r.committed; });
}
std::unique_ptr<Meddler> member_unknown() {
    return lie_in<wire::OffsetCommitRequest>(Who::Clients, [](int, auto& r) {
        r.generation_id_or_member_epoch = -1;
        r.member_id.clear();
    });
}
std::unique_ptr<Meddler> assignment_shared() {
    auto first = std::make_shared<Buffer>();
    return lie_back<wire::SyncGroupResponse>(Who::Clients, [first](int, auto& answer) {
        if (answer.error_code != 0 || answer.assignment.size() < 24) return;
        if (first->size() == 0) *first = answer.assignment;
        answer.assignment = *first;
    });
}
std::unique_ptr<Meddler> producer_ids_again() {
    return lie_back<wire::AllocateProducerIdsResponse>(
        Who::Nodes, [](int, auto& answer) { answer.producer_id_start = 0; });
}
std::unique_ptr<Meddler> no_dedup() {
    return lie_in<wire::ProduceRequest>(Who::Clients, [](int, auto& r) {
        for (auto& topic : r.topic_data) {
            for (auto& part : topic.partition_data) {
                if (!part.records || r.transactional_id) continue;
                std::string bytes(part.records->flatten()->text());
                auto* batch = reinterpret_cast<uint8_t*>(bytes.data());
                store_big<int64_t>(batch + 43, -1);
                store_big<int16_t>(batch + 51, -1);
                store_big<int32_t>(batch + 53, -1);
                store_big(batch + kCrcAt,
                          crc32c(ByteView(batch + kCrcFrom, bytes.size() - kCrcFrom)));
                part.records = BufferChain(Buffer::copy_of(std::string_view(bytes)));
            }
        }
    });
}
std::unique_ptr<Meddler> timeouts_as_acks() {
    return lie_back<wire::ProduceResponse>(Who::Clients, [](int, auto& answer) {
        for (auto& topic : answer.responses) {
            for (auto& part : topic.partition_responses) {
                const bool refused = part.error_code == static_cast<int16_t>(ErrorCode::NotEnoughReplicas);
                if (!refused && part.error_code != static_cast<int16_t>(ErrorCode::RequestTimedOut)) continue;
                part.error_code = 0;
                part.base_offset = 0;
            }
        }
    });
}
std::unique_ptr<Meddler> end_offset_short() {
    return lie_back<wire::ListOffsetsResponse>(Who::Clients, [](int, auto& answer) {
        for (auto& topic : answer.topics) {
            for (auto& part : topic.partitions) {
                if (part.offset > 0) part.offset -= 1;
            }
        }
    });
}
std::unique_ptr<Meddler> offsets_forgotten() {
    return lie_back<wire::OffsetFetchResponse>(Who::Clients, [](int, auto& answer) {
        for (auto& group : answer.groups) {
            for (auto& topic : group.topics) {
                for (auto& part : topic.partitions) part.committed_offset = -1;
            }
        }
    });
}

std::vector<PlantedFault> make_faults() {
    const auto groups = [](PlantedFault fault) {
        fault.groups = true;
        return fault;
    };
    const auto disk = [](const char* name, const char* text, const char* path) {
        PlantedFault fault{name, text};
        fault.sync_lie = path;
        fault.nodes = 0;
        return fault;
    };
    PlantedFault unclean{"unclean-election", "a replica out of sync may lead"};
    unclean.config = {{"unclean.leader.election.enable", "true"},
                      {"unclean.leader.election.interval.ms", "200"}};
    // Of three voters the leader and the follower that believes it are a majority: no lie.
    PlantedFault quorum{"quorum-watermark", "uncommitted metadata is acted on", quorum_watermark_high};
    quorum.nodes = 5;
    return {
        {"acks-one", "acks=all is answered as acks=1", acks_one},
        {"min-isr-one", "min.insync.replicas is taken for 1", min_isr_one},
        {"timeout-as-ack", "a batch that was not replicated in time is acked", timeouts_as_acks},
        {"votes-for-all", "a voter votes for everyone in one epoch", votes_for_all},
        {"isr-lie", "the leader leaves a member of the ISR out of account", isr_accepted},
        {"isr-stuck", "no follower comes back into the ISR", isr_refused},
        {"follower-ahead", "a follower says it has one record more", follower_ahead},
        {"no-divergence", "a follower never cuts what its leader has not", no_divergence},
        {"watermark-high", "a follower takes the log's end for the watermark", watermark_high},
        quorum,
        {"copy-altered", "a follower's batch differs from its leader's, checksum and all", copy_altered},
        {"copy-epoch", "a follower stamps batches with an older epoch", copy_epoch},
        {"unclean-as-clean", "a crash passes for a clean stop", unclean_as_clean},
        unclean,
        groups({"marker-flipped", "a commit marker arrives as an abort", marker_flipped}),
        groups({"marker-lost", "a marker is acked and not written", marker_partition_lost}),
        groups({"read-uncommitted", "read_committed is ignored", read_uncommitted}),
        groups({"aborted-forgotten", "aborted transactions are not named", aborted_forgotten}),
        groups({"offset-low", "an offset is committed one too low", offset_commit_low}),
        groups({"offsets-forgotten", "committed offsets are not found", offsets_forgotten}),
        groups({"txn-offset-off", "a transaction's offset is one off", txn_offset_off}),
        groups({"end-flipped", "EndTxn does the opposite", end_flipped}),
        groups({"commit-refused", "a member's commit is taken for a stranger's", member_unknown}),
        groups({"assignment-shared", "two members get one assignment", assignment_shared}),
        {"producer-ids-again", "a block of producer ids is handed out twice", producer_ids_again},
        {"no-dedup", "batches that are sent again are appended again", no_dedup},
        {"end-offset-short", "ListOffsets says one record less", end_offset_short},
        disk("sync-of-logs", "records are acked that were not synced", ".log"),
        disk("sync-of-folders", "a new file's name is not durable", "/t"),
        disk("sync-of-metadata", "metadata is acted on that was not synced", "__cluster_metadata"),
    };
}

}  // namespace

const std::vector<PlantedFault>& planted_faults() {
    static const auto* faults = new std::vector<PlantedFault>(make_faults());
    return *faults;
}

const PlantedFault* find_fault(const std::string& name) {
    for (const PlantedFault& fault : planted_faults()) {
        if (name == fault.name) return &fault;
    }
    return nullptr;
}

}  // namespace millrace::sim
