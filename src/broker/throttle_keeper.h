// src/broker/throttle_keeper.h: which throttles of moves nobody looks after any more; a pure machine.
//
// The command that drives a plan of moves notes what it throttles in the topic of plans and writes
// there every other second. A plan that is silent for the lease and has nothing under way of what
// it throttles has lost its driver: what it noted is to be taken away, and only that. A value that
// somebody else has set since stays (placement/throttle_note.h). Time is counted from when a record
// is read here, so clocks of other machines do not matter, and a new leader gives a whole lease.
// Owner: broker/throttle_keeper_driver. Ours; Kafka leaves throttles to the operator's --verify.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/time.h"
#include "millrace/metadata/image.h"
#include "millrace/placement/throttle_note.h"

namespace millrace::broker {

class ThrottleKeeper {
  public:
    /// Several times what a living driver takes between two records.
    static constexpr Duration kLease = seconds(10);

    struct Change {
        metadata::ConfigTarget target;
        std::string key;
        std::optional<std::string> value;  // nothing: the config is deleted
    };
    /// What is to be done about one plan: first the configs, then its records of notes go.
    struct Duty {
        std::string plan;
        std::vector<Change> changes;
        std::vector<std::string> tombstones;
    };

    /// Another log, or the same from its start.
    void reset() { plans_.clear(); }
    /// One record of the topic, in the order of the log.
    void on_record(Instant now, std::string_view key, std::optional<std::string_view> value);
    std::optional<Duty> look(Instant now, const metadata::Image& image) const;

  private:
    /// A plan that has notes.
    struct Plan {
        Instant heard;
        std::map<std::string, std::vector<placement::ThrottleNote>> records;
    };
    static bool moves(const Plan& plan, const metadata::TopicsImage& topics);
    static Duty duty_of(const std::string& id, const Plan& plan, const metadata::Image& image);

    std::map<std::string, Plan, std::less<>> plans_;
};

}  // namespace millrace::broker
