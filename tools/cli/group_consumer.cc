// tools/cli/group_consumer.cc: reads topics as a member of a consumer group, and commits.
#include "cli/group_consumer.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <iostream>

#include "cli/interrupt.h"
#include "millrace/wire/gen/offset_commit_request.h"
#include "millrace/wire/gen/offset_commit_response.h"

namespace millrace::cli {
namespace {

constexpr auto kTopicsEvery = std::chrono::seconds(30);
constexpr int kBackoffMs = 100;
constexpr int16_t kNamesHighest = 9;  // OffsetCommit names topics up to here

/// Errors after which the commit is moot: the partitions are another member's already, or the
/// group is about to share them out anew.
bool commit_is_moot(ErrorCode code) {
    return code == ErrorCode::RebalanceInProgress || code == ErrorCode::IllegalGeneration ||
           code == ErrorCode::UnknownMemberId || code == ErrorCode::StaleMemberEpoch ||
           code == ErrorCode::FencedMemberEpoch;
}

}  // namespace

GroupConsumer::GroupConsumer(Client& client, GroupConsumerOptions options)
    : client_(client),
      groups_(client),
      options_(std::move(options)),
      membership_(options_.member.consumer_protocol
                      ? make_consumer_member(groups_, options_.member)
                      : make_classic_member(groups_, options_.member)),
      fetcher_(client, options_.only_committed) {
    fetcher_.on_out_of_range([this](const TopicPartition& p) { return start_of(p); });
    next_commit_ = std::chrono::steady_clock::now() +
                   std::chrono::milliseconds(options_.commit_interval_ms);
}

void GroupConsumer::round(int32_t wait_ms, const Fetcher::Sink& sink) {
    client_.renew();
    try {
        refresh_topics();
        keep_membership();
        if (fetcher_.empty())
            poll(nullptr, 0, std::min(wait_ms, kBackoffMs));
        else
            fetcher_.round(wait_ms, sink);
        if (std::chrono::steady_clock::now() >= next_commit_) commit(owned_);
        patience_.reset();
    } catch (const Failure& failure) {
        const auto now = std::chrono::steady_clock::now();
        if (failure.exit_code != kNoConnection || interrupted()) throw;
        if (!patience_) patience_ = client_.deadline();
        if (now > *patience_) throw;
        client_.forget_connections();
        groups_.forget_coordinator(options_.member.group);
        poll(nullptr, 0, kBackoffMs);
    }
}

void GroupConsumer::refresh_topics() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_topics_) return;
    next_topics_ = now + kTopicsEvery;
    membership_->subscribe(options_.topics());
}

void GroupConsumer::keep_membership() {
    const MemberSignal signal = membership_->check();
    if (signal == MemberSignal::Settled) return;
    if (signal == MemberSignal::Lost) {
        for (const TopicPartition& partition : owned_)
            fetcher_.stop(partition);
        owned_.clear();
    }
    const auto now_owned = membership_->rebalance(
        owned_, [this](const std::set<TopicPartition>& given_up) {
            commit(given_up);
            for (const TopicPartition& partition : given_up) {
                fetcher_.stop(partition);
                owned_.erase(partition);
            }
        });
    std::set<TopicPartition> fresh;
    std::set_difference(now_owned.begin(), now_owned.end(), owned_.begin(), owned_.end(),
                        std::inserter(fresh, fresh.end()));
    start_partitions(fresh);
    owned_ = now_owned;
    if (on_change_) on_change_(owned_);
}

void GroupConsumer::start_partitions(const std::set<TopicPartition>& fresh) {
    if (fresh.empty()) return;
    const CommittedOffsets committed = groups_.committed(options_.member.group, true);
    std::set<TopicPartition> without;
    for (const TopicPartition& partition : fresh) {
        const auto found = committed.find(partition);
        if (found == committed.end()) {
            without.insert(partition);
            continue;
        }
        fetcher_.start(partition, found->second.offset);
        committed_[partition] = found->second.offset;
    }
    for (const TopicPartition& partition : without) {
        const auto start = start_of(partition);
        if (!start) {
            throw Failure{kNotFound,
                          fmt::format("group '{}' has no committed offset for {}",
                                      options_.member.group, partition.to_string()),
                          "say where to start: --from earliest or --from latest"};
        }
        fetcher_.start(partition, *start);
        committed_.erase(partition);
    }
}

std::optional<int64_t> GroupConsumer::start_of(const TopicPartition& partition) {
    if (options_.start == "none") return std::nullopt;
    const int64_t time = options_.start == "latest" ? kLatestTimestamp : kEarliestTimestamp;
    while (true) {
        const auto found = find_offsets(client_, {partition}, time, options_.only_committed);
        const auto answer = found.find(partition);
        if (answer != found.end() && answer->second.error_code == 0) return answer->second.offset;
        if (client_.timeout_ms() <= kBackoffMs) {
            check_error(answer == found.end() ? wire_error(ErrorCode::LeaderNotAvailable)
                                              : answer->second.error_code,
                        std::nullopt, partition.to_string());
        }
        poll(nullptr, 0, kBackoffMs);
    }
}

void GroupConsumer::commit(const std::set<TopicPartition>& partitions) {
    next_commit_ = std::chrono::steady_clock::now() +
                   std::chrono::milliseconds(options_.commit_interval_ms);
    if (!options_.commits) return;
    wire::OffsetCommitRequest request;
    request.group_id = options_.member.group;
    request.member_id = membership_->identity().member_id;
    request.generation_id_or_member_epoch = membership_->identity().epoch;
    request.group_instance_id = options_.member.instance_id;
    std::map<TopicPartition, int64_t> sent;
    for (const TopicPartition& partition : partitions) {
        if (!fetcher_.has(partition)) continue;
        const int64_t offset = fetcher_.position(partition);
        const auto known = committed_.find(partition);
        if (known != committed_.end() && known->second == offset) continue;
        if (request.topics.empty() || request.topics.back().name != partition.topic)
            request.topics.emplace_back().name = partition.topic;
        auto& one = request.topics.back().partitions.emplace_back();
        one.partition_index = partition.partition;
        one.committed_offset = offset;
        one.committed_metadata = "";
        sent[partition] = offset;
    }
    while (!sent.empty()) {
        Connection& connection = client_.node(groups_.coordinator(options_.member.group));
        const auto response = connection.ask<wire::OffsetCommitResponse>(
            request, connection.version_of<wire::OffsetCommitRequest>(kNamesHighest),
            client_.deadline());
        int16_t error = 0;
        for (const auto& topic : response.topics) {
            for (const auto& p : topic.partitions) {
                if (p.error_code != 0)
                    error = p.error_code;
                else
                    committed_[{topic.name, p.partition_index}] =
                        sent[{topic.name, p.partition_index}];
            }
        }
        const auto code = error_code_from(error).value_or(ErrorCode::UnknownServerError);
        if (error == 0 || commit_is_moot(code)) return;
        if (!coordinator_may_come(code))
            check_error(error, std::nullopt, "commit of group '" + options_.member.group + "'");
        groups_.forget_coordinator(options_.member.group);
        wait_for_coordinator(client_, options_.member.group, code);
    }
}

void GroupConsumer::close() {
    client_.renew();
    client_.forget_connections();  // an interrupted wait left an answer under way
    commit(owned_);
    membership_->leave();
}

}  // namespace millrace::cli
