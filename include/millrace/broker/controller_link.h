// include/millrace/broker/controller_link.h: the way from a broker's handlers to the active controller.
//
// A handler gives a decoded request and gets the controller's answer. On a node that is the active
// controller it goes straight to the machine; NOT_CONTROLLER comes back where nobody leads.
// Owner: broker/node; use on the control shard. Source: kraft.md 2.9, 3.3.
#pragma once

#include "millrace/base/reply.h"
#include "millrace/metadata/controller.h"

namespace millrace::broker {

class ControllerLink {
  public:
    virtual ~ControllerLink() = default;
    virtual void run(metadata::ControllerRequest request, metadata::Requester who,
                     Reply<metadata::ControllerResponse> reply) = 0;
};

}  // namespace millrace::broker
