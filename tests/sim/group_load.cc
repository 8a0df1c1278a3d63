// tests/sim/group_load.cc: making the load, watching the output, and reading all back at the end.
#include "sim/group_load.h"

#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/create_topics_response.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/find_coordinator_request.h"
#include "millrace/wire/gen/find_coordinator_response.h"
#include "millrace/wire/gen/incremental_alter_configs_request.h"
#include "millrace/wire/gen/incremental_alter_configs_response.h"
#include "millrace/wire/gen/list_transactions_request.h"
#include "millrace/wire/gen/incremental_alter_configs_request.h"
#include "millrace/wire/gen/incremental_alter_configs_response.h"
#include "millrace/wire/gen/list_transactions_response.h"
#include "millrace/wire/gen/metadata_request.h"
#include "millrace/wire/gen/metadata_response.h"
#include "millrace/wire/gen/offset_fetch_request.h"
#include "millrace/wire/gen/offset_fetch_response.h"

namespace millrace::sim {

namespace {

constexpr int kTriesMax = 300;
constexpr Duration kDrainMax = seconds(90);
constexpr Duration kOpenMax = seconds(60);  // a transaction that its producer left behind
constexpr Duration kAuditEvery = milliseconds(150);
constexpr int8_t kReadCommitted = 1;
constexpr int8_t kTopicResource = 2;
constexpr int64_t kTwoHoursMs = 7'200'000;

}  // namespace

GroupOptions GroupOptions::draw(uint64_t seed) {
    Rng rng(seed ^ 0x67726f757073ULL);
    GroupOptions o;
    o.on = rng.chance(1, 2);
    o.plain_workers = rng.below(4);
    o.txn_workers = 1 + rng.below(3);
    o.shared_id = o.txn_workers > 1 && rng.chance(1, 2);
    return o;
}

void GroupOptions::configure(metadata::ConfigMap& config) const {
    if (!on) return;
    config["group.min.session.timeout.ms"] = "500";
    config["group.initial.rebalance.delay.ms"] = "200";
    config["offsets.topic.num.partitions"] = "2";
    const std::string factor = std::to_string(replication_factor);
    config["offsets.topic.replication.factor"] = factor;
    config["transaction.state.log.num.partitions"] = "2";
    config["transaction.state.log.replication.factor"] = factor;
    config["transaction.state.log.min.isr"] = std::to_string(min_isr);
    config["transaction.abort.timed.out.transaction.cleanup.interval.ms"] = "300";
    config["log.flush.interval.messages"] = "1";
    config["log.cleaner.backoff.ms"] = "500";
}

GroupLoad::GroupLoad(World& world, Servers& servers, const GroupOptions& options)
    : world_(world),
      servers_(servers),
      options_(options),
      rng_(options.on ? world.rng().fork() : Rng(0)),
      client_(world, servers, "load"),
      plain_(world, "plain"),
      exact_(world, "exact"),
      txns_(world) {}

bool GroupLoad::owns(const std::string& topic) {
    return topic == kInputTopic || topic == kOutputTopic || topic == "__consumer_offsets" ||
           topic == "__transaction_state";
}

void GroupLoad::create_topic(const char* name, int32_t partitions, Uuid& id) {
    wire::CreateTopicsRequest request;
    request.timeout_ms = 4000;
    auto& asked = request.topics.emplace_back();
    asked.name = name;
    asked.num_partitions = partitions;
    asked.replication_factor = static_cast<int16_t>(options_.replication_factor);
    auto& config = asked.configs.emplace_back();
    config.name = "internal.segment.bytes";
    config.value = std::to_string(rng_.between(500, 6000));
    if (options_.min_isr > 1) {
        auto& isr = asked.configs.emplace_back();
        isr.name = "min.insync.replicas";
        isr.value = std::to_string(options_.min_isr);
    }
    for (int i = 0; i < kTriesMax; ++i) {
        client_.call_now<wire::CreateTopicsResponse>(request, 7);
        wire::MetadataRequest ask;
        ask.topics.emplace();
        ask.topics->emplace_back().name = name;
        ask.allow_auto_topic_creation = false;
        const auto answer = client_.call_now<wire::MetadataResponse>(ask, 12);
        if (answer && answer->topics.at(0).error_code == 0) {
            id = answer->topics[0].topic_id;
            return;
        }
        world_.run_for(milliseconds(100));
    }
    world_.fail(kExitLiveness, "admin", std::string("no topic ") + name);
}

void GroupLoad::find_coordinator(const std::string& key, int8_t type) {
    for (int i = 0; i < kTriesMax; ++i) {
        const auto version = static_cast<int16_t>(rng_.between(type == 0 ? 0 : 1, 6));
        wire::FindCoordinatorRequest request;
        request.key_type = type;
        if (version < 4) request.key = key;
        if (version >= 4) request.coordinator_keys = {key};
        const auto answer = client_.call_now<wire::FindCoordinatorResponse>(request, version);
        if (answer) {
            const auto error = static_cast<ErrorCode>(
                version < 4 ? answer->error_code : answer->coordinators.at(0).error_code);
            if (error == ErrorCode::None) return;
            world_.check(is_coordinator_moving(error), "I26",
                         "FindCoordinator got " + std::string(error_code_name(error)));
        }
        world_.run_for(milliseconds(100));
    }
    world_.fail(kExitLiveness, "I26", "no coordinator of " + key);
}

/// Internal topics roll and are compacted within the run. Without an answer: as they were.
void GroupLoad::shrink_segments(const std::string& topic) {
    if (rng_.chance(1, 3)) return;
    wire::IncrementalAlterConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = kTopicResource;
    resource.resource_name = topic;
    auto& config = resource.configs.emplace_back();
    config.name = "internal.segment.bytes";
    config.value = std::to_string(rng_.between(2000, 20'000));
    client_.call_now<wire::IncrementalAlterConfigsResponse>(request, 1);
}

void GroupLoad::begin() {
    if (!options_.on) return;
    create_topic(kInputTopic, kInputPartitions, topics_.input);
    create_topic(kOutputTopic, kOutputPartitions, topics_.output);
    find_coordinator(exact_.name(), 0);
    find_coordinator("txn-0", 1);
    for (const char* topic : {"__consumer_offsets", "__transaction_state"}) shrink_segments(topic);
    for (size_t i = 0; i < options_.plain_workers; ++i) {
        WorkerOptions worker;
        worker.think_max = milliseconds(rng_.between(10, 100));
        workers_.push_back(std::make_unique<GroupWorker>(world_, servers_, plain_, txns_, topics_,
                                                         "plain-" + std::to_string(i), worker));
    }
    for (size_t i = 0; i < options_.txn_workers; ++i) {
        WorkerOptions worker;
        worker.transactional_id = "txn-" + std::to_string(options_.shared_id && i == 1 ? 0 : i);
        worker.walls_differ = options_.walls_differ;
        worker.shared = options_.shared_id && i < 2;
        worker.v2 = rng_.chance(2, 3);
        worker.timeout_ms = static_cast<int32_t>(rng_.between(1000, 5000));
        worker.think_max = milliseconds(rng_.between(5, 60));
        workers_.push_back(std::make_unique<GroupWorker>(world_, servers_, exact_, txns_, topics_,
                                                         "exact-" + std::to_string(i), worker));
    }
    for (auto& worker : workers_) worker->start();
    for (size_t i = 0; i < kOutputPartitions; ++i) {
        auditors_.emplace_back().client =
            std::make_unique<Client>(world_, servers_, "auditor-" + std::to_string(i));
    }
    for (size_t i = 0; i < auditors_.size(); ++i) audit(i);
}

wire::FetchRequest GroupLoad::fetch_request(size_t partition, int64_t offset,
                                            int16_t version) const {
    wire::FetchRequest request;
    request.session_epoch = -1;
    request.isolation_level = kReadCommitted;
    request.max_bytes = 1 << 20;
    auto& topic = request.topics.emplace_back();
    if (version < 13) topic.topic = kOutputTopic;
    if (version >= 13) topic.topic_id = topics_.output;
    auto& part = topic.partitions.emplace_back();
    part.partition = static_cast<int32_t>(partition);
    part.fetch_offset = offset;
    part.partition_max_bytes = 1 << 20;
    return request;
}

void GroupLoad::audit(size_t index) {
    world_.after(Duration{1} + world_.random_delay(kAuditEvery), [this, index] {
        if (halted_) return;
        audit(index);
        Auditor& auditor = auditors_[index];
        if (auditor.busy) return;
        auditor.busy = true;
        const auto version = static_cast<int16_t>(rng_.between(4, 18));
        wire::FetchRequest request = fetch_request(index, auditor.reader.position(), version);
        request.max_wait_ms = static_cast<int32_t>(rng_.below(300));
        request.min_bytes = 1;
        auditor.client->call<wire::FetchResponse>(
            request, version,
            [this, index, floor = auditor.stable](std::optional<wire::FetchResponse> answer) {
                auditors_[index].busy = false;
                if (answer && answer->error_code == 0) on_audited(index, *answer, floor);
            });
    });
}

void GroupLoad::on_audited(size_t index, const wire::FetchResponse& answer, int64_t stable_floor) {
    const auto& data = answer.responses.at(0).partitions.at(0);
    if (data.error_code != 0) {
        const auto error = static_cast<ErrorCode>(data.error_code);
        world_.check(error != ErrorCode::OffsetOutOfRange || stale_answers_, "I15",
                     "output: what was visible is out of range");
        return;
    }
    Auditor& auditor = auditors_[index];
    const std::string name = "output-" + std::to_string(index);
    const std::string stable = name + ": the last stable offset " +
                               std::to_string(data.last_stable_offset);
    world_.check(data.last_stable_offset <= data.high_watermark, "I5",
                 stable + " is beyond the high watermark");
    world_.check(data.last_stable_offset >= stable_floor || stale_answers_, "I5",
                 stable + " went back from " + std::to_string(stable_floor));
    auditor.stable = std::max(auditor.stable, data.last_stable_offset);
    for (const auto& record : auditor.reader.feed(world_, name, data)) {
        txns_.on_visible(name, record);
    }
}

void GroupLoad::reset_somebody(Rng& rng) {
    if (workers_.empty()) return;
    GroupWorker& worker = *workers_[rng.below(workers_.size())];
    (rng.chance(1, 2) ? worker.client() : worker.member().client()).reset();
}

std::string GroupLoad::text() const {
    std::string all;
    for (const auto& worker : workers_) all += (all.empty() ? "" : "; ") + worker->text();
    return all;
}

void GroupLoad::drain() {
    if (!options_.on) return;
    // Transactions time out by the wall clock, which may have gone back an hour.
    if (options_.wall_jumps) world_.jump_wall(kTwoHoursMs);
    for (auto& worker : workers_) worker->finish();
    const auto finished = [this] {
        for (auto& worker : workers_) {
            if (!worker->finished()) return false;
        }
        return true;
    };
    if (!world_.run_until(finished, kDrainMax)) {
        world_.fail(kExitLiveness, "I18", "groups and transactions do not come to rest: " + text());
    }
    for (auto& worker : workers_) worker->halt();
    world_.run_until(
        [this] {
            for (const Auditor& auditor : auditors_) {
                if (auditor.busy) return false;
            }
            return true;
        },
        seconds(10));
    halted_ = true;
    world_.run_for(seconds(1));
    world_.say("groups: " + std::to_string(txns_.commits) + " commits, " +
               std::to_string(txns_.aborts) + " aborts, " + std::to_string(txns_.fenced) +
               " fenced, " + std::to_string(plain_.commits()) + " plain commits, generations " +
               std::to_string(plain_.generation()) + " and " + std::to_string(exact_.generation()));
}

std::map<int32_t, int64_t> GroupLoad::offsets(GroupModel& group, const std::string& when) {
    wire::OffsetFetchRequest request;
    request.require_stable = true;
    auto& asked = request.groups.emplace_back();
    asked.group_id = group.name();
    auto& topic = asked.topics->emplace_back();
    topic.name = kInputTopic;
    for (int32_t p = 0; p < kInputPartitions; ++p) topic.partition_indexes.push_back(p);
    for (int i = 0; i < kTriesMax; ++i) {
        const auto answer = client_.call_now<wire::OffsetFetchResponse>(request, 9);
        if (answer && answer->groups.at(0).error_code == 0) {
            std::map<int32_t, int64_t> found;
            for (const auto& part : answer->groups[0].topics.at(0).partitions) {
                if (part.error_code != 0) continue;
                found[part.partition_index] = std::max<int64_t>(part.committed_offset, 0);
                group.on_fetched(part.partition_index, part.committed_offset,
                                 group.committed(part.partition_index));
            }
            if (found.size() == kInputPartitions) return found;
        }
        world_.run_for(milliseconds(200));
    }
    world_.fail(kExitLiveness, "I22", when + ": no offsets of " + group.name());
}

std::string GroupLoad::open_transactions(Process* server) {
    client_.talk_to(server);
    const auto answer =
        client_.call_now<wire::ListTransactionsResponse>(wire::ListTransactionsRequest{}, 0);
    client_.talk_to(nullptr);
    if (!answer || answer->error_code != 0) return "no answer; ";
    std::string open;
    for (const auto& txn : answer->transaction_states) {
        const std::string& state = txn.transaction_state;
        if (state == "CompleteCommit" || state == "CompleteAbort" || state == "Empty") continue;
        open += txn.transactional_id + " is " + state + "; ";
    }
    return open;
}

void GroupLoad::verify_no_open_transaction(const std::string& when) {
    const Instant end = world_.now() + kOpenMax;
    std::string open = "no answer";
    while (world_.now() < end) {
        open.clear();
        for (Process* server : servers_.all_servers()) open += open_transactions(server);
        if (open.empty()) return;
        world_.run_for(milliseconds(300));
    }
    world_.fail(kExitLiveness, "I18", when + ": " + open);
}

std::optional<wire::FetchResponse> GroupLoad::fetch(size_t partition, int64_t offset) {
    const auto version = static_cast<int16_t>(rng_.between(4, 18));
    return client_.call_now<wire::FetchResponse>(fetch_request(partition, offset, version), version);
}

void GroupLoad::verify(const std::string& when) {
    if (!options_.on) return;
    verify_no_open_transaction(when);
    offsets(plain_, when);
    const std::map<int32_t, int64_t> taken = offsets(exact_, when);
    std::vector<CommittedReader::Record> visible;
    for (size_t i = 0; i < kOutputPartitions; ++i) {
        const std::string name = "output-" + std::to_string(i);
        CommittedReader reader;
        for (int tries = 0;; ++tries) {
            const auto answer = fetch(i, reader.position());
            world_.check(answer && answer->error_code == 0 && tries < kTriesMax * 10, "I26",
                         when + ": " + name + " cannot be read");
            const auto& data = answer->responses.at(0).partitions.at(0);
            const auto error = static_cast<ErrorCode>(data.error_code);
            // At rest a leader may still go back to its preferred replica.
            if (error == ErrorCode::NotLeaderOrFollower || error == ErrorCode::OffsetNotAvailable) {
                world_.run_for(milliseconds(300));
                continue;
            }
            world_.check(error == ErrorCode::None, "I15", when + ": " + name + " cannot be read");
            if (data.last_stable_offset != data.high_watermark) {
                world_.fail(kExitLiveness, "I18",
                            when + ": " + name + " is stable up to " +
                                std::to_string(data.last_stable_offset) + " of " +
                                std::to_string(data.high_watermark));
            }
            const int64_t before = reader.position();
            for (const auto& record : reader.feed(world_, name, data)) visible.push_back(record);
            if (reader.position() >= data.high_watermark) break;
            world_.check(reader.position() > before, "I15",
                         when + ": " + name + ": nothing can be read at " + std::to_string(before));
        }
    }
    txns_.settle(when, visible, taken);
}

}  // namespace millrace::sim
