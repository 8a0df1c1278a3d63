// src/api/quorum.h: DescribeQuorum's answer, for requests that come in an Envelope too.
#pragma once

#include <cstdint>

#include "millrace/broker/shard.h"
#include "millrace/wire/gen/describe_quorum_request.h"
#include "millrace/wire/gen/describe_quorum_response.h"

namespace millrace::api {

/// What this node knows of the quorum; NOT_LEADER_OR_FOLLOWER where it does not lead.
wire::DescribeQuorumResponse describe_quorum_here(broker::Shard& shard, int16_t version,
                                                  const wire::DescribeQuorumRequest& request);

}  // namespace millrace::api
