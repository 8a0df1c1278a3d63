// src/base/assert.cc: what happens when an assertion fails.
#include "millrace/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace millrace {

void assert_failed(const char* expression, const char* file, int line, const char* text) noexcept {
    std::fprintf(stderr, "assertion failed: %s at %s:%d %s\n", expression, file, line, text);
    std::fflush(stderr);
    std::abort();
}

}  // namespace millrace
