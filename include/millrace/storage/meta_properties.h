// include/millrace/storage/meta_properties.h: meta.properties, the identity of a log directory.
//
// Source: org.apache.kafka.metadata.properties.MetaProperties and MetaPropertiesEnsemble; the
// messages are theirs because operators search for them. Blocking calls, used at start and by
// `millrace storage` only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/result.h"
#include "millrace/base/rng.h"
#include "millrace/base/time.h"
#include "millrace/base/uuid.h"

namespace millrace::env {
class FileSystem;
}

namespace millrace::storage {

inline constexpr const char* kMetaPropertiesName = "meta.properties";

/// What one meta.properties file says. Version 0 (before KRaft) has broker.id for node.id and may
/// lack every field; version 1 always has cluster.id and node.id.
struct MetaProperties {
    int32_t version = 1;
    std::optional<std::string> cluster_id;
    std::optional<NodeId> node_id;
    std::optional<Uuid> directory_id;
    friend bool operator==(const MetaProperties&, const MetaProperties&) = default;
    /// "{cluster.id=..., directory.id=..., node.id=1, version=1}", as Kafka prints it.
    std::string to_string() const;
};

/// Java properties text -> fields. Unknown keys are ignored, as in Kafka.
Result<MetaProperties> parse_meta_properties(std::string_view text);
/// The file as Kafka 4.3.1 writes it: "#", "#<date in UTC>", then node.id, directory.id, version,
/// cluster.id (the order of its hash table).
std::string print_meta_properties(const MetaProperties& properties, WallMs now);
/// Through <path>.tmp, sync, rename, sync of the directory.
Status write_meta_properties(env::FileSystem& files, const std::string& log_dir,
                             const MetaProperties& properties, WallMs now);

/// The meta.properties of all log directories of a node.
struct MetaPropertiesEnsemble {
    std::map<std::string, MetaProperties> log_dirs;  // readable ones
    std::set<std::string> empty_log_dirs;            // no file
    std::map<std::string, Status> error_log_dirs;    // unreadable or malformed

    /// Reads each directory; a failure puts the directory among the error ones.
    static MetaPropertiesEnsemble load(env::FileSystem& files,
                                       const std::vector<std::string>& log_dirs);
    /// Kafka's checks across directories: one cluster id, one node id, distinct and unreserved
    /// directory ids. Expectations that are absent are taken from the first file.
    Status verify(std::optional<std::string> expected_cluster_id,
                  std::optional<NodeId> expected_node_id) const;
    /// For a start: verify, plus at least one readable file, plus a healthy metadata directory.
    Status verify_for_start(NodeId expected_node_id, const std::string& metadata_log_dir) const;
    /// A random id that no directory has, not reserved, not starting with '-'.
    Uuid make_directory_id(Rng& rng) const;
};

/// True for the ids below 100 that Kafka gives a meaning (DirectoryId.reserved).
bool is_reserved_directory_id(const Uuid& id);

}  // namespace millrace::storage
