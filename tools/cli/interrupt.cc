// tools/cli/interrupt.cc: Ctrl-C, SIGTERM and a lost terminal as something a command can ask about.
#include "cli/interrupt.h"

namespace millrace::cli {
namespace {

constexpr int kPatience = 3;  // signals; the last one ends the process at once

volatile std::sig_atomic_t signalled = 0;
bool interruptible = false;

void remember(int signal) {
    signalled = signalled + 1;
    if (signalled < kPatience) return;
    std::signal(signal, SIG_DFL);
    std::raise(signal);  // delivered on return
}

}  // namespace

InterruptGuard::InterruptGuard() {
    signalled = 0;
    struct sigaction action {};
    action.sa_handler = remember;  // no SA_RESTART: poll() must return
    for (size_t i = 0; i < before_.size(); ++i) {
        sigaction(kSignals[i], nullptr, &before_[i]);
        // nohup: the command is meant to outlive its terminal.
        const bool ignored = kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN;
        if (!ignored) sigaction(kSignals[i], &action, nullptr);
    }
}

InterruptGuard::~InterruptGuard() {
    for (size_t i = 0; i < before_.size(); ++i)
        sigaction(kSignals[i], &before_[i], nullptr);
}

bool interrupted() { return signalled != 0; }

InterruptibleWaits::InterruptibleWaits() { interruptible = true; }
InterruptibleWaits::~InterruptibleWaits() { interruptible = false; }
bool waits_are_interruptible() { return interruptible; }

}  // namespace millrace::cli
