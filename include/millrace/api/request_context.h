// include/millrace/api/request_context.h: what a handler knows about the request it serves.
//
// A handler is `void handle_foo(RequestContext&&, wire::FooRequest, Reply<wire::FooResponse>)`
// (src/api/README.md). It may answer at once or move the context and the Reply into a continuation
// and answer later, on the same shard; the connection may be gone by then, which no handler needs
// to notice: every call on a context whose connection closed is without effect.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/base/assert.h"
#include "millrace/base/bytes.h"
#include "millrace/base/time.h"
#include "millrace/wire/api_key.h"

namespace millrace::broker {
class Shard;
}

namespace millrace::api {

struct SessionLink;

enum class ListenerKind : uint8_t { Broker = 1, Controller = 2 };  // bits of a row's listener mask
enum class SecurityProtocol : uint8_t { Plaintext, Ssl, SaslPlaintext, SaslSsl };

/// Facts about one connection. Immutable: when one of them changes (client id, software name,
/// principal) the session makes a new object for the requests that follow.
struct ConnectionFacts {
    uint64_t id = 0;            // unique in this process
    std::string listener;       // upper case name, "PLAINTEXT"
    ListenerKind kind = ListenerKind::Broker;
    SecurityProtocol security = SecurityProtocol::Plaintext;
    std::string local_host;     // numeric addresses, without a port
    uint16_t local_port = 0;
    std::string peer_host;
    uint16_t peer_port = 0;
    std::string principal = "User:ANONYMOUS";
    std::string client_id;      // of this request; null on the wire is ""
    std::string client_software_name = "unknown";     // from ApiVersions v3+ (KIP-511)
    std::string client_software_version = "unknown";
    /// "10.0.0.7:51432", for logs.
    std::string peer() const { return peer_host + ":" + std::to_string(peer_port); }
};

/// The place of one answer in its session. Copies name the same place. Stays on its shard.
class AnswerSlot {
  public:
    AnswerSlot() noexcept = default;
    AnswerSlot(SessionLink* link, uint64_t sequence) noexcept;
    AnswerSlot(const AnswerSlot& other) noexcept;
    AnswerSlot(AnswerSlot&& other) noexcept;
    AnswerSlot& operator=(AnswerSlot other) noexcept;
    ~AnswerSlot();

    /// Puts the complete frame (with its length prefix) in its place. The first of answer,
    /// answer_nothing and close counts; what comes later for the same request is ignored.
    void answer(BufferChain frame) const;
    void answer_nothing() const;
    void close(std::string_view reason) const;
    void throttle(Duration time) const;
    void set_client_software(std::string name, std::string version) const;
    void set_principal(std::string principal) const;
    bool connected() const noexcept;
    /// True while the request still waits for the first of answer, answer_nothing and close.
    bool pending() const noexcept;

  private:
    SessionLink* link_ = nullptr;
    uint64_t sequence_ = 0;
};

/// Moved into the handler, one per request. Stays on the connection's shard.
struct RequestContext {
    broker::Shard* shard_pointer = nullptr;  // null only in tests of the session itself
    std::shared_ptr<const ConnectionFacts> connection;
    Instant received;             // when the last byte of the request was read
    uint32_t request_bytes = 0;   // header and body, as quotas count them
    wire::ApiKey api_key{};
    int16_t version = 0;
    int32_t correlation_id = 0;
    AnswerSlot slot;

    broker::Shard& shard() const {
        MILLRACE_ASSERT(shard_pointer != nullptr, "this handler needs a shard");
        return *shard_pointer;
    }
    const std::string& client_id() const { return connection->client_id; }

    /// KIP-219: the answer leaves at once, then the connection reads nothing for `time`. Several
    /// calls for one request: the longest counts. Call before the Reply is sent.
    void throttle(Duration time) const { slot.throttle(time); }
    /// For Produce with acks=0. The Reply must still be sent; its value is thrown away.
    void expect_no_answer() const { slot.answer_nothing(); }
    /// Closes the connection without an answer (acks=0 with an error, wrong state); one log line
    /// says `reason`. The Reply must still be sent (or abandoned).
    void close_connection(std::string_view reason) const { slot.close(reason); }
    /// False when the client went away while its request was parked.
    bool connected() const noexcept { return slot.connected(); }
};

}  // namespace millrace::api
