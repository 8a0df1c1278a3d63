// tests/sim/main.cc: the command line of the simulator: one seed, many seeds, determinism.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "sim/run.h"
#include "sim/world.h"

namespace millrace::sim {
namespace {

constexpr int kExitUsage = 2;
constexpr int kNodesMax = 7;
constexpr rlim_t kSeedSecondsMax = 120;  // of processor time: a run that hangs is a crash

std::string commit_of_tree() {
    std::string text = "unknown";
    if (FILE* pipe = ::popen("git -C '" MILLRACE_SOURCE_DIR "' rev-parse --short HEAD 2>/dev/null",
                             "r")) {
        char line[64] = "";
        if (std::fgets(line, sizeof line, pipe) != nullptr) text = std::string(line, std::strcspn(line, "\n"));
        ::pclose(pipe);
    }
    return text;
}

struct Options {
    uint64_t first = 1;
    uint64_t count = 1;
    bool one = true;
    bool trace = false;
    bool check_determinism = false;
    bool crash_steps = false;
    bool zoo = false;
    std::string plant;  // the name of a planted fault
    double hours = 0;   // of real time; 0: as many seeds as were asked for
    uint64_t step = 0;    // this step only
    uint64_t stride = 1;  // every so many steps
    std::string seeds_file;
    Groups groups = Groups::Drawn;
    bool quiet = false;
    int nodes = 0;      // of a cluster; 0: the lone node
    bool here = false;  // no process of its own, for debuggers
};

void print(uint64_t seed, const RunReport& report, int nodes) {
    if (nodes > 0) {
        std::printf("nodes=%d elections=%llu quorum=%llu voters=%llu ", nodes,
                    static_cast<unsigned long long>(report.elections),
                    static_cast<unsigned long long>(report.quorum_elections),
                    static_cast<unsigned long long>(report.voter_changes));
    }
    std::printf("seed=%llu ok hash=%016llx events=%llu acked=%llu read=%llu commits=%llu processes=%llu "
                "virtual=%.1fs\n",
                static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(report.hash),
                static_cast<unsigned long long>(report.events),
                static_cast<unsigned long long>(report.acked_records),
                static_cast<unsigned long long>(report.read_records),
                static_cast<unsigned long long>(report.commits),
                static_cast<unsigned long long>(report.processes),
                static_cast<double>(report.virtual_ms) / 1000.0);
    std::fflush(stdout);
}

/// Runs `work` in a process of its own: an assert or a leak of one seed does not touch the next.
/// Returns the exit code; a signal counts as a crash. `result` gets what `work` returned.
uint64_t virtual_ms = 0;  // of the last run

template <class Work>
int in_child(uint64_t& result, Work work) {
    int ends[2];
    if (::pipe(ends) != 0) return kExitCrash;
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(ends[0]);
        const rlimit limit{kSeedSecondsMax, kSeedSecondsMax};
        ::setrlimit(RLIMIT_CPU, &limit);
        const uint64_t values[2] = {work(), virtual_ms};
        std::fflush(stdout);
        const bool written = ::write(ends[1], values, sizeof values) == sizeof values;
        ::_exit(written ? 0 : kExitCrash);
    }
    ::close(ends[1]);
    uint64_t values[2] = {0, 0};
    if (::read(ends[0], values, sizeof values) == sizeof values) {
        result = values[0];
        virtual_ms = values[1];
    } else {
        result = virtual_ms = 0;
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : kExitCrash;
}

int run_one(uint64_t seed, Groups groups, const Options& options, const std::string& commit) {
    uint64_t hash = 0;
    const PlantedFault* fault = find_fault(options.plant);
    const auto work = [&] {
        const RunReport report =
            options.nodes > 0
                ? run_cluster_seed(seed, options.nodes, options.trace, commit, groups, fault)
                : run_seed(seed, options.trace, commit, groups, fault);
        if (!options.quiet) print(seed, report, options.nodes);
        virtual_ms = static_cast<uint64_t>(report.virtual_ms);
        return report.hash;
    };
    if (options.here) return work() == 0 ? kExitCrash : 0;
    int code = in_child(hash, work);
    if (code == kExitCrash) {
        std::printf("FAIL seed=%llu commit=%s crash\n", static_cast<unsigned long long>(seed),
                    commit.c_str());
    }
    if (code != 0 || !options.check_determinism) return code;
    uint64_t again = 0;
    code = in_child(again, work);
    if (code == 0 && again == hash) return 0;
    std::printf("FAIL seed=%llu commit=%s non-determinism: %016llx, then %016llx\n",
                static_cast<unsigned long long>(seed), commit.c_str(),
                static_cast<unsigned long long>(hash), static_cast<unsigned long long>(again));
    return kExitNonDeterminism;
}

/// A seed and what a line of the seeds file says beside it.
struct Seed {
    uint64_t number = 0;
    Groups groups = Groups::Drawn;
};

int run_seeds(const std::vector<Seed>& seeds, const Options& options, const std::string& commit) {
    int worst = 0;
    size_t failed = 0;
    for (const Seed& seed : seeds) {
        const int code = run_one(seed.number, seed.groups, options, commit);
        if (code == 0) continue;
        ++failed;
        if (worst == 0) worst = code;
    }
    std::printf("%zu seeds, %zu failed\n", seeds.size(), failed);
    return worst;
}

/// Seeds from `first` on until the time is over; progress every minute.
int run_hours(Options options, const std::string& commit) {
    constexpr int kProgressEvery = 60;
    const std::time_t start = std::time(nullptr);
    const auto end = start + static_cast<std::time_t>(options.hours * 3600);
    std::time_t said = start;
    uint64_t seeds = 0;
    uint64_t failed = 0;
    double virtual_hours = 0;
    int worst = 0;
    options.quiet = true;
    for (uint64_t seed = options.first; std::time(nullptr) < end; ++seed) {
        const int code = run_one(seed, options.groups, options, commit);
        ++seeds;
        virtual_hours += static_cast<double>(virtual_ms) / 3.6e6;
        if (code != 0) ++failed;
        if (worst == 0) worst = code;
        if (std::time(nullptr) - said < kProgressEvery) continue;
        said = std::time(nullptr);
        std::printf("%ld s: %llu seeds, %llu failed, %.1f virtual hours, last seed %llu\n",
                    static_cast<long>(said - start), static_cast<unsigned long long>(seeds),
                    static_cast<unsigned long long>(failed), virtual_hours,
                    static_cast<unsigned long long>(seed));
        std::fflush(stdout);
    }
    std::printf("%llu seeds, %llu failed, %.1f virtual hours\n",
                static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(failed),
                virtual_hours);
    return worst;
}

/// Every planted fault, with seeds from 1 on until one finds it.
int run_zoo(Options options, const std::string& commit) {
    constexpr uint64_t kSeedsMax = 60;
    size_t found = 0;
    for (const PlantedFault& fault : planted_faults()) {
        options.plant = fault.name;
        options.quiet = true;
        options.nodes = fault.nodes;
        const Groups groups = fault.groups ? Groups::On : Groups::Drawn;
        uint64_t seed = 0;
        int code = 0;
        while (code == 0 && seed < kSeedsMax) {
            uint64_t hash = 0;
            ++seed;
            code = in_child(hash, [&] {
                if (options.trace == false) std::freopen("/dev/null", "w", stdout);
                return options.nodes > 0
                           ? run_cluster_seed(seed, options.nodes, false, commit, groups, &fault).hash
                           : run_seed(seed, false, commit, groups, &fault).hash;
            });
        }
        if (code != 0) ++found;
        std::printf("%-22s %-9s %3llu  %s\n", fault.name,
                    code == 0                ? "NOT FOUND"
                    : code == kExitLiveness ? "liveness"
                    : code == kExitSafety   ? "safety"
                                            : "crash",
                    static_cast<unsigned long long>(seed), fault.text);
        std::fflush(stdout);
    }
    std::printf("%zu planted faults, %zu found\n", planted_faults().size(), found);
    return found == planted_faults().size() ? 0 : kExitSafety;
}

int run_crash_steps(const Options& options, const std::string& commit) {
    uint64_t steps = 0;
    int worst = in_child(steps, [&] { return run_crash_step(0, true, false, commit); });
    if (worst != 0) return worst;
    uint64_t first = 1;
    if (options.step > 0) first = steps = options.step;
    size_t runs = 0;
    size_t failed = 0;
    for (uint64_t step = first; step <= steps; step += options.stride) {
        for (const bool machine : {true, false}) {
            uint64_t made = 0;
            const int code = in_child(
                made, [&] { return run_crash_step(step, machine, options.trace, commit); });
            ++runs;
            if (code == 0) continue;
            if (code == kExitCrash) {
                std::printf("FAIL step=%llu machine=%d commit=%s crash\n",
                            static_cast<unsigned long long>(step), machine ? 1 : 0,
                            commit.c_str());
            }
            ++failed;
            if (worst == 0) worst = code;
        }
    }
    std::printf("%llu steps, %zu runs, %zu failed\n", static_cast<unsigned long long>(steps), runs,
                failed);
    return worst;
}

std::vector<Seed> seeds_of_file(const std::string& path) {
    std::vector<Seed> seeds;
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        if (line.empty() || line[0] == '#') continue;
        Groups groups = Groups::Drawn;
        if (line.ends_with(" no-groups")) groups = Groups::Off;
        if (line.ends_with(" groups")) groups = Groups::On;
        seeds.push_back({std::strtoull(line.c_str(), nullptr, 0), groups});
    }
    return seeds;
}

int usage() {
    std::fprintf(stderr,
                 "usage: millrace_sim --seed N [--trace] [--here] [--check-determinism]\n"
                 "                    [--groups | --no-groups]\n"
                 "       millrace_sim --seeds FROM COUNT | FROM-TO [--quiet] [--check-determinism]\n"
                 "       millrace_sim --hours H [--seed FIRST] [--nodes N]\n"
                 "       millrace_sim --zoo | --plant FAULT with --seed or --seeds\n"
                 "       millrace_sim --nodes N with --seed or --seeds: a cluster of N nodes\n"
                 "       millrace_sim --seeds-file FILE\n"
                 "       millrace_sim --crash-steps [--stride N] | --step N [--trace]\n"
                 "exit codes: 10 crash, 11 safety, 12 liveness, 13 non-determinism\n");
    return kExitUsage;
}

bool parse(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const auto number = [&] { return std::strtoull(argv[++i], nullptr, 0); };
        if (word == "--trace") {
            options.trace = true;
        } else if (word == "--here") {
            options.here = true;
        } else if (word == "--quiet") {
            options.quiet = true;
        } else if (word == "--groups") {
            options.groups = Groups::On;
        } else if (word == "--no-groups") {
            options.groups = Groups::Off;
        } else if (word == "--check-determinism") {
            options.check_determinism = true;
        } else if (word == "--nodes" && i + 1 < argc) {
            options.nodes = static_cast<int>(number());
            if (options.nodes < 1 || options.nodes > kNodesMax) return false;
        } else if (word == "--seed" && i + 1 < argc) {
            options.first = number();
        } else if (word == "--seeds" && i + 1 < argc) {
            options.one = false;
            const std::string range = argv[i + 1];
            options.count = number();
            if (const size_t dash = range.find('-'); dash != std::string::npos && dash > 0) {
                options.first = options.count;
                const uint64_t last = std::strtoull(range.c_str() + dash + 1, nullptr, 0);
                options.count = last < options.first ? 0 : last - options.first + 1;
            } else if (i + 1 < argc && argv[i + 1][0] != '-') {
                options.first = options.count;
                options.count = number();
            }
        } else if (word == "--zoo") {
            options.zoo = true;
        } else if (word == "--plant" && i + 1 < argc) {
            options.plant = argv[++i];
            if (find_fault(options.plant) == nullptr) return false;
        } else if (word == "--hours" && i + 1 < argc) {
            options.hours = std::strtod(argv[++i], nullptr);
        } else if (word == "--crash-steps") {
            options.crash_steps = true;
        } else if (word == "--stride" && i + 1 < argc) {
            options.stride = number();
        } else if (word == "--step" && i + 1 < argc) {
            options.crash_steps = true;
            options.step = number();
        } else if (word == "--seeds-file" && i + 1 < argc) {
            options.seeds_file = argv[++i];
        } else {
            return false;
        }
    }
    return true;
}

int main_of(int argc, char** argv) {
    Options options;
    if (argc < 2 || !parse(argc, argv, options)) return usage();
    const std::string commit = commit_of_tree();
    if (options.zoo) return run_zoo(options, commit);
    if (options.hours > 0) return run_hours(options, commit);
    if (options.crash_steps) return run_crash_steps(options, commit);
    std::vector<Seed> seeds;
    if (!options.seeds_file.empty()) {
        seeds = seeds_of_file(options.seeds_file);
    } else {
        for (uint64_t i = 0; i < options.count; ++i) {
            seeds.push_back({options.first + i, options.groups});
        }
    }
    return run_seeds(seeds, options, commit);
}

}  // namespace
}  // namespace millrace::sim

int main(int argc, char** argv) { return millrace::sim::main_of(argc, argv); }
