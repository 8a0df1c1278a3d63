// tests/bench/path_bench.cc: the produce and fetch paths of a whole node in one thread.
//
// Bytes go through a real api::Session, broker::Node and storage on POSIX files; sockets, threads
// and time are left out, so that instructions can be counted: path_counts.py runs it under callgrind
// and compares with path_counts.json. Prints the requests that bench::measured() has served.
//     path_bench DIRECTORY produce|fetch REQUESTS [--batch-bytes N ...]   (options of load.cc)
#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>

#include "bench/frames.h"
#include "millrace/api/session.h"
#include "millrace/base/endian.h"
#include "millrace/broker/node.h"
#include "millrace/broker/storage_format.h"
#include "millrace/env/background.h"
#include "millrace/env/clock.h"
#include "millrace/env/disk.h"
#include "millrace/env/peers.h"
#include "millrace/env/shards.h"
#include "millrace/env/timers.h"
#include "millrace/net/posix_disk.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/headers.h"

namespace millrace::bench {
namespace {

constexpr size_t kWarmRequests = 200;  // pools, segments and tables exist afterwards
// What a fetch reads: batches per partition, and the offsets it starts from.
constexpr size_t kFetchBatches = 128;
constexpr int64_t kFetchOffsets = 8;
constexpr int64_t kFetchOffsetStep = 120;

void check(const Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "error: %s\n", status.to_string().c_str());
    std::exit(1);
}

/// The ports of one shard: time stands still unless advance() moves it to the next timer.
class Ports final : public env::Clock,
                    public env::Timers,
                    public env::Background,
                    public env::Shards,
                    public env::Peers {
  public:
    Ports() : files_(net::make_posix_file_system(nullptr)) {}
    env::Env env() { return {*this, *this, *files_, *this, *this, *this, 1}; }

    Instant now() override { return now_; }
    WallMs wall() override { return {start_ms_ + now_.nanos / 1'000'000}; }
    env::TimerId arm(Instant when, MoveFunction<void()> fire) override {
        timers_.emplace(std::pair(when, ++last_id_), std::move(fire));
        return last_id_;
    }
    void cancel(env::TimerId id) override {
        std::erase_if(timers_, [id](const auto& entry) { return entry.first.second == id; });
    }
    void post(MoveFunction<void()> task) override { posted_.push_back(std::move(task)); }
    void run(MoveFunction<void()> work, MoveFunction<void()> done) override {
        work();
        post(std::move(done));
    }
    uint32_t count() const override { return 1; }
    ShardId current() const override { return ShardId(0); }
    void post(ShardId, MoveFunction<void()> message) override { post(std::move(message)); }
    void send(const env::PeerAddress&, BufferChain, Duration,
              MoveFunction<void(Result<Buffer>)> done) override {
        done(Status(Errc::Disconnected, "one node"));
    }

    void run_posted() {
        while (!posted_.empty()) {
            MoveFunction<void()> task = std::move(posted_.front());
            posted_.pop_front();
            task();
        }
    }
    /// Runs everything that is due within `time`.
    void advance(Duration time) {
        const Instant end = now_ + time;
        run_posted();
        while (!timers_.empty() && timers_.begin()->first.first <= end) {
            now_ = std::max(now_, timers_.begin()->first.first);
            MoveFunction<void()> fire = std::move(timers_.begin()->second);
            timers_.erase(timers_.begin());
            fire();
            run_posted();
        }
        now_ = end;
    }

  private:
    std::unique_ptr<env::FileSystem> files_;
    const int64_t start_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(
                                  std::chrono::system_clock::now().time_since_epoch())
                                  .count();
    Instant now_{1'000'000'000};
    std::map<std::pair<Instant, env::TimerId>, MoveFunction<void()>> timers_;
    env::TimerId last_id_ = env::kNoTimer;
    std::deque<MoveFunction<void()>> posted_;
};

broker::BrokerConfig make_config(const std::string& directory) {
    Result<broker::BrokerConfig> config = broker::make_broker_config({
        {"process.roles", "broker,controller"},
        {"node.id", "1"},
        {"controller.quorum.bootstrap.servers", "localhost:9093"},
        {"listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"},
        {"controller.listener.names", "CONTROLLER"},
        {"log.dirs", directory},
    });
    check(config.status());
    return *std::move(config);
}

void format(Ports& ports, const broker::BrokerConfig& config) {
    broker::StorageFormatOptions options;
    options.node_id = config.node_id;
    options.log_dirs = config.log_dirs;
    options.metadata_log_dir = config.metadata_log_dir;
    options.has_controller_role = true;
    options.controller_listener_name = "CONTROLLER";
    options.controller_host = "localhost";
    options.controller_port = 9093;
    options.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
    options.standalone = true;
    Rng rng(1);
    env::FileSystem& files = ports.env().files;
    check(files.make_directories(config.log_dirs.front()));
    check(broker::format_storage(files, ports.wall(), rng, options, [](const std::string&) {}));
}

/// A node with one connection that asks and takes its answers.
class World {
  public:
    explicit World(const std::string& directory) : config_(make_config(directory)) {
        format(ports_, config_);
        node_ = std::make_unique<broker::Node>(
            ports_.env(), config_,
            broker::NodeEvents{[this] { ready_ = true; }, [](const Status& cause) {
                                   std::fprintf(stderr, "error: %s\n", cause.to_string().c_str());
                                   std::exit(1);
                               }});
        check(node_->start());
        host_ = std::make_unique<api::SessionHost>(nullptr, api::SessionHost::Options{});
        host_->attach(&node_->shard());
        for (int i = 0; i < 1000 && !ready_; ++i) ports_.advance(milliseconds(10));
        api::ConnectionFacts facts;
        facts.listener = "PLAINTEXT";
        session_ = std::make_unique<api::Session>(*host_, std::move(facts), [] {});
    }
    ~World() {
        session_.reset();
        bool stopped = false;
        node_->stop([&] { stopped = true; });
        for (int i = 0; i < 1000 && !stopped; ++i) ports_.advance(milliseconds(10));
        node_.reset();
    }
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    void create_topic(const std::string& name, int32_t partitions) {
        wire::CreateTopicsRequest request;
        request.timeout_ms = 10'000;
        auto& topic = request.topics.emplace_back();
        topic.name = name;
        topic.num_partitions = partitions;
        topic.replication_factor = 1;
        wire::Writer writer;
        writer.begin_frame();
        wire::encode_request_head(writer, {wire::ApiKey::CreateTopics, 7, 1, "load"});
        request.encode(writer, 7);
        const Buffer frame = *writer.finish_frame().flatten();
        send({frame.data(), frame.data() + frame.size()});
        ports_.advance(seconds(2));
        session_->resume(ports_.now());
        if (take_answer() == 0) die("no answer to CreateTopics");
    }

    void send(const std::vector<uint8_t>& frame) {
        size_t at = 0;
        while (at < frame.size()) {
            const api::ReceiveRoom room = session_->receive_room();
            size_t step = 0;
            for (const MutableByteView part : room.parts) {
                const size_t bytes = std::min(part.size, frame.size() - at - step);
                std::memcpy(part.data, frame.data() + at + step, bytes);
                step += bytes;
            }
            if (step == 0) die("the session takes nothing");
            session_->on_received(step, ports_.now());
            at += step;
        }
        ports_.run_posted();
    }

    /// Its bytes; what they say is the interop tests' business.
    size_t take_answer() {
        BufferChain answer;
        session_->take_output(answer);
        session_->on_sent(answer.size());
        return answer.size();
    }

  private:
    Ports ports_;
    broker::BrokerConfig config_;
    std::unique_ptr<broker::Node> node_;
    std::unique_ptr<api::SessionHost> host_;
    std::unique_ptr<api::Session> session_;
    bool ready_ = false;
};

size_t serve(World& world, const std::vector<std::vector<uint8_t>>& frames, size_t requests) {
    size_t bytes = 0;
    for (size_t i = 0; i < requests; ++i) {
        world.send(frames[i % frames.size()]);
        bytes += world.take_answer();
    }
    return bytes;
}

/// callgrind counts inside this function only (--toggle-collect).
__attribute__((noinline)) size_t measured(World& world,
                                          const std::vector<std::vector<uint8_t>>& frames,
                                          size_t requests) {
    return serve(world, frames, requests);
}

int run(int argc, char** argv) {
    if (argc < 4) {
        std::fprintf(stderr, "usage: path_bench DIRECTORY produce|fetch REQUESTS [--option N]\n");
        return 2;
    }
    Options options;
    options.mode = argv[2];
    options.values["topic"] = "bench";
    for (int i = 4; i + 1 < argc; i += 2) options.values[argv[i] + 2] = argv[i + 1];
    const auto requests = static_cast<size_t>(std::atoll(argv[3]));
    const auto partitions = static_cast<int>(options.number("partitions", 16));
    World world(argv[1]);
    world.create_topic("bench", partitions);
    Rng rng(1);
    std::vector<std::vector<uint8_t>> frames;
    for (int i = 0; i < partitions; ++i) {
        frames.push_back(produce_frame(options, make_batch(options, rng), i));
    }
    serve(world, frames, kWarmRequests);
    if (options.mode == "fetch") {
        serve(world, frames, static_cast<size_t>(partitions) * kFetchBatches);
        frames.clear();
        for (int64_t offset = 0; offset < kFetchOffsets; ++offset) {
            for (int i = 0; i < partitions; ++i) {
                frames.push_back(fetch_frame(options, i, offset * kFetchOffsetStep, 0));
            }
        }
    }
    const size_t bytes = measured(world, frames, requests);
    std::printf("{\"mode\":\"%s\",\"requests\":%zu,\"answer_bytes\":%zu}\n", options.mode.c_str(),
                requests, bytes);
    return bytes > requests * 40 || requests == 0 ? 0 : 1;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
