// tests/sim/peer_links.cc: connects, sends, matches answers, times out, backs off.
#include "sim/peer_links.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "millrace/base/endian.h"

namespace millrace::sim {

namespace {

constexpr Duration kBackOffFirst = milliseconds(50);    // as net/peer_link.cc
constexpr Duration kBackOffMost = milliseconds(1'000);
constexpr Duration kConnectAgain = milliseconds(1'000);  // the kernel's second SYN
constexpr size_t kRequestsMax = 10'000;
constexpr uint16_t kControllerPort = 9093;

int32_t correlation_id_of(const std::string& frame) {
    return frame.size() < 8 ? -1
                            : load_big<int32_t>(reinterpret_cast<const uint8_t*>(frame.data()) + 4);
}

}  // namespace

class PeerLink final : public Peer, public std::enable_shared_from_this<PeerLink> {
  public:
    PeerLink(World& world, Hosts& hosts, int site, Owner owner, env::PeerAddress address)
        : world_(world), hosts_(hosts), site_(site), owner_(owner), address_(std::move(address)) {}

    void send(std::string frame, Duration timeout, MoveFunction<void(Result<Buffer>)> done,
              Meddler* meddler) {
        meddler_ = meddler;
        const uint64_t id = next_id_++;
        if (requests_.size() >= kRequestsMax) {
            later(Duration{}, [done = std::move(done)]() mutable {
                done(Status(Errc::LimitExceeded, "too many requests wait"));
            });
            return;
        }
        const int32_t correlation = correlation_id_of(frame);
        const uint64_t timer = later(timeout, [this, id] { expire(id); });
        requests_.push_back({id, correlation, std::move(frame), {}, false, timer, std::move(done)});
        if (state_ == State::Idle) {
            state_ = State::Connecting;
            later(world_.random_delay(milliseconds(2)), [this] { connect(); });
        } else if (state_ == State::Open) {
            later(Duration{}, [this] {
                if (state_ == State::Open) send_all();
            });
        }
    }

    void abandon(bool told) {
        if (connection_) connection_->abandon(told);
        connection_.reset();
    }

  private:
    enum class State { Idle, Connecting, Open, BackingOff };
    struct Request {
        uint64_t id;
        int32_t correlation;
        std::string frame;
        std::string forged;  // an answer that a meddler made up
        bool sent;
        uint64_t timer;
        MoveFunction<void(Result<Buffer>)> done;
    };

    template <class Task>
    uint64_t later(Duration delay, Task task) {
        return world_.at(world_.now() + delay, owner_,
                         [self = shared_from_this(), task = std::move(task)]() mutable { task(); });
    }

    void connect() {
        if (state_ != State::Connecting) return;
        Process* target = hosts_.find(address_.host);
        if (target == nullptr) return lose(Errc::Disconnected, "cannot resolve " + address_.host);
        const int there = target->site().number;
        Network& links = *target->site().links;
        // A SYN or its answer is lost; the kernel sends again until the request's time is over.
        if (links.is_cut(site_, there) || links.is_cut(there, site_) || target->paused()) {
            later(kConnectAgain, [this] { connect(); });
            return;
        }
        const bool controller = address_.port == kControllerPort;
        connection_ = target->connect(
            {this, site_, owner_,
             controller ? api::ListenerKind::Controller : api::ListenerKind::Broker});
        if (!connection_) return lose(Errc::Disconnected, "connect: refused");
        target_ = target;
        state_ = State::Open;
        send_all();
    }

    void send_all() {
        for (size_t i = 0; i < requests_.size() && state_ == State::Open; ++i) {
            Request& request = requests_[i];
            if (std::exchange(request.sent, true)) continue;
            std::string frame = request.frame;
            if (meddler_ != nullptr && meddler_->on_request(site_, *target_, frame, request.forged)) {
                later(milliseconds(1), [this] { take_forged(); });
                continue;
            }
            std::string bytes(4, '\0');
            store_big(reinterpret_cast<uint8_t*>(bytes.data()), static_cast<int32_t>(frame.size()));
            connection_->send(bytes + frame);
        }
    }

    void take_forged() {
        while (!requests_.empty() && !requests_.front().forged.empty()) {
            Request request = std::move(requests_.front());
            requests_.pop_front();
            world_.cancel(request.timer);
            request.done(Buffer::copy_of(std::string_view(request.forged)));
        }
    }

    void on_bytes(std::string_view bytes) override {
        const auto self = shared_from_this();
        inbox_.append(bytes);
        while (connection_ && inbox_.size() >= 4) {
            const auto size = load_big<int32_t>(reinterpret_cast<const uint8_t*>(inbox_.data()));
            world_.check(size >= 4, "wire", "a node's answer without a head");
            if (inbox_.size() < 4 + static_cast<size_t>(size)) return;
            std::string answer = inbox_.substr(4, static_cast<size_t>(size));
            inbox_.erase(0, 4 + answer.size());
            const auto id = load_big<int32_t>(reinterpret_cast<const uint8_t*>(answer.data()));
            world_.check(!requests_.empty() && requests_.front().sent &&
                             requests_.front().correlation == id,
                         "I26", "a node answered what was not asked");
            Request request = std::move(requests_.front());
            requests_.pop_front();
            world_.cancel(request.timer);
            back_off_ = kBackOffFirst;
            if (meddler_ != nullptr) meddler_->on_answer(site_, *target_, request.frame, answer);
            request.done(Buffer::copy_of(std::string_view(answer)));
            take_forged();
        }
    }

    void on_closed() override {
        connection_.reset();
        lose(Errc::Disconnected, address_.host + " closed the connection");
    }

    void lose(Errc errc, const std::string& why) {
        const auto self = shared_from_this();
        if (connection_) connection_->abandon(true);
        connection_.reset();
        inbox_.clear();
        state_ = State::BackingOff;
        later(back_off_, [this] {
            state_ = State::Idle;
            if (requests_.empty()) return;
            state_ = State::Connecting;
            connect();
        });
        back_off_ = std::min(back_off_ * 2, kBackOffMost);
        std::deque<Request> failed;
        failed.swap(requests_);
        for (Request& request : failed) world_.cancel(request.timer);
        for (Request& request : failed) request.done(Status(errc, why));
    }

    void expire(uint64_t id) {
        const auto found = std::find_if(requests_.begin(), requests_.end(),
                                        [id](const Request& request) { return request.id == id; });
        if (found == requests_.end()) return;
        Request request = std::move(*found);
        requests_.erase(found);
        request.done(Status(Errc::TimedOut, "no answer from " + address_.host + " in time"));
        if (request.sent && state_ == State::Open) {
            lose(Errc::Disconnected, "an earlier request timed out");
        }
    }

    World& world_;
    Hosts& hosts_;
    int site_;
    Owner owner_;
    env::PeerAddress address_;
    Meddler* meddler_ = nullptr;
    State state_ = State::Idle;
    Process* target_ = nullptr;
    std::shared_ptr<Connection> connection_;
    std::deque<Request> requests_;
    std::string inbox_;
    uint64_t next_id_ = 1;
    Duration back_off_ = kBackOffFirst;
};

PeerLinks::PeerLinks(World& world, Hosts& hosts, int site, Owner owner)
    : world_(world), hosts_(hosts), site_(site), owner_(owner) {}
PeerLinks::~PeerLinks() = default;

void PeerLinks::send(const env::PeerAddress& to, BufferChain frame, Duration timeout,
                     MoveFunction<void(Result<Buffer>)> done) {
    std::shared_ptr<PeerLink>& link = links_[to];
    if (link == nullptr) link = std::make_shared<PeerLink>(world_, hosts_, site_, owner_, to);
    const Result<Buffer> flat = frame.flatten();
    world_.check(flat.ok(), "wire", "a request to a node cannot be read");
    if (to.purpose != env::PeerPurpose::Replication || world_.now() >= fetches_held_until) {
        return link->send(std::string(flat->text()), timeout, std::move(done), meddler);
    }
    world_.at(fetches_held_until, owner_,
              [this, link, timeout, bytes = std::string(flat->text()),
               done = std::move(done)]() mutable {
                  link->send(std::move(bytes), timeout, std::move(done), meddler);
              });
}

void PeerLinks::abandon(bool told) {
    for (auto& [address, link] : links_) link->abandon(told);
}

}  // namespace millrace::sim
