// src/storage/leader_epochs.cc: which offset each leader epoch of a log began at.
#include "millrace/storage/leader_epochs.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "storage/checkpoint_file.h"

namespace millrace::storage {

bool LeaderEpochs::assign(LeaderEpoch epoch, Offset start) {
    if (epoch.value < 0 || start.value < 0) return false;
    if (!entries_.empty()) {
        const EpochEntry& last = entries_.back();
        if (last.epoch == epoch && start >= last.start_offset) return false;
    }
    while (!entries_.empty() &&
           (entries_.back().epoch >= epoch || entries_.back().start_offset >= start)) {
        entries_.pop_back();
    }
    entries_.push_back({epoch, start});
    return true;
}

EpochEnd LeaderEpochs::end_offset_for(LeaderEpoch epoch, Offset log_end) const {
    if (epoch.value < 0 || entries_.empty()) return {};
    if (entries_.back().epoch == epoch) return {epoch, log_end};
    const auto higher = std::upper_bound(
        entries_.begin(), entries_.end(), epoch,
        [](LeaderEpoch wanted, const EpochEntry& entry) { return wanted < entry.epoch; });
    if (higher == entries_.end()) return {};  // an epoch this log has not heard of
    if (higher == entries_.begin()) return {epoch, higher->start_offset};
    return {std::prev(higher)->epoch, higher->start_offset};
}

std::optional<LeaderEpoch> LeaderEpochs::epoch_at(Offset offset) const {
    const auto after = std::upper_bound(
        entries_.begin(), entries_.end(), offset,
        [](Offset wanted, const EpochEntry& entry) { return wanted < entry.start_offset; });
    if (after == entries_.begin()) return std::nullopt;
    return std::prev(after)->epoch;
}

std::optional<EpochEntry> LeaderEpochs::latest() const {
    return entries_.empty() ? std::nullopt : std::optional(entries_.back());
}
std::optional<EpochEntry> LeaderEpochs::earliest() const {
    return entries_.empty() ? std::nullopt : std::optional(entries_.front());
}

bool LeaderEpochs::truncate_from_end(Offset end) {
    const size_t before = entries_.size();
    while (!entries_.empty() && entries_.back().start_offset >= end) entries_.pop_back();
    return entries_.size() != before;
}

bool LeaderEpochs::truncate_from_start(Offset start) {
    size_t below = 0;
    while (below < entries_.size() && entries_[below].start_offset <= start) ++below;
    if (below == 0) return false;
    // The last of them is still in force at `start`.
    const bool moved = entries_[below - 1].start_offset != start;
    entries_[below - 1].start_offset = start;
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(below - 1));
    return moved || below > 1;
}

std::string LeaderEpochs::to_text() const {
    std::string text = fmt::format("0\n{}\n", entries_.size());
    for (const EpochEntry& entry : entries_) {
        text += fmt::format("{} {}\n", entry.epoch.value, entry.start_offset.value);
    }
    return text;
}

Result<LeaderEpochs> LeaderEpochs::from_text(std::string_view text) {
    const auto corrupt = [](std::string_view what) {
        return Status(Errc::Corrupt, fmt::format("leader-epoch-checkpoint: {}", what));
    };
    LeaderEpochs epochs;
    std::string_view line;
    int64_t version = 0;
    int64_t count = 0;
    if (!next_line(text, line)) return epochs;
    if (!parse_number(line, version) || version != 0) return corrupt("unknown version");
    if (!next_line(text, line) || !parse_number(line, count)) return corrupt("no count");
    while (next_line(text, line)) {
        const size_t space = line.find(' ');
        int64_t epoch = 0;
        int64_t start = 0;
        if (space == std::string_view::npos || !parse_number(line.substr(0, space), epoch) ||
            !parse_number(line.substr(space + 1), start) || epoch < 0 || start < 0 ||
            epoch > std::numeric_limits<int32_t>::max()) {
            return corrupt(fmt::format("malformed line '{}'", line));
        }
        const EpochEntry entry{LeaderEpoch(static_cast<int32_t>(epoch)), Offset(start)};
        if (!epochs.entries_.empty() && (epochs.entries_.back().epoch >= entry.epoch ||
                                         epochs.entries_.back().start_offset >= entry.start_offset)) {
            return corrupt("entries do not rise");
        }
        epochs.entries_.push_back(entry);
    }
    if (static_cast<int64_t>(epochs.entries_.size()) != count) return corrupt("count is wrong");
    return epochs;
}

}  // namespace millrace::storage
