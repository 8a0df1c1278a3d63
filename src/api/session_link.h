// src/api/session_link.h: the counted link by which late answers find their session, or its absence.
#pragma once

#include <cstdint>

namespace millrace::api {

class Session;

/// Counted without atomics: a session, its contexts and its Replies stay on one shard.
struct SessionLink {
    Session* session;
    uint32_t references;
};

inline void release_link(SessionLink* link) noexcept {
    link->references -= 1;
    if (link->references == 0) delete link;
}

}  // namespace millrace::api
