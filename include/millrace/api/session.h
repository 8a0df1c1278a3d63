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
#include <optional>
#include <string_view>
#include <vector>

#include "millrace/api/request_context.h"
#include "millrace/base/buffer_pool.h"
#include "millrace/base/bytes.h"
#include "millrace/base/move_function.h"
#include "millrace/base/time.h"

namespace millrace::api {

class Session;
struct ServeCall;

/// A frame up to this size may have memory as soon as its size is known; a larger one grows with
/// what arrives, and its declared size is charged to a budget of the shard.
inline constexpr size_t kLargeFrameBytes = (1U << 20) + (64U << 10);
/// A frame above this size gets a buffer of its own, into which the rest is received directly.
inline constexpr size_t kSlabFrameBytes = 32U << 10;
/// Free bytes of the slab below which it is replaced.
inline constexpr size_t kSlabRoomMin = 16U << 10;
/// While others wait for the budget of large frames, a large frame that did not bring this many
/// bytes in this time is closed: a size declared and not sent must not stop those who send.
inline constexpr size_t kFrameProgressBytesMin = 64U << 10;
inline constexpr Duration kFrameStallMax = seconds(10);
/// Bytes of a next frame read behind a large one.
inline constexpr size_t kFrameHeadBytes = 4U << 10;
/// Lines about closed connections in one second; a port scan must not fill the disk.
inline constexpr uint32_t kCloseLinesPerSecondMax = 100;
/// Unused memory that one shard keeps for the next frames.
inline constexpr size_t kPoolFreeBytesMax = 32U << 20;

/// Bounds of one session; the first three are Kafka's settings, the others ours.
struct SessionLimits {
    uint32_t max_request_bytes = 104'857'600;     // socket.request.max.bytes
    uint32_t max_unauthenticated_bytes = 524'288;  // sasl.server.max.receive.size
    uint32_t in_flight_max = 256;                 // requests of one connection without an answer
    size_t slots_max = 16'384;                    // requests behind one without an answer, acks=0 too
    size_t unsent_answer_bytes_max = 4U << 20;    // above it no further request is served
};

/// What all sessions of one shard share: receive memory, byte budgets and the way to the broker.
/// Owned by the shard (net's ShardThread, or the simulator's world); outlives its sessions.
class SessionHost {
  public:
    struct Options {
        SessionLimits limits;
        int64_t queued_request_bytes_max = -1;         // queued.max.request.bytes; -1: no bound
        int64_t large_frame_bytes_max = 512LL << 20;   // declared by frames > kLargeFrameBytes
        size_t slab_bytes = 128U << 10;
        /// Tests: gets every valid request in place of its handler.
        void (*serve_instead)(ServeCall&&) = nullptr;
    };
    /// `shard` may be null where no handler needs it.
    SessionHost(broker::Shard* shard, Options options);
    ~SessionHost();
    SessionHost(const SessionHost&) = delete;
    SessionHost& operator=(const SessionHost&) = delete;

    broker::Shard* shard() const { return shard_; }
    /// Ports are bound before the shard exists (Kafka learns port 0 early). Before any accept.
    void attach(broker::Shard* shard) { shard_ = shard; }
    const Options& options() const { return options_; }
    BufferPool& pool() { return pool_; }

  private:
    friend class Session;
    /// At least kSlabRoomMin free bytes of the shared receive slab.
    MutableByteView slab_room();
    Buffer take_from_slab(size_t bytes);
    /// Starts the slab anew when no frame refers to it any more (it is still in cache then).
    void recycle_slab();
    /// Kafka's rule: granted while anything is free, so one request may overshoot.
    static bool granted(int64_t used, int64_t limit) { return limit < 0 || used < limit; }
    void wait_for_budget(Session& session);
    void stop_waiting(Session& session);
    void wake_waiting();
    /// When the first large frame under way will have stalled; never while their budget has room.
    Instant next_stall() const;
    void close_stalled(Instant now);
    bool may_log_close(Instant now);

    broker::Shard* shard_;
    Options options_;
    BufferPool pool_;
    Buffer slab_;
    size_t slab_used_ = 0;          // bytes of it that frames may still refer to
    int64_t queued_bytes_ = 0;      // of requests without an answer
    int64_t large_bytes_ = 0;       // declared by frames > kLargeFrameBytes
    std::vector<Session*> large_;   // sessions that hold a share of it for a frame under way
    std::deque<Session*> waiting_;  // sessions that found a budget used up, oldest first
    Instant log_second_{};          // when close_lines_ was last set to 0
    uint32_t close_lines_ = 0;
    uint64_t unlogged_closes_ = 0;
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

    /// True when sending made room for requests that are received already: call resume().
    bool wants_resume() const { return !backlog_.empty() && may_serve(); }

    /// The end of a throttle (KIP-219), the next look at who holds the budget, or never.
    Instant wake_at() const;
    /// True when the connection must be closed after the output that is ready was sent.
    bool closing() const { return closing_; }
    /// Requests whose answers were not taken yet.
    size_t in_flight() const;
    const ConnectionFacts& facts() const { return *facts_; }

  private:
    friend class AnswerSlot;
    friend class SessionHost;
    class Event;
    struct Slot {
        BufferChain answer;
        uint32_t request_bytes = 0;
        uint32_t large_bytes = 0;  // charged to the host's budget for large frames
        int16_t api_key = -1;
        int16_t version = -1;
        bool done = false;
        bool pending = true;       // neither answered, nor told not to be, nor closed
    };

    bool may_serve() const;
    uint32_t frame_limit() const;
    /// Body bytes of a frame that starts with `prefix` (4 bytes), or closes and returns nothing.
    std::optional<uint32_t> frame_size(ByteView prefix);
    void continue_frame(Buffer& bytes);
    bool grow_frame();
    void charge_frame(uint32_t bytes);
    /// The share of the frame under way leaves it: 0 when it has none.
    uint32_t take_frame_charge();
    void note_progress();
    void finish_frame();
    void serve_frames(Buffer bytes);
    void keep_rest(const Buffer& rest);
    void serve(Buffer frame, uint32_t large_bytes);
    void remember_client_id(std::string_view client_id);
    Slot* find_slot(uint64_t sequence);
    void settle(Slot& slot);
    void apply_throttle();
    void close(std::string_view reason);
    void wake_owner();

    SessionHost& host_;
    std::shared_ptr<const ConnectionFacts> facts_;
    MoveFunction<void()> wake_;
    SessionLink* link_;              // shared with the AnswerSlots; says when this is gone
    Buffer frame_;                   // prefix and body of a frame that is not in the slab
    size_t frame_filled_ = 0;
    uint32_t frame_charge_ = 0;      // of frame_, to the host's budget for large frames
    size_t progress_filled_ = 0;     // frame_filled_ at progress_at_; for a frame with a charge
    Instant progress_at_{};
    Buffer backlog_;                 // received, not yet looked at (backpressure)
    std::vector<Slot> slots_;        // from slots_head_ on: requests in order
    size_t slots_head_ = 0;
    uint64_t first_sequence_ = 0;    // of slots_[slots_head_]
    size_t unanswered_ = 0;          // slots that are not done
    size_t unsent_bytes_ = 0;        // of answers not reported by on_sent
    Instant now_{};
    Instant muted_until_{};
    Duration throttle_{};            // asked for by answers, applied at the next event
    bool large_frames_ = false;      // the last frame was one: read the next one's head only
    bool authenticated_;
    bool waiting_for_budget_ = false;
    bool in_event_ = false;          // inside a public call: the owner looks at us anyway
    bool wake_sent_ = false;
    bool closing_ = false;
};

}  // namespace millrace::api
