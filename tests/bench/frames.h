// tests/bench/frames.h: requests that are encoded before the clock starts.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/rng.h"

namespace millrace::bench {

/// Ends the process with what errno says.
[[noreturn]] void die(const std::string& what);

struct Options {
    std::string mode;
    std::map<std::string, std::string> values;
    int64_t number(const char* name, int64_t otherwise) const {
        const auto found = values.find(name);
        return found == values.end() ? otherwise : std::atoll(found->second.c_str());
    }
    std::string text(const char* name, const char* otherwise) const {
        const auto found = values.find(name);
        return found == values.end() ? otherwise : found->second;
    }
};

/// One batch of --batch-bytes with values like JSON of --record-bytes, compressed by --codec.
Buffer make_batch(const Options& options, Rng& rng);
/// Whole frames, length first.
std::vector<uint8_t> produce_frame(const Options& options, const Buffer& batch, int partition);
std::vector<uint8_t> fetch_frame(const Options& options, int partition, int64_t offset,
                                 int32_t max_wait_ms);

}  // namespace millrace::bench
