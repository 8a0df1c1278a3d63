// tests/fuzz/small_files_fuzz.cc: any bytes as one of the small files of a data directory.
//
// Input: a byte that chooses the file, then its contents. Each either parses or says why not.
#include <cstdint>
#include <string_view>

#include "broker/quorum_state_file.h"
#include "millrace/storage/meta_properties.h"
#include "storage/checkpoint_file.h"
#include "storage/producer_snapshot.h"

using namespace millrace;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
    switch (data[0] % 4) {
        case 0: (void)storage::parse_meta_properties(text); break;
        case 1: (void)storage::parse_checkpoint(text, "file"); break;
        case 2: (void)broker::parse_quorum_state(text); break;
        case 3: (void)storage::decode_producer_snapshot(ByteView(data + 1, size - 1)); break;
    }
    return 0;
}
