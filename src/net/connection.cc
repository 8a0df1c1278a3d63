// src/net/connection.cc: pumps bytes between one socket and its session.
#include "net/connection.h"

#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "millrace/base/assert.h"
#include "millrace/base/log.h"

namespace millrace::net {
namespace {

const LogChannel kLog{"net"};
constexpr size_t kGatherMax = 64;               // pieces of one sendmsg
constexpr size_t kSendfileBytesMax = 4U << 20;  // of one call, so that one peer cannot hog the loop
constexpr int kReadsPerTurnMax = 8;             // then other connections get their turn
constexpr size_t kReadAheadBytesMax = 256U << 10;  // read before the first answers are sent

}  // namespace

Connection::Connection(const ConnectionParts& parts, int fd, api::ConnectionFacts facts)
    : loop_(parts.loop),
      owner_(parts.owner),
      host_(parts.host),
      fd_(fd),
      sendfile_bytes_min_(parts.sendfile_bytes_min),
      session_(host_, std::move(facts), [this] { schedule(); }) {
    loop_.watch_socket(fd_, this);
}

Connection::~Connection() {
    loop_.cancel(throttle_timer_);
    if (fd_ >= 0) ::close(fd_);
}

void Connection::close() {
    if (fd_ < 0) return;
    loop_.cancel(throttle_timer_);
    throttle_timer_ = env::kNoTimer;
    ::close(fd_);
    fd_ = -1;
    owner_.on_closed(*this);
}

void Connection::on_socket(uint32_t events) {
    if (fd_ < 0) return;  // closed earlier in this turn
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) peer_ended_ = true;
    if ((events & EPOLLOUT) != 0) {
        if (write_blocked_) {
            write_blocked_ = false;
        } else if (!readable_) {
            return;  // the first event of a fresh socket
        }
    }
    // A peer that reset the connection is gone even while the session does not want to read.
    if ((events & EPOLLERR) != 0) return close();
    if (write_blocked_ || !output_.empty() || !readable_ || peer_ended_) return work();
    // Requests first, answers when the whole batch of events is handled.
    size_t bytes = 0;
    for (int reads = 0; reads < kReadsPerTurnMax && bytes < kReadAheadBytesMax; ++reads) {
        const size_t step = readable_ ? receive() : 0;
        if (step == 0) break;
        bytes += step;
    }
    if (fd_ >= 0) loop_.at_batch_end(this, bytes);
}

void Connection::on_batch_end() {
    if (fd_ >= 0) work();
}

// An answer became ready outside of our own calls: send it when the current event is handled, so
// that all answers of the turn leave together.
void Connection::schedule() {
    if (scheduled_ || fd_ < 0) return;
    scheduled_ = true;
    loop_.post([this] {
        scheduled_ = false;
        if (fd_ < 0) return;
        session_.resume(loop_.now());
        work();
    });
}

void Connection::work() {
    for (int reads = 0; fd_ >= 0; ++reads) {
        if (!send_ready()) return;
        if (session_.closing()) {
            if (!write_blocked_) close();
            return;
        }
        if (session_.wants_resume()) {
            session_.resume(loop_.now());
            continue;
        }
        if (!readable_) break;
        if (reads >= kReadsPerTurnMax) {
            schedule();
            break;
        }
        if (receive() == 0) break;
    }
    if (fd_ >= 0) watch_throttle();
}

// Reads and serves once. 0: nothing can be read now, or the connection was closed.
size_t Connection::receive() {
    const api::ReceiveRoom room = session_.receive_room();
    if (room.size() == 0) return 0;
    const std::array<iovec, 2> vectors{{{room.parts[0].data, room.parts[0].size},
                                        {room.parts[1].data, room.parts[1].size}}};
    ssize_t n = 0;
    do {
        n = room.parts[0].size == 0
                ? ::recv(fd_, room.parts[1].data, room.parts[1].size, 0)
                : ::readv(fd_, vectors.data(), static_cast<int>(vectors.size()));
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        const size_t bytes = static_cast<size_t>(n);
        // A short read has emptied the socket: what comes later raises a new edge. An end that is
        // there already does not.
        if (bytes < room.size() && !peer_ended_) readable_ = false;
        owner_.on_activity(*this);
        owner_.count_traffic(bytes, 0);
        session_.on_received(bytes, loop_.now());
        return bytes;
    }
    readable_ = false;
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) close();
    return 0;
}

// Sends all answers that are ready. False when the connection was closed.
bool Connection::send_ready() {
    while (!write_blocked_) {
        if (output_at_ == output_.size()) {
            output_.clear();
            output_at_ = 0;
            if (!session_.take_output(taken_)) return true;
            taken_.move_pieces_to(output_);
            if (output_.empty()) continue;
        }
        const Sent sent = send_output();
        owner_.on_activity(*this);
        if (sent == Sent::Broken) {
            close();
            return false;
        }
        if (sent == Sent::Blocked) write_blocked_ = true;
    }
    return true;
}

Connection::Sent Connection::send_output() {
    while (output_at_ < output_.size()) {
        ChainPiece& piece = output_[output_at_];
        const bool by_sendfile = piece.is_file() && piece.file.size >= sendfile_bytes_min_ &&
                                 piece.file.file->descriptor() >= 0;
        const Sent sent = by_sendfile ? send_file(piece) : send_memory();
        if (sent != Sent::All) return sent;
    }
    return Sent::All;
}

// Gathers memory and short file slices up to the next long slice into one call.
Connection::Sent Connection::send_memory() {
    std::array<iovec, kGatherMax> vectors;
    size_t count = 0;
    size_t at = output_at_;
    for (; at < output_.size() && count < kGatherMax; ++at) {
        ChainPiece& piece = output_[at];
        if (piece.is_file()) {
            if (piece.file.size >= sendfile_bytes_min_ && piece.file.file->descriptor() >= 0) break;
            if (!load_short_slice(piece)) return Sent::Broken;
        }
        const size_t skip = at == output_at_ ? piece_sent_ : 0;
        vectors[count++] = {piece.memory.mutable_data() + skip, piece.memory.size() - skip};
    }
    // What follows is a file: let the kernel fill the segment instead of sending the head alone.
    const int flags = MSG_NOSIGNAL | (at < output_.size() ? MSG_MORE : 0);
    ssize_t n = 0;
    if (count == 1) {
        n = ::send(fd_, vectors[0].iov_base, vectors[0].iov_len, flags);
    } else {
        msghdr message{};
        message.msg_iov = vectors.data();
        message.msg_iovlen = count;
        n = ::sendmsg(fd_, &message, flags);
    }
    if (n < 0) {
        if (errno == EINTR) return Sent::All;  // nothing moved; the loop tries again
        return errno == EAGAIN || errno == EWOULDBLOCK ? Sent::Blocked : Sent::Broken;
    }
    advance(static_cast<size_t>(n));
    return Sent::All;  // after a short write the next call says EAGAIN, which arms the edge
}

bool Connection::load_short_slice(ChainPiece& piece) {
    Buffer memory = host_.pool().allocate(piece.file.size);
    const Result<size_t> read = piece.file.file->read_at(
        piece.file.offset, {memory.mutable_data(), memory.size()});
    if (!read.ok() || *read != memory.size()) {
        log_warn(kLog, "closing {}: the file of its answer gave {} of {} bytes{}{}",
                 session_.facts().peer(), read.ok() ? *read : 0, memory.size(),
                 read.ok() ? "" : ": ", read.ok() ? "" : read.status().message());
        return false;
    }
    piece.memory = std::move(memory);
    piece.file = FileSlice{};
    return true;
}

Connection::Sent Connection::send_file(ChainPiece& piece) {
    const size_t left = piece.file.size - piece_sent_;
    off_t offset = static_cast<off_t>(piece.file.offset + piece_sent_);
    const size_t want = std::min(left, kSendfileBytesMax);
    const ssize_t n = ::sendfile(fd_, piece.file.file->descriptor(), &offset, want);
    if (n > 0) {
        advance(static_cast<size_t>(n));
        return Sent::All;  // short or not, the next call tells whether the socket is full
    }
    if (n < 0 && errno == EINTR) return Sent::All;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Sent::Blocked;
    log_warn(kLog, "closing {}: sendfile of {} bytes at {}: {}", session_.facts().peer(), want,
             piece.file.offset + piece_sent_, n == 0 ? "end of file" : std::strerror(errno));
    return Sent::Broken;
}

void Connection::advance(size_t bytes) {
    session_.on_sent(bytes);
    owner_.count_traffic(0, bytes);
    piece_sent_ += bytes;
    while (output_at_ < output_.size() && piece_sent_ >= output_[output_at_].size()) {
        piece_sent_ -= output_[output_at_].size();
        output_[output_at_] = ChainPiece{};
        output_at_ += 1;
    }
}

void Connection::watch_throttle() {
    if (throttle_timer_ != env::kNoTimer) return;
    const Instant until = session_.wake_at();
    if (until == Instant::never()) return;
    throttle_timer_ = loop_.arm(until, [this] {
        throttle_timer_ = env::kNoTimer;
        if (fd_ < 0) return;
        session_.resume(loop_.now());
        work();
    });
}

}  // namespace millrace::net
