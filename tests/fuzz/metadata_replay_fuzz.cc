// tests/fuzz/metadata_replay_fuzz.cc: any records as a committed metadata log.
//
// Input: u16 size and bytes for each record. What does not decode or contradicts the image is an
// error with a text; what is accepted survives a snapshot: replayed, it yields the same snapshot.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "millrace/metadata/delta.h"
#include "millrace/metadata/snapshot.h"

using namespace millrace;  // NOLINT(google-build-using-namespace)

namespace {

std::vector<Buffer> snapshot_of(const metadata::Image& image) {
    std::vector<Buffer> values;
    for (const metadata::Record& record : metadata::snapshot_records(image)) {
        values.push_back(metadata::encode_record(record));
    }
    return values;
}

void check_snapshot(const metadata::Image& image) {
    const std::vector<Buffer> first = snapshot_of(image);
    metadata::SnapshotReader reader(image.provenance);
    for (const Buffer& value : first) {
        const auto record = metadata::decode_record(value, Offset(0));
        if (!record.ok() || !reader.on_record(*record).ok()) std::abort();
    }
    const std::vector<Buffer> second = snapshot_of(*reader.finish());
    if (first.size() != second.size()) std::abort();
    for (size_t i = 0; i < first.size(); ++i) {
        if (!(first[i] == second[i])) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    metadata::ImageLoader loader(metadata::empty_image());
    Offset offset{0};
    while (size >= 2) {
        const size_t wanted = static_cast<size_t>(data[0] * 256 + data[1]);
        const size_t length = std::min(wanted, size - 2);
        const Buffer value = Buffer::copy_of(ByteView(data + 2, length));
        data += 2 + length;
        size -= 2 + length;
        const auto record = metadata::decode_record(value, offset);
        // A node stops at the first record it cannot take.
        if (!record.ok()) break;
        if (!loader.on_record(offset, LeaderEpoch(1), WallMs{1}, *record).ok()) break;
        offset = offset + 1;
        if (const auto published = loader.publish()) check_snapshot(*published->image);
    }
    return 0;
}
