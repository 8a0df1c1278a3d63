// src/broker/txn_remote.cc: markers and verifications that other brokers have to answer.
//
// Kafka keeps one WriteTxnMarkers and one AddPartitionsToTxn in flight per broker and gathers the
// next meanwhile; here each transaction's request goes out by itself, in order, on one connection.
#include <algorithm>
#include <utility>

#include "broker/coordinator_host_impl.h"
#include "broker/peer_call.h"
#include "millrace/wire/gen/add_partitions_to_txn_request.h"
#include "millrace/wire/gen/add_partitions_to_txn_response.h"
#include "millrace/wire/gen/write_txn_markers_request.h"
#include "millrace/wire/gen/write_txn_markers_response.h"

namespace millrace::broker {

namespace {
constexpr int16_t kWriteMarkersVersion = 2;
constexpr int16_t kAddPartitionsVersion = 5;

/// Sorted partitions as topics with their indexes; `indexes` names the member that takes them.
template <class Topic, class Partitions>
std::vector<Topic> as_topics(const Partitions& partitions, std::vector<int32_t> Topic::*indexes) {
    std::vector<Topic> topics;
    for (const TopicPartition& partition : partitions) {
        if (topics.empty() || topics.back().name != partition.topic) {
            topics.emplace_back().name = partition.topic;
        }
        (topics.back().*indexes).push_back(partition.partition.value);
    }
    return topics;
}
}  // namespace

std::optional<env::PeerAddress> CoordinatorHost::Impl::address_of(NodeId node) const {
    const metadata::BrokerImage* broker = shard.image().cluster.broker(node);
    const metadata::Endpoint* endpoint =
        broker == nullptr ? nullptr : broker->endpoint(shard.config().inter_broker_listener_name);
    if (endpoint == nullptr) return std::nullopt;
    return env::PeerAddress{endpoint->host, endpoint->port, env::PeerPurpose::Transactions};
}

PeerCallHead CoordinatorHost::Impl::call_head(int16_t version) {
    return {version, next_correlation++,
            "broker-" + std::to_string(shard.config().node_id.value) + "-txn-marker-sender"};
}

void CoordinatorHost::Impl::send_markers(PartitionIndex index, NodeId leader,
                                         const MarkersPtr& wanted,
                                         std::vector<TopicPartition> partitions) {
    const auto address = address_of(leader);
    if (!address) {
        for (const TopicPartition& partition : partitions) {
            report_marker(index, wanted, partition, ErrorCode::NotLeaderOrFollower);
        }
        return;
    }
    wire::WriteTxnMarkersRequest request;
    auto& marker = request.markers.emplace_back();
    marker.producer_id = wanted->marker.producer.id.value;
    marker.producer_epoch = wanted->marker.producer.epoch.value;
    marker.transaction_result = wanted->marker.commit;
    marker.coordinator_epoch = wanted->marker.coordinator_epoch.value;
    marker.transaction_version = static_cast<int8_t>(wanted->marker.transaction_version);
    using Topic = wire::WriteTxnMarkersRequest::WritableTxnMarkerTopic;
    marker.topics = as_topics<Topic>(partitions, &Topic::partition_indexes);
    call_peer<wire::WriteTxnMarkersResponse>(
        shard.env().peers, *address, call_head(kWriteMarkersVersion), request,
        milliseconds(shard.config().request_timeout_ms),
        [this, guard = alive, index, wanted, partitions = std::move(partitions)](
            Result<wire::WriteTxnMarkersResponse> response) {
            if (!*guard) return;
            std::map<TopicPartition, ErrorCode> errors;
            if (response.ok()) {
                for (const auto& result : response->markers) {
                    for (const auto& topic : result.topics) {
                        for (const auto& part : topic.partitions) {
                            errors[{topic.name, PartitionIndex(part.partition_index)}] =
                                static_cast<ErrorCode>(part.error_code);
                        }
                    }
                }
            }
            for (const TopicPartition& partition : partitions) {
                const auto found = errors.find(partition);
                report_marker(index, wanted, partition,
                              found == errors.end() ? ErrorCode::NetworkException : found->second);
            }
        });
}

void CoordinatorHost::Impl::verify_remote(
    NodeId node, const Verification& what,
    MoveFunction<void(coordinator::TxnResponse)> done) {
    coordinator::TxnResponse failed;
    failed.error = ErrorCode::CoordinatorNotAvailable;
    const auto address = address_of(node);
    if (!address) return done(std::move(failed));
    wire::AddPartitionsToTxnRequest request;
    auto& txn = request.transactions.emplace_back();
    txn.transactional_id = what.transactional_id;
    txn.producer_id = what.producer.id.value;
    txn.producer_epoch = what.producer.epoch.value;
    txn.verify_only = !what.add;
    using Topic = wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTopic;
    txn.topics = as_topics<Topic>(what.partitions, &Topic::partitions);
    call_peer<wire::AddPartitionsToTxnResponse>(
        shard.env().peers, *address, call_head(kAddPartitionsVersion), request,
        milliseconds(shard.config().request_timeout_ms),
        [done = std::move(done)](Result<wire::AddPartitionsToTxnResponse> response) mutable {
            coordinator::TxnResponse answer;
            if (!response.ok()) {
                answer.error = ErrorCode::NetworkException;
                return done(std::move(answer));
            }
            answer.error = static_cast<ErrorCode>(response->error_code);
            for (const auto& result : response->results_by_transaction) {
                for (const auto& topic : result.topic_results) {
                    for (const auto& part : topic.results_by_partition) {
                        answer.partitions[{topic.name, PartitionIndex(part.partition_index)}] =
                            static_cast<ErrorCode>(part.partition_error_code);
                    }
                }
            }
            // An error of the transaction itself stands at every partition.
            if (answer.error == ErrorCode::None && !answer.partitions.empty()) {
                const ErrorCode first = answer.partitions.begin()->second;
                const bool same =
                    std::all_of(answer.partitions.begin(), answer.partitions.end(),
                                [first](const auto& entry) { return entry.second == first; });
                if (same) answer.error = first;
            }
            done(std::move(answer));
        });
}

}  // namespace millrace::broker
