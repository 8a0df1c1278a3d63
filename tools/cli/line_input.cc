// tools/cli/line_input.cc: standard input as lines.
#include "cli/line_input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "cli/cli.h"

namespace millrace::cli {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kLineBytesMax = 64 * 1024 * 1024;

bool more_waits() {
    pollfd watch{STDIN_FILENO, POLLIN, 0};
    return poll(&watch, 1, 0) > 0 && (watch.revents & (POLLIN | POLLHUP)) != 0;
}

}  // namespace

LineInput::LineInput() : room_(kReadBytes) {}

bool LineInput::fill(const std::function<void()>& idle) {
    pending_.erase(0, start_);
    start_ = 0;
    if (pending_.size() > kLineBytesMax)
        throw Failure{kFailed, "a line is longer than 64 MiB", ""};
    if (!more_waits()) idle();
    ssize_t got = 0;
    do {
        got = read(STDIN_FILENO, room_.data(), room_.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) throw Failure{kFailed, "standard input cannot be read", ""};
    pending_.append(room_.data(), static_cast<size_t>(got));
    return got > 0;
}

std::optional<std::string_view> LineInput::next(const std::function<void()>& idle) {
    size_t looked_at = start_;
    while (true) {
        const size_t end = pending_.find('\n', looked_at);
        if (end != std::string::npos) {
            const std::string_view line = std::string_view(pending_).substr(start_, end - start_);
            start_ = end + 1;
            return line;
        }
        if (ended_ && start_ == pending_.size()) return std::nullopt;
        if (ended_) {
            const std::string_view line = std::string_view(pending_).substr(start_);
            start_ = pending_.size();
            return line;
        }
        looked_at = pending_.size() - start_;
        ended_ = !fill(idle);
    }
}

}  // namespace millrace::cli
