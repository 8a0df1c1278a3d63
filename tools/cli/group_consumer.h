// tools/cli/group_consumer.h: reads topics as a member of a consumer group, and commits.
//
// Owner: one command. A round keeps the membership, fetches once from each leader and commits when
// it is time. A lost coordinator or leader is looked for again until the client's time limit.
#pragma once

#include "cli/fetcher.h"
#include "cli/group_member.h"

namespace millrace::cli {

struct GroupConsumerOptions {
    MemberOptions member;
    /// The topics to read and their partition counts; asked again now and then.
    std::function<std::map<std::string, int32_t>()> topics;
    std::string start = "earliest";  // or "latest", or "none": where there is no committed offset
    bool only_committed = false;     // read_committed
    bool commits = true;
    int commit_interval_ms = 5'000;
};

class GroupConsumer {
  public:
    using OnChange = std::function<void(const std::set<TopicPartition>& owned)>;

    GroupConsumer(Client& client, GroupConsumerOptions options);

    void on_change(OnChange hook) { on_change_ = std::move(hook); }
    void round(int32_t wait_ms, const Fetcher::Sink& sink);
    /// Commits what was read, and leaves the group.
    void close();
    const std::set<TopicPartition>& owned() const { return owned_; }
    std::map<TopicPartition, int64_t> positions() const { return fetcher_.positions(); }

  private:
    void keep_membership();
    void refresh_topics();
    void commit(const std::set<TopicPartition>& partitions);
    void start_partitions(const std::set<TopicPartition>& fresh);
    std::optional<int64_t> start_of(const TopicPartition& partition);

    Client& client_;
    GroupClient groups_;
    GroupConsumerOptions options_;
    std::unique_ptr<Membership> membership_;
    Fetcher fetcher_;
    std::set<TopicPartition> owned_;
    std::map<TopicPartition, int64_t> committed_;
    OnChange on_change_;
    TimePoint next_commit_;
    TimePoint next_topics_;
    std::optional<TimePoint> patience_;  // while a broker cannot be reached
};

}  // namespace millrace::cli
