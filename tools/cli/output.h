// tools/cli/output.h: tables for people, JSON for programs, and how numbers and times are shown.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cli.h"

namespace millrace::cli {

using Json = nlohmann::ordered_json;

/// Columns as wide as their widest cell, two blanks apart; a heading that starts with '>' is
/// aligned right.
class Table {
  public:
    explicit Table(std::vector<std::string> headings);
    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    std::string to_string() const;

  private:
    std::vector<std::string> headings_;
    std::vector<bool> right_;
    std::vector<std::vector<std::string>> rows_;
};

/// {"apiVersion": "v1", "kind": ..., "items": [...]} on standard output.
void print_items(const std::string& kind, Json items);

/// "1 partition", "2 partitions".
std::string counted(int64_t n, std::string_view noun);
/// "1,296".
std::string grouped(int64_t n);
/// "8.21 GiB".
std::string bytes_text(int64_t bytes);
/// "2026-11-21 09:14:02.118" in UTC; "-" for none.
std::string time_text(int64_t ms);
/// "2026-11-21T09:14:02.118Z".
std::string rfc3339(int64_t ms);
std::string base64(std::string_view bytes);
bool is_utf8(std::string_view bytes);
/// Splits at a separator; no element for empty text.
std::vector<std::string> split(std::string_view text, char separator);
/// "key=value", or a usage failure.
std::pair<std::string, std::string> key_value(const std::string& text);

}  // namespace millrace::cli
