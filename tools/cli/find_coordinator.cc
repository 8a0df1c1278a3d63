// tools/cli/find_coordinator.cc: which broker coordinates a group or a transactional id.
#include "cli/find_coordinator.h"

#include <fmt/core.h>
#include <poll.h>

#include "millrace/wire/gen/find_coordinator_request.h"
#include "millrace/wire/gen/find_coordinator_response.h"

namespace millrace::cli {
namespace {

constexpr int kBackoffMs = 100;
constexpr int16_t kVersionOfBatches = 4;
constexpr int16_t kVersionHighest = 5;  // 6 adds share groups

struct Answer {
    Coordinator coordinator;
    int16_t error_code = 0;
    std::optional<std::string> message;
};

Answer ask_once(Client& client, const std::string& key, CoordinatorKind kind) {
    Connection& connection = client.any();
    const int16_t version = connection.version_of<wire::FindCoordinatorRequest>(kVersionHighest);
    wire::FindCoordinatorRequest request;
    request.key_type = static_cast<int8_t>(kind);
    if (version >= kVersionOfBatches)
        request.coordinator_keys = {key};
    else
        request.key = key;
    const auto response =
        connection.ask<wire::FindCoordinatorResponse>(request, version, client.deadline());
    if (version < kVersionOfBatches) {
        return {{response.node_id, {response.host, response.port}},
                response.error_code,
                response.error_message};
    }
    if (response.coordinators.empty()) return {{}, wire_error(ErrorCode::UnknownServerError), {}};
    const auto& found = response.coordinators.front();
    return {{found.node_id, {found.host, found.port}}, found.error_code, found.error_message};
}

}  // namespace

Coordinator find_coordinator(Client& client, const std::string& key, CoordinatorKind kind) {
    const std::string what = fmt::format(
        "{} '{}'", kind == CoordinatorKind::Group ? "group" : "transactional id", key);
    while (true) {
        const Answer answer = ask_once(client, key, kind);
        const auto code = error_code_from(answer.error_code);
        const bool may_come = code == ErrorCode::CoordinatorNotAvailable ||
                              code == ErrorCode::CoordinatorLoadInProgress;
        if (!may_come) {
            check_error(answer.error_code, answer.message, "coordinator of " + what);
            return answer.coordinator;
        }
        if (client.timeout_ms() <= kBackoffMs) {
            throw Failure{kNoConnection, fmt::format("{} has no coordinator in time", what),
                          "millrace cluster shows whether its brokers are up", answer.error_code,
                          answer.message.value_or("")};
        }
        poll(nullptr, 0, kBackoffMs);
    }
}

}  // namespace millrace::cli
