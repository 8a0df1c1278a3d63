// src/placement/disks.cc: room below the high-water mark, directory by directory.
#include "placement/disks.h"

#include <algorithm>

namespace millrace::placement {

Disks::Disks(const Model& model) : dirs_(model.dirs) {
    for (const std::vector<Dir>& dirs : dirs_) {
        const bool all_bounded =
            !dirs.empty() &&
            std::all_of(dirs.begin(), dirs.end(), [](const Dir& d) { return d.bounded; });
        limited_by_.push_back(all_bounded ? 1 : 0);
        limited_ = limited_ || all_bounded;
    }
}

bool Disks::fits_one(Index broker, int64_t size) const {
    for (const Dir& dir : dirs_[static_cast<size_t>(broker)]) {
        if (dir.room >= size) return true;
    }
    return false;
}

int16_t Disks::take(Index broker, int64_t size) {
    std::vector<Dir>& dirs = dirs_[static_cast<size_t>(broker)];
    if (dirs.empty()) return -1;
    size_t best = 0;
    for (size_t i = 1; i < dirs.size(); ++i) {
        const bool freer = dirs[i].bounded == dirs[best].bounded ? dirs[i].room > dirs[best].room
                                                                 : !dirs[i].bounded;
        if (freer) best = i;
    }
    dirs[best].room -= size;
    return static_cast<int16_t>(best);
}

void Disks::give(Index broker, int16_t dir, int64_t size) {
    if (dir >= 0) dirs_[static_cast<size_t>(broker)][static_cast<size_t>(dir)].room += size;
}

Wide Disks::room(Index broker) const {
    Wide sum = 0;
    for (const Dir& dir : dirs_[static_cast<size_t>(broker)])
        sum += std::max<int64_t>(dir.room, 0);
    return sum;
}

}  // namespace millrace::placement
