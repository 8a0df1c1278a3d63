// tests/unit/raft/transcripts_test.cc: runs tests/golden/raft/*.txt: commands and what they cause.
//
// A file is a list of blocks: "> command", then the printed outputs. MILLRACE_GOLDEN_UPDATE=1
// rewrites the outputs; the change is then read as a diff.
#include <gtest/gtest.h>

#include <sstream>

#include "unit/raft/quorum_world.h"
#include "support/transcript.h"

namespace millrace::raft {
namespace {

std::string run_command(std::unique_ptr<QuorumWorld>& world, const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    int number = 0;
    words >> verb;
    if (verb == "cluster") {
        std::string kind;
        uint64_t seed = 1;
        words >> number >> kind >> seed;
        world = std::make_unique<QuorumWorld>(number, kind == "dynamic", seed);
        return "";
    }
    words >> number;
    world->trace.clear();
    if (verb == "start") {
        world->start(number);
    } else if (verb == "crash") {
        world->crash(number);
    } else if (verb == "sync") {
        world->sync(number);
    } else if (verb == "autosync") {
        world->auto_sync = number == 1;
    } else if (verb == "advance") {
        world->advance(milliseconds(number));
    } else if (verb == "deliver") {
        world->deliver_all();
    } else if (verb == "run") {
        world->run(milliseconds(number));
    } else if (verb == "quietly") {
        world->run(milliseconds(number));  // long stretches of idle fetching say nothing new
        world->trace.clear();
    } else if (verb == "cut") {
        world->cut_off.insert(number);
    } else if (verb == "heal") {
        world->cut_off.erase(number);
    } else if (verb == "resign") {
        world->resign(number);
    } else if (verb == "shutdown") {
        world->shutdown(number);
    } else if (verb == "propose") {
        int count = 0;
        words >> count;
        const ProposeResult result = world->propose(number, count);
        world->trace += fmt::format("{}: accepted={} last={}\n", number,
                                    result.error == ProposeError::None, result.last_offset.value);
    } else if (verb == "state") {
        for (auto& [id, node] : world->nodes()) {
            world->trace += node.quorum == nullptr ? fmt::format("node={} down\n", id)
                                                   : node.quorum->debug_line() + "\n";
        }
    } else {
        return "unknown command\n";
    }
    return world->trace;
}

TEST(Transcripts, GoldenFilesHappenAsWritten) {
    support::check_transcripts("raft", 5, "\n", [] {
        return [world = std::unique_ptr<QuorumWorld>()](const std::string& line) mutable {
            return run_command(world, line);
        };
    });
}


}  // namespace
}  // namespace millrace::raft
