// src/base/log.cc: the process-wide sink and level of log lines.
#include "millrace/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

namespace millrace {

namespace {
std::atomic<LogSink> current_sink{nullptr};
std::atomic<LogLevel> current_level{LogLevel::Info};

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
        case LogLevel::Trace: return spdlog::level::trace;
        case LogLevel::Debug: return spdlog::level::debug;
        case LogLevel::Info: return spdlog::level::info;
        case LogLevel::Warn: return spdlog::level::warn;
        case LogLevel::Error: return spdlog::level::err;
        case LogLevel::Off: return spdlog::level::off;
    }
    return spdlog::level::off;
}

void stderr_sink(LogLevel level, const LogChannel& channel, std::string_view line) {
    spdlog::default_logger_raw()->log(spdlog_level(level), "[{}] {}", channel.name, line);
}
}  // namespace

void log_to_stderr() {
    if (!spdlog::get("millrace")) {
        auto logger = spdlog::stderr_color_mt("millrace");
        logger->set_pattern("[%Y-%m-%d %H:%M:%S.%e] %^%L%$ %v");
        logger->set_level(spdlog::level::trace);
        spdlog::set_default_logger(logger);
    }
    set_log_sink(&stderr_sink);
}

void set_log_sink(LogSink sink) { current_sink.store(sink); }
void set_log_level(LogLevel level) { current_level.store(level); }

bool log_enabled(LogLevel level) {
    return current_sink.load(std::memory_order_relaxed) != nullptr &&
           level >= current_level.load(std::memory_order_relaxed);
}

void log_line(LogLevel level, const LogChannel& channel, std::string_view line) {
    if (const LogSink sink = current_sink.load()) sink(level, channel, line);
}

}  // namespace millrace
