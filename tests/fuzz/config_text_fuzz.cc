// tests/fuzz/config_text_fuzz.cc: any text as a node's config file.
//
// Input: a byte that chooses properties or YAML, then the file. It is read and checked; every note
// can be printed.
#include <cstdint>
#include <string>

#include "app/config_file.h"

using namespace millrace;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    constexpr size_t kTextBytesMax = 4096;  // more finds nothing new, only slower
    if (size == 0 || size > kTextBytesMax) return 0;
    const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
    const char* name = (data[0] & 1) != 0 ? "node.yaml" : "node.properties";
    const app::ConfigFile file = app::parse_config_text(name, text);
    (void)app::print_notes(file, app::check_config_file(file, (data[0] & 2) != 0));
    return 0;
}
