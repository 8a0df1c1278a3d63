// tests/sim/txn_model.h: what groups, offsets and transactions must be, beside the broker's answers.
//
// The load is consume-transform-produce without the consuming: input is not written, its records
// are the numbers from 0 on in every partition of the input topic, and a group's offsets say how
// many of them were taken. So each committed offset C of an exactly-once group means: the outputs
// of 0..C-1 are visible exactly once, and nothing else is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/wire/gen/fetch_response.h"
#include "sim/world.h"

namespace millrace::sim {

/// One transaction that a worker made: known whole before its first request.
struct Txn {
    uint64_t id = 0;
    std::string transactional_id;
    std::map<int32_t, std::pair<int64_t, int64_t>> inputs;  // by input partition: from, to
    std::map<int32_t, std::vector<std::pair<int32_t, int64_t>>> outputs;  // by output partition
    bool commit_sent = false;
    bool commit_acked = false;
    bool abort_acked = false;
    size_t size() const;
};

/// Offsets and ownership of one group.
class GroupModel {
  public:
    GroupModel(World& world, std::string name) : world_(world), name_(std::move(name)) {}
    const std::string& name() const { return name_; }

    /// A member was told its assignment: one owner per partition and generation (I20).
    void on_assigned(int32_t generation, const std::string& member,
                     const std::vector<int32_t>& partitions);
    /// The newest generation that somebody was told of; a floor for requests sent from now on.
    int32_t generation() const { return generation_; }
    /// A join, heartbeat or commit of `generation` succeeded, sent when the floor was `floor`.
    void on_accepted(const char* what, int32_t generation, int32_t floor) const;

    void on_commit_sent(int32_t partition, int64_t offset);
    void on_commit_acked(int32_t partition, int64_t offset);
    int64_t committed(int32_t partition) const;
    /// I22; -1 for no offset. `floor` is committed() when the request was sent.
    void on_fetched(int32_t partition, int64_t offset, int64_t floor);
    uint64_t commits() const { return commits_; }
    /// A coordinator that was deposed and does not know it may answer what needs no log.
    bool stale_answers = false;

  private:
    World& world_;
    std::string name_;
    int32_t generation_ = 0;
    std::map<int32_t, std::map<int32_t, std::string>> owners_;
    std::map<int32_t, int64_t> sent_;
    std::map<int32_t, int64_t> committed_;
    uint64_t commits_ = 0;
};

/// Reads one output partition as a read_committed consumer does.
class CommittedReader {
  public:
    struct Record {
        uint64_t txn;
        int32_t partition;
        int64_t index;
    };
    int64_t position() const { return position_; }
    /// Whole batches of one answer; what is visible of them.
    std::vector<Record> feed(World& world, const std::string& name,
                             const wire::FetchResponse::PartitionData& data);

  private:
    int64_t position_ = 0;
    std::set<int64_t> aborted_;  // producers whose present transaction is aborted
};

class TxnModel {
  public:
    using Producer = std::pair<int64_t, int16_t>;  // id, epoch

    explicit TxnModel(World& world) : world_(world) {}
    Txn& begin(const std::string& transactional_id);
    /// The producer that the newest answer made current; a floor for requests sent from now on.
    Producer current(const std::string& transactional_id) const;
    void on_producer(const std::string& transactional_id, Producer producer, Producer floor);
    /// A request of `producer` had an effect (I16).
    void on_accepted(const char* what, const std::string& transactional_id, Producer producer,
                     Producer floor) const;
    void on_visible(const std::string& where, const CommittedReader::Record& record) const;
    /// All output was read with every transaction at its end, and these are the offsets.
    void settle(const std::string& when, const std::vector<CommittedReader::Record>& visible,
                const std::map<int32_t, int64_t>& offsets) const;
    uint64_t commits = 0;
    uint64_t aborts = 0;
    uint64_t fenced = 0;

  private:
    World& world_;
    std::map<uint64_t, Txn> txns_;
    std::map<std::string, Producer> current_;
    std::map<std::string, std::set<int64_t>> old_ids_;
};

}  // namespace millrace::sim
