// tests/unit/raft/transcripts_test.cc: runs tests/golden/raft/*.txt: commands and what they cause.
//
// A file is a list of blocks: "> command", then the printed outputs. MILLRACE_GOLDEN_UPDATE=1
// rewrites the outputs; the change is then read as a diff.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "unit/raft/quorum_world.h"

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
    const std::filesystem::path folder =
        std::filesystem::path(MILLRACE_SOURCE_DIR) / "tests/golden/raft";
    const bool update = std::getenv("MILLRACE_GOLDEN_UPDATE") != nullptr;
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".txt") continue;
        ++files;
        std::ifstream in(entry.path());
        const std::string expected((std::istreambuf_iterator<char>(in)),
                                   std::istreambuf_iterator<char>());
        std::istringstream lines(expected);
        std::string actual;
        std::unique_ptr<QuorumWorld> world;
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("#")) actual += line + "\n";
            if (!line.starts_with("> ")) continue;
            if (!actual.empty() && !actual.ends_with("#\n")) actual += "\n";
            actual += line + "\n" + run_command(world, line.substr(2));
        }
        if (update) {
            std::ofstream(entry.path()) << actual;
        } else {
            EXPECT_EQ(actual, expected) << entry.path();
        }
    }
    EXPECT_GE(files, 5);
}

}  // namespace
}  // namespace millrace::raft
