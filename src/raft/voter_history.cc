// src/raft/voter_history.cc: lookup and truncation of the voters kept by offset.
#include "raft/voter_history.h"

#include <variant>

namespace millrace::raft {

namespace {

template <class Map>
typename Map::const_iterator at_or_below(const Map& map, Offset offset) {
    auto it = map.upper_bound(offset);
    return it == map.begin() ? map.end() : std::prev(it);
}

template <class Map>
void drop_old(Map& map, Offset start_offset) {
    auto keep = at_or_below(static_cast<const Map&>(map), start_offset - 1);
    if (keep != map.end()) map.erase(map.cbegin(), keep);
}

}  // namespace

void VoterHistory::load_snapshot(Offset offset, std::optional<int16_t> kraft_version,
                                 std::optional<VoterSet> voters) {
    if (kraft_version.has_value()) versions_[offset] = *kraft_version;
    if (voters.has_value()) voters_[offset] = *std::move(voters);
}

void VoterHistory::add(Offset base_offset, const std::vector<ControlRecord>& records) {
    Offset offset = base_offset;
    for (const ControlRecord& record : records) {
        if (const auto* version = std::get_if<KRaftVersionChange>(&record)) {
            versions_[offset] = version->kraft_version;
        } else if (const auto* voters = std::get_if<VotersChange>(&record)) {
            voters_[offset] = voters->voters;
        }
        offset = offset + 1;
    }
}

void VoterHistory::truncate_new(Offset end_offset) {
    voters_.erase(voters_.lower_bound(end_offset), voters_.end());
    versions_.erase(versions_.lower_bound(end_offset), versions_.end());
}

void VoterHistory::truncate_old(Offset start_offset) {
    drop_old(voters_, start_offset);
    drop_old(versions_, start_offset);
}

void VoterHistory::clear() {
    voters_.clear();
    versions_.clear();
}

const VoterSet& VoterHistory::last() const {
    return voters_.empty() ? static_voters_ : voters_.rbegin()->second;
}

std::optional<Offset> VoterHistory::last_offset() const {
    if (voters_.empty()) return std::nullopt;
    return voters_.rbegin()->first;
}

int16_t VoterHistory::last_kraft_version() const {
    return versions_.empty() ? int16_t{0} : versions_.rbegin()->second;
}

const VoterSet& VoterHistory::at(Offset offset) const {
    auto it = at_or_below(voters_, offset);
    return it == voters_.end() ? static_voters_ : it->second;
}

int16_t VoterHistory::kraft_version_at(Offset offset) const {
    auto it = at_or_below(versions_, offset);
    return it == versions_.end() ? int16_t{0} : it->second;
}

}  // namespace millrace::raft
