// tests/support/transcript.h: runs the golden transcripts of a folder.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace millrace::support {

/// A transcript is a list of blocks, "> command" and what it caused, with comments ("#") between.
/// `make()` gives a fresh world for a file: a callable from a command to its printed effects.
/// `between` stands before each block but the first. MILLRACE_GOLDEN_UPDATE=1 rewrites the outputs;
/// the change is then read as a diff.
template <class Make>
void check_transcripts(const std::string& name, int files_min, const std::string& between,
                       Make make) {
    const std::filesystem::path folder =
        std::filesystem::path(MILLRACE_SOURCE_DIR) / "tests/golden" / name;
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
        auto run = make();
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("#")) actual += line + "\n";
            if (!line.starts_with("> ")) continue;
            if (!actual.empty() && !actual.ends_with("#\n")) actual += between;
            actual += line + "\n" + run(line.substr(2));
        }
        if (update) {
            std::ofstream(entry.path()) << actual;
        } else {
            EXPECT_EQ(actual, expected) << entry.path();
        }
    }
    EXPECT_GE(files, files_min);
}

}  // namespace millrace::support
