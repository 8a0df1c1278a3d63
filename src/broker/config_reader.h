// src/broker/config_reader.h: a config file's values, parsed by the table, with the faults found.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/metadata/config_schema.h"

namespace millrace::broker {

/// Parses every broker key once. A key that is absent, or whose text is not valid (a fault is
/// noted), has its default; a key without default is null.
class ConfigReader {
  public:
    explicit ConfigReader(const metadata::ConfigMap& raw);

    bool set(std::string_view key) const { return raw_.contains(key); }
    bool null(std::string_view key) const;
    bool flag(std::string_view key) const;
    int64_t number(std::string_view key) const;
    int32_t number32(std::string_view key) const { return static_cast<int32_t>(number(key)); }
    double real(std::string_view key) const;
    std::string text(std::string_view key) const;
    std::vector<std::string> list(std::string_view key) const;
    /// A topic key's value as a number, through its broker keys (log.roll.hours and so on).
    int64_t topic_number(std::string_view key) const;

    const metadata::ConfigMap& raw() const { return raw_; }
    const std::vector<std::string>& faults() const { return faults_; }

  private:
    const metadata::ConfigValue& value(std::string_view key) const;

    metadata::ConfigMap raw_;  // with broker.id and node.id standing for each other
    std::map<std::string, metadata::ConfigValue, std::less<>> values_;
    std::vector<std::string> faults_;
};

}  // namespace millrace::broker
