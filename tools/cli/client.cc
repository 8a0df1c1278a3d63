// tools/cli/client.cc: sockets, versions and leaders for the commands.
#include "cli/client.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cli/interrupt.h"
#include "millrace/base/endian.h"
#include "millrace/base/nearest.h"
#include "millrace/wire/gen/api_versions_request.h"
#include "millrace/wire/gen/api_versions_response.h"
#include "millrace/wire/gen/metadata_request.h"

namespace millrace::cli {
namespace {

constexpr int32_t kResponseBytesMax = 1 << 30;
constexpr int kPortDefault = 9092;

int remaining_ms(TimePoint deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    return static_cast<int>(std::max<int64_t>(left.count(), 0));
}

Address parse_address(const std::string& text) {
    Address address{text, kPortDefault};
    const size_t colon = text.rfind(':');
    const bool bare_ipv6 =
        colon != std::string::npos && text.find(':') != colon && !text.starts_with("[");
    if (colon != std::string::npos && !bare_ipv6 && text.back() != ']') {
        address.host = text.substr(0, colon);
        const std::string port = text.substr(colon + 1);
        address.port = std::atoi(port.c_str());
        if (port.empty() || address.port <= 0 || address.port > 65'535 ||
            port.find_first_not_of("0123456789") != std::string::npos) {
            throw Failure{kUsage, fmt::format("'{}' is no host:port", text),
                          "give -b host:port, for example -b localhost:9092"};
        }
    }
    if (address.host.starts_with("[") && address.host.ends_with("]")) {
        address.host = address.host.substr(1, address.host.size() - 2);
    }
    return address;
}

}  // namespace

Connection::Connection(Address address, TimePoint deadline, std::string client_id)
    : address_(std::move(address)), client_id_(std::move(client_id)) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(address_.port);
    if (const int error = getaddrinfo(address_.host.c_str(), port.c_str(), &hints, &found);
        error != 0) {
        throw Failure{kNoConnection,
                      fmt::format("cannot find host {}: {}", address_.host, gai_strerror(error)),
                      "check the name, or give another server with -b"};
    }
    std::string why = "no address";
    for (addrinfo* one = found; one != nullptr && socket_ < 0; one = one->ai_next) {
        socket_ = socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (socket_ < 0) continue;
        int error = connect(socket_, one->ai_addr, one->ai_addrlen) == 0 ? 0 : errno;
        if (error == EINPROGRESS) {
            pollfd watch{socket_, POLLOUT, 0};
            socklen_t size = sizeof error;
            const int ready = poll(&watch, 1, remaining_ms(deadline));
            if (ready <= 0)
                error = ETIMEDOUT;
            else
                getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
        }
        if (error == 0) break;
        why = std::strerror(error);
        close(socket_);
        socket_ = -1;
    }
    freeaddrinfo(found);
    if (socket_ < 0) {
        throw Failure{kNoConnection,
                      fmt::format("cannot connect to {}: {}", address_.to_string(), why),
                      "is the broker running there? start one with: millrace dev"};
    }
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    try {
        negotiate(deadline);
    } catch (...) {
        close(socket_);
        throw;
    }
}

Connection::~Connection() { close(socket_); }

void Connection::negotiate(TimePoint deadline) {
    wire::ApiVersionsRequest request;
    request.client_software_name = "millrace";
    request.client_software_version = kVersion;
    // A server that does not know our version answers in v0 with error 35 (KIP-511); v0 is asked
    // second, so that any server can be talked to.
    for (const int16_t version : {wire::ApiVersionsRequest::kMaxVersion, int16_t{0}}) {
        wire::Writer writer;
        const wire::RequestHead head = start(writer, wire::ApiVersionsRequest::kApiKey, version);
        if (version == 0) request = {};
        request.encode(writer, version);
        const Buffer frame = exchange(writer, head, deadline);
        wire::Reader reader(frame);
        check_head(reader, head);
        const bool refused = frame.size() >= 6 && load_big<int16_t>(frame.data() + 4) != 0;
        if (refused && version != 0) continue;
        wire::ApiVersionsResponse response;
        if (!response.decode(reader, version)) broken("ApiVersions");
        check_error(response.error_code, std::nullopt, "versions of " + address_.to_string());
        for (const auto& api : response.api_keys) {
            versions_[api.api_key] = {api.min_version, api.max_version};
        }
        return;
    }
}

int16_t Connection::pick_version(int16_t api_key, const char* name, int16_t lowest,
                                 int16_t highest) const {
    const auto found = versions_.find(api_key);
    if (found == versions_.end() || found->second.low > highest || found->second.high < lowest) {
        throw Failure{kFailed, fmt::format("{} does not serve {}", address_.to_string(), name), ""};
    }
    return std::min(highest, found->second.high);
}

wire::RequestHead Connection::start(wire::Writer& writer, int16_t api_key, int16_t version) {
    wire::RequestHead head;
    head.api = static_cast<wire::ApiKey>(api_key);
    head.api_version = version;
    head.correlation_id = ++correlation_id_;
    head.client_id = client_id_;
    writer.begin_frame();
    wire::encode_request_head(writer, head);
    return head;
}

void Connection::wait_for(short events, TimePoint deadline) {
    pollfd watch{socket_, events, 0};
    const int ready = poll(&watch, 1, remaining_ms(deadline));
    if (ready > 0) return;
    if (ready < 0 && errno == EINTR) {
        if (!interrupted() || !waits_are_interruptible()) return;
        throw Failure{kInterrupted, "interrupted", ""};
    }
    throw Failure{kNoConnection, fmt::format("no answer from {} in time", address_.to_string()),
                  "give it longer with --timeout, or ask another server with -b"};
}

void Connection::send_all(wire::Writer& writer, TimePoint deadline) {
    if (!writer.ok()) {
        throw Failure{kFailed, fmt::format("the request cannot be written: {}", writer.error()),
                      ""};
    }
    const auto flat = writer.finish_frame().flatten();
    if (!flat.ok()) throw Failure{kFailed, flat.status().message(), ""};
    size_t done = 0;
    while (done < flat->size()) {
        const ssize_t sent =
            ::send(socket_, flat->data() + done, flat->size() - done, MSG_NOSIGNAL);
        if (sent > 0) {
            done += static_cast<size_t>(sent);
        } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            throw Failure{kNoConnection,
                          fmt::format("connection to {} lost: {}", address_.to_string(),
                                      std::strerror(errno)),
                          ""};
        } else {
            wait_for(POLLOUT, deadline);
        }
    }
}

void Connection::receive(uint8_t* into, size_t size, TimePoint deadline) {
    while (size > 0) {
        const ssize_t got = ::recv(socket_, into, size, 0);
        if (got > 0) {
            into += got;
            size -= static_cast<size_t>(got);
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            throw Failure{kNoConnection,
                          fmt::format("{} closed the connection", address_.to_string()),
                          "is it a Kafka listener without TLS or SASL?"};
        } else {
            wait_for(POLLIN, deadline);
        }
    }
}

Buffer Connection::exchange(wire::Writer& writer, const wire::RequestHead& head,
                            TimePoint deadline) {
    send_all(writer, deadline);
    while (true) {
        uint8_t prefix[4];
        receive(prefix, sizeof prefix, deadline);
        const int32_t size = load_big<int32_t>(prefix);
        if (size < 4 || size > kResponseBytesMax) broken("the answer's size");
        Buffer frame = Buffer::allocate(static_cast<size_t>(size));
        receive(frame.mutable_data(), frame.size(), deadline);
        // An answer that came too late for an earlier request is passed over.
        if (load_big<int32_t>(frame.data()) == head.correlation_id) return frame;
    }
}

void Connection::check_head(wire::Reader& reader, const wire::RequestHead& head) {
    const auto id = wire::decode_response_head(reader, head.api, head.api_version);
    if (!id || *id != head.correlation_id) broken("the answer's header");
}

void Connection::broken(const char* what) const {
    throw Failure{
        kFailed,
        fmt::format("{} sent an answer that cannot be read ({})", address_.to_string(), what),
        "is it a Kafka broker?"};
}

Client::Client(const Context& context)
    : timeout_ms_(context.timeout_ms), client_id_(context.client_id) {
    renew();
    // Not CLI11's envname: all subcommands share the option's place, and it would fill it from the
    // environment after the one that was typed.
    const char* environment = std::getenv("MILLRACE_BOOTSTRAP");
    std::string_view rest = context.bootstrap;
    if (rest.empty() && environment != nullptr) rest = environment;
    if (rest.empty()) rest = "localhost:9092";
    while (!rest.empty()) {
        const size_t comma = std::min(rest.find(','), rest.size());
        if (comma > 0) bootstrap_.push_back(parse_address(std::string(rest.substr(0, comma))));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    if (bootstrap_.empty()) throw Failure{kUsage, "no server is given", "give -b host:port"};
}

void Client::renew() { renew(timeout_ms_); }

void Client::renew(int timeout_ms) {
    deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
}

int Client::timeout_ms() const { return remaining_ms(deadline_); }

Connection& Client::any() {
    if (any_ != nullptr) return *any_;
    for (const Address& address : bootstrap_) {
        try {
            any_ = std::make_unique<Connection>(address, deadline_, client_id_);
            return *any_;
        } catch (const Failure&) {
            if (&address == &bootstrap_.back()) throw;
        }
    }
    MILLRACE_UNREACHABLE("there is at least one bootstrap server");
}

void Client::forget_connections() {
    any_.reset();
    nodes_.clear();
}

Connection& Client::node(int32_t id) {
    auto& slot = nodes_[id];
    if (slot != nullptr) return *slot;
    if (!addresses_.contains(id)) metadata(std::vector<std::string>());
    const auto found = addresses_.find(id);
    if (found == addresses_.end()) {
        throw Failure{kNotFound, fmt::format("no broker {} is up", id),
                      "millrace cluster shows the brokers"};
    }
    slot = std::make_unique<Connection>(found->second, deadline_, client_id_);
    return *slot;
}

wire::MetadataResponse Client::metadata(std::optional<std::vector<std::string>> topics,
                                       bool create) {
    wire::MetadataRequest request;
    request.allow_auto_topic_creation = create;
    if (!topics) request.topics.reset();
    for (const std::string& name : topics.value_or(std::vector<std::string>())) {
        request.topics->emplace_back().name = name;
    }
    auto response = ask<wire::MetadataResponse>(request);
    for (const auto& broker : response.brokers) {
        addresses_[broker.node_id] = {broker.host, broker.port};
    }
    return response;
}

std::string Client::cluster_name() const { return bootstrap_.front().to_string(); }

wire::MetadataResponse::MetadataResponseTopic Client::topic(const std::string& name) {
    auto response = metadata(std::vector<std::string>{name});
    if (response.topics.empty()) throw unknown_topic(*this, name);
    auto& topic = response.topics.front();
    if (topic.error_code == wire_error(ErrorCode::UnknownTopicOrPartition)) {
        throw unknown_topic(*this, name);
    }
    check_error(topic.error_code, std::nullopt, "topic '" + name + "'");
    return topic;
}

Failure unknown_topic(Client& client, const std::string& name) {
    Failure failure{kNotFound, fmt::format("no topic '{}' on {}", name, client.cluster_name()), ""};
    std::vector<std::string> known;
    for (const auto& topic : client.metadata(std::nullopt).topics) {
        known.push_back(topic.name.value_or(""));
    }
    const auto near = nearest_names(name, known);
    for (const std::string& candidate : near) {
        failure.fix += failure.fix.empty() ? "did you mean '" : " or '";
        failure.fix += candidate + "'";
    }
    failure.fix += near.empty() ? "millrace topic list shows what there is" : "?";
    return failure;
}

int exit_code_of(ErrorCode code) {
    struct Row {
        ErrorCode code;
        ExitCode exit_code;
    };
    constexpr Row kRows[] = {
        {ErrorCode::UnknownTopicOrPartition, kNotFound},
        {ErrorCode::UnknownTopicId, kNotFound},
        {ErrorCode::GroupIdNotFound, kNotFound},
        {ErrorCode::TransactionalIdNotFound, kNotFound},
        {ErrorCode::BrokerIdNotRegistered, kNotFound},
        {ErrorCode::TopicAuthorizationFailed, kDenied},
        {ErrorCode::GroupAuthorizationFailed, kDenied},
        {ErrorCode::ClusterAuthorizationFailed, kDenied},
        {ErrorCode::SaslAuthenticationFailed, kDenied},
        {ErrorCode::TransactionalIdAuthorizationFailed, kDenied},
        {ErrorCode::TopicAlreadyExists, kConflict},
        {ErrorCode::NonEmptyGroup, kConflict},
        {ErrorCode::GroupSubscribedToTopic, kConflict},
        {ErrorCode::RequestTimedOut, kNoConnection},
    };
    for (const Row& row : kRows) {
        if (row.code == code) return row.exit_code;
    }
    return kFailed;
}

std::string error_text(int16_t error_code, const std::optional<std::string>& message) {
    if (message && !message->empty()) return *message;
    const auto code = error_code_from(error_code);
    if (!code) return fmt::format("error {}", error_code);
    return fmt::format("{} ({})", error_code_message(*code), error_code_name(*code));
}

void check_error(int16_t error_code, const std::optional<std::string>& message,
                 const std::string& what) {
    if (error_code == 0) return;
    const auto code = error_code_from(error_code).value_or(ErrorCode::UnknownServerError);
    throw Failure{exit_code_of(code), fmt::format("{}: {}", what, error_text(error_code, message)),
                  "", error_code, message.value_or("")};
}

}  // namespace millrace::cli
