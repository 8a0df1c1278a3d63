// tools/cli/shim_options.h: options as joptsimple reads them, for the scripts we play.
//
// Long options only, "--name value" and "--name=value"; a value is taken whatever it looks like,
// an optional one only when it does not look like an option. Values are converted when they are
// asked for, as in joptsimple, because the tools differ in what they do with a bad one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/cli.h"

namespace millrace::cli {

enum class Takes { Nothing, Value, OptionalValue };
enum class ValueKind { Text, Integer, Long };

struct ShimOption {
    const char* name;
    Takes takes = Takes::Nothing;
    const char* describes = "";  // what the value is
    const char* help = "";       // in our words
    const char* fallback = nullptr;
    ValueKind kind = ValueKind::Text;
};

/// joptsimple's OptionException.
struct OptionProblem {
    std::string kind;  // name of the Java class
    std::string message;
};

class ShimOptions {
  public:
    /// --help and --version are added. Throws OptionProblem.
    ShimOptions(std::vector<ShimOption> table, const std::vector<std::string>& words);

    bool has(const std::string& name) const { return given_.contains(name); }
    /// The value, else the fallback. OptionProblem when given twice.
    std::optional<std::string> value(const std::string& name) const;
    std::optional<int64_t> number(const std::string& name) const;
    std::vector<std::string> values(const std::string& name) const;
    /// The names of the options as they came.
    const std::vector<std::string>& in_order() const { return order_; }

    /// A line, the options, exit 1: how Kafka's tools refuse and how they help.
    [[noreturn]] void usage(const std::string& message) const;
    /// Ends for --help and --version.
    void help_or_version(const std::string& message) const;
    void require(const std::string& name) const;
    /// Not both.
    void exclusive(const std::string& one, const std::string& other) const;
    void forbid(const std::string& used, const std::vector<std::string>& invalid) const;

  private:
    const ShimOption* find(const std::string& name) const;
    void parse(const std::vector<std::string>& words);

    std::vector<ShimOption> table_;
    std::map<std::string, std::vector<std::optional<std::string>>> given_;
    std::vector<std::string> order_;
};

/// The table alone prints the same usage before anything was parsed.
[[noreturn]] void shim_usage(std::vector<ShimOption> table, const std::string& message);

/// A Java properties file, plainly read: key=value lines. Fails when it cannot be.
std::map<std::string, std::string> read_properties(const std::string& path);
/// "key=value", "key=" and "key" as CommandLineUtils.parseKeyValueArgs.
std::map<std::string, std::string> key_values(const std::vector<std::string>& words);
/// A context for a client of these servers. Refuses properties that need TLS or SASL.
Context shim_context(const std::string& servers, int timeout_ms, const std::string& client_id,
                     const std::map<std::string, std::string>& properties);

}  // namespace millrace::cli
