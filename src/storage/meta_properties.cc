// src/storage/meta_properties.cc: Java properties text, and the checks across log directories.
#include "millrace/storage/meta_properties.h"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <utility>

#include "millrace/env/disk.h"

namespace millrace::storage {

namespace {

constexpr size_t kMetaPropertiesBytesMax = 64 * 1024;

using Pairs = std::map<std::string, std::string>;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\f'; }

/// One logical line: comments and blank lines left out, continuations joined.
bool next_logical_line(std::string_view text, size_t& at, std::string& line) {
    line.clear();
    while (at < text.size()) {
        size_t end = text.find_first_of("\r\n", at);
        if (end == std::string_view::npos) end = text.size();
        std::string_view natural = text.substr(at, end - at);
        at = end + (text.substr(end, 2) == "\r\n" ? 2 : 1);
        while (!natural.empty() && is_blank(natural.front()))
            natural.remove_prefix(1);
        if (line.empty() && (natural.empty() || natural[0] == '#' || natural[0] == '!')) continue;
        size_t slashes = 0;
        while (slashes < natural.size() && natural[natural.size() - 1 - slashes] == '\\')
            ++slashes;
        const bool goes_on = slashes % 2 == 1;
        line.append(natural.substr(0, natural.size() - (goes_on ? 1 : 0)));
        if (!goes_on) return true;
    }
    return !line.empty();
}

/// \t \n \r \f \uXXXX, and any other character as itself. Characters above 255 become UTF-8.
Result<std::string> unescape(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        const char c = text[++i];
        if (c != 'u') {
            out += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
            continue;
        }
        unsigned code = 0;
        const char* first = text.data() + i + 1;
        if (i + 4 >= text.size() || std::from_chars(first, first + 4, code, 16).ptr != first + 4) {
            return {Errc::Corrupt, "Malformed \\uxxxx encoding."};
        }
        i += 4;
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else if (code < 0x800) {
            out += static_cast<char>(0xc0 | (code >> 6));
            out += static_cast<char>(0x80 | (code & 0x3f));
        } else {
            out += static_cast<char>(0xe0 | (code >> 12));
            out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
            out += static_cast<char>(0x80 | (code & 0x3f));
        }
    }
    return out;
}

Result<Pairs> parse_properties(std::string_view text) {
    Pairs pairs;
    std::string line;
    for (size_t at = 0; next_logical_line(text, at, line);) {
        size_t key_end = 0;
        while (key_end < line.size() && line[key_end] != '=' && line[key_end] != ':' &&
               !is_blank(line[key_end])) {
            key_end += line[key_end] == '\\' ? 2 : 1;
        }
        key_end = std::min(key_end, line.size());
        size_t value = key_end;
        while (value < line.size() && is_blank(line[value]))
            ++value;
        if (value < line.size() && (line[value] == '=' || line[value] == ':')) ++value;
        while (value < line.size() && is_blank(line[value]))
            ++value;
        const std::string_view view(line);
        MILLRACE_TRY_ASSIGN(std::string key, unescape(view.substr(0, key_end)));
        MILLRACE_TRY_ASSIGN(pairs[key], unescape(view.substr(value)));
    }
    return pairs;
}

std::string escape(std::string_view value) {
    std::string out;
    for (size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        switch (c) {
            case '\t': out += "\\t"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\f': out += "\\f"; break;
            case ' ': out += i == 0 ? "\\ " : " "; break;
            case '\\':
            case '=':
            case ':':
            case '#':
            case '!':
                out += '\\';
                out += c;
                break;
            default: out += c;
        }
    }
    return out;
}

std::optional<int32_t> parse_int(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    int32_t number = 0;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || at != end || text.empty()) return std::nullopt;
    return number;
}

/// java.util.Date.toString in UTC, by the civil-from-days algorithm.
std::string java_date(WallMs now) {
    static constexpr std::array<const char*, 7> kDays = {"Thu", "Fri", "Sat", "Sun",
                                                         "Mon", "Tue", "Wed"};
    static constexpr std::array<const char*, 12> kMonths = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int64_t total = now.value >= 0 ? now.value / 1000 : 0;
    const int64_t days = total / 86400;
    const int64_t second = total % 86400;
    const int64_t z = days + 719468;
    const int64_t era = z / 146097;
    const int64_t day_of_era = z - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * day_of_year + 2) / 153;
    const int64_t day = day_of_year - (153 * shifted + 2) / 5 + 1;
    const int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    return fmt::format("{} {} {:02} {:02}:{:02}:{:02} UTC {}", kDays[static_cast<size_t>(days % 7)],
                       kMonths[static_cast<size_t>(month - 1)], day, second / 3600,
                       second / 60 % 60, second % 60, year);
}

std::string path_of(const std::string& log_dir) { return log_dir + "/" + kMetaPropertiesName; }

Result<MetaProperties> read_meta_properties(env::FileSystem& files, const std::string& log_dir) {
    MILLRACE_TRY_ASSIGN(std::shared_ptr<env::File> file,
                        files.open(path_of(log_dir), env::OpenMode::ReadOnly));
    MILLRACE_TRY_ASSIGN(uint64_t size, file->size());
    if (size > kMetaPropertiesBytesMax) {
        return {Errc::Corrupt, path_of(log_dir) + " is no meta.properties: it is too large"};
    }
    std::string text(size, '\0');
    MILLRACE_TRY_ASSIGN(size_t got,
                        file->read_at(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
    text.resize(got);
    return parse_meta_properties(text);
}

}  // namespace

bool is_reserved_directory_id(const Uuid& id) {
    return id.high == 0 && static_cast<int64_t>(id.low) < 100;  // signed, as Kafka compares
}

std::string MetaProperties::to_string() const {
    Pairs pairs;
    if (cluster_id.has_value()) pairs["cluster.id"] = *cluster_id;
    if (node_id.has_value()) {
        pairs[version == 0 ? "broker.id" : "node.id"] = std::to_string(node_id->value);
    }
    if (directory_id.has_value()) pairs["directory.id"] = directory_id->to_string();
    pairs["version"] = std::to_string(version);
    std::string text;
    for (const auto& [key, value] : pairs) {
        text += (text.empty() ? "{" : ", ") + key + "=" + value;
    }
    return text + "}";
}

Result<MetaProperties> parse_meta_properties(std::string_view text) {
    MILLRACE_TRY_ASSIGN(Pairs pairs, parse_properties(text));
    MetaProperties out;
    out.version = 0;
    if (auto it = pairs.find("version"); it != pairs.end()) {
        std::string_view trimmed = it->second;
        while (!trimmed.empty() && trimmed.back() <= ' ')
            trimmed.remove_suffix(1);
        const auto number = parse_int(trimmed);
        if (!number.has_value()) {
            return {Errc::Corrupt, "Invalid meta.properties version string '" + it->second + "'"};
        }
        if (*number != 0 && *number != 1) {
            return {Errc::Corrupt,
                    fmt::format("Unknown meta.properties version number {}", *number)};
        }
        out.version = *number;
    }
    const char* id_key = out.version == 0 ? "broker.id" : "node.id";
    if (auto it = pairs.find(id_key); it != pairs.end()) {
        const auto number = parse_int(it->second);
        if (!number.has_value()) {
            return {Errc::Corrupt, fmt::format("Unable to read {} as a base-10 number.", id_key)};
        }
        out.node_id = NodeId(*number);
    } else if (out.version != 0) {
        return {Errc::Corrupt, fmt::format("Failed to find {}", id_key)};
    }
    if (auto it = pairs.find("cluster.id"); it != pairs.end()) {
        out.cluster_id = it->second;
    } else if (out.version != 0) {
        return {Errc::Corrupt, "cluster.id was not found."};
    }
    if (auto it = pairs.find("directory.id"); it != pairs.end()) {
        out.directory_id = Uuid::parse(it->second);
        if (!out.directory_id.has_value()) {
            return {Errc::Corrupt, "Unable to read directory.id as a Uuid: " + it->second};
        }
    }
    return out;
}

std::string print_meta_properties(const MetaProperties& properties, WallMs now) {
    std::string text = "#\n#" + java_date(now) + "\n";
    if (properties.node_id.has_value()) {
        text += fmt::format("{}={}\n", properties.version == 0 ? "broker.id" : "node.id",
                            properties.node_id->value);
    }
    if (properties.directory_id.has_value()) {
        text += "directory.id=" + escape(properties.directory_id->to_string()) + "\n";
    }
    text += fmt::format("version={}\n", properties.version);
    if (properties.cluster_id.has_value()) {
        text += "cluster.id=" + escape(*properties.cluster_id) + "\n";
    }
    return text;
}

Status write_meta_properties(env::FileSystem& files, const std::string& log_dir,
                             const MetaProperties& properties, WallMs now) {
    const std::string text = print_meta_properties(properties, now);
    const std::string temporary = path_of(log_dir) + ".tmp";
    MILLRACE_TRY_ASSIGN(std::shared_ptr<env::File> file,
                        files.open(temporary, env::OpenMode::CreateOrOpen));
    MILLRACE_TRY(file->truncate(0));
    MILLRACE_TRY(file->write_at(0, ByteView(text)));
    MILLRACE_TRY(file->sync());
    MILLRACE_TRY(files.rename(temporary, path_of(log_dir)));
    return files.sync_directory(log_dir);
}

MetaPropertiesEnsemble MetaPropertiesEnsemble::load(env::FileSystem& files,
                                                    const std::vector<std::string>& log_dirs) {
    MetaPropertiesEnsemble ensemble;
    for (const std::string& log_dir : log_dirs) {
        Result<MetaProperties> properties = read_meta_properties(files, log_dir);
        if (properties.ok()) {
            ensemble.log_dirs[log_dir] = *std::move(properties);
        } else if (properties.status().errc() == Errc::NotFound) {
            ensemble.empty_log_dirs.insert(log_dir);
        } else {
            ensemble.error_log_dirs[log_dir] = properties.status();
        }
    }
    return ensemble;
}

Status MetaPropertiesEnsemble::verify(std::optional<std::string> expected_cluster_id,
                                      std::optional<NodeId> expected_node_id) const {
    std::map<Uuid, std::string> seen;
    for (const auto& [log_dir, properties] : log_dirs) {
        const std::string path = path_of(log_dir);
        if (properties.cluster_id.has_value()) {
            if (!expected_cluster_id.has_value()) expected_cluster_id = properties.cluster_id;
            if (*properties.cluster_id != *expected_cluster_id) {
                return {Errc::InvalidInput,
                        fmt::format("Invalid cluster.id in: {}. Expected {}, but read {}", path,
                                    *expected_cluster_id, *properties.cluster_id)};
            }
        }
        if (properties.node_id.has_value()) {
            if (!expected_node_id.has_value()) expected_node_id = properties.node_id;
            if (*properties.node_id != *expected_node_id) {
                return {Errc::InvalidInput,
                        fmt::format("Stored node id {} doesn't match previous node id {} in {}. If "
                                    "you moved your data, make sure your configured node id "
                                    "matches. If you intend to create a new node, you should "
                                    "remove all data in your data directories.",
                                    properties.node_id->value, expected_node_id->value, path)};
            }
        }
        if (!properties.directory_id.has_value()) continue;
        const Uuid id = *properties.directory_id;
        if (is_reserved_directory_id(id)) {
            return {Errc::InvalidInput, fmt::format("Invalid reserved directory ID {} found in {}",
                                                    id.to_string(), log_dir)};
        }
        const auto [it, is_new] = seen.emplace(id, log_dir);
        if (!is_new) {
            return {
                Errc::InvalidInput,
                fmt::format("Duplicate directory ID {} found. It was the ID of {}, but also of {}",
                            id.to_string(), it->second, log_dir)};
        }
    }
    return {};
}

Status MetaPropertiesEnsemble::verify_for_start(NodeId expected_node_id,
                                                const std::string& metadata_log_dir) const {
    if (log_dirs.empty()) return {Errc::NotFound, "No readable meta.properties files found."};
    MILLRACE_TRY(verify(std::nullopt, expected_node_id));
    if (auto it = error_log_dirs.find(metadata_log_dir); it != error_log_dirs.end()) {
        return {it->second.errc(),
                fmt::format("Encountered I/O error in metadata log directory {}. Cannot continue. "
                            "({})",
                            metadata_log_dir, it->second.message())};
    }
    return {};
}

Uuid MetaPropertiesEnsemble::make_directory_id(Rng& rng) const {
    while (true) {
        const Uuid id{rng.next(), rng.next()};
        if (is_reserved_directory_id(id) || id.to_string().starts_with('-')) continue;
        bool taken = false;
        for (const auto& [log_dir, properties] : log_dirs)
            taken |= properties.directory_id == id;
        if (!taken) return id;
    }
}

}  // namespace millrace::storage
