// tests/sim/client.h: a client that speaks real wire bytes and counts its answers.
//
// It has a connection to every node that it needed so far; Servers says which one that is. Every request is answered exactly once and in order, or its connection is closed (I26): anything
// else fails the run here. A request that gets no answer in time closes the connection, and every
// request of a closed connection ends with nothing.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "millrace/wire/headers.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"
#include "sim/process.h"
#include "sim/route.h"

namespace millrace::sim {

class Client final {
  public:
    Client(World& world, Servers& servers, std::string name);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Sends; `done` gets the response, or nothing when the outcome is unknown.
    template <class Response, class Request>
    void call(const Request& request, int16_t version,
              MoveFunction<void(std::optional<Response>)> done) {
        const auto key = static_cast<wire::ApiKey>(Request::kApiKey);
        post(target_of(request), key, version, encode(key, version, request), [this, key, version,
             done = std::move(done)](std::optional<Buffer> frame) mutable {
            if (!frame) return done(std::nullopt);
            wire::Reader reader(*frame);
            wire::decode_response_head(reader, key, version);
            Response response;
            const bool whole = response.decode(reader, version) && reader.remaining() == 0;
            world_.check(whole, "wire", name_ + ": an answer does not decode");
            done(std::move(response));
        });
    }
    /// Produce with acks=0: no answer will come.
    template <class Request>
    void send_only(const Request& request, int16_t version) {
        const auto key = static_cast<wire::ApiKey>(Request::kApiKey);
        send_bytes(target_of(request), encode(key, version, request));
    }
    /// The same from outside of events: runs the world until the answer is there.
    template <class Response, class Request>
    std::optional<Response> call_now(const Request& request, int16_t version) {
        struct Answer {
            bool there = false;
            std::optional<Response> response;
        };
        auto answer = std::make_shared<Answer>();
        call<Response>(request, version, [answer](std::optional<Response> response) {
            answer->there = true;
            answer->response = std::move(response);
        });
        world_.run_until([answer] { return answer->there; }, timeout + seconds(10));
        world_.check(answer->there, "I26", name_ + ": a call never ended");
        return std::move(answer->response);
    }

    /// The client walks away from its connections.
    void reset();
    size_t in_flight() const { return in_flight_; }
    /// All requests go there, wherever they belong; null: where they belong.
    void talk_to(Process* process) { chosen_ = process; }
    const Process* talks_to() const { return chosen_; }
    const std::string& name() const { return name_; }
    World& world() { return world_; }

    Duration timeout = seconds(5);
    /// After the faults have ended no request may time out.
    bool timeouts_fail = false;

  private:
    struct Pending {
        int32_t correlation_id;
        wire::ApiKey api;
        int16_t version;
        uint64_t timer;
        std::string request;  // only where a meddler wants it
        std::string forged;   // an answer that it made up
        MoveFunction<void(std::optional<Buffer>)> done;
    };
    template <class Request>
    std::string encode(wire::ApiKey key, int16_t version, const Request& request) {
        wire::Writer writer;
        writer.begin_frame();
        wire::encode_request_head(writer, {key, version, ++next_correlation_, name_});
        request.encode(writer, version);
        const BufferChain chain = writer.finish_frame();
        world_.check(writer.ok(), "wire", "a request of a client model does not encode");
        return std::string(chain.flatten()->text());
    }
    /// One connection.
    struct Link final : Peer {
        Link(Client& c, Process& p) : client(c), process(p) {}
        void on_bytes(std::string_view bytes) override { client.on_bytes(*this, bytes); }
        void on_closed() override { client.close_link(*this, false); }
        Client& client;
        Process& process;
        std::shared_ptr<Connection> connection;
        std::deque<Pending> pending;
        std::string inbox;
    };
    /// Null while nobody listens there.
    Link* link_for(const Target& target);
    void post(const Target& target, wire::ApiKey key, int16_t version, std::string bytes,
              MoveFunction<void(std::optional<Buffer>)> done);
    void send_bytes(const Target& target, std::string bytes);
    void on_bytes(Link& link, std::string_view bytes);
    void on_frame(Link& link, std::string frame);
    void on_time_out(Link& link, int32_t id);
    void close_link(Link& link, bool by_us);

    World& world_;
    Servers& servers_;
    std::string name_;
    std::map<int, Link> links_;  // by site, so that the order is the same in every run
    Process* chosen_ = nullptr;
    Process* last_ = nullptr;
    size_t in_flight_ = 0;
    int32_t next_correlation_ = 0;
};

}  // namespace millrace::sim
