// src/api/answer_slot.cc: how handlers reach the session of their request, as long as it lives.
#include <algorithm>
#include <utility>

#include "millrace/api/dispatch.h"
#include "api/session_link.h"
#include "millrace/api/request_context.h"
#include "millrace/api/session.h"

namespace millrace::api {

AnswerSlot::AnswerSlot(SessionLink* link, uint64_t sequence) noexcept
    : link_(link), sequence_(sequence) {
    link_->references += 1;
}

AnswerSlot::AnswerSlot(const AnswerSlot& other) noexcept
    : link_(other.link_), sequence_(other.sequence_) {
    if (link_ != nullptr) link_->references += 1;
}

AnswerSlot::AnswerSlot(AnswerSlot&& other) noexcept
    : link_(std::exchange(other.link_, nullptr)), sequence_(other.sequence_) {}

AnswerSlot& AnswerSlot::operator=(AnswerSlot other) noexcept {
    std::swap(link_, other.link_);
    std::swap(sequence_, other.sequence_);
    return *this;
}

AnswerSlot::~AnswerSlot() {
    if (link_ != nullptr) release_link(link_);
}

bool AnswerSlot::connected() const noexcept {
    return link_ != nullptr && link_->session != nullptr && !link_->session->closing_;
}

bool AnswerSlot::pending() const noexcept {
    if (!connected()) return false;
    const Session::Slot* slot = link_->session->find_slot(sequence_);
    return slot != nullptr && slot->pending;
}

void AnswerSlot::answer(BufferChain frame) const {
    if (!pending()) return;
    Session& session = *link_->session;
    Session::Slot& slot = *session.find_slot(sequence_);
    session.unsent_bytes_ += frame.size();
    slot.answer = std::move(frame);
    session.settle(slot);
}

void AnswerSlot::answer_nothing() const {
    if (!pending()) return;
    link_->session->settle(*link_->session->find_slot(sequence_));
}

void AnswerSlot::close(std::string_view reason) const {
    if (!pending()) return;
    Session& session = *link_->session;
    Session::Slot& slot = *session.find_slot(sequence_);
    slot.pending = false;
    session.close(api_label(slot.api_key, slot.version) + ": " + std::string(reason));
}

void AnswerSlot::throttle(Duration time) const {
    if (!connected()) return;
    Session& session = *link_->session;
    session.throttle_ = std::max(session.throttle_, time);
    session.wake_owner();
}

void AnswerSlot::set_client_software(std::string name, std::string version) const {
    if (!connected()) return;
    Session& session = *link_->session;
    auto changed = std::make_shared<ConnectionFacts>(*session.facts_);
    changed->client_software_name = std::move(name);
    changed->client_software_version = std::move(version);
    session.facts_ = std::move(changed);
}

void AnswerSlot::set_principal(std::string principal) const {
    if (!connected()) return;
    Session& session = *link_->session;
    auto changed = std::make_shared<ConnectionFacts>(*session.facts_);
    changed->principal = std::move(principal);
    session.facts_ = std::move(changed);
    session.authenticated_ = true;
}

}  // namespace millrace::api
