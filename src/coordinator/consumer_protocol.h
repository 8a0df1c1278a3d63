// src/coordinator/consumer_protocol.h: the bytes consumers put into subscriptions and assignments.
#pragma once

#include <cstdint>
#include <optional>

#include "millrace/base/bytes.h"
#include "millrace/wire/gen/consumer_protocol_assignment.h"
#include "millrace/wire/gen/consumer_protocol_subscription.h"

namespace millrace::coordinator {

/// A version above ours parses as ours. Nothing when the bytes do not parse.
std::optional<wire::ConsumerProtocolSubscription> parse_subscription(const Buffer& bytes);
std::optional<wire::ConsumerProtocolAssignment> parse_assignment(const Buffer& bytes);
/// The version the bytes announce, at most ours; -1 when there is none.
int16_t subscription_version(const Buffer& bytes);
Buffer encode_assignment(const wire::ConsumerProtocolAssignment& assignment, int16_t version);

}  // namespace millrace::coordinator
