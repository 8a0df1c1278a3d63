// src/wire/gen_support.cc: comparison of record chains.
#include "wire/gen_support.h"

namespace millrace::wire {

bool same_records(const BufferChain& a, const BufferChain& b) {
    if (a.size() != b.size()) return false;
    const Result<Buffer> left = a.flatten();
    const Result<Buffer> right = b.flatten();
    return left.ok() && right.ok() && *left == *right;
}

}  // namespace millrace::wire
