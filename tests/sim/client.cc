// tests/sim/client.cc: requests out, answers in order, time-outs.
#include "sim/client.h"

#include "millrace/base/endian.h"

namespace millrace::sim {

Client::Client(World& world, Process& process, std::string name)
    : world_(world), process_(process), name_(std::move(name)) {}

Client::~Client() {
    if (connection_) connection_->reset();
    for (Pending& pending : pending_) world_.cancel(pending.timer);
}

bool Client::connect() {
    if (!connection_) connection_ = process_.connect(this);
    return connection_ != nullptr;
}

void Client::post(wire::ApiKey key, int16_t version, std::string bytes,
                  MoveFunction<void(std::optional<Buffer>)> done) {
    if (!connect()) {
        // Refused: the caller hears of it in an event of its own.
        world_.after(milliseconds(1) + world_.random_delay(milliseconds(20)),
                     [done = std::move(done)]() mutable { done(std::nullopt); });
        return;
    }
    const int32_t id = next_correlation_;
    const uint64_t timer = world_.after(timeout, [this, id] {
        if (timeouts_fail) {
            world_.fail(kExitLiveness, "I26", name_ + ": " +
                        wire::api_name(pending_.front().api) + " was not answered in time");
        }
        world_.say(name_ + ": time-out of request " + std::to_string(id));
        close_connection(true);
    });
    pending_.push_back({id, key, version, timer, std::move(done)});
    connection_->send(std::move(bytes));
}

void Client::on_bytes(std::string_view bytes) {
    inbox_.append(bytes);
    while (connection_ && inbox_.size() >= 4) {
        const auto size = load_big<int32_t>(reinterpret_cast<const uint8_t*>(inbox_.data()));
        world_.check(size >= 4, "wire", name_ + ": an answer without a head");
        if (inbox_.size() < 4 + static_cast<size_t>(size)) return;
        const std::string frame = inbox_.substr(4, static_cast<size_t>(size));
        inbox_.erase(0, 4 + frame.size());
        on_frame(frame);
    }
}

void Client::on_frame(std::string_view frame) {
    world_.check(!pending_.empty(), "I26", name_ + ": an answer that nobody asked for");
    Pending pending = std::move(pending_.front());
    pending_.pop_front();
    world_.cancel(pending.timer);
    const Buffer bytes = Buffer::copy_of(frame);
    const auto id = load_big<int32_t>(bytes.data());
    world_.check(id == pending.correlation_id, "I26",
                 name_ + ": answer " + std::to_string(id) + " where " +
                     std::to_string(pending.correlation_id) + " was next");
    pending.done(bytes);
}

void Client::close_connection(bool by_us) {
    if (!connection_) return;
    if (by_us) connection_->reset();
    connection_.reset();
    inbox_.clear();
    std::deque<Pending> lost = std::move(pending_);
    pending_.clear();
    for (Pending& pending : lost) world_.cancel(pending.timer);
    for (Pending& pending : lost) pending.done(std::nullopt);
}

}  // namespace millrace::sim
