// tools/cli/shim_topic_filter.h: topics by a regular expression, as Kafka's tools match them.
#pragma once

#include <regex>
#include <string>

namespace millrace::cli {

/// org.apache.kafka.tools.filter.TopicFilter: commas mean "or", quotes around are dropped, and the
/// whole name must match. A Failure when it is no regular expression.
class TopicFilter {
  public:
    explicit TopicFilter(const std::string& raw);
    bool matches(const std::string& topic) const { return std::regex_match(topic, pattern_); }

  private:
    std::regex pattern_;
};

/// Every one a host:port.
bool are_servers(const std::string& text);

}  // namespace millrace::cli
