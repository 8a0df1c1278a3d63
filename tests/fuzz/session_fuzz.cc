// tests/fuzz/session_fuzz.cc: bytes of a hostile client, cut into reads of any size.
//
// The first byte of the input chooses the size of the reads, the second whether answers are late.
// Handlers need a broker, so every request with a valid header is answered by a stand-in.
#include <algorithm>
#include <cstring>
#include <vector>

#include "millrace/api/dispatch.h"
#include "millrace/api/session.h"
#include "millrace/base/assert.h"
#include "millrace/base/endian.h"

namespace {

using namespace millrace;

std::vector<api::ServeCall> parked;
bool late = false;

void answer(const api::ServeCall& call) {
    Buffer frame = Buffer::allocate(8);
    store_big(frame.mutable_data(), int32_t{4});
    store_big(frame.mutable_data() + 4, call.context.correlation_id);
    call.context.slot.answer(BufferChain(std::move(frame)));
}

void serve(api::ServeCall&& call) {
    MILLRACE_ASSERT(call.body_at <= call.frame.size());
    if (late) {
        parked.push_back(std::move(call));
    } else {
        answer(call);
    }
}

void finish_parked() {
    for (const api::ServeCall& call : parked) answer(call);
    parked.clear();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const size_t step = size_t{data[0]} * 16 + 1;
    late = (data[1] & 1) != 0;
    data += 2;
    size -= 2;
    api::SessionHost::Options options;
    options.serve_instead = serve;
    options.limits.in_flight_max = 3;
    options.limits.max_request_bytes = 1 << 20;
    {
        api::SessionHost host(nullptr, options);
        api::Session session(host, {}, {});
        Instant now{1};
        size_t given = 0;
        BufferChain output;
        for (int stalls = 0; given < size && stalls < 4 && !session.closing();) {
            const api::ReceiveRoom room = session.receive_room();
            const size_t count = std::min({room.size(), step, size - given});
            if (count == 0) {
                ++stalls;
            } else {
                const size_t first = std::min(count, room.parts[0].size);
                if (first > 0) std::memcpy(room.parts[0].data, data + given, first);
                if (count > first) {
                    std::memcpy(room.parts[1].data, data + given + first, count - first);
                }
                given += count;
                session.on_received(count, now);
                if (late && parked.size() < 3) continue;
            }
            finish_parked();
            now = now + milliseconds(1);
            session.resume(now);
            session.take_output(output);
            session.on_sent(output.size());
            output.clear();
        }
        finish_parked();
    }
    parked.clear();
    return 0;
}
