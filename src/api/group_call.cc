// src/api/group_call.cc: finds the machine of a group and runs a request on it.
#include "api/group_call.h"

namespace millrace::api {

bool serves_consumer_groups(RequestContext& context) {
    return context.shard().coordinators().consumer_groups() &&
           context.shard().image().features.level("group.version") >= 1;
}

void run_on_partition(RequestContext& context, PartitionIndex partition,
                      coordinator::GroupRequest request,
                      MoveFunction<void(coordinator::GroupResponse)> done) {
    coordinator::GroupCaller caller{context.version, context.client_id(),
                                    "/" + context.connection->peer_host};
    context.shard().coordinators().run_group(
        partition,
        [caller = std::move(caller), request = std::move(request)](
            coordinator::GroupCoordinator& machine, const coordinator::Tick& tick,
            coordinator::RequestId id, coordinator::GroupCoordinator::Output& out) mutable {
            machine.run(tick, id, caller, std::move(request), out);
        },
        Reply<coordinator::GroupResponse>(std::move(done)));
}

void run_group(RequestContext& context, const std::string& group, coordinator::GroupRequest request,
               MoveFunction<void(coordinator::GroupResponse)> done) {
    const auto route = context.shard().coordinators().group_route(group);
    if (route.error != ErrorCode::None) {
        return done(coordinator::group_error(request, context.version, route.error));
    }
    run_on_partition(context, route.partition, std::move(request), std::move(done));
}

}  // namespace millrace::api
