// src/coordinator/consumer_protocol.cc: codec of ConsumerProtocol.serialize* and deserialize*.
#include "coordinator/consumer_protocol.h"

#include <algorithm>

#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::coordinator {

namespace {

template <class Message>
std::optional<Message> parse(const Buffer& bytes) {
    wire::Reader reader(bytes.view());
    const int16_t version = reader.i16();
    if (!reader.ok() || version < 0) return std::nullopt;
    Message message;
    if (!message.decode(reader, std::min(version, Message::kMaxVersion))) return std::nullopt;
    return message;
}

}  // namespace

std::optional<wire::ConsumerProtocolSubscription> parse_subscription(const Buffer& bytes) {
    return parse<wire::ConsumerProtocolSubscription>(bytes);
}
std::optional<wire::ConsumerProtocolAssignment> parse_assignment(const Buffer& bytes) {
    return parse<wire::ConsumerProtocolAssignment>(bytes);
}

int16_t subscription_version(const Buffer& bytes) {
    wire::Reader reader(bytes.view());
    const int16_t version = reader.i16();
    if (!reader.ok()) return -1;
    return std::min(version, wire::ConsumerProtocolSubscription::kMaxVersion);
}

Buffer encode_assignment(const wire::ConsumerProtocolAssignment& assignment, int16_t version) {
    wire::Writer writer;
    writer.i16(version);
    assignment.encode(writer, version);
    return writer.finish_flat();
}

}  // namespace millrace::coordinator
