// tools/cli/log_verify.cc: `log verify`: are the files of partitions whole and do they agree.
#include <dirent.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>

#include "cli/log_file.h"
#include "cli/output.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::cli {
namespace {

constexpr size_t kProblemsPerFileMax = 20;

struct Report {
    int64_t files = 0;
    int64_t batches = 0;
    int64_t records = 0;
    int64_t bytes = 0;
    std::vector<std::pair<std::string, std::string>> problems;  // path, sentence
};

bool is_directory(const std::string& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::vector<std::string> entries_of(const std::string& path) {
    std::vector<std::string> names;
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr) {
        throw Failure{errno == EACCES ? kDenied : kNotFound,
                      fmt::format("cannot list {}: {}", path, std::strerror(errno)),
                      "give a log directory, a partition's directory or a .log file"};
    }
    while (const dirent* entry = readdir(directory)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(path + "/" + name);
    }
    closedir(directory);
    std::sort(names.begin(), names.end());
    return names;
}

/// The .log files below a log directory, a partition's directory, or the file itself.
void gather(const std::string& path, int depth, std::vector<std::string>& logs) {
    if (!is_directory(path)) {
        if (path.ends_with(".log") && offset_in_name(path))
            logs.push_back(path);
        else if (depth == 0)
            throw Failure{::access(path.c_str(), F_OK) == 0 ? kUsage : kNotFound,
                          fmt::format("{} is no directory and no .log file", path),
                          "give a log directory, a partition's directory or a .log file"};
        return;
    }
    if (depth > 2) return;
    for (const std::string& entry : entries_of(path))
        gather(entry, depth + 1, logs);
}

struct Batch {
    size_t position;
    int64_t last_offset;
    int64_t max_timestamp;
};

/// Checksums, record counts and rising offsets; returns the batches for the indexes' sake.
std::vector<Batch> verify_batches(const std::string& path, const Buffer& bytes, Report& report) {
    std::vector<Batch> found;
    size_t problems = 0;
    const auto problem = [&](std::string text) {
        if (++problems <= kProblemsPerFileMax) report.problems.emplace_back(path, std::move(text));
    };
    int64_t next = offset_in_name(path).value_or(0);
    record::BatchIterator batches(bytes.view());
    while (batches.next()) {
        const record::BatchView batch = batches.batch();
        const std::string where = fmt::format("batch at offset {}, position {}",
                                              batch.base_offset().value, batches.start());
        if (!batch.valid_crc()) {
            problem(where + ": wrong checksum");
            next = batch.next_offset().value;
            continue;
        }
        if (batch.base_offset().value < next) {
            problem(fmt::format("{}: offsets go back, {} was expected at least", where, next));
        }
        next = batch.next_offset().value;
        auto records = record::BatchRecords::open(batch);
        record::RecordView record;
        int64_t count = 0;
        if (records.ok()) {
            while (records->next(record))
                ++count;
        }
        if (!records.ok() || records->end_reason() != record::RecordsEnd::Complete) {
            problem(where + ": its records cannot be read");
        }
        report.records += count;
        ++report.batches;
        found.push_back({batches.start(), batch.last_offset().value, batch.max_timestamp().value});
    }
    const size_t left = bytes.size() - batches.valid_bytes();
    if (left > 0) {
        problem(
            fmt::format("{} bytes at position {} are no whole batch", left, batches.valid_bytes()));
    }
    return found;
}

void verify_index(const std::string& log, const std::vector<Batch>& batches, Report& report) {
    const std::string path = with_extension(log, ".index");
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) {
        report.problems.emplace_back(path, "is missing; it is rebuilt at the next start");
        return;
    }
    const Buffer bytes = read_log_file(path);
    const int64_t base = offset_in_name(log).value_or(0);
    for (const IndexEntry& entry : index_entries(bytes, base)) {
        if (entry.offset == base && entry.position == 0) continue;  // preallocated, unused
        const auto found = std::find_if(batches.begin(), batches.end(), [&](const Batch& b) {
            return b.position == static_cast<size_t>(entry.position);
        });
        if (found == batches.end() || found->last_offset != entry.offset) {
            report.problems.emplace_back(
                path, fmt::format("offset {} at position {} is not in the log", entry.offset,
                                  entry.position));
            return;  // the rest is wrong for the same reason
        }
    }
}

void verify(Context& context, const std::vector<std::string>& paths) {
    std::vector<std::string> logs;
    for (const std::string& path : paths)
        gather(path, 0, logs);
    if (logs.empty()) throw Failure{kNotFound, "there is no .log file", "give a log directory"};
    Report report;
    for (const std::string& log : logs) {
        const Buffer bytes = read_log_file(log);
        ++report.files;
        report.bytes += static_cast<int64_t>(bytes.size());
        verify_index(log, verify_batches(log, bytes, report), report);
    }
    if (!report.problems.empty()) context.exit_code = kUnhealthy;
    if (context.json()) {
        Json problems = Json::array();
        for (const auto& [path, text] : report.problems) {
            problems.push_back({{"file", path}, {"problem", text}});
        }
        print_items("LogVerification", Json::array({{{"files", report.files},
                                                     {"batches", report.batches},
                                                     {"records", report.records},
                                                     {"bytes", report.bytes},
                                                     {"problems", problems}}}));
        return;
    }
    for (const auto& [path, text] : report.problems) {
        std::cout << fmt::format("{}: {}\n", path, text);
    }
    std::cout << fmt::format(
        "{}, {}, {}, {}: {}\n", counted(report.files, "segment"),
        report.batches == 1 ? "1 batch" : grouped(report.batches) + " batches",
        counted(report.records, "record"), bytes_text(report.bytes),
        report.problems.empty() ? "all is well"
                                : counted(static_cast<int64_t>(report.problems.size()), "problem"));
}

}  // namespace

void add_log_verify(CLI::App& log, Context& context) {
    CLI::App* command = log.add_subcommand("verify", "checksums, offsets and indexes; 10 when bad");
    auto paths = std::make_shared<std::vector<std::string>>();
    command->add_option("path", *paths, "log directory, partition directory or .log file")
        ->required();
    add_output_option(*command, context);
    command->callback([&context, paths] { verify(context, *paths); });
}

}  // namespace millrace::cli
