// src/broker/log_cleaner.h: compaction of the shard's logs: which one next, its steps, checkpoints.
//
// One cleaning at a time. The dirtiest log that is worth it is cleaned in steps on env::Background;
// each finished group of segments is swapped in on this shard; then the directory's
// cleaner-offset-checkpoint is written. Between cleanings retention runs for all logs with compact
// (LogMaintenance does it for the others). Owner: broker/node; not made when log.cleaner.enable is
// false, as in Kafka. Sources: kafka.log LogCleaner, LogCleanerManager; dataplane.md F.9.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "millrace/broker/shard.h"
#include "millrace/storage/cleaner.h"

namespace millrace::broker {

/// How long to rest after a step so that `bytes_per_second` holds: what the bytes may take, less
/// what they took.
Duration cleaner_pause(uint64_t bytes, double bytes_per_second, Duration took);
/// Bytes of one step: about 300 ms at the allowed rate, within bounds.
uint64_t cleaner_step_bytes(double bytes_per_second);

class LogCleaner {
  public:
    explicit LogCleaner(Shard& shard);
    ~LogCleaner();
    LogCleaner(const LogCleaner&) = delete;
    LogCleaner& operator=(const LogCleaner&) = delete;

    /// After the logs were taken over. Reads the checkpoints.
    void start();
    /// A step under way may go on; its files are left for the next start to remove.
    void stop();

  private:
    struct Line {
        Offset offset;
        Uuid topic_id;  // a topic made anew under the same name starts dirty
    };
    using Lines = std::map<TopicPartition, Line>;
    struct Work;

    void arm(Duration wait, void (LogCleaner::*run)());
    void round();
    /// Lowers lines after truncations, drops those of logs that are gone.
    void settle_lines();
    std::shared_ptr<Work> choose();
    std::shared_ptr<Work> make_work(Partition& partition, LogDir& dir,
                                    const storage::CleaningPlan& plan);
    void set_line(LogDir& dir, const TopicPartition& partition, Line line);
    /// Writes the files whose lines changed, then goes on with `next`.
    void write_lines(void (LogCleaner::*next)());
    void step();
    void on_step();
    void finish();
    void give_up(const Status& status);
    void rest();
    void apply_retention();
    storage::CleanerMemory memory() const;

    Shard& shard_;
    std::map<Uuid, Lines> lines_;                      // by directory
    std::set<Uuid> changed_;                           // directories whose file is to be written
    std::map<std::pair<Uuid, TopicPartition>, Uuid> uncleanable_;  // to topic id
    std::shared_ptr<Work> work_;                       // the cleaning under way
    env::TimerId timer_ = 0;
    bool running_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
