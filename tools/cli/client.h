// tools/cli/client.h: a small blocking Kafka client for the commands.
//
// Owner: one command, one thread. A Connection negotiates versions when it is opened and answers
// one request at a time; a Client finds brokers and leaders. Everything obeys one deadline;
// failures are thrown as Failure with the exit code they mean.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "millrace/base/error_code.h"
#include "millrace/wire/gen/metadata_response.h"
#include "millrace/wire/headers.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::cli {

struct Address {
    std::string host;
    int port = 0;
    std::string to_string() const { return host + ":" + std::to_string(port); }
};

using TimePoint = std::chrono::steady_clock::time_point;

class Connection {
  public:
    /// Connects and asks for the versions served.
    Connection(Address address, TimePoint deadline, std::string client_id);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// The highest version that both sides speak, at most `highest`.
    template <class Request>
    int16_t version_of(int16_t highest = Request::kMaxVersion) const {
        return pick_version(Request::kApiKey, Request::kName, Request::kMinVersion, highest);
    }
    template <class Request>
    bool serves() const {
        return versions_.contains(Request::kApiKey);
    }
    /// Sends and waits. `deadline` may lie before the Client's.
    template <class Response, class Request>
    Response ask(const Request& request, int16_t version, TimePoint deadline) {
        wire::Writer writer;
        const wire::RequestHead head = start(writer, Request::kApiKey, version);
        request.encode(writer, version);
        wire::Reader reader(exchange(writer, head, deadline));
        check_head(reader, head);
        Response response;
        if (!response.decode(reader, version)) broken(Request::kName);
        return response;
    }
    /// Sends and waits for nothing (acks=0).
    template <class Request>
    void tell(const Request& request, int16_t version, TimePoint deadline) {
        wire::Writer writer;
        start(writer, Request::kApiKey, version);
        request.encode(writer, version);
        send_all(writer, deadline);
    }
    const Address& address() const { return address_; }

  private:
    int16_t pick_version(int16_t api_key, const char* name, int16_t lowest, int16_t highest) const;
    wire::RequestHead start(wire::Writer& writer, int16_t api_key, int16_t version);
    void send_all(wire::Writer& writer, TimePoint deadline);
    Buffer exchange(wire::Writer& writer, const wire::RequestHead& head, TimePoint deadline);
    void check_head(wire::Reader& reader, const wire::RequestHead& head);
    void receive(uint8_t* into, size_t size, TimePoint deadline);
    void wait_for(short events, TimePoint deadline);
    [[noreturn]] void broken(const char* what) const;
    void negotiate(TimePoint deadline);

    Address address_;
    std::string client_id_;
    int socket_ = -1;
    int32_t correlation_id_ = 0;
    struct Range {
        int16_t low;
        int16_t high;
    };
    std::map<int16_t, Range> versions_;
};

class Client {
  public:
    explicit Client(const Context& context);

    TimePoint deadline() const { return deadline_; }
    int timeout_ms() const;  // what is left
    /// Starts the time limit again: for commands that go on for ever.
    void renew();
    /// Once with another limit: for a request that the broker answers late on purpose.
    void renew(int timeout_ms);

    /// Any broker; the bootstrap servers are tried in order.
    Connection& any();
    Connection& node(int32_t id);
    /// After one was lost: the next requests connect anew.
    void forget_connections();
    /// All topics when `topics` is nothing. `create` lets the broker make those that are missing.
    wire::MetadataResponse metadata(std::optional<std::vector<std::string>> topics,
                                    bool create = false);
    /// Like metadata of one topic, or a Failure with did-you-mean.
    wire::MetadataResponse::MetadataResponseTopic topic(const std::string& name);
    std::string cluster_name() const;

    template <class Response, class Request>
    Response ask(const Request& request) {
        Connection& connection = any();
        return connection.ask<Response>(request, connection.version_of<Request>(), deadline_);
    }
    template <class Response, class Request>
    Response ask_node(int32_t id, const Request& request) {
        Connection& connection = node(id);
        return connection.ask<Response>(request, connection.version_of<Request>(), deadline_);
    }

  private:
    std::vector<Address> bootstrap_;
    int timeout_ms_;
    std::string client_id_;
    TimePoint deadline_;
    std::unique_ptr<Connection> any_;
    std::map<int32_t, std::unique_ptr<Connection>> nodes_;
    std::map<int32_t, Address> addresses_;
};

/// The exit code a Kafka error means.
int exit_code_of(ErrorCode code);
/// Throws unless `error_code` is 0. The text is the broker's, else Kafka's name of the error.
void check_error(int16_t error_code, const std::optional<std::string>& message,
                 const std::string& what);
std::string error_text(int16_t error_code, const std::optional<std::string>& message);
Failure unknown_topic(Client& client, const std::string& name);

}  // namespace millrace::cli
