// src/api/scram.cc: DescribeUserScramCredentials (50), AlterUserScramCredentials (51).
//
// Served: v0 of both.
// Behavior: what is kept is described, never the keys; changes are the active controller's
// (metadata/scram_control). As Kafka's ScramImage.describe.
// Not done: authorization, and SASL itself.
#include <map>
#include <set>
#include <utility>

#include "api/controller_call.h"
#include "api/serve.h"
#include "millrace/wire/gen/describe_user_scram_credentials_request.h"
#include "millrace/wire/gen/describe_user_scram_credentials_response.h"

namespace millrace::api {

namespace {

using Request = wire::DescribeUserScramCredentialsRequest;
using Response = wire::DescribeUserScramCredentialsResponse;
using Credentials = std::vector<Response::CredentialInfo>;

std::map<std::string, Credentials> credentials_by_user(const metadata::Image& image) {
    std::map<std::string, Credentials> by_user;
    for (const auto& [key, scram] : image.scram) {
        auto& info = by_user[key.second].emplace_back();
        info.mechanism = key.first;
        info.iterations = scram->iterations;
    }
    return by_user;
}

}  // namespace

void handle_describe_user_scram_credentials(RequestContext&& context, Request request,
                                            Reply<Response> reply) {
    std::map<std::string, Credentials> known = credentials_by_user(context.shard().image());
    Response response;
    response.error_message.reset();
    std::map<std::string, size_t> asked;  // how often; in the order of names, Kafka's has none
    if (!request.users || request.users->empty()) {
        for (const auto& [user, infos] : known) asked.emplace(user, 1);
    } else {
        for (const auto& user : *request.users) ++asked[user.name];
    }
    for (const auto& [user, times] : asked) {
        auto& result = response.results.emplace_back();
        result.user = user;
        result.error_message.reset();
        const auto found = known.find(user);
        if (times > 1) {
            result.error_code = static_cast<int16_t>(ErrorCode::DuplicateResource);
            result.error_message =
                "Cannot describe SCRAM credentials for the same user twice in a single request: " +
                user;
        } else if (found == known.end()) {
            result.error_code = static_cast<int16_t>(ErrorCode::ResourceNotFound);
            result.error_message =
                "Attempt to describe a user credential that does not exist: " + user;
        } else {
            result.credential_infos = std::move(found->second);
        }
    }
    reply.send(std::move(response));
}

void handle_alter_user_scram_credentials(RequestContext&& context,
                                         wire::AlterUserScramCredentialsRequest request,
                                         Reply<wire::AlterUserScramCredentialsResponse> reply) {
    call_controller(context.shard(), std::move(request), requester_of(context),
                    std::move(reply));
}

void serve_describe_user_scram_credentials(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_describe_user_scram_credentials);
}
void serve_alter_user_scram_credentials(ServeCall&& call) {
    serve<wire::AlterUserScramCredentialsRequest, wire::AlterUserScramCredentialsResponse>(
        std::move(call), handle_alter_user_scram_credentials);
}

}  // namespace millrace::api
