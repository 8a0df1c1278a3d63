// include/millrace/broker/controller_link.h: the way from a broker's handlers to the active controller.
//
// A handler gives a decoded request and gets the controller's answer, wherever the active
// controller is: in this process it goes straight to the machine; elsewhere it goes over the
// controller listener, in an Envelope when it is a client's request, and is tried again while
// leadership moves. Where nobody leads until the time is up, NOT_CONTROLLER comes back.
// Owner: broker/node; use on the control shard. Source: kraft.md 2.9, 3.3 (KIP-590).
#pragma once

#include <functional>
#include <optional>

#include "millrace/base/reply.h"
#include "millrace/base/result.h"
#include "millrace/metadata/controller.h"

namespace millrace::broker {

class ControllerLink {
  public:
    virtual ~ControllerLink() = default;
    virtual void run(metadata::ControllerRequest request, metadata::Requester who,
                     Reply<metadata::ControllerResponse> reply) = 0;
    /// The controller of this process or nobody: NOT_CONTROLLER where it is not the active one.
    /// For what came over the controller listener, which is never sent on.
    virtual void run_here(metadata::ControllerRequest request, metadata::Requester who,
                          Reply<metadata::ControllerResponse> reply) = 0;
    /// A client's request as bytes (header and body, as in an Envelope) to another node that leads;
    /// the answer's bytes likewise.
    virtual void forward(Buffer request, metadata::Requester who, Reply<Result<Buffer>> reply) = 0;
    /// A broker's heartbeat came in over a connection; `connected`: whether it still stands. Where
    /// the active controller is here, it may end the session of a broker whose process is gone.
    virtual void watch_broker(NodeId id, BrokerEpoch epoch, std::function<bool()> connected) = 0;
    /// True while the active controller is in this process.
    virtual bool active_here() const = 0;
};

/// True when the answer says that its sender is not the active controller (any more).
bool is_not_controller(const metadata::ControllerResponse& response);

/// The principal of an Envelope: int16 version and DefaultPrincipalData.
Buffer encode_principal(const metadata::Requester& who);
/// The client's address of an Envelope: 4 or 16 bytes; loopback for what is no numeric address.
Buffer encode_client_host(const std::string& host);
/// Nothing when the bytes are no principal.
std::optional<metadata::Requester> decode_principal(const Buffer& bytes);

}  // namespace millrace::broker
