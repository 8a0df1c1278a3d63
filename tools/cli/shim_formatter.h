// tools/cli/shim_formatter.h: Kafka's DefaultMessageFormatter.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "cli/fetcher.h"

namespace millrace::cli {

/// Writes records as kafka-console-consumer.sh does by default, with print.* and *.separator.
class ShimFormatter {
  public:
    explicit ShimFormatter(const std::map<std::string, std::string>& properties);
    std::string text_of(const FetchedRecord& found) const;

  private:
    enum class Decoder { Bytes, Text, Short, Integer, Long };

    static Decoder decoder_of(const std::map<std::string, std::string>& properties,
                              const char* key);
    std::string decoded(Decoder decoder, const std::optional<ByteView>& bytes) const;
    std::string headers_of(const FetchedRecord& found) const;

    bool timestamp_ = false;
    bool key_ = false;
    bool value_ = true;
    bool partition_ = false;
    bool offset_ = false;
    bool delivery_ = false;
    bool epoch_ = false;
    bool headers_ = false;
    std::string key_separator_ = "\t";
    std::string line_separator_ = "\n";
    std::string headers_separator_ = ",";
    std::string null_literal_ = "null";
    Decoder key_decoder_ = Decoder::Bytes;
    Decoder value_decoder_ = Decoder::Bytes;
    Decoder headers_decoder_ = Decoder::Bytes;
};

}  // namespace millrace::cli
