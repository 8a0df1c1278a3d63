// tests/bench/group_load.cc: load of groups, offsets and transactions for any Kafka broker.
//
// One thread, generated structs, answers checked. Prints one JSON line.
//   group_load txn         --topic T --producers P --milliseconds S --commit-ms 100 |
//                          --commit-batches 1 --batch-records 10
//   group_load commits     --topic T --connections C --depth D --partitions N --milliseconds S
//   group_load fill        --topic T --groups G --partitions N --rounds R  (offsets of N each)
//   group_load filled      --topic T --groups G --partitions N             (and are they there?)
//   group_load rebalance   --members M --rounds R
//   group_load heartbeats  --groups G --members M --interval-ms 3000 --milliseconds S
//   group_load consume     --topic T --member 0|1 --connections C --mebibytes M
#include <cstdio>
#include <cstring>

#include "bench/group_members.h"
#include "bench/load_client.h"
#include "millrace/wire/gen/offset_commit_request.h"
#include "millrace/wire/gen/offset_commit_response.h"
#include "millrace/wire/gen/offset_fetch_request.h"
#include "millrace/wire/gen/offset_fetch_response.h"

namespace millrace::bench {
namespace {

constexpr int16_t kCommitVersion = 8;
constexpr int16_t kOffsetFetchVersion = 8;
constexpr size_t kBuildGroupsAtOnce = 20;
constexpr int64_t kHeartbeatNanos = 3'000'000'000;
constexpr int64_t kAutoCommitNanos = 5'000'000'000;

int port_of(const Options& options) { return static_cast<int>(options.number("port", 9092)); }

wire::OffsetCommitRequest commit_of(const Options& options, const std::string& group) {
    wire::OffsetCommitRequest request;
    request.group_id = group;
    auto& topic = request.topics.emplace_back();
    topic.name = options.text("topic", "bench");
    for (int32_t p = 0; p < options.number("partitions", 1); ++p) {
        auto& partition = topic.partitions.emplace_back();
        partition.partition_index = p;
        partition.committed_offset = 1000 + p;
        partition.committed_metadata = "";
    }
    return request;
}

void check_commit(wire::Reader& reader) {
    wire::OffsetCommitResponse response;
    if (!response.decode(reader, kCommitVersion)) die("OffsetCommit");
    for (const auto& topic : response.topics) {
        for (const auto& partition : topic.partitions) {
            if (partition.error_code == 0) continue;
            std::fprintf(stderr, "error: OffsetCommit: error code %d\n", partition.error_code);
            std::exit(1);
        }
    }
}

void print(const char* mode, const Meter& meter, uint64_t requests, Sample& us,
           const std::string& more = "") {
    const double seconds = meter.seconds();
    const std::string tail = meter.tail();
    std::printf("{\"mode\":\"%s\",\"requests\":%llu,\"requests_per_s\":%.1f,\"p50_us\":%.1f,"
                "\"p99_us\":%.1f,\"max_us\":%.1f,%s%s\n",
                mode, static_cast<unsigned long long>(requests),
                static_cast<double>(requests) / seconds, us.quantile(0.5), us.quantile(0.99),
                us.quantile(1), more.c_str(), tail.c_str());
}

/// Keeps `depth` of `make(connection)` in flight on every connection until told to stop.
class Loop {
  public:
    using Make = std::function<void(size_t connection, Client::Answer then)>;
    Loop(Client& client, size_t depth, Make make)
        : client_(client), depth_(depth), make_(std::move(make)) {}
    void run(const std::function<bool(uint64_t started)>& more) {
        more_ = more;
        for (size_t c = 0; c < client_.connections(); ++c) {
            for (size_t i = 0; i < depth_; ++i) next(c);
        }
        while (done_ < started_) client_.turn(1000);
    }
    uint64_t done() const { return done_; }
    Sample& us() { return us_; }

  private:
    void next(size_t connection) {
        if (!more_(started_)) return;
        ++started_;
        make_(connection, [this, connection, sent = nanos_now()](wire::Reader&) {
            us_.add(static_cast<double>(nanos_now() - sent) / 1000);
            ++done_;
            next(connection);
        });
    }

    Client& client_;
    size_t depth_;
    Make make_;
    std::function<bool(uint64_t)> more_;
    uint64_t started_ = 0;
    uint64_t done_ = 0;
    Sample us_;
};

/// Offset commits of groups without members, one group a connection.
/// Of groups prefix0, prefix1 and so on: more of them than there are partitions are enough.
void await_coordinators(Client& client, const char* prefix, uint64_t groups) {
    constexpr uint64_t kEnough = 300;
    for (uint64_t i = 0; i < std::min(groups, kEnough); ++i) {
        await_coordinator(client, prefix + std::to_string(i), 0);
    }
}

void run_commits(const Options& options) {
    Client client(port_of(options), static_cast<size_t>(options.number("connections", 16)));
    await_coordinators(client, "commit-", client.connections());
    std::vector<wire::OffsetCommitRequest> requests;
    for (size_t c = 0; c < client.connections(); ++c) {
        requests.push_back(commit_of(options, "commit-" + std::to_string(c)));
    }
    Loop loop(client, static_cast<size_t>(options.number("depth", 1)),
              [&](size_t c, Client::Answer then) {
        requests[c].topics[0].partitions[0].committed_offset += 1;
        client.ask(c, kCommitVersion, requests[c], [then](wire::Reader& reader) {
            check_commit(reader);
            then(reader);
        });
    });
    const Meter meter(options);
    const int64_t end = nanos_now() + options.number("milliseconds", 3000) * 1'000'000;
    loop.run([end](uint64_t) { return nanos_now() < end; });
    print("commits", meter, loop.done(), loop.us());
}

void run_fill(const Options& options) {
    Client client(port_of(options), 4);
    const auto groups = static_cast<uint64_t>(options.number("groups", 1000));
    await_coordinators(client, "fill-", groups);
    const uint64_t wanted = groups * static_cast<uint64_t>(options.number("rounds", 1));
    uint64_t at = 0;
    Loop loop(client, 4, [&](size_t c, Client::Answer then) {
        const auto request = commit_of(options, "fill-" + std::to_string(at++ % groups));
        client.ask(c, kCommitVersion, request, [then](wire::Reader& reader) {
            check_commit(reader);
            then(reader);
        });
    });
    const Meter meter(options);
    loop.run([wanted](uint64_t started) { return started < wanted; });
    print("fill", meter, loop.done(), loop.us());
}

/// `complete` when every offset of every group is as run_fill committed it; `error` while loading.
void run_filled(const Options& options) {
    Client client(port_of(options), 1);
    uint64_t right = 0;
    int error = 0;
    const auto groups = static_cast<uint64_t>(options.number("groups", 1000));
    const bool first_only = options.number("first", 0) != 0;
    for (uint64_t g = 0; g < (first_only ? 1 : groups); ++g) {
        wire::OffsetFetchRequest request;
        auto& group = request.groups.emplace_back();
        group.group_id = "fill-" + std::to_string(g);
        group.topics.reset();
        bool answered = false;
        client.ask(0, kOffsetFetchVersion, request, [&](wire::Reader& reader) {
            wire::OffsetFetchResponse response;
            if (!response.decode(reader, kOffsetFetchVersion)) die("OffsetFetch");
            answered = true;
            if (response.groups[0].error_code != 0) error = response.groups[0].error_code;
            for (const auto& topic : response.groups[0].topics) {
                for (const auto& p : topic.partitions) {
                    right += p.committed_offset == 1000 + p.partition_index ? 1 : 0;
                }
            }
        });
        while (!answered) client.turn(1000);
    }
    std::printf("{\"mode\":\"filled\",\"right\":%llu,\"error\":%d}\n",
                static_cast<unsigned long long>(right), error);
}

/// From the first request of the one who comes (or goes) to the last member's assignment. Members
/// ask by heartbeat at once instead of within three seconds: the broker's part is measured.
void run_rebalance(const Options& options) {
    const auto count = static_cast<size_t>(options.number("members", 100));
    Client client(port_of(options), count + 1);
    await_coordinator(client, options.text("name", "rebalance"), 0);
    Group group(client, options.text("name", "rebalance"));
    for (size_t i = 0; i < count; ++i) group.add(i).join();
    group.settle();
    Sample joined, left;
    const Meter meter(options);
    for (int64_t round = 0; round < options.number("rounds", 10); ++round) {
        int64_t started = nanos_now();
        Member& member = group.add(count);
        member.join();
        while (!member.asked_to_join()) client.turn(1);
        client.turn(0);
        group.nudge();
        group.settle();
        joined.add(static_cast<double>(nanos_now() - started) / 1e6);
        started = nanos_now();
        bool gone = false;
        while (member.waiting()) client.turn(1);
        member.leave([&] { gone = true; });
        while (!gone) client.turn(1);
        group.remove_last();
        group.nudge();
        group.settle();
        left.add(static_cast<double>(nanos_now() - started) / 1e6);
    }
    const std::string tail = meter.tail();
    std::printf("{\"mode\":\"rebalance\",\"requests\":%lld,\"join_p50_ms\":%.2f,"
                "\"join_max_ms\":%.2f,\"leave_p50_ms\":%.2f,\"leave_max_ms\":%.2f,%s\n",
                static_cast<long long>(2 * options.number("rounds", 10)), joined.quantile(0.5),
                joined.quantile(1), left.quantile(0.5), left.quantile(1), tail.c_str());
    while (std::any_of(group.members().begin(), group.members().end(),
                       [](const auto& m) { return m->waiting(); })) {
        client.turn(10);
    }
}

/// Groups are formed a few at a time, each on connections of its own: a parked JoinGroup holds up
/// its connection. Then every member beats once an interval, evenly spread, on a fixed schedule.
void run_heartbeats(const Options& options) {
    const auto count = static_cast<size_t>(options.number("groups", 2000));
    const auto size = static_cast<size_t>(options.number("members", 50));
    Client client(port_of(options), kBuildGroupsAtOnce * size);
    await_coordinator(client, "beat-0", 0);
    std::vector<std::unique_ptr<Group>> groups;
    const int64_t building = nanos_now();
    for (size_t at = 0; at < count; at += kBuildGroupsAtOnce) {
        const size_t some = std::min(kBuildGroupsAtOnce, count - at);
        for (size_t g = 0; g < some; ++g) {
            const std::string name = options.text("name", "beat") + "-" + std::to_string(at + g);
            groups.push_back(std::make_unique<Group>(client, name));
            for (size_t m = 0; m < size; ++m) groups.back()->add(g * size + m).join();
        }
        for (size_t g = at; g < at + some; ++g) {
            groups[g]->settle();
            while (std::any_of(groups[g]->members().begin(), groups[g]->members().end(),
                               [](const auto& m) { return m->waiting(); })) {
                client.turn(1);
            }
        }
    }
    const double build_seconds = static_cast<double>(nanos_now() - building) / 1e9;
    const size_t members = count * size;
    const double gap = 1e6 * static_cast<double>(options.number("interval-ms", 3000)) /
                       static_cast<double>(members);
    const auto wanted = static_cast<uint64_t>(
        1e6 * static_cast<double>(options.number("milliseconds", 6000)) / gap);
    Sample us;
    uint64_t done = 0, late = 0;
    const Meter meter(options);
    const int64_t begin = nanos_now();
    for (uint64_t sent = 0; done < wanted;) {
        const int64_t now = nanos_now();
        while (sent < wanted) {
            const int64_t planned =
                begin + static_cast<int64_t>(gap * static_cast<double>(sent));
            if (planned > now) break;
            // The same member of one group after the other: neighbours on different connections.
            Member& member = *groups[sent % count]->members()[(sent / count) % size];
            member.heartbeat([&, planned](int16_t error) {
                if (error != 0) {
                    std::fprintf(stderr, "error: Heartbeat: error code %d\n", error);
                    std::exit(1);
                }
                const int64_t took = nanos_now() - planned;
                us.add(static_cast<double>(took) / 1000);
                late += took > kHeartbeatNanos ? 1 : 0;
                ++done;
            });
            ++sent;
        }
        client.turn(1);
    }
    print("heartbeats", meter, done, us,
          "\"late\":" + std::to_string(late) + ",\"build_s\":" + std::to_string(build_seconds) + ",");
}

/// Catch-up fetch, alone or as the member of a group that beats and commits as consumers do.
void run_consume(const Options& options) {
    const auto partitions = static_cast<int>(options.number("partitions", 16));
    const auto connections = static_cast<size_t>(options.number("connections", 2));
    Client client(port_of(options), connections);
    Client beside(port_of(options), 1);
    Group group(beside, options.text("name", "consume"));
    const bool in_group = options.number("member", 0) != 0;
    std::function<void()> beat, commit;
    beat = [&] {
        group.members()[0]->heartbeat([](int16_t error) { if (error != 0) die("Heartbeat"); });
        beside.after(kHeartbeatNanos, beat);
    };
    commit = [&] {
        wire::OffsetCommitRequest request = commit_of(options, group.name());
        request.member_id = group.members()[0]->id();
        request.generation_id_or_member_epoch = group.members()[0]->generation();
        beside.ask(0, kCommitVersion, request, check_commit);
        beside.after(kAutoCommitNanos, commit);
    };
    std::vector<std::vector<uint8_t>> frames;
    for (int64_t i = 0; i < options.number("offset-steps", 16); ++i) {
        for (int p = 0; p < partitions; ++p) {
            frames.push_back(fetch_frame(options, p, i * options.number("offset-step", 900), 0));
        }
    }
    client.keep_at_most(256);
    const auto wanted = static_cast<uint64_t>(
        static_cast<double>(options.number("mebibytes", 1024) << 20) /
        static_cast<double>(options.number("max-bytes", 1 << 20)));
    uint64_t at = 0;
    Loop loop(client, 1, [&](size_t c, Client::Answer then) {
        beside.turn(0);  // alone, too: the client's own work is the same
        const std::vector<uint8_t>& frame = frames[at++ % frames.size()];
        client.send(c, ByteView(frame.data(), frame.size()), wire::ApiKey::Fetch, 12, std::move(then));
    });
    if (in_group) {  // joining is another row's
        await_coordinator(beside, group.name(), 0);
        group.add(0).join();
        group.settle();
    }
    const Meter meter(options);
    if (in_group) {
        beat();
        commit();
    }
    loop.run([wanted](uint64_t started) { return started < wanted; });
    char more[128];
    std::snprintf(more, sizeof more, "\"bytes\":%llu,\"mb_per_s\":%.1f,",
                  static_cast<unsigned long long>(client.received()),
                  static_cast<double>(client.received()) / meter.seconds() / 1e6);
    print("consume", meter, loop.done(), loop.us(), more);
    if (in_group) {
        bool gone = false;
        group.members()[0]->leave([&] { gone = true; });
        while (!gone) beside.turn(100);
    }
}

int run(int argc, char** argv) {
    static const std::map<std::string, void (*)(const Options&)> kModes = {
        {"txn", run_txn},       {"commits", run_commits},     {"fill", run_fill},
        {"filled", run_filled}, {"rebalance", run_rebalance}, {"heartbeats", run_heartbeats},
        {"consume", run_consume}};
    Options options;
    if (argc > 1) options.mode = argv[1];
    for (int i = 2; i + 1 < argc; i += 2) {
        if (std::strncmp(argv[i], "--", 2) == 0) options.values[argv[i] + 2] = argv[i + 1];
    }
    const auto mode = kModes.find(options.mode);
    if (mode == kModes.end()) {
        std::fprintf(stderr, "usage: group_load MODE [--option value ...]; the modes stand at the "
                             "top of tests/bench/group_load.cc\n");
        return 2;
    }
    mode->second(options);
    return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
