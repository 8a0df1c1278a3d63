// src/placement/waves.cc: first fit into waves, the urgent changes first.
#include "placement/waves.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace millrace::placement {
namespace {

struct Wave {
    std::map<int32_t, int32_t> incoming;  // by broker
    int64_t bytes = 0;
    std::vector<PartitionName> partitions;
};

}  // namespace

void split_into_waves(const Request& request, const std::vector<int>& rank, Plan& plan) {
    std::vector<size_t> order(plan.changes.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return rank[a] < rank[b]; });
    std::vector<Wave> waves;
    std::map<int32_t, size_t> open;  // by broker, the first wave that may have room for a copy
    size_t open_bytes = 0;           // the first wave with bytes to spare
    for (const size_t i : order) {
        Change& change = plan.changes[i];
        size_t at = change.bytes > 0 ? open_bytes : 0;
        for (const int32_t id : change.adding)
            at = std::max(at, open[id]);
        for (;; ++at) {
            if (at == waves.size()) waves.emplace_back();
            Wave& wave = waves[at];
            bool fits = wave.bytes == 0 || change.bytes == 0 ||
                        (wave.bytes <= request.max_bytes_in_flight &&
                         change.bytes <= request.max_bytes_in_flight - wave.bytes);
            for (const int32_t id : change.adding)
                fits = fits && wave.incoming[id] < request.max_moves_per_broker;
            if (fits) break;
        }
        Wave& wave = waves[at];
        wave.bytes += change.bytes;
        wave.partitions.push_back(change.name);
        change.wave = static_cast<int32_t>(at);
        for (const int32_t id : change.adding) {
            ++wave.incoming[id];
            while (open[id] < waves.size() &&
                   waves[open[id]].incoming[id] >= request.max_moves_per_broker)
                ++open[id];
        }
        while (open_bytes < waves.size() && waves[open_bytes].bytes >= request.max_bytes_in_flight)
            ++open_bytes;
    }
    for (Wave& wave : waves) {
        std::sort(wave.partitions.begin(), wave.partitions.end());
        plan.waves.push_back(std::move(wave.partitions));
    }
}

}  // namespace millrace::placement
