// tests/sim/group_worker.h: what a group member does with its partitions: commits, or transactions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "millrace/base/uuid.h"
#include "sim/group_member.h"

namespace millrace::sim {

inline constexpr const char* kOutputTopic = "output";
inline constexpr int32_t kOutputPartitions = 2;

struct WorkerOptions {
    std::string transactional_id;  // empty: plain offset commits
    bool shared = false;           // another instance has the same id
    bool walls_differ = false;     // of the nodes: a transaction times out whenever one thinks so
    bool v2 = true;                // transaction version 2 (KIP-890), else the older client
    int32_t timeout_ms = 3000;
    Duration think_max = milliseconds(50);
};

/// Ids of the topics, for the versions that want them.
struct LoadTopics {
    Uuid input;
    Uuid output;
};

class GroupWorker {
  public:
    GroupWorker(World& world, Servers& servers, GroupModel& group, TxnModel& txns,
                const LoadTopics& topics, std::string name, WorkerOptions options);
    void start();
    /// Faults are over: commit once more, then rest.
    void finish();
    /// At rest, with its last work done; a fenced one left its group.
    bool finished() const;
    void halt();
    GroupMember& member() { return member_; }
    Client& client() { return client_; }
    std::string text() const;

  private:
    enum class Step { Init, Idle, AddPartitions, Produce, AddOffsets, CommitOffsets, End };
    bool transactional() const { return !options_.transactional_id.empty(); }
    bool resting() const { return finishing_ && done_; }
    void think();
    void act();
    void act_idle();
    void fetch_offsets();
    void on_offsets(int32_t partition, int64_t offset, ErrorCode error, int64_t floor);
    void commit_plain();
    // Transactions.
    void init();
    void begin();
    void run_step();
    void add_partitions();
    void produce();
    void add_offsets();
    void commit_offsets();
    void end();
    void next_step();
    /// True when the step is done; else it is sent again, given up or aborted.
    bool accept(const char* what, ErrorCode error);
    void after_end(ErrorCode error, TxnModel::Producer producer);
    void fence();
    bool may_have_been_aborted() const;
    /// One request at a time.
    template <class Response, class Request, class Handler>
    void ask(const Request& request, int16_t version, Handler handler) {
        busy_ = true;
        client_.call<Response>(
            request, version,
            [this, handler = std::move(handler)](std::optional<Response> answer) mutable {
                busy_ = false;
                handler(std::move(answer));
            });
    }

    World& world_;
    GroupModel& group_;
    TxnModel& model_;
    const LoadTopics& topics_;
    Rng rng_;
    WorkerOptions options_;
    Client client_;
    GroupMember member_;

    bool busy_ = false;
    bool finishing_ = false;
    bool done_ = false;
    bool fenced_ = false;
    bool halted_ = false;
    Instant paused_until_{};

    Membership membership_;            // under which the offsets below were fetched
    std::vector<int32_t> partitions_;
    std::map<int32_t, int64_t> positions_;
    std::map<int32_t, int64_t> sent_;  // a plain commit whose answer was lost

    Step step_ = Step::Init;
    TxnModel::Producer producer_{-1, -1};
    TxnModel::Producer floor_{-1, -1};
    std::map<int32_t, int32_t> sequences_;
    Txn* txn_ = nullptr;
    WallMs txn_start_{};
    uint64_t wall_jumps_ = 0;  // seen when it began
    Membership txn_membership_;
    std::map<int32_t, std::vector<std::pair<int32_t, int64_t>>>::const_iterator output_;
    bool commit_ = true;
    const char* step_name_ = "";
    int astray_ = 0;
};

}  // namespace millrace::sim
