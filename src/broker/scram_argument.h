// src/broker/scram_argument.h: --add-scram of kafka-storage format: text to a credential record.
//
// Source: org.apache.kafka.metadata.storage.ScramParser, ScramFormatter (RFC 5802).
#pragma once

#include <string>

#include "millrace/base/result.h"
#include "millrace/base/rng.h"
#include "millrace/metadata/record.h"

namespace millrace::broker {

/// 'SCRAM-SHA-256=[name=alice,password=alice-secret]', with iterations, and with salt and
/// saltedpassword in base64 instead of a password. InvalidInput in Kafka's words.
Result<metadata::Record> parse_scram_argument(const std::string& text, Rng& rng);

}  // namespace millrace::broker
