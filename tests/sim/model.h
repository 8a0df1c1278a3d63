// tests/sim/model.h: what the broker must remember, kept beside it and compared with its answers.
//
// Fed with what clients were told; knows what may be lost. The contract (reliability.md 3.6, one
// replica): a record acked on a topic with flush.messages=1 survives everything; an acked record
// of another topic survives the end of the process, and a crash of the machine only up to the last
// clean stop. A log after a crash is a prefix of what it was. What a client was shown once stays
// at its offset with the same bytes until it is lost by that rule, deleted or retained out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/uuid.h"
#include "millrace/record/batch.h"
#include "sim/world.h"

namespace millrace::sim {

/// One batch that a producer made, and sent once or more often. Its records follow from its id.
struct Attempt {
    uint64_t id = 0;
    Owner made_in = 0;  // the process that got it first
    std::vector<int64_t> timestamps;  // one per record
    int64_t producer_id = -1;
    int16_t producer_epoch = -1;
    int32_t base_sequence = -1;
    record::CompressionType compression = record::CompressionType::None;
    bool refused = false;                // by an answer that says it was not appended
    std::optional<int64_t> base_offset;  // where it was seen or acked
    uint64_t placed_in = 0;              // the life in which it came there, as far as is known

    size_t count() const { return timestamps.size(); }
    static std::string key(uint64_t id, size_t index);
    static std::string value(uint64_t id, size_t index);
    Buffer encode() const;
};

/// A floor for what a later request may be told.
struct Floor {
    uint64_t life = 0;  // kNoLife: says nothing
    int64_t high_watermark = 0;
    int64_t log_start = 0;
};

class Model;
inline constexpr uint64_t kNoLife = ~uint64_t{0};

class PartitionModel {
  public:
    PartitionModel(Model& model, std::string name, bool durable_acks)
        : model_(model), name_(std::move(name)), durable_acks_(durable_acks) {}

    Attempt& make_attempt(size_t records, Rng& rng);
    Attempt& attempt(uint64_t id) { return attempts_.at(id); }
    void on_ack(Attempt& attempt, int64_t base_offset);
    /// One whole fetch answer without error. `records` may end within a batch.
    /// Returns the offset after the last whole batch.
    int64_t on_fetch(int64_t fetch_offset, int64_t high_watermark, int64_t log_start,
                     const Floor& floor, ByteView records);
    void on_offsets(std::optional<int64_t> start, std::optional<int64_t> end, const Floor& floor);
    void on_delete_asked(int64_t offset);
    void on_delete_acked(int64_t low_watermark);
    Floor floor() const;
    void on_down(bool machine, bool clean);

    // --- for the final check
    /// The whole log was read from `start` to `end`: what was not shown is lost or never was.
    void settle(int64_t start, int64_t end);
    /// First record at or after `start` with that timestamp or a later one.
    std::optional<std::pair<int64_t, int64_t>> lookup(int64_t start, int64_t timestamp) const;
    struct ProducerEnd {
        int16_t epoch = -1;
        int32_t last_sequence = -1;
        int64_t last_timestamp = -1;
    };
    /// Producers with a batch at or after `start`.
    std::map<int64_t, ProducerEnd> producers(int64_t start) const;
    std::vector<int64_t> timestamps(int64_t start) const;

    int64_t visible_end() const { return visible_end_; }
    int64_t log_start() const { return log_start_; }
    /// The farthest start that clients ever asked for.
    int64_t delete_asked() const { return delete_asked_; }
    /// Crashes that may have cut off acked records.
    uint64_t losses() const { return losses_; }
    const std::string& name() const { return name_; }
    bool retention = false;

  private:
    struct Place {
        uint64_t attempt;
        size_t index;
        friend bool operator==(const Place&, const Place&) = default;
    };
    void check_batch(const record::BatchView& batch);
    void place(Attempt& attempt, int64_t base_offset);
    void lose_from(int64_t offset);
    bool unsure(int64_t offset) const;
    void fail(const std::string& invariant, const std::string& text) const;
    void on_log_start(int64_t start, const Floor& floor);

    Model& model_;
    std::string name_;
    bool durable_acks_;
    std::map<uint64_t, Attempt> attempts_;
    std::map<int64_t, Place> log_;
    /// By the life that a crash ended: from here on it may have cut the log; what log_ holds there
    /// may be gone.
    std::map<uint64_t, int64_t> unsure_from_;
    int64_t visible_end_ = 0;
    int64_t durable_end_ = 0;
    int64_t log_start_ = 0;
    int64_t delete_asked_ = 0;
    uint64_t losses_ = 0;
};

struct TopicModel {
    enum class State { Creating, Live, Deleting, Gone };
    std::string name;
    Uuid id;
    State state = State::Creating;
    bool durable_acks = false;
    Instant quiet_since{};  // last use by a client, for reuse of the name
    std::vector<std::unique_ptr<PartitionModel>> partitions;
    bool live() const { return state == State::Live; }
};

class Model {
  public:
    explicit Model(World& world) : world_(world) {}
    World& world() { return world_; }
    TopicModel& add_topic(std::string name, bool durable_acks, bool retention, size_t partitions);
    void add_partition(TopicModel& topic, bool retention);
    std::vector<TopicModel*> live_topics();
    const std::vector<std::unique_ptr<TopicModel>>& topics() const { return topics_; }
    /// The process ended; `machine`: with the loss of what was not synced.
    void on_down(bool machine, bool clean);
    Owner incarnation = 0;
    /// Counts the ends of processes: an answer may come in after the death of its process, before
    /// the next one starts.
    uint64_t life = 0;
    /// A cluster: nothing acked or read is ever lost, ...
    bool many_nodes = false;
    /// ... but a node that lags behind may answer with an older watermark.
    bool stale_answers = false;
    /// Partitions of which one replica has a flipped bit; clients see it by the checksum.
    std::set<std::string> rotten;
    uint64_t next_attempt = 1;
    std::set<int64_t> producer_ids;  // given out so far
    uint64_t acked_records = 0;
    uint64_t read_records = 0;

  private:
    World& world_;
    std::vector<std::unique_ptr<TopicModel>> topics_;
};

}  // namespace millrace::sim
