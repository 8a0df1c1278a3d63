// src/api/session.cc: one client connection as a machine: bytes in, ordered answers out.
#include "millrace/api/session.h"

#include <algorithm>
#include <utility>

#include "millrace/api/dispatch.h"
#include "api/session_link.h"
#include "api/text_for_logs.h"
#include "millrace/base/assert.h"
#include "millrace/base/endian.h"
#include "millrace/base/log.h"

namespace millrace::api {
namespace {

const LogChannel kLog{"api"};
constexpr size_t kPrefixBytes = 4;
// Answered slots at the front of the vector are kept up to this many before they are moved away.
constexpr size_t kSlotSlackMax = 64;

bool needs_login(SecurityProtocol security) {
    return security == SecurityProtocol::SaslPlaintext || security == SecurityProtocol::SaslSsl;
}

/// What may be asked before SASL has finished (dataplane.md A.2).
bool allowed_before_login(wire::ApiKey key) {
    return key == wire::ApiKey::ApiVersions || key == wire::ApiKey::SaslHandshake ||
           key == wire::ApiKey::SaslAuthenticate;
}

}  // namespace

/// Marks the time inside a public call: answers that appear need no wake.
class Session::Event {
  public:
    explicit Event(Session& session) : session_(session) {
        MILLRACE_ASSERT(!session.in_event_, "calls of a session do not nest");
        session_.in_event_ = true;
    }
    ~Event() {
        session_.apply_throttle();
        session_.in_event_ = false;
    }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

  private:
    Session& session_;
};

Session::Session(SessionHost& host, ConnectionFacts facts, MoveFunction<void()> wake)
    : host_(host),
      facts_(std::make_shared<const ConnectionFacts>(std::move(facts))),
      wake_(std::move(wake)),
      link_(new SessionLink{this, 1}),
      authenticated_(!needs_login(facts_->security)) {}

Session::~Session() {
    link_->session = nullptr;
    release_link(link_);
    if (waiting_for_budget_) host_.stop_waiting(*this);
    for (size_t i = slots_head_; i < slots_.size(); ++i) {
        if (slots_[i].done) continue;
        host_.queued_bytes_ -= slots_[i].request_bytes;
        host_.large_bytes_ -= slots_[i].large_bytes;
    }
    host_.large_bytes_ -= take_frame_charge();
    host_.wake_waiting();
}

bool Session::may_serve() const {
    const SessionLimits& limits = host_.options_.limits;
    return !closing_ && !waiting_for_budget_ && unanswered_ < limits.in_flight_max &&
           in_flight() < limits.slots_max && unsent_bytes_ < limits.unsent_answer_bytes_max && now_ >= muted_until_ &&
           throttle_.nanos == 0;
}

uint32_t Session::frame_limit() const {
    const SessionLimits& limits = host_.options_.limits;
    return authenticated_ ? limits.max_request_bytes
                          : std::min(limits.max_request_bytes, limits.max_unauthenticated_bytes);
}

size_t Session::in_flight() const { return slots_.size() - slots_head_; }

ReceiveRoom Session::receive_room() {
    ReceiveRoom room;
    if (!may_serve() || !backlog_.empty()) return room;
    const size_t frame_room = frame_.size() - frame_filled_;
    if (frame_room > 0) room.parts[0] = {frame_.mutable_data() + frame_filled_, frame_room};
    room.parts[1] = host_.slab_room();
    // Behind a large frame there is probably another one: its bytes belong into its own buffer, so
    // only its head is read with this one.
    if (large_frames_ || frame_.size() > kSlabFrameBytes) {
        room.parts[1].size = std::min(room.parts[1].size, kFrameHeadBytes);
    }
    return room;
}

void Session::on_received(size_t bytes, Instant now) {
    const Event event(*this);
    now_ = now;
    const size_t direct = std::min(bytes, frame_.size() - frame_filled_);
    frame_filled_ += direct;
    note_progress();
    Buffer rest;
    if (bytes > direct) rest = host_.take_from_slab(bytes - direct);
    continue_frame(rest);
    serve_frames(std::move(rest));
    host_.recycle_slab();
}

void Session::resume(Instant now) {
    const Event event(*this);
    now_ = now;
    wake_sent_ = false;
    apply_throttle();
    if (waiting_for_budget_) host_.close_stalled(now);
    if (closing_ || !may_serve()) return;
    Buffer rest = std::move(backlog_);
    backlog_ = Buffer();
    continue_frame(rest);
    serve_frames(std::move(rest));
}

void Session::apply_throttle() {
    if (throttle_.nanos > 0) muted_until_ = std::max(muted_until_, now_ + throttle_);
    throttle_ = {};
}

Instant Session::wake_at() const {
    if (closing_) return Instant::never();
    if (waiting_for_budget_) return host_.next_stall();
    return muted_until_ > now_ ? muted_until_ : Instant::never();
}

bool Session::take_output(BufferChain& output) {
    const size_t before = output.size();
    while (slots_head_ < slots_.size() && slots_[slots_head_].done) {
        output.append(std::move(slots_[slots_head_].answer));
        slots_head_ += 1;
        first_sequence_ += 1;
    }
    if (slots_head_ == slots_.size()) {
        slots_.clear();
        slots_head_ = 0;
    } else if (slots_head_ > kSlotSlackMax) {
        slots_.erase(slots_.begin(), slots_.begin() + static_cast<ptrdiff_t>(slots_head_));
        slots_head_ = 0;
    }
    return output.size() > before;
}

void Session::on_sent(size_t bytes) {
    MILLRACE_ASSERT(bytes <= unsent_bytes_, "no more is sent than was answered");
    unsent_bytes_ -= bytes;
}

std::optional<uint32_t> Session::frame_size(ByteView prefix) {
    const int32_t size = load_big<int32_t>(prefix.data);
    if (size >= 0 && static_cast<uint32_t>(size) <= frame_limit()) {
        return static_cast<uint32_t>(size);
    }
    std::string reason = "frame of " + std::to_string(size) + " bytes, the limit is " +
                         std::to_string(frame_limit());
    if (const char* guess = guess_protocol(prefix)) reason += std::string("; looks like ") + guess;
    close(reason);
    return std::nullopt;
}

// Completes the frame being assembled with the first of `bytes`, and serves it.
void Session::continue_frame(Buffer& bytes) {
    while (!frame_.empty() && may_serve()) {
        const size_t take = std::min(bytes.size(), frame_.size() - frame_filled_);
        if (take > 0) {
            std::memcpy(frame_.mutable_data() + frame_filled_, bytes.data(), take);
            frame_filled_ += take;
            bytes = bytes.slice(take, bytes.size() - take);
        }
        if (frame_filled_ < frame_.size()) return;
        const auto size = frame_size(frame_.view());
        if (!size.has_value()) return;
        if (frame_filled_ == kPrefixBytes + *size) {
            finish_frame();
        } else if (!grow_frame()) {
            return;
        }
    }
}

// Gives the frame room for more: all of it when it is not large, else twice of what has arrived.
bool Session::grow_frame() {
    const uint64_t total = kPrefixBytes + uint64_t{load_big<uint32_t>(frame_.data())};
    if (total > kLargeFrameBytes && frame_.size() >= kLargeFrameBytes && frame_charge_ == 0) {
        if (!SessionHost::granted(host_.large_bytes_, host_.options_.large_frame_bytes_max)) {
            host_.wait_for_budget(*this);
            return false;
        }
        charge_frame(static_cast<uint32_t>(total));
    }
    const uint64_t room = std::max<uint64_t>(kLargeFrameBytes, uint64_t{frame_filled_} * 2);
    Buffer larger = host_.pool_.allocate(static_cast<size_t>(std::min(total, room)));
    std::memcpy(larger.mutable_data(), frame_.data(), frame_filled_);
    frame_ = std::move(larger);
    return true;
}

void Session::charge_frame(uint32_t bytes) {
    frame_charge_ = bytes;
    host_.large_bytes_ += bytes;
    host_.large_.push_back(this);
    progress_at_ = now_;
    progress_filled_ = frame_filled_;
}

uint32_t Session::take_frame_charge() {
    if (frame_charge_ > 0) std::erase(host_.large_, this);
    return std::exchange(frame_charge_, 0U);
}

void Session::note_progress() {
    if (frame_charge_ == 0 || frame_filled_ < progress_filled_ + kFrameProgressBytesMin) return;
    progress_at_ = now_;
    progress_filled_ = frame_filled_;
}

void Session::finish_frame() {
    Buffer whole = std::move(frame_);
    frame_ = Buffer();
    frame_filled_ = 0;
    const uint32_t charge = take_frame_charge();
    large_frames_ = whole.size() > kSlabFrameBytes;
    serve(whole.slice(kPrefixBytes, whole.size() - kPrefixBytes), charge);
}

void Session::serve_frames(Buffer bytes) {
    size_t at = 0;
    while (bytes.size() - at >= kPrefixBytes && may_serve()) {
        const auto size = frame_size(bytes.view().sub(at, kPrefixBytes));
        if (!size.has_value()) return;
        if (bytes.size() - at - kPrefixBytes < *size) break;
        large_frames_ = false;
        serve(bytes.slice(at + kPrefixBytes, *size), 0);
        at += kPrefixBytes + *size;
    }
    if (closing_ || at == bytes.size()) return;
    Buffer rest = bytes.slice(at, bytes.size() - at);
    bytes = Buffer();
    if (may_serve() && frame_.empty()) {
        keep_rest(rest);
    } else {
        // A few bytes must not hold a whole slab for as long as the peer likes.
        backlog_ = rest.size() < kSlabRoomMin ? Buffer::copy_of(rest.view()) : std::move(rest);
    }
}

// Copies the start of an incomplete frame out of the slab, which other connections go on filling.
void Session::keep_rest(const Buffer& rest) {
    uint64_t total = kPrefixBytes;
    if (rest.size() >= kPrefixBytes) total += load_big<uint32_t>(rest.data());
    frame_ = host_.pool_.allocate(static_cast<size_t>(std::min<uint64_t>(total, kLargeFrameBytes)));
    frame_filled_ = rest.size();
    std::memcpy(frame_.mutable_data(), rest.data(), rest.size());
}

void Session::serve(Buffer frame, uint32_t large_bytes) {
    const ParsedHead head = parse_head(frame, facts_->kind);
    const uint32_t bytes = static_cast<uint32_t>(frame.size());
    Slot& slot = slots_.emplace_back();
    slot.request_bytes = bytes;
    slot.large_bytes = large_bytes;
    slot.api_key = head.api_key;
    slot.version = head.version;
    host_.queued_bytes_ += bytes;
    unanswered_ += 1;
    const uint64_t sequence = first_sequence_ + (slots_.size() - slots_head_ - 1);
    AnswerSlot place(link_, sequence);
    if (head.row == nullptr) return place.close(head.problem);
    if (!authenticated_ && !allowed_before_login(head.row->key)) {
        return place.close("request before authentication");
    }
    if (head.version_unknown) {
        return place.answer(unsupported_api_versions_answer(head.correlation_id));
    }
    if (head.client_id != facts_->client_id) remember_client_id(head.client_id);

    ServeCall call;
    call.context.shard_pointer = host_.shard_;
    call.context.connection = facts_;
    call.context.received = now_;
    call.context.request_bytes = bytes;
    call.context.api_key = head.row->key;
    call.context.version = head.version;
    call.context.correlation_id = head.correlation_id;
    call.context.slot = std::move(place);
    call.body_at = head.body_at;
    call.frame = head.row->copy_frame ? Buffer::copy_of(frame.view()) : std::move(frame);
    const auto instead = host_.options_.serve_instead;
    (instead != nullptr ? instead : head.row->serve)(std::move(call));
    const int64_t limit = host_.options_.queued_request_bytes_max;
    if (!SessionHost::granted(host_.queued_bytes_, limit)) host_.wait_for_budget(*this);
}

void Session::remember_client_id(std::string_view client_id) {
    auto changed = std::make_shared<ConnectionFacts>(*facts_);
    changed->client_id = client_id;
    facts_ = std::move(changed);
}

Session::Slot* Session::find_slot(uint64_t sequence) {
    if (sequence < first_sequence_) return nullptr;
    const uint64_t index = slots_head_ + (sequence - first_sequence_);
    return index < slots_.size() ? &slots_[static_cast<size_t>(index)] : nullptr;
}

void Session::settle(Slot& slot) {
    slot.done = true;
    slot.pending = false;
    unanswered_ -= 1;
    host_.queued_bytes_ -= slot.request_bytes;
    host_.large_bytes_ -= slot.large_bytes;
    host_.wake_waiting();
    wake_owner();
}

void Session::close(std::string_view reason) {
    if (closing_) return;
    closing_ = true;
    frame_ = Buffer();
    frame_filled_ = 0;
    backlog_ = Buffer();
    if (host_.may_log_close(now_)) {
        log_warn(kLog, "closing {} ({} listener, client id \"{}\"): {}", facts_->peer(),
                 facts_->listener, text_for_logs(facts_->client_id), reason);
    }
    wake_owner();
}

void Session::wake_owner() {
    if (in_event_ || wake_sent_) return;
    wake_sent_ = true;
    if (wake_) wake_();
}

}  // namespace millrace::api
