// src/base/result.cc: names of Errc and the text of a Status.
#include "millrace/base/result.h"

namespace millrace {

const char* errc_name(Errc errc) noexcept {
    switch (errc) {
        case Errc::Ok: return "Ok";
        case Errc::IoError: return "IoError";
        case Errc::NotFound: return "NotFound";
        case Errc::AlreadyExists: return "AlreadyExists";
        case Errc::NoSpace: return "NoSpace";
        case Errc::Permission: return "Permission";
        case Errc::Corrupt: return "Corrupt";
        case Errc::Busy: return "Busy";
        case Errc::InvalidInput: return "InvalidInput";
        case Errc::Unsupported: return "Unsupported";
        case Errc::LimitExceeded: return "LimitExceeded";
        case Errc::Cancelled: return "Cancelled";
        case Errc::Disconnected: return "Disconnected";
        case Errc::TimedOut: return "TimedOut";
    }
    return "?";
}

std::string Status::to_string() const {
    if (ok()) return "Ok";
    return std::string(errc_name(errc_)) + ": " + message_;
}

}  // namespace millrace
