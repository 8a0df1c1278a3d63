// tests/unit/broker/quorum_world.h: a quorum driver on a simulated disk with time in its hands.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/broker/quorum_driver.h"
#include "millrace/broker/storage_format.h"
#include "support/stub_env.h"

namespace millrace::broker {

/// Timers that fire in order of time when the world runs.
class WorldTimers final : public env::Timers {
  public:
    env::TimerId arm(Instant when, MoveFunction<void()> fire) override {
        const env::TimerId id = next_++;
        armed_.emplace(std::pair(when, id), std::move(fire));
        return id;
    }
    void cancel(env::TimerId id) override {
        std::erase_if(armed_, [id](const auto& entry) { return entry.first.second == id; });
    }
    void post(MoveFunction<void()> task) override { posted_.push_back(std::move(task)); }

    size_t run_posted() {
        auto tasks = std::exchange(posted_, {});
        for (auto& task : tasks)
            task();
        return tasks.size();
    }
    Instant next() const { return armed_.empty() ? Instant::never() : armed_.begin()->first.first; }
    void fire_next() {
        MoveFunction<void()> fire = std::move(armed_.begin()->second);
        armed_.erase(armed_.begin());
        fire();
    }
    void drop_all() {
        armed_.clear();
        posted_.clear();
    }

  private:
    env::TimerId next_ = 1;
    std::map<std::pair<Instant, env::TimerId>, MoveFunction<void()>> armed_;
    std::vector<MoveFunction<void()>> posted_;
};

struct Recorder : QuorumListener {
    std::vector<std::pair<Offset, std::string>> records;  // data records, by offset
    Offset next{0};
    std::vector<std::string> events;
    LeaderEpoch epoch{-1};
    bool fatal = false;
    MoveFunction<void()> when_due;

    void on_load_snapshot(MetadataSnapshotSource& source) override {
        records.clear();
        next = source.id().end_offset;
        events.push_back("snapshot " + std::to_string(next.value));
        while (true) {
            auto batch = source.next();
            ASSERT_TRUE(batch.ok()) << batch.status().to_string();
            if (!batch->has_value()) break;
            for (const Buffer& value : (*batch)->records) {
                records.emplace_back(kNoOffset, std::string(value.text()));
            }
        }
    }
    void on_commit(const std::vector<MetadataBatch>& batches) override {
        for (const MetadataBatch& batch : batches) {
            EXPECT_EQ(batch.base_offset, next);
            Offset offset = batch.base_offset;
            for (const Buffer& value : batch.records) {
                records.emplace_back(offset, std::string(value.text()));
                offset = offset + 1;
            }
            next = batch.last_offset + 1;
        }
    }
    void on_leader(LeaderEpoch leads, Offset offset) override {
        epoch = leads;
        EXPECT_EQ(offset, next);
        events.push_back("leader " + std::to_string(leads.value) + " at " +
                         std::to_string(offset.value));
    }
    void on_resign(LeaderEpoch, NodeId) override { events.emplace_back("resign"); }
    void on_snapshot_due() override {
        if (when_due) when_due();
    }
    void on_fatal(const Status& cause) override {
        fatal = true;
        events.push_back("fatal " + cause.to_string());
    }
};

class QuorumDriverWorld {
  public:
    support::SimDisk disk;
    support::StubClock clock;
    WorldTimers timers;
    QuorumDriverConfig config;
    std::unique_ptr<Recorder> listener;
    std::unique_ptr<QuorumDriver> driver;

    QuorumDriverWorld() {
        disk.set_wall([this] { return clock.wall(); });
        config.quorum.local_endpoints = {{"CONTROLLER", "localhost", 9093}};
        config.metadata_log_dir = "/data";
        config.segment_bytes = 16 * 1024 * 1024;
    }
    ~QuorumDriverWorld() { drop_process(); }
    Status format() {
        StorageFormatOptions options;
        options.node_id = NodeId(1);
        options.log_dirs = {"/data"};
        options.metadata_log_dir = "/data";
        options.has_controller_role = true;
        options.controller_listener_name = "CONTROLLER";
        options.controller_host = "localhost";
        options.controller_port = 9093;
        options.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
        options.initial_controllers = "1@localhost:9093:" + directory_id().to_string();
        Rng rng(1);
        return format_storage(disk, clock.wall(), rng, options, [](const std::string&) {});
    }
    static Uuid directory_id() { return Uuid{0x1234, 0x5678}; }
    Status open() {
        config.quorum.local = local_;
        env_ = std::make_unique<env::Env>(
            env::Env{clock, timers, disk, background_, shards_, peers_, 7});
        auto opened = QuorumDriver::open(*env_, config);
        if (!opened.ok()) return opened.status();
        driver = *std::move(opened);
        listener = std::make_unique<Recorder>();
        driver->add_listener(listener.get());
        driver->start();
        return {};
    }
    /// Opens with this key instead of the formatted one.
    Status open_as(const raft::ReplicaKey& key) {
        local_ = key;
        return open();
    }
    /// Everything that is due now.
    void settle() {
        for (int i = 0; i < 10'000; ++i) {
            if (disk.run_posted() + timers.run_posted() + background_.run_all() > 0) continue;
            if (timers.next() > clock.now()) return;
            timers.fire_next();
        }
        FAIL() << "the driver never comes to rest";
    }
    void run(Duration duration) {
        const Instant end = clock.now() + duration;
        settle();
        while (timers.next() <= end) {
            clock.advance(timers.next() - clock.now());
            settle();
        }
        clock.advance(end - clock.now());
    }
    raft::ProposeResult propose(const std::vector<std::string>& texts) {
        std::vector<Buffer> records;
        for (const std::string& text : texts)
            records.push_back(Buffer::copy_of(text));
        return driver->propose(listener->epoch, std::move(records));
    }
    void drop_process() {
        driver.reset();
        timers.drop_all();
        background_.drop_all();
    }

  private:
    raft::ReplicaKey local_{NodeId(1), directory_id()};
    support::StubBackground background_;
    support::OneShard shards_;
    support::NoPeers peers_;
    std::unique_ptr<env::Env> env_;
};

}  // namespace millrace::broker
