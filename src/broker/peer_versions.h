// src/broker/peer_versions.h: the versions brokers use among each other by metadata.version.
//
// Kafka's brokers never negotiate these, so that a rolling upgrade changes them all at once.
// Source: org.apache.kafka.server.common.MetadataVersion; kraft.md 0.1.
#pragma once

#include <cstdint>

namespace millrace::broker {

inline int16_t fetch_version(int16_t metadata_version) {
    if (metadata_version >= 27) return 18;
    if (metadata_version >= 21) return 17;
    if (metadata_version >= 19) return 16;
    if (metadata_version >= 10) return 15;
    return metadata_version >= 9 ? 14 : 13;
}

inline int16_t list_offsets_version(int16_t metadata_version) {
    if (metadata_version >= 29) return 11;
    if (metadata_version >= 25) return 10;
    if (metadata_version >= 21) return 9;
    return metadata_version >= 9 ? 8 : 7;
}

}  // namespace millrace::broker
