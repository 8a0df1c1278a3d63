// tests/sim/network.cc: cuts and losses of links.
#include "sim/network.h"

#include "sim/process.h"

namespace millrace::sim {

namespace {
constexpr Duration kRetransmit = milliseconds(200);  // the least time-out of Linux's TCP
constexpr int kLossesMax = 4;
}  // namespace

void Network::cut(int from, int to) { cuts_.insert({from, to}); }

void Network::mend(int from, int to) {
    if (cuts_.erase({from, to}) == 0) return;
    std::vector<Waiter> waiters = std::move(waiters_[{from, to}]);
    waiters_.erase({from, to});
    for (const Waiter& waiter : waiters) {
        world_.after(Duration{1} + world_.random_delay(kRetransmit), [waiter] {
            if (auto connection = waiter.connection.lock()) {
                connection->resume_delivery(waiter.to_server);
            }
        });
    }
}

void Network::mend_all() {
    const std::set<std::pair<int, int>> cuts = cuts_;
    for (const auto& [from, to] : cuts) mend(from, to);
}

Duration Network::delay(int from, int to) {
    const auto found = links_.find({from, to});
    const LinkOptions link = found == links_.end() ? LinkOptions{} : found->second;
    Duration time = world_.random_delay(link.delay_max);
    Duration again = kRetransmit;
    for (int i = 0; i < kLossesMax && world_.rng().chance(link.drop_percent, 100); ++i) {
        time = time + again;
        again = again * 2;
    }
    return time;
}

void Network::wait_for_mending(int from, int to, std::weak_ptr<Connection> connection,
                               bool to_server) {
    waiters_[{from, to}].push_back({std::move(connection), to_server});
}

}  // namespace millrace::sim
