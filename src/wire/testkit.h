// src/wire/testkit.h: every message by name, with random instances; for tests and fuzzing only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "millrace/base/rng.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::wire {

enum class FillMode {
    Random,
    AllNull,  // random, but null wherever the version allows it
};

/// Fills the fields that `version` has; generated fill_struct functions call it member by member.
class Fill {
  public:
    Fill(Rng& rng, FillMode mode, int16_t version) : rng_(rng), mode_(mode), version_(version) {}
    int16_t version() const { return version_; }

    void value(bool& out) { out = rng_.chance(1, 2); }
    template <class Number>
        requires std::is_integral_v<Number>
    void value(Number& out) { out = static_cast<Number>(number()); }
    void value(double& out) { out = static_cast<double>(number()) / 8; }
    void value(Uuid& out) { out = Uuid::from_random_bits(rng_.next(), rng_.next()); }
    void value(std::string& out);
    void value(Buffer& out);
    void value(BufferChain& out);
    template <class T>
    void value(std::vector<T>& out) {
        out.resize(rng_.below(4));
        for (T& element : out) value(element);
    }
    template <class Struct>
        requires std::is_class_v<Struct>
    void value(Struct& out) { fill_struct(*this, out); }
    template <class T>
    void nullable(std::optional<T>& out, bool null_allowed) {
        const bool null = null_allowed && (mode_ == FillMode::AllNull || rng_.chance(1, 4));
        out.reset();
        if (!null) value(out.emplace());
    }
    /// Fields that may be left at their default (tags) are, half the time.
    bool leave() { return rng_.chance(1, 2); }
    void tags(UnknownTags& out);

  private:
    int64_t number();
    Rng& rng_;
    FillMode mode_;
    int16_t version_;
};

struct WireMessage {
    const char* name;
    const char* kind;  // "request", "metadata", ...
    int16_t version_min;
    int16_t version_max;
    int16_t flexible_from;
    /// Decodes one message and encodes it again; false when either failed.
    bool (*round_trip)(Reader& in, Writer& out, int16_t version);
    void (*write_default)(Writer& out, int16_t version);
    void (*write_filled)(Writer& out, Rng& rng, FillMode mode, int16_t version);
};

/// All messages by name, ascending.
const std::vector<WireMessage>& wire_messages();
const WireMessage* find_wire_message(std::string_view name);

template <class Message>
bool round_trip_message(Reader& in, Writer& out, int16_t version) {
    Message message;
    if (!message.decode(in, version)) return false;
    message.encode(out, version);
    return out.ok();
}
template <class Message>
void write_default_message(Writer& out, int16_t version) {
    Message{}.encode(out, version);
}
template <class Message>
void write_filled_message(Writer& out, Rng& rng, FillMode mode, int16_t version) {
    Message message;
    Fill fill(rng, mode, version);
    fill_struct(fill, message);
    message.encode(out, version);
}

}  // namespace millrace::wire
