// tests/sim/actors.h: the clients of a run: producers and consumers that act on their own.
//
// Each is a small state machine on a Client: think, send, look at the answer, compare with the
// model, go on. They know nothing of faults except lost answers and refused requests.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "millrace/wire/gen/fetch_response.h"
#include "millrace/wire/gen/produce_response.h"
#include "sim/client.h"
#include "sim/model.h"

namespace millrace::sim {

/// What both need to know of a run.
struct ActorOptions {
    Duration think_max = milliseconds(50);
    bool idempotent = true;   // producers
    int16_t acks = -1;
    size_t window = 1;        // batches in flight
};

/// Writes to one partition at a time, in order, and resends what was not answered.
class Producer {
  public:
    Producer(World& world, Servers& servers, Model& model, std::string name, ActorOptions options);
    void start() { think(); }
    /// No new batches; what is unresolved is resent until it is answered.
    void finish() { finishing_ = true; }
    bool finished() const { return finishing_ && unresolved_.empty() && client_.in_flight() == 0; }
    Client& client() { return client_; }

  private:
    struct Batch {
        Attempt* attempt;
        bool in_flight = false;
    };
    void think();
    void act();
    void choose_partition();
    void ask_producer_id();
    void send_batches();
    void send(Batch& batch);
    void on_answer(uint64_t attempt_id, const std::optional<wire::ProduceResponse>& response);
    void on_error(Batch& batch, int16_t error);
    void abandon();

    World& world_;
    Servers& servers_;
    Model& model_;
    Rng rng_;
    ActorOptions options_;
    Client client_;
    int16_t version_;
    TopicModel* topic_ = nullptr;
    size_t partition_ = 0;
    int64_t producer_id_ = -1;
    int16_t producer_epoch_ = -1;
    std::map<PartitionModel*, int32_t> next_sequence_;
    std::map<PartitionModel*, uint64_t> losses_seen_;
    std::deque<Batch> unresolved_;
    uint64_t round_ = 0;         // of partitions: answers to an older one are ignored
    bool asking_ = false;
    bool finishing_ = false;
    bool resend_ = false;        // something in flight failed: wait for the rest, then all again
};

/// Reads partitions from some offset on, with or without a fetch session.
class Consumer {
  public:
    Consumer(World& world, Servers& servers, Model& model, std::string name, ActorOptions options);
    void start() { think(); }
    void finish() { finishing_ = true; }
    bool finished() const { return finishing_ && client_.in_flight() == 0; }
    Client& client() { return client_; }

  private:
    struct Target {
        TopicModel* topic;
        size_t partition;
        int64_t offset;
        bool changed = true;  // to be named in the next incremental fetch
    };
    void think();
    void act();
    void choose();
    void fetch();
    void on_answer(const std::optional<wire::FetchResponse>& response,
                   const std::map<PartitionModel*, Floor>& floors);
    void on_partition(Target& target, const wire::FetchResponse::PartitionData& data,
                      const std::map<PartitionModel*, Floor>& floors);
    Target* find(const wire::FetchResponse::FetchableTopicResponse& topic, int32_t partition);

    World& world_;
    Model& model_;
    Rng rng_;
    ActorOptions options_;
    Client client_;
    int16_t version_;
    bool sessions_;
    int32_t session_id_ = 0;
    int32_t session_epoch_ = 0;
    std::vector<Target> targets_;
    bool finishing_ = false;
};

}  // namespace millrace::sim
