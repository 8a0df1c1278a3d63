// include/millrace/base/assert.h: assertions that stay on in release builds.
//
// MILLRACE_ASSERT states what the programmer knows to be true; it is never used on input from
// clients, peers or disks (those are checked and become an ErrorCode or a Status). A failed assert
// prints the expression, the place and the text, and aborts the process: a broken invariant must
// not reach the disk. MILLRACE_VERIFY is for checks that cost more than O(1); it runs in Dev and
// simulator builds only.
#pragma once

namespace millrace {

/// Prints one line on standard error and aborts.
[[noreturn]] void assert_failed(const char* expression, const char* file, int line,
                                const char* text) noexcept;

}  // namespace millrace

#define MILLRACE_ASSERT_2(condition, text) \
    (static_cast<bool>(condition)          \
         ? static_cast<void>(0)            \
         : ::millrace::assert_failed(#condition, __FILE__, __LINE__, text))
#define MILLRACE_ASSERT_1(condition) MILLRACE_ASSERT_2(condition, "")
#define MILLRACE_ASSERT_PICK(_1, _2, name, ...) name
/// MILLRACE_ASSERT(condition) or MILLRACE_ASSERT(condition, "which invariant").
#define MILLRACE_ASSERT(...) \
    MILLRACE_ASSERT_PICK(__VA_ARGS__, MILLRACE_ASSERT_2, MILLRACE_ASSERT_1, )(__VA_ARGS__)

#ifdef MILLRACE_VERIFY_ON
#define MILLRACE_VERIFY(...) MILLRACE_ASSERT(__VA_ARGS__)
#else
#define MILLRACE_VERIFY(...) static_cast<void>(0)
#endif

#define MILLRACE_UNREACHABLE(text) \
    ::millrace::assert_failed("unreachable", __FILE__, __LINE__, text)
