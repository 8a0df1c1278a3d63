// src/broker/remote_controller.h: requests of this node to the active controller elsewhere.
//
// Keeps what is unanswered, finds the leader again when it moved, and sends the whole request once
// more (NodeToControllerChannelManager, kraft.md 3.3). Requests that fail for good are given back
// to the caller, who answers them with NOT_CONTROLLER. Owner: ControllerHost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/env/env.h"
#include "millrace/env/peers.h"
#include "millrace/env/timers.h"

namespace millrace::broker {

class RemoteController {
  public:
    /// One request. It is encoded anew for each attempt; `on_frame` returns false when the answer
    /// says that the leader is elsewhere; `give_up` ends it without an answer from anybody.
    struct Call {
        env::PeerPurpose purpose = env::PeerPurpose::Forward;
        Instant deadline;
        std::function<BufferChain(int32_t correlation_id)> encode;
        MoveFunction<bool(const Buffer&)> on_frame;
        /// Also when the leader turns out to be this very node.
        MoveFunction<void()> give_up;
    };
    /// `find`: where the leader listens; nothing while none is known or this node leads.
    /// `leads_here`: this node is the active controller.
    RemoteController(const env::Env& env, std::function<std::optional<env::PeerAddress>()> find,
                     std::function<bool()> leads_here);
    ~RemoteController();

    void start(Call call);
    /// Gives everything up.
    void stop();

  private:
    struct Waiting {
        Call call;
        bool in_flight = false;
    };
    void attempt(uint64_t id);
    void on_answer(uint64_t id, Result<Buffer> frame);
    void give_up(uint64_t id);
    void arm();
    void retry();

    env::Env env_;
    std::function<std::optional<env::PeerAddress>()> find_;
    std::function<bool()> leads_here_;
    std::map<uint64_t, Waiting> waiting_;
    uint64_t next_id_ = 1;
    int32_t next_correlation_ = 1;
    env::TimerId timer_ = env::kNoTimer;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
