// tools/cli/usual_fix.cc: what to do about a failure that does not say so itself.
#include <fmt/core.h>

#include "cli/report.h"
#include "millrace/base/error_code.h"

namespace millrace::cli {
namespace {

struct Row {
    ErrorCode code;
    const char* fix;
};
constexpr Row kRows[] = {
    {ErrorCode::InvalidTopicException,
     "a name has 1 to 249 letters, digits, dots, underscores and dashes"},
    {ErrorCode::InvalidReplicationFactor,
     "ask for no more replicas than there are brokers: millrace cluster shows them"},
    {ErrorCode::InvalidPartitions,
     "ask for at least one partition, and for more than there are when adding"},
    {ErrorCode::InvalidReplicaAssignment, "name brokers that run: millrace cluster shows them"},
    {ErrorCode::InvalidConfig, "config/REFERENCE.md lists the keys and their values"},
    {ErrorCode::PolicyViolation, "ask for less at a time (10,000 records of metadata, about as many partitions)"},
    {ErrorCode::RequestTimedOut, "try again, or give it longer with --timeout"},
    {ErrorCode::NotController, "try again: the cluster is choosing a controller"},
    {ErrorCode::CoordinatorNotAvailable, "try again: the coordinator is on its way"},
    {ErrorCode::CoordinatorLoadInProgress, "try again: the coordinator is being loaded"},
    {ErrorCode::NotCoordinator, "try again: the coordinator moved"},
    {ErrorCode::NotLeaderOrFollower, "try again: the leader moved"},
    {ErrorCode::LeaderNotAvailable, "start the brokers that hold it: millrace health names them"},
    {ErrorCode::NotEnoughReplicas, "start the brokers that are missing: millrace health names them"},
    {ErrorCode::OffsetOutOfRange, "millrace topic describe shows the offsets there are"},
    {ErrorCode::MessageTooLarge, "send smaller records, or raise max.message.bytes of the topic"},
};

}  // namespace

std::string usual_fix(const Failure& failure, const std::string& command) {
    if (failure.kafka_error != 0) {
        const auto code = error_code_from(failure.kafka_error);
        for (const Row& row : kRows) {
            if (code == row.code) return row.fix;
        }
    }
    switch (failure.exit_code) {
        case kUsage: return command + " --help";
        case kNoConnection: return "millrace health, or another server with -b";
        case kDenied: return "ask for the permission, or connect as somebody who has it";
        case kNotFound: return "check the name; the list commands show what there is";
        case kConflict: return "look at what is there first, or choose another name";
        case kInterrupted: return "run it again; what was done stays done";
        default: return "the broker's log says more; millrace health looks at the cluster";
    }
}

}  // namespace millrace::cli
