// src/broker/fetch_driver.h: copies the partitions that other brokers lead, one fetcher per leader.
//
// Driver of replication::Fetcher: sends its plans as Fetch requests, hands each partition its part
// of the answer, and asks for offsets where a position lies outside a leader's log.
// Owner: broker/shard. Source: kafka.server.ReplicaFetcherThread, RemoteLeaderEndPoint; kraft.md 3.5.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "millrace/broker/partition.h"
#include "millrace/env/env.h"
#include "millrace/env/peers.h"
#include "millrace/env/timers.h"
#include "millrace/replication/fetcher.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/fetch_response.h"

namespace millrace::broker {

class Shard;

class FetchDriver {
  public:
    explicit FetchDriver(Shard& shard);
    ~FetchDriver();
    FetchDriver(const FetchDriver&) = delete;
    FetchDriver& operator=(const FetchDriver&) = delete;

    /// The partition's role may have changed: follows its leader, or stops following.
    void update(Partition& partition);
    void forget(const Uuid& topic_id, PartitionIndex index);
    /// After an image: leaders may listen elsewhere now.
    void on_image();
    void stop();

  private:
    struct Link {
        Link(NodeId node, replication::Fetcher::Options options) : leader(node), machine(options) {}
        NodeId leader;
        replication::Fetcher machine;
        env::TimerId timer = env::kNoTimer;
        uint64_t fetch = 0;      // of the request in flight
        bool reachable = true;   // the last one was answered; the log says only changes
    };
    struct Followed {
        NodeId leader;
        LeaderEpoch epoch;
        bool caught_up = false;  // the last answer left nothing to fetch below its high watermark
    };
    /// What ListOffsets says of one log, while it is being asked.
    struct Offsets;

    Link& link_to(NodeId leader);
    void schedule();
    void pump(Link& link);
    void hold_throttled(Link& link, Instant now);
    std::optional<env::PeerAddress> address_of(NodeId leader, env::PeerPurpose purpose) const;
    wire::FetchRequest request_for(const replication::FetchPlan& plan) const;
    void on_answer(NodeId leader, uint64_t fetch, Result<wire::FetchResponse> response);
    void take(Link& link, const replication::FetchKey& key,
              wire::FetchResponsePartitionData& answer);
    void ask_offsets(Link& link, const replication::FetchKey& key);
    void ask_offset(NodeId leader, const std::shared_ptr<Offsets>& offsets, bool latest);
    void on_offsets(NodeId leader, const Offsets& offsets);
    Partition* partition(const replication::FetchKey& key) const;

    Shard& shard_;
    std::map<NodeId, std::unique_ptr<Link>> links_;
    std::map<replication::FetchKey, Followed> followed_;
    int32_t next_correlation_ = 1;
    uint64_t next_fetch_ = 1;
    bool scheduled_ = false;
    bool stopped_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
