// tools/cli/interrupt.h: Ctrl-C and SIGTERM as something a command can ask about.
#pragma once

namespace millrace::cli {

/// While one lives, the first signal is only remembered; a second one ends the process.
class InterruptGuard {
  public:
    InterruptGuard();
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;
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
