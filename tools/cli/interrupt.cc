// tools/cli/interrupt.cc: Ctrl-C and SIGTERM as something a command can ask about.
#include "cli/interrupt.h"

#include <csignal>

namespace millrace::cli {
namespace {

volatile std::sig_atomic_t signalled = 0;
bool interruptible = false;

void remember(int) { signalled = 1; }

}  // namespace

InterruptGuard::InterruptGuard() {
    signalled = 0;
    struct sigaction action {};
    action.sa_handler = remember;
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: poll() must return
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
}

bool interrupted() { return signalled != 0; }

InterruptibleWaits::InterruptibleWaits() { interruptible = true; }
InterruptibleWaits::~InterruptibleWaits() { interruptible = false; }
bool waits_are_interruptible() { return interruptible; }

}  // namespace millrace::cli
