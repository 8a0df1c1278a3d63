// include/millrace/base/result.h: how a call into the outside world reports failure.
//
// Status and Result<T> carry failures of disk, network and limits ("world failed", the third of
// the four error kinds in src/ARCHITECTURE.md). Outcomes of the Kafka protocol travel as ErrorCode
// instead. Both types are nodiscard: a failure is handled or passed on, never dropped.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace {

enum class Errc {
    Ok = 0,
    IoError,        // the device or the kernel refused a read, write or sync
    NotFound,       // no such file, directory or name
    AlreadyExists,  // asked to create what is there
    NoSpace,        // the device is full
    Permission,     // the operating system forbids it
    Corrupt,        // bytes read do not follow their format
    Busy,           // held by another process or owner
    InvalidInput,   // the caller's (operator's) value is not acceptable
    Unsupported,    // known, but not served here
    LimitExceeded,  // a named bound was reached
    Cancelled,      // the owner went away before the work was done
    Disconnected,   // the peer closed or cannot be reached
    TimedOut,
};

/// The enumerator's name, for logs ("IoError").
const char* errc_name(Errc errc) noexcept;

/// Success, or an Errc with a sentence that says what was being done and to which file or peer.
class [[nodiscard]] Status {
  public:
    Status() noexcept = default;
    Status(Errc errc, std::string message) : errc_(errc), message_(std::move(message)) {
        MILLRACE_ASSERT(errc != Errc::Ok, "an error needs a reason");
    }

    bool ok() const noexcept { return errc_ == Errc::Ok; }
    Errc errc() const noexcept { return errc_; }
    const std::string& message() const noexcept { return message_; }
    /// "IoError: write /data/t-0/0.log: ..." or "Ok".
    std::string to_string() const;

  private:
    Errc errc_ = Errc::Ok;
    std::string message_;
};

/// A T, or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
    Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
        MILLRACE_ASSERT(!status_.ok(), "a Result without value needs a failure");
    }
    Result(Errc errc, std::string message) : status_(errc, std::move(message)) {}

    bool ok() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return ok(); }
    const Status& status() const noexcept { return status_; }

    T& value() & {
        MILLRACE_ASSERT(ok(), "value of a failed Result");
        return *value_;
    }
    const T& value() const& {
        MILLRACE_ASSERT(ok(), "value of a failed Result");
        return *value_;
    }
    T&& value() && {
        MILLRACE_ASSERT(ok(), "value of a failed Result");
        return std::move(*value_);
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

  private:
    std::optional<T> value_;
    Status status_;
};

}  // namespace millrace

/// Returns from the enclosing function when `expression` (a Status) is a failure.
#define MILLRACE_TRY(expression)                                       \
    do {                                                               \
        if (auto millrace_try_status = (expression); !millrace_try_status.ok()) \
            return millrace_try_status;                                \
    } while (false)

#define MILLRACE_TRY_CAT2(a, b) a##b
#define MILLRACE_TRY_CAT(a, b) MILLRACE_TRY_CAT2(a, b)
#define MILLRACE_TRY_ASSIGN_IMPL(temporary, target, expression) \
    auto temporary = (expression);                              \
    if (!temporary.ok()) return temporary.status();             \
    target = std::move(temporary).value()
/// MILLRACE_TRY_ASSIGN(auto x, f()): x = the value of Result f(), or return its Status.
#define MILLRACE_TRY_ASSIGN(target, expression) \
    MILLRACE_TRY_ASSIGN_IMPL(MILLRACE_TRY_CAT(millrace_result_, __LINE__), target, expression)
