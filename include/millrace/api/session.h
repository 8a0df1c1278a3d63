// include/millrace/api/session.h: one client connection as a machine: bytes in, ordered answers out.
//
// net reads the socket into receive_room() and reports on_received(); the session cuts frames,
// serves every complete request inline (src/api/dispatch.cc) and keeps one slot per request, so
// that answers leave in the order of the requests (dataplane.md A.3). Sans-IO: the simulator and
// the unit tests drive it with bytes and instants alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "millrace/api/request_context.h"
#include "millrace/base/buffer_pool.h"
#include "millrace/base/bytes.h"
#include "millrace/base/move_function.h"
#include "millrace/base/time.h"

namespace millrace::api {

class Session;

/// Bounds of one session; the first three are Kafka's settings, the others ours.
struct SessionLimits {
    uint32_t max_request_bytes = 104'857'600;     // socket.request.max.bytes
    uint32_t max_unauthenticated_bytes = 524'288;  // sasl.server.max.receive.size
    uint32_t in_flight_max = 256;                 // requests of one connection without an answer
    size_t unsent_answer_bytes_max = 4U << 20;    // above it no further request is served
};

/// What all sessions of one shard share: receive memory, byte budgets and the way to the broker.
/// Owned by the shard (net's ShardThread, or the simulator's world); outlives its sessions.
class SessionHost {
  public:
    struct Options {
        SessionLimits limits;
        int64_t queued_request_bytes_max = -1;         // queued.max.request.bytes; -1: no bound
        int64_t large_frame_bytes_max = 512LL << 20;   // declared bytes of frames > kLargeFrame
        size_t slab_bytes = 128U << 10;
    };
    /// `shard` may be null where no handler needs it.
    SessionHost(broker::Shard* shard, Options options);
    ~SessionHost();
    SessionHost(const SessionHost&) = delete;
    SessionHost& operator=(const SessionHost&) = delete;

    broker::Shard* shard() const { return shard_; }
    const Options& options() const { return options_; }
    BufferPool& pool() { return pool_; }

  private:
    friend class Session;
    Buffer& slab(size_t least);
    void recycle_slab();
    bool take_budget(Session& session, int64_t& used, int64_t limit, int64_t bytes);
    void give_back(int64_t& used, int64_t bytes);

    broker::Shard* shard_;
    Options options_;
    BufferPool pool_;
    Buffer slab_;              // the shared receive slab
    size_t slab_used_ = 0;     // bytes of it that frames may still refer to
    int64_t queued_bytes_ = 0;
    int64_t large_frame_bytes_ = 0;
    std::deque<Session*> waiting_;  // sessions that found a budget used up, oldest first
};

/// Where the next bytes of the peer go: first `parts[0]`, then `parts[1]` (either may be empty).
struct ReceiveRoom {
    MutableByteView parts[2];
    size_t size() const { return parts[0].size + parts[1].size; }
};

/// Owned by net's connection. An idle session owns no buffer. After close() or once closing() is
/// true it serves nothing more; the owner sends what take_output() still gives and drops it.
class Session {
  public:
    /// `wake` is called when an answer (or the wish to close, or a free budget) appears outside of
    /// the calls below; the owner then calls resume(). Never called twice without a resume between.
    Session(SessionHost& host, ConnectionFacts facts, MoveFunction<void()> wake);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Room for the next read, empty while the session must not read (backpressure, throttled,
    /// in-flight bound, closing). Valid until the next call on any session of the host.
    ReceiveRoom receive_room();
    /// `bytes` were written to the room given last. Serves all complete requests.
    void on_received(size_t bytes, Instant now);
    /// Continues after a wake, after wake_at() and after on_sent().
    void resume(Instant now);
    /// Ready answers in order, appended to `output`; true when there were any.
    bool take_output(BufferChain& output);
    /// The peer's kernel took `bytes` of the output.
    void on_sent(size_t bytes);

    /// The end of a throttle (KIP-219), or never.
    Instant wake_at() const;
    /// True when the connection must be closed after the output that is ready was sent.
    bool closing() const { return closing_; }
    /// Requests served and not yet answered.
    size_t in_flight() const;
    const ConnectionFacts& facts() const { return *facts_; }

  private:
    friend class AnswerSlot;
    friend class SessionHost;
    struct Slot {
        BufferChain answer;
        uint32_t request_bytes = 0;
        bool done = false;
    };

    void take_bytes(Buffer bytes, size_t own_frame_bytes);
    void serve_frames(Buffer bytes, Instant now);
    void keep_rest(Buffer rest);
    bool grow_frame();
    bool may_serve() const;
    uint32_t frame_limit() const;
    void serve(Buffer frame, Instant now);
    void finish(uint64_t sequence, BufferChain answer);
    void close(std::string_view reason);
    void close_bad_frame(int32_t size, ByteView start);
    void leave_event();

    SessionHost& host_;
    std::shared_ptr<const ConnectionFacts> facts_;
    MoveFunction<void()> wake_;
    SessionLink* link_;            // shared with the AnswerSlots; knows when this is gone

    Buffer frame_;                 // the frame being assembled, when it is not in the slab
    size_t frame_filled_ = 0;
    Buffer backlog_;               // received, not yet looked at (backpressure)
    std::deque<Slot> slots_;       // requests in order; the first is number first_slot_
    uint64_t first_slot_ = 0;
    size_t unsent_bytes_ = 0;
    Instant muted_until_{};
    bool after_large_frame_ = false;
    bool authenticated_ = true;
    bool waiting_for_budget_ = false;
    bool in_event_ = false;        // inside one of the public calls: no wake needed
    bool wake_sent_ = false;
    bool closing_ = false;
};

}  // namespace millrace::api
