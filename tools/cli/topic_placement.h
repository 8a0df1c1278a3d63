// tools/cli/topic_placement.h: where the replicas of new partitions will go, before they exist.
#pragma once

#include <string>
#include <vector>

#include "cli/cluster_state.h"
#include "cli/output.h"
#include "millrace/placement/placer.h"

namespace millrace::cli {

/// What the controller will answer as long as the cluster stays as it is: it runs the same engine
/// with the same seed. Topics asked one after the other see each other, as in one request.
class PlacementPreview {
  public:
    explicit PlacementPreview(const ClusterState& state);

    /// False where racks are plain or missing: the controller then chooses as Kafka does, by chance.
    bool known() const { return known_; }
    /// Replicas of each partition from `first` on. REQUIRES: known(); few enough copies.
    std::vector<std::vector<int32_t>> place(const std::string& topic, int32_t first,
                                            int32_t partitions, int32_t replication_factor);
    /// [{"partition", "replicas", "racks"}]
    Json json(const std::vector<std::vector<int32_t>>& placed, int32_t first) const;
    std::string text(const std::vector<std::vector<int32_t>>& placed, int32_t first) const;

  private:
    std::string rack_of(int32_t id) const;

    const ClusterState& state_;
    std::vector<placement::Site> sites_;
    bool known_ = false;
};

}  // namespace millrace::cli
