// tests/sim/client.cc: requests out, answers in order, time-outs.
#include "sim/client.h"

#include "millrace/base/endian.h"

namespace millrace::sim {

namespace {
constexpr size_t kPrefixBytes = 4;
}

Client::Client(World& world, Servers& servers, std::string name)
    : world_(world), servers_(servers), name_(std::move(name)) {}

Client::~Client() {
    for (auto& [site, link] : links_) {
        if (link.connection) link.connection->reset();
        for (Pending& pending : link.pending) world_.cancel(pending.timer);
    }
}

Client::Link* Client::link_for(const Target& target) {
    Process* process = chosen_;
    if (process == nullptr && target.kind == Target::Kind::AsBefore) process = last_;
    if (process == nullptr) process = servers_.server_for(target);
    last_ = process;
    if (process == nullptr) return nullptr;
    Link& link = links_.try_emplace(process->site().number, *this, *process).first->second;
    if (!link.connection) link.connection = process->connect({&link});
    return link.connection ? &link : nullptr;
}

void Client::send_bytes(const Target& target, std::string bytes) {
    if (Link* link = link_for(target)) link->connection->send(std::move(bytes));
}

void Client::post(const Target& target, wire::ApiKey key, int16_t version, std::string bytes,
                  MoveFunction<void(std::optional<Buffer>)> done) {
    Link* link = link_for(target);
    if (link == nullptr) {
        // Refused: the caller hears of it in an event of its own.
        world_.after(milliseconds(1) + world_.random_delay(milliseconds(20)),
                     [done = std::move(done)]() mutable { done(std::nullopt); });
        return;
    }
    const int32_t id = next_correlation_;
    const uint64_t timer = world_.after(timeout, [this, link, id] { on_time_out(*link, id); });
    Pending pending{id, key, version, timer, {}, {}, std::move(done)};
    ++in_flight_;
    bool forged = false;
    if (Meddler* meddler = link->process.meddler) {
        std::string frame = bytes.substr(kPrefixBytes);
        pending.request = frame;
        forged = meddler->on_request(kClientSite, link->process, frame, pending.forged);
        bytes.assign(kPrefixBytes, '\0');
        store_big(reinterpret_cast<uint8_t*>(bytes.data()), static_cast<int32_t>(frame.size()));
        bytes += frame;
    }
    link->pending.push_back(std::move(pending));
    if (!forged) return link->connection->send(std::move(bytes));
    world_.after(milliseconds(1), [this, link] {
        while (!link->pending.empty() && !link->pending.front().forged.empty()) {
            on_frame(*link, std::string(link->pending.front().forged));
        }
    });
}

void Client::on_time_out(Link& link, int32_t id) {
    if (timeouts_fail) {
        world_.fail(kExitLiveness, "I26", name_ + ": " +
                    wire::api_name(link.pending.front().api) + " was not answered in time");
    }
    world_.say(name_ + ": time-out of request " + std::to_string(id));
    close_link(link, true);
}

void Client::on_bytes(Link& link, std::string_view bytes) {
    link.inbox.append(bytes);
    while (link.connection && link.inbox.size() >= kPrefixBytes) {
        const auto size = load_big<int32_t>(reinterpret_cast<const uint8_t*>(link.inbox.data()));
        world_.check(size >= 4, "wire", name_ + ": an answer without a head");
        if (link.inbox.size() < kPrefixBytes + static_cast<size_t>(size)) return;
        std::string frame = link.inbox.substr(kPrefixBytes, static_cast<size_t>(size));
        link.inbox.erase(0, kPrefixBytes + frame.size());
        if (link.process.meddler != nullptr && !link.pending.empty()) {
            link.process.meddler->on_answer(kClientSite, link.process, link.pending.front().request,
                                            frame);
        }
        on_frame(link, std::move(frame));
    }
}

void Client::on_frame(Link& link, std::string frame) {
    world_.check(!link.pending.empty(), "I26", name_ + ": an answer that nobody asked for");
    Pending pending = std::move(link.pending.front());
    link.pending.pop_front();
    --in_flight_;
    world_.cancel(pending.timer);
    const Buffer bytes = Buffer::copy_of(std::string_view(frame));
    const auto id = load_big<int32_t>(bytes.data());
    world_.check(id == pending.correlation_id, "I26",
                 name_ + ": answer " + std::to_string(id) + " where " +
                     std::to_string(pending.correlation_id) + " was next");
    pending.done(bytes);
}

void Client::reset() {
    for (auto& [site, link] : links_) close_link(link, true);
}

void Client::close_link(Link& link, bool by_us) {
    if (!link.connection) return;
    if (by_us) link.connection->reset();
    link.connection.reset();
    link.inbox.clear();
    std::deque<Pending> lost = std::move(link.pending);
    link.pending.clear();
    in_flight_ -= lost.size();
    for (Pending& pending : lost) world_.cancel(pending.timer);
    for (Pending& pending : lost) pending.done(std::nullopt);
}

}  // namespace millrace::sim
