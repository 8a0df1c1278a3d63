// tools/cli/record_json.h: records of Kafka's internal topics as JSON, as its dumper prints them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/jackson.h"
#include "millrace/base/bytes.h"

namespace millrace::cli {

/// Whose records a log holds: --offsets-decoder and so on; plain text for Bytes.
enum class RecordDecoder : uint8_t { Bytes, Offsets, Transactions, ShareState, Metadata };

struct DecodedRecord {
    std::optional<std::string> key;
    std::optional<std::string> payload;
};

/// What cannot be read is said in the text, as Kafka does. `offset` is named in such a text only.
DecodedRecord decode_record(RecordDecoder decoder, int64_t offset,
                            const std::optional<ByteView>& key,
                            const std::optional<ByteView>& value);

}  // namespace millrace::cli
