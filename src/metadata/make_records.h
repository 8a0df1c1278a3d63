// src/metadata/make_records.h: records from our own structs, in the version the cluster allows.
//
// A record version above what metadata.version permits kills older nodes at replay, so every
// versioned record is made here (kraft.md 0.1).
#pragma once

#include <string>

#include "metadata/partition_election.h"
#include "metadata/partition_indexes.h"
#include "millrace/metadata/image.h"
#include "millrace/metadata/record.h"

namespace millrace::metadata {

// First metadata.version with the feature.
inline constexpr int16_t kMvRegisterBroker2 = 8;
inline constexpr int16_t kMvScram = 11;
inline constexpr int16_t kMvTransactions = 13;
inline constexpr int16_t kMvDelegationTokens = 14;
inline constexpr int16_t kMvControllerRegistration = 15;
inline constexpr int16_t kMvDirectories = 17;
inline constexpr int16_t kMvElr = 23;
inline constexpr int16_t kMvCordonedDirectories = 30;

int16_t register_broker_version(int16_t metadata_version);
int16_t partition_version(int16_t metadata_version);

Record make_partition_record(const PartitionKey& key, const PartitionImage& partition,
                             int16_t metadata_version);
Record make_partition_change(const PartitionKey& key, const PartitionChange& change,
                             int16_t metadata_version);
Record make_register_broker(const BrokerImage& broker, int16_t metadata_version);
Record make_register_controller(const ControllerImage& controller);
Record make_feature_level(std::string name, int16_t level);
Record make_config(const ConfigTarget& target, std::string name, std::optional<std::string> value);

}  // namespace millrace::metadata
