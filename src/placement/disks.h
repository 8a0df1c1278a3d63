// src/placement/disks.h: room below the high-water mark, directory by directory.
//
// Only incoming copies count: what a plan takes away is still there while it runs, so it is no
// room.
#pragma once

#include <vector>

#include "placement/model.h"

namespace millrace::placement {

class Disks {
  public:
    explicit Disks(const Model& model);

    /// Some broker has bounded directories only.
    bool limited() const { return limited_; }
    bool limited(Index broker) const { return limited_by_[static_cast<size_t>(broker)] != 0; }
    bool fits(Index broker, int64_t size) const {
        return !limited(broker) || fits_one(broker, size);
    }
    /// Into the directory with the most room; its number, -1 when the broker names none.
    int16_t take(Index broker, int64_t size);
    void give(Index broker, int16_t dir, int64_t size);
    int64_t room(Index broker, size_t dir) const {
        return dirs_[static_cast<size_t>(broker)][dir].room;
    }
    /// Of all directories together, for bounds; meaningless for an unlimited broker.
    Wide room(Index broker) const;

  private:
    bool fits_one(Index broker, int64_t size) const;

    std::vector<std::vector<Dir>> dirs_;
    std::vector<uint8_t> limited_by_;
    bool limited_ = false;
};

}  // namespace millrace::placement
