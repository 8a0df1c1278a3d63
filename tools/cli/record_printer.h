// tools/cli/record_printer.h: how `consume` shows a record: as text, by a format, as JSON.
#pragma once

#include <string>

#include "cli/fetcher.h"
#include "cli/output.h"

namespace millrace::cli {

/// kcat's letters: %t topic, %p partition, %o offset, %T timestamp, %k key, %s value, %h headers,
/// %K and %S sizes; \n, \t and \\ as in C. No format means a line of its own per record.
class RecordPrinter {
  public:
    RecordPrinter(bool json, std::string format) : json_(json), format_(std::move(format)) {}
    /// To standard output.
    void print(const FetchedRecord& found) const;

  private:
    Json json_of(const FetchedRecord& found) const;
    std::string letter(char c, const FetchedRecord& found) const;
    std::string formatted(const FetchedRecord& found) const;

    bool json_;
    std::string format_;
};

}  // namespace millrace::cli
