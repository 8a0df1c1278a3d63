// tests/bench/load_client.h: many connections in one thread, each answer to its own continuation.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "bench/frames.h"
#include "millrace/wire/api_key.h"
#include "millrace/wire/headers.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::bench {

int64_t nanos_now();
/// CPU of this process so far, user and system.
double cpu_seconds();

/// What a measured stretch took: time, our CPU, and the broker's when --pid says who it is.
class Meter {
  public:
    explicit Meter(const Options& options);
    double seconds() const;
    /// `"seconds":…,"client_cpu_s":…,"cpu":…,"errors":0}`: the end of a line of JSON.
    std::string tail() const;

  private:
    std::string pid_;
    int64_t begin_;
    double client_;
    double broker_;
};

/// Values whose quantiles are asked for at the end.
class Sample {
  public:
    void add(double value) { values_.push_back(value); }
    size_t count() const { return values_.size(); }
    double quantile(double q);

  private:
    std::vector<double> values_;
};

/// Requests leave together at the next turn(): a pipelining client, not one write for each.
/// A broker answers a connection in order: a parked JoinGroup holds up all that follow on its own.
class Client {
  public:
    using Answer = std::function<void(wire::Reader&)>;
    Client(int port, size_t connections);

    template <class Request>
    void ask(size_t connection, int16_t version, const Request& request, Answer then) {
        wire::Writer writer;
        writer.begin_frame();
        const auto api = static_cast<wire::ApiKey>(Request::kApiKey);
        wire::encode_request_head(writer, {api, version, 1, "load"});
        request.encode(writer, version);
        if (!writer.ok()) die(std::string("encode: ") + writer.error());
        const Buffer frame = *writer.finish_frame().flatten();
        send(connection, frame.view(), api, version, std::move(then));
    }
    void send(size_t connection, ByteView frame, wire::ApiKey api, int16_t version, Answer then);
    /// Sends what is queued, waits for answers or the next timer at most `wait_ms`, runs both.
    void turn(int wait_ms);
    void after(int64_t nanos, std::function<void()> then);
    size_t in_flight(size_t connection) const { return peers_[connection].waiting.size(); }
    size_t connections() const { return peers_.size(); }
    uint64_t received() const { return received_; }
    /// What an answer has beyond that is thrown away unread (Fetch).
    void keep_at_most(size_t bytes) { keep_max_ = bytes; }

  private:
    struct Waiting {
        wire::ApiKey api;
        int16_t version;
        Answer then;
    };
    struct Peer {
        int fd = -1;
        std::vector<uint8_t> out;
        size_t sent = 0;
        bool dirty = false;
        bool want_write = false;
        std::vector<uint8_t> in;  // size and the answer being read
        size_t left = 0;          // bytes of that answer still to come
        std::deque<Waiting> waiting;
    };
    struct Timer {
        int64_t at;
        std::function<void()> then;
    };

    void flush(size_t index);
    void read(size_t index);
    void take(size_t index, const uint8_t* data, size_t size);
    void run_timers();

    int poll_ = -1;
    std::vector<Peer> peers_;
    std::vector<size_t> dirty_;
    std::vector<Timer> timers_;  // a heap, soonest first
    std::vector<uint8_t> room_ = std::vector<uint8_t>(256 << 10);
    size_t keep_max_ = SIZE_MAX;
    uint64_t received_ = 0;
};

/// Asks until the coordinator of `key` (0: group, 1: transaction) answers without an error.
void await_coordinator(Client& client, const std::string& key, int8_t type);

void run_txn(const Options& options);

}  // namespace millrace::bench
