// tools/cli/interrupt.h: Ctrl-C, SIGTERM and a lost terminal as something a command can ask about.
#pragma once

#include <array>
#include <csignal>

namespace millrace::cli {

/// While one lives, signals are only remembered, so that a command can clean up behind itself; the
/// third one ends the process.
class InterruptGuard {
  public:
    InterruptGuard();
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;

  private:
    static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
    std::array<struct sigaction, kSignals.size()> before_{};
};

/// True since the signal. Waits of a Connection end early when they are told to care.
bool interrupted();

/// While one lives, an interrupted wait for an answer is a Failure (kInterrupted).
class InterruptibleWaits {
  public:
    InterruptibleWaits();
    ~InterruptibleWaits();
    InterruptibleWaits(const InterruptibleWaits&) = delete;
    InterruptibleWaits& operator=(const InterruptibleWaits&) = delete;
};
bool waits_are_interruptible();

}  // namespace millrace::cli
