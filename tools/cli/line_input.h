// tools/cli/line_input.h: standard input as lines, without waiting for more than one needs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cli {

class LineInput {
  public:
    LineInput();
    /// The next line without its line feed, valid until the next call; nothing at the end.
    /// `idle` is called before a wait for input that is not there yet, so that a pipe is sent in
    /// large batches and a typed line at once.
    std::optional<std::string_view> next(const std::function<void()>& idle);

  private:
    bool fill(const std::function<void()>& idle);

    std::string pending_;
    size_t start_ = 0;
    bool ended_ = false;
    std::vector<char> room_;
};

}  // namespace millrace::cli
