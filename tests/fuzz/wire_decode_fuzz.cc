// tests/fuzz/wire_decode_fuzz.cc: any bytes as any message version; what decodes must be stable.
//
// Input: u16 message number, u8 version above the lowest, then the bytes. Memory is watched by
// libFuzzer (-rss_limit_mb) and a crash or a second encoding that differs is a finding.
#include <cstdint>
#include <cstdlib>

#include "millrace/wire/headers.h"
#include "wire/testkit.h"

using namespace millrace;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3) return 0;
    const auto& messages = wire::wire_messages();
    const size_t number = static_cast<size_t>(data[0] * 256 + data[1]) % messages.size();
    const wire::WireMessage& message = messages[number];
    const int versions = message.version_max - message.version_min + 1;
    const auto version = static_cast<int16_t>(message.version_min + data[2] % versions);
    const Buffer bytes = Buffer::copy_of(ByteView(data + 3, size - 3));

    wire::Reader head_reader(bytes);
    wire::RequestHead head;
    (void)wire::decode_request_head(head_reader, head);

    wire::Reader reader(bytes);
    wire::Writer first;
    if (!message.round_trip(reader, first, version)) return 0;
    const Buffer once = first.finish_flat();
    wire::Reader again(once);
    wire::Writer second;
    if (!message.round_trip(again, second, version)) std::abort();
    if (!(second.finish_flat() == once)) std::abort();
    return 0;
}
