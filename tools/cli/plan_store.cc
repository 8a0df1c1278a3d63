// tools/cli/plan_store.cc: plans kept in the cluster, in a compacted topic of one partition.
#include "cli/plan_store.h"

#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <random>
#include <thread>

#include "cli/record_sender.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/create_topics_response.h"

namespace millrace::cli {
namespace {

constexpr int kMaxCopies = 3;
constexpr int kWaitMs = 100;
constexpr size_t kPlansKept = 100;
constexpr int kTries = 20;
constexpr int kLeaderTries = 50;
constexpr std::chrono::milliseconds kLeaderPause{200};
const TopicPartition kWhere{kPlansTopic, 0};

std::string text_of(const std::optional<ByteView>& bytes) {
    if (!bytes) return "";
    return {reinterpret_cast<const char*>(bytes->data), bytes->size};
}

/// Waits for a leader: "no plan" must never mean that nobody was there to tell.
int64_t offset_of(Client& client, int64_t timestamp) {
    for (int i = 0; i < kLeaderTries; ++i) {
        std::map<TopicPartition, FoundOffset> found;
        try {
            found = find_offsets(client, std::set{kWhere}, timestamp);
        } catch (const Failure& failure) {  // the leader of a moment ago
            if (failure.exit_code != kNoConnection || i + 1 == kLeaderTries) throw;
        }
        if (found.contains(kWhere) && found.at(kWhere).error_code == 0) {
            return found.at(kWhere).offset;
        }
        std::this_thread::sleep_for(kLeaderPause);
    }
    throw Failure{kNoConnection, fmt::format("the topic {} has no leader", kPlansTopic),
                  "start the brokers that hold it: millrace health names them"};
}

}  // namespace

void PlanStore::refresh() {
    if (!started_) {
        const auto metadata = client_.metadata(std::vector<std::string>{kPlansTopic});
        const auto none = static_cast<int16_t>(ErrorCode::UnknownTopicOrPartition);
        if (metadata.topics.empty() || metadata.topics.front().error_code == none) return;
        fetcher_.start(kWhere, offset_of(client_, kEarliestTimestamp));
        started_ = true;
    }
    const int64_t end = offset_of(client_, kLatestTimestamp);
    while (fetcher_.position(kWhere) < end) {
        fetcher_.round(kWaitMs, [this](const FetchedRecord& found) {
            std::optional<std::string> value;
            if (found.record.value) value = text_of(found.record.value);
            take_record(text_of(found.record.key), value, plans_);
            return true;
        });
    }
}

StoredPlan PlanStore::find(const std::string& id) {
    refresh();
    const StoredPlan* best = nullptr;
    for (const auto& [name, plan] : plans_) {
        if (!id.empty() && name != id) continue;
        if (best == nullptr || is_over(best->phase) || !is_over(plan.phase)) best = &plan;
    }
    if (best != nullptr) return *best;
    if (id.empty())
        throw Failure{kNotFound, "no plan is kept in this cluster",
                      "millrace rebalance-rackaware makes one, --execute starts it"};
    throw Failure{kNotFound, fmt::format("no plan '{}'", id),
                  plans_.empty() ? "" : "the newest is " + plans_.rbegin()->first};
}

void PlanStore::add(StoredPlan& plan) {
    make_topic();
    plan.revision = 1;
    plan.writer = fmt::format("{}:{:08x}", driver_name(), std::random_device{}());
    Records records;
    for (auto& [key, value] : move_records(plan))
        records.emplace_back(key, std::move(value));
    records.emplace_back(plan.id, state_json(plan));
    write(records);
    refresh();
    const auto found = plans_.find(plan.id);
    if (found == plans_.end()) return;  // not to be seen yet; the next write tells
    if (found->second.writer == plan.writer && move_records(found->second) == move_records(plan))
        return;
    throw Failure{kConflict, fmt::format("another command has stored a plan {}", plan.id),
                  "try again"};
}

bool PlanStore::try_save(StoredPlan& plan) {
    StoredPlan next = plan;
    ++next.revision;
    next.writer = fmt::format("{}:{}", driver_name(), ++written_);
    write({{next.id, state_json(next)}});
    refresh();
    const auto found = plans_.find(plan.id);
    if (found == plans_.end()) return false;
    if (found->second.writer == next.writer) {
        plan.revision = next.revision;
        plan.writer = next.writer;
        return true;
    }
    // Compaction keeps the last record of a key, and that is now one that does not count.
    StoredPlan stands = found->second;
    ++stands.revision;
    stands.writer = fmt::format("{}:{}", driver_name(), ++written_);
    write({{stands.id, state_json(stands)}});
    refresh();
    return false;
}

StoredPlan PlanStore::update(const std::string& id,
                             const std::function<void(StoredPlan&)>& change) {
    for (int i = 0; i < kTries; ++i) {
        StoredPlan plan = find(id);
        change(plan);
        if (try_save(plan)) return plan;
    }
    throw Failure{kConflict, fmt::format("others keep changing plan {}", id), "try again"};
}

void PlanStore::note_throttles(const StoredPlan& plan) {
    Records records;
    const auto now = placement::throttle_records(plan.id, plan.throttles);
    const auto known = plans_.find(plan.id);
    if (known != plans_.end()) {
        for (const auto& [key, notes] : known->second.throttle_records) {
            if (!now.contains(key)) records.emplace_back(key, std::nullopt);
        }
    }
    for (const auto& [key, value] : now)
        records.emplace_back(key, value);
    if (!records.empty()) write(records);
    refresh();
}

void PlanStore::write(const Records& records) {
    bool created = false;
    RecordSender sender(client_, {kPlansTopic, "none", -1, 0},
                        topic_to_write(client_, kPlansTopic, created));
    for (const auto& [key, value] : records)
        sender.add({key, value, {}});
    // Plans that are over are forgotten, the oldest first; ids sort by time.
    size_t too_many = plans_.size() > kPlansKept ? plans_.size() - kPlansKept : 0;
    for (const auto& [id, plan] : plans_) {
        if (too_many == 0) break;
        if (!is_over(plan.phase) || plan.cordon.broker >= 0 || !plan.throttles.empty()) continue;
        --too_many;
        for (const auto& [key, value] : move_records(plan))
            sender.add({key, std::nullopt, {}});
        sender.add({id, std::nullopt, {}});
    }
    sender.flush();
}

void PlanStore::make_topic() {
    wire::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = kPlansTopic;
    topic.num_partitions = 1;
    const auto brokers = static_cast<int>(cluster_nodes(client_).size());
    topic.replication_factor = static_cast<int16_t>(std::clamp(brokers, 1, kMaxCopies));
    // A sign of life every other second: what is outdated is to go soon.
    for (const auto& [name, value] : {std::pair{"cleanup.policy", "compact"},
                                      std::pair{"segment.ms", "3600000"},
                                      std::pair{"min.cleanable.dirty.ratio", "0.1"}}) {
        auto& config = topic.configs.emplace_back();
        config.name = name;
        config.value = value;
    }
    request.timeout_ms = client_.timeout_ms();
    const auto response = client_.ask<wire::CreateTopicsResponse>(request);
    for (const auto& one : response.topics) {
        if (error_code_from(one.error_code) == ErrorCode::TopicAlreadyExists) continue;
        check_error(one.error_code, one.error_message, "the topic of plans");
    }
}

int64_t now_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::string who_am_i() {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    const passwd* user = getpwuid(geteuid());
    return fmt::format("{}@{}", user != nullptr ? user->pw_name : "nobody", host);
}

std::string driver_name() { return fmt::format("{}:{}", who_am_i(), getpid()); }

bool is_driven(const StoredPlan& plan) {
    if (!plan.driven(now_ms())) return false;
    const size_t colon = plan.driver.rfind(':');
    if (plan.driver.substr(0, colon) != who_am_i()) return true;
    return ::kill(std::atoi(plan.driver.c_str() + colon + 1), 0) == 0;
}

std::string new_plan_id(const PlanStore& store) {
    const int64_t now = now_ms();
    const std::time_t seconds = now / 1000;
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[32];
    std::strftime(text, sizeof text, "r-%Y%m%d-%H%M%S", &utc);
    std::string id;
    do {
        id = fmt::format("{}-{:03}{:04x}", text, now % 1000, std::random_device{}() & 0xffffU);
    } while (store.plans().contains(id));
    return id;
}

}  // namespace millrace::cli
