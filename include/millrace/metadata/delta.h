// include/millrace/metadata/delta.h: records -> the next image, and what changed on the way.
//
// Replay alone changes metadata; the brokers' image and the controller's state go through the same
// code. A record that contradicts the image (unknown topic, wrong broker epoch, a name that exists)
// is a Corrupt status that names the record: such a log was written by a faulty controller and the
// node must stop (Kafka halts too). Source: org.apache.kafka.image.*Delta, kraft.md 2.2.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "millrace/base/result.h"
#include "millrace/metadata/image.h"
#include "millrace/metadata/record.h"

namespace millrace::metadata {

/// What a run of records touched. Partitions of created topics are listed in `partitions` too.
struct Changes {
    std::set<Uuid> topics_created;
    std::map<Uuid, std::string> topics_deleted;           // id -> name; partitions in the old image
    std::map<Uuid, std::set<PartitionIndex>> partitions;  // created or changed, topic still there
    std::set<NodeId> brokers;                             // registered, changed or unregistered
    std::set<NodeId> controllers;
    std::set<ConfigTarget> configs;
    std::set<std::string> features;
    std::set<QuotaEntity> client_quotas;
    std::set<Uuid> acls;
    std::set<ScramKey> scram;
    std::set<std::string> delegation_tokens;
    bool producer_ids = false;

    bool empty() const;
};

/// What differs between two images; shared parts are skipped. For images loaded from snapshots.
Changes difference(const Image& before, const Image& after);

/// Applies records to a working copy of `base`. One owner; cheap to make and to drop.
class Delta {
  public:
    explicit Delta(const Image& base, Changes so_far = {})
        : image_(base), changes_(std::move(so_far)) {}

    /// Transaction markers are the loader's business (ImageLoader): here they are accepted and
    /// do nothing. On failure the working image is unchanged by this record.
    Status replay(const Record& record);

    const Image& image() const {
        open_topic_ = nullptr;  // the caller may keep a copy, which must not change any more
        return image_;
    }
    const Changes& changes() const { return changes_; }
    Image take_image() {
        open_topic_ = nullptr;
        return std::move(image_);
    }
    Changes take_changes() { return std::move(changes_); }

  private:
    Image image_;
    Changes changes_;
    /// The topic this delta touched last: its own copy, seen by nobody else yet, so that a run of
    /// partitions of one topic is edited in place.
    mutable std::shared_ptr<TopicImage> open_topic_;
};

/// Turns the committed log into published images, metadata transactions (KIP-868) included:
/// records between Begin and End become visible at End, Abort discards them.
class ImageLoader {
  public:
    explicit ImageLoader(ImagePtr start);

    /// One committed record in log order. Fails for corrupt logs; then the loader is dead.
    Status on_record(Offset offset, LeaderEpoch epoch, WallMs timestamp, const Record& record);
    /// Control batches carry no metadata but move the provenance.
    void on_control(Offset last_offset, LeaderEpoch epoch, WallMs timestamp);
    /// Replaces everything by a snapshot's image (snapshot.h makes it).
    void on_snapshot(ImagePtr image);

    struct Published {
        ImagePtr image;
        Changes changes;  // since the previous publish()
    };
    /// The image of everything visible; nothing when no record came since the last publish.
    /// Inside an open transaction it is the image before the Begin record.
    std::optional<Published> publish();
    const ImagePtr& published() const { return published_; }
    bool in_transaction() const { return transaction_.has_value(); }

  private:
    struct Transaction {
        Image before;  // state, provenance and changes when Begin was met
        Changes changes_before;
    };
    ImagePtr published_;
    Delta delta_;
    Provenance provenance_;
    std::optional<Transaction> transaction_;
    bool dirty_ = false;
};

}  // namespace millrace::metadata
