// include/millrace/metadata/snapshot.h: image -> records of a checkpoint file, and back.
//
// Record order is Kafka's: features (metadata.version first), brokers, controllers, topics with
// their partitions, configs, client quotas, producer ids, acls, scram, delegation tokens
// (org.apache.kafka.image.MetadataImage.write). Record versions follow the finalized
// metadata.version. The control batches around them (header, voters, footer) are raft's.
#pragma once

#include <memory>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/metadata/image.h"
#include "millrace/metadata/record.h"

namespace millrace::metadata {

/// All records whose replay on an empty image gives `image`'s contents.
/// REQUIRES: `image` is a published one (never inside a metadata transaction).
std::vector<Record> snapshot_records(const Image& image);

/// Collects the data records of a checkpoint; hands out the image at the end.
class SnapshotReader {
  public:
    /// `last` = (end offset - 1, epoch) of the snapshot id, and the header's log timestamp.
    explicit SnapshotReader(Provenance last);
    ~SnapshotReader();
    /// Transaction markers are not allowed inside snapshots: Corrupt.
    Status on_record(const Record& record);
    ImagePtr finish();

  private:
    struct Working;
    std::unique_ptr<Working> working_;
};

}  // namespace millrace::metadata
