// tests/unit/cli/run_words.h: runs the command line in this process and keeps what it printed.
#pragma once

#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/cli.h"

namespace millrace::cli {

struct Outcome {
    int exit_code = -1;
    std::string out;
    std::string err;
};

/// The first word is the program's name.
inline Outcome run_words(const std::vector<std::string>& words,
                         const std::function<void(CLI::App&, Context&)>& extend = {}) {
    std::vector<const char*> argv;
    for (const std::string& word : words)
        argv.push_back(word.c_str());
    std::ostringstream out;
    std::ostringstream err;
    std::streambuf* old_out = std::cout.rdbuf(out.rdbuf());
    std::streambuf* old_err = std::cerr.rdbuf(err.rdbuf());
    Outcome outcome;
    outcome.exit_code = run(static_cast<int>(argv.size()), argv.data(), extend);
    std::cout.rdbuf(old_out);
    std::cerr.rdbuf(old_err);
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
}

inline Outcome run_millrace(std::vector<std::string> words,
                            const std::function<void(CLI::App&, Context&)>& extend = {}) {
    words.insert(words.begin(), "millrace");
    return run_words(words, extend);
}

}  // namespace millrace::cli
