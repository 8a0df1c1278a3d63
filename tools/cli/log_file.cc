// tools/cli/log_file.cc: files of a log directory, read whole for looking at.
#include "cli/log_file.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "cli/cli.h"
#include "millrace/base/endian.h"

namespace millrace::cli {
namespace {

constexpr std::streamoff kFileBytesMax = std::streamoff{1} << 31;
constexpr size_t kNameDigits = 20;
constexpr size_t kIndexEntryBytes = 8;
constexpr size_t kTimeEntryBytes = 12;

}  // namespace

Buffer read_log_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in.is_open()) {
        throw Failure{errno == EACCES ? kDenied : kNotFound,
                      fmt::format("cannot read {}: {}", path, std::strerror(errno)),
                      "give the path of a file that is there and readable"};
    }
    const std::streamoff size = in.tellg();
    if (size < 0 || size > kFileBytesMax) {
        throw Failure{kFailed, fmt::format("{} is no file of a log (or larger than 2 GiB)", path),
                      "give a .log, .index, .timeindex, .txnindex, .snapshot or .checkpoint file"};
    }
    Buffer bytes = Buffer::allocate(static_cast<size_t>(size));
    in.seekg(0);
    if (size > 0 && !in.read(reinterpret_cast<char*>(bytes.mutable_data()), size)) {
        throw Failure{kFailed, fmt::format("{} could not be read to its end", path),
                      "look at the device; dmesg may say more"};
    }
    return bytes;
}

std::string name_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::optional<int64_t> offset_in_name(const std::string& path) {
    const std::string name = name_of(path);
    if (name.size() <= kNameDigits || name[kNameDigits] != '.' ||
        name.substr(0, kNameDigits).find_first_not_of("0123456789") != std::string::npos ||
        name.substr(0, kNameDigits) > "09223372036854775807") {
        return std::nullopt;
    }
    return std::stoll(name.substr(0, kNameDigits));
}

std::string with_extension(const std::string& path, const std::string& extension) {
    return path.substr(0, path.rfind('.')) + extension;
}

std::vector<IndexEntry> index_entries(const Buffer& bytes, int64_t base) {
    std::vector<IndexEntry> entries;
    for (size_t at = 0; at + kIndexEntryBytes <= bytes.size(); at += kIndexEntryBytes) {
        const int32_t relative = load_big<int32_t>(bytes.data() + at);
        if (relative == 0 && at > 0) break;
        entries.push_back({base + relative, load_big<int32_t>(bytes.data() + at + 4)});
    }
    return entries;
}

std::vector<TimeEntry> time_entries(const Buffer& bytes, int64_t base) {
    std::vector<TimeEntry> entries;
    for (size_t at = 0; at + kTimeEntryBytes <= bytes.size(); at += kTimeEntryBytes) {
        const int64_t timestamp = load_big<int64_t>(bytes.data() + at);
        const int32_t relative = load_big<int32_t>(bytes.data() + at + 8);
        if (relative == 0 && at > 0) break;
        entries.push_back({timestamp, base + relative});
    }
    return entries;
}

}  // namespace millrace::cli
