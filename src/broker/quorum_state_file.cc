// src/broker/quorum_state_file.cc: printing, parsing and replacing quorum-state.
#include "broker/quorum_state_file.h"

#include <fmt/core.h>

#include <charconv>
#include <map>
#include <memory>

#include "millrace/env/disk.h"

namespace millrace::broker {

namespace {

constexpr const char* kFileName = "/quorum-state";
constexpr size_t kFileBytesMax = 1024 * 1024;
constexpr int kJsonDepthMax = 8;

/// Just enough JSON: the top object's numbers and strings by key; nested values are checked for
/// shape and passed by, because nothing here needs them.
class JsonScan {
  public:
    explicit JsonScan(std::string_view text) : text_(text) {}
    bool object(std::map<std::string, std::string>* top, int depth) {
        if (depth > kJsonDepthMax || !take('{')) return false;
        if (take('}')) return true;
        do {
            std::string key;
            std::string value;
            if (!string(key) || !take(':') || !any(value, depth)) return false;
            if (top != nullptr) (*top)[key] = value;
        } while (take(','));
        return take('}');
    }
    bool at_end() {
        skip();
        return at_ == text_.size();
    }

  private:
    void skip() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' ||
                                      text_[at_] == '\r' || text_[at_] == '\t')) {
            ++at_;
        }
    }
    bool take(char c) {
        skip();
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    bool string(std::string& out) {
        if (!take('"')) return false;
        for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\' && ++at_ == text_.size()) return false;
            out += text_[at_];
        }
        return at_ < text_.size() && text_[at_++] == '"';
    }
    bool array(int depth) {
        if (depth > kJsonDepthMax || !take('[')) return false;
        if (take(']')) return true;
        do {
            std::string ignored;
            if (!any(ignored, depth)) return false;
        } while (take(','));
        return take(']');
    }
    bool any(std::string& out, int depth) {
        skip();
        if (at_ == text_.size()) return false;
        const char c = text_[at_];
        if (c == '"') return string(out);
        if (c == '{') return object(nullptr, depth + 1);
        if (c == '[') return array(depth + 1);
        while (at_ < text_.size() &&
               (std::string_view("+-.eE").find(text_[at_]) != std::string_view::npos ||
                (text_[at_] >= '0' && text_[at_] <= '9') ||
                (text_[at_] >= 'a' && text_[at_] <= 'z'))) {
            out += text_[at_++];
        }
        return !out.empty();
    }

    std::string_view text_;
    size_t at_ = 0;
};

Result<int32_t> integer(const std::map<std::string, std::string>& keys, const std::string& key) {
    const auto it = keys.find(key);
    if (it == keys.end()) return {Errc::Corrupt, "quorum-state: no " + key};
    int32_t number = 0;
    const char* end = it->second.data() + it->second.size();
    const auto [at, error] = std::from_chars(it->second.data(), end, number);
    if (error != std::errc() || at != end) {
        return {Errc::Corrupt, "quorum-state: " + key + " is no number"};
    }
    return number;
}

}  // namespace

std::string print_quorum_state(const raft::ElectionState& state, int16_t kraft_version,
                               const raft::VoterSet& voters) {
    if (kraft_version > 0) {
        return fmt::format(R"({{"leaderId":{},"leaderEpoch":{},"votedId":{},)"
                           R"("votedDirectoryId":"{}","data_version":1}})",
                           state.leader_id.value, state.epoch.value, state.voted.id.value,
                           state.voted.directory_id.to_string());
    }
    std::string ids;
    for (const raft::Voter& voter : voters.voters()) {
        ids += fmt::format(R"({}{{"voterId":{}}})", ids.empty() ? "" : ",", voter.key.id.value);
    }
    return fmt::format(
        R"({{"clusterId":"","leaderId":{},"leaderEpoch":{},"votedId":{},"appliedOffset":0,)"
        R"("currentVoters":[{}],"data_version":0}})",
        state.leader_id.value, state.epoch.value, state.voted.id.value, ids);
}

Result<raft::ElectionState> parse_quorum_state(std::string_view text) {
    std::map<std::string, std::string> keys;
    JsonScan scan(text);
    if (!scan.object(&keys, 0) || !scan.at_end()) {
        return {Errc::Corrupt, "quorum-state: not a JSON object"};
    }
    MILLRACE_TRY_ASSIGN(const int32_t data_version, integer(keys, "data_version"));
    if (data_version != 0 && data_version != 1) {
        return {Errc::Corrupt, fmt::format("quorum-state: unknown data_version {}", data_version)};
    }
    raft::ElectionState state;
    MILLRACE_TRY_ASSIGN(state.leader_id.value, integer(keys, "leaderId"));
    MILLRACE_TRY_ASSIGN(state.epoch.value, integer(keys, "leaderEpoch"));
    MILLRACE_TRY_ASSIGN(state.voted.id.value, integer(keys, "votedId"));
    if (state.epoch.value < 0) return {Errc::Corrupt, "quorum-state: a negative leaderEpoch"};
    if (data_version == 1) {
        const auto id = Uuid::parse(keys["votedDirectoryId"]);
        if (!id.has_value()) return {Errc::Corrupt, "quorum-state: votedDirectoryId is no id"};
        state.voted.directory_id = *id;
    }
    return state;
}

Result<std::optional<raft::ElectionState>> read_quorum_state(env::FileSystem& files,
                                                             const std::string& directory) {
    auto file = files.open(directory + kFileName, env::OpenMode::ReadOnly);
    if (!file.ok()) {
        if (file.status().errc() == Errc::NotFound) return std::optional<raft::ElectionState>();
        return file.status();
    }
    MILLRACE_TRY_ASSIGN(const uint64_t size, (*file)->size());
    if (size > kFileBytesMax) return {Errc::Corrupt, directory + kFileName + " is too large"};
    std::string text(size, '\0');
    MILLRACE_TRY_ASSIGN(
        const size_t got,
        (*file)->read_at(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
    text.resize(got);
    auto state = parse_quorum_state(text);
    if (!state.ok()) {
        return {state.status().errc(), directory + ": " + state.status().message()};
    }
    return std::optional<raft::ElectionState>(*state);
}

Status write_quorum_state(env::FileSystem& files, const std::string& directory,
                          const std::string& text) {
    const std::string path = directory + kFileName;
    const std::string temporary = path + ".tmp";
    MILLRACE_TRY_ASSIGN(auto file, files.open(temporary, env::OpenMode::CreateOrOpen));
    MILLRACE_TRY(file->truncate(0));
    MILLRACE_TRY(file->write_at(0, ByteView(text)));
    MILLRACE_TRY(file->sync());
    MILLRACE_TRY(files.rename(temporary, path));
    return files.sync_directory(directory);
}

}  // namespace millrace::broker
