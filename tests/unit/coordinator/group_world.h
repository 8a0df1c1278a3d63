// tests/unit/coordinator/group_world.h: a group coordinator with a log, driven by lines of text.
//
// Commands and what they cause, one line each; transcripts_test.cc names the commands. Member ids
// hold a random UUID: they print as "client#1", and are given as that.
#pragma once

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "millrace/coordinator/group_coordinator.h"

namespace millrace::coordinator {

/// "key=value" words of a command.
class Words {
  public:
    explicit Words(const std::string& line);
    const std::string& verb() const { return verb_; }
    bool has(const std::string& key) const { return values_.contains(key); }
    std::string text(const std::string& key, const std::string& otherwise = "") const {
        auto it = values_.find(key);
        return it == values_.end() ? otherwise : it->second;
    }
    int64_t number(const std::string& key, int64_t otherwise) const {
        return has(key) ? std::stoll(text(key)) : otherwise;
    }
    std::optional<std::string> maybe(const std::string& key) const {
        return has(key) ? std::optional(text(key)) : std::nullopt;
    }
    /// The parts of a value between commas.
    std::vector<std::string> list(const std::string& key) const;

  private:
    std::string verb_;
    std::map<std::string, std::string> values_;
};

class GroupWorld {
  public:
    GroupWorld();
    /// Runs one command; what it causes, one line each.
    std::string run(const std::string& line);
    /// The id of the request that was given last; replies are printed with it.
    RequestId last_id() const { return next_id_ - 1; }
    /// Requests without an answer. Every answer comes once.
    const std::set<RequestId>& unanswered() const { return unanswered_; }

  private:
    using Out = GroupCoordinator::Output;
    void start();
    void settle();
    void carry_out();
    void commit();
    void request(const Words& words);
    void topic(const Words& words);
    void transaction_ends(const Words& words);
    GroupRequest make_request(const Words& words) const;
    void wait(int64_t ms);
    void print(const std::string& line);
    void print_record(const CoordinatorBatch& batch, const CoordinatorRecord& record);
    void print_reply(const CoordinatorReply<GroupResponse>& reply);
    std::string alias(const std::string& text);
    std::string real(const std::string& alias) const;
    Tick tick() const { return {now_, WallMs{kStartMs + now_.nanos / 1'000'000}}; }

    static constexpr int64_t kStartMs = 1'700'000'000'000;
    std::shared_ptr<GroupSettings> settings_ = std::make_shared<GroupSettings>();
    std::unique_ptr<GroupCoordinator> machine_;
    std::vector<CoordinatorBatch> log_;
    metadata::ImagePtr image_ = metadata::empty_image();
    Offset log_end_{0};
    Offset high_watermark_{0};
    bool holding_ = false;                // the high watermark does not move
    ErrorCode refuse_ = ErrorCode::None;  // the next append
    Instant now_{0};
    Instant wake_at_ = Instant::never();
    RequestId next_id_ = 1;
    std::set<RequestId> unanswered_;
    uint64_t seed_ = 1;
    Out out_;
    std::string printed_;
    std::map<std::string, std::string> aliases_;  // real -> alias
    std::map<std::string, int> alias_count_;
};

}  // namespace millrace::coordinator
