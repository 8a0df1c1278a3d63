// include/millrace/base/pending_by_offset.h: replies parked until a log offset is committed.
//
// A command machine (controller, group and transaction coordinators) must not answer before the
// records of the answer are committed. It parks the answer here under the offset of its last
// record; the owner releases in offset order when the high watermark passes, or takes everything
// back when leadership is lost. Order within one offset is the order of parking. Owned by one
// machine; the number of entries is bounded by the machine's admission limit, not here.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "millrace/base/assert.h"
#include "millrace/base/ids.h"

namespace millrace {

template <class T>
class PendingByOffset {
  public:
    /// `last` is the last offset that must be committed first. REQUIRES: not below what is parked.
    void park(Offset last, T item) {
        MILLRACE_ASSERT(waiting_.empty() || last >= waiting_.back().first,
                        "replies are parked in offset order");
        waiting_.emplace_back(last, std::move(item));
    }
    /// Appends to `out` all items whose offset is below `high_watermark` (exclusive), oldest first.
    void release(Offset high_watermark, std::vector<T>& out) {
        while (!waiting_.empty() && waiting_.front().first < high_watermark) {
            out.push_back(std::move(waiting_.front().second));
            waiting_.pop_front();
        }
    }
    /// Takes back every item at or above `from`, oldest first: their records will never commit.
    void take_from(Offset from, std::vector<T>& out) {
        auto first = waiting_.begin();
        while (first != waiting_.end() && first->first < from)
            ++first;
        for (auto it = first; it != waiting_.end(); ++it)
            out.push_back(std::move(it->second));
        waiting_.erase(first, waiting_.end());
    }
    void take_all(std::vector<T>& out) { take_from(Offset(0), out); }
    /// The item that waits longest. REQUIRES: !empty().
    const T& oldest() const { return waiting_.front().second; }
    /// Takes back that item, for an owner that does not let it wait any longer. REQUIRES: !empty().
    T take_oldest() {
        MILLRACE_ASSERT(!waiting_.empty(), "something waits");
        T item = std::move(waiting_.front().second);
        waiting_.pop_front();
        return item;
    }
    /// The largest parked offset; REQUIRES: !empty().
    Offset last_offset() const { return waiting_.back().first; }
    size_t size() const { return waiting_.size(); }
    bool empty() const { return waiting_.empty(); }

  private:
    std::deque<std::pair<Offset, T>> waiting_;
};

}  // namespace millrace
