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
        int extra = 0;
        words >> number >> kind >> seed >> extra;
        world = std::make_unique<QuorumWorld>(number, kind == "dynamic", seed, extra);
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
    } else if (verb == "newdisk") {
        world->replace_disk(number);
    } else if (verb == "autojoin") {
        world->node(number).auto_join = true;
    } else if (verb == "add") {
        int id = 0;
        words >> id;
        world->add_voter(number, id);
    } else if (verb == "remove") {
        int id = 0;
        words >> id;
        world->remove_voter(number, id);
    } else if (verb == "upgrade") {
        const std::string result = world->upgrade(number);
        world->trace += fmt::format("{}: {}\n", number, result);
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
