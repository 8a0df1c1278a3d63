// include/millrace/base/log.h: log lines, by channel and level; the sink is chosen by the app.
//
// Formatting happens only when the channel's level lets the line through. Tests and the simulator
// install their own sink; src/base/log.cc is the only file that knows spdlog.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace millrace {

enum class LogLevel { Trace, Debug, Info, Warn, Error, Off };

/// A named source of log lines ("net", "storage"); make them `inline const` or static const.
struct LogChannel {
    const char* name;
};

/// Receives every line that passed the level. Called on the thread that logs.
using LogSink = void (*)(LogLevel, const LogChannel&, std::string_view line);

/// Writes to standard error through spdlog, one line each, with time and level.
void log_to_stderr();
void set_log_sink(LogSink sink);  // nullptr: drop every line (the state at start)
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);
void log_line(LogLevel level, const LogChannel& channel, std::string_view line);

template <class... Args>
void log(LogLevel level, const LogChannel& channel, fmt::format_string<Args...> format,
         Args&&... args) {
    if (log_enabled(level)) {
        log_line(level, channel, fmt::format(format, std::forward<Args>(args)...));
    }
}
template <class... Args>
void log_info(const LogChannel& channel, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::Info, channel, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warn(const LogChannel& channel, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::Warn, channel, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(const LogChannel& channel, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::Error, channel, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_debug(const LogChannel& channel, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::Debug, channel, format, std::forward<Args>(args)...);
}

}  // namespace millrace
