// src/api/security_off.cc: ACLs (29-31) and delegation tokens (38-41) where security is off.
//
// Served: DescribeAcls, CreateAcls, DeleteAcls v1-3, delegation tokens in Kafka's versions.
// Behavior: without an authorizer Kafka answers SECURITY_DISABLED, and DELEGATION_TOKEN_REQUEST_
// NOT_ALLOWED on connections without authentication. Consoles probe for features with these calls
// and take a closed connection for a broken broker (ux.md 3.5).
// Not done: authorizer and SASL; the config table refuses to switch them on.
#include <utility>

#include "api/serve.h"
#include "millrace/base/error_code.h"
#include "millrace/wire/gen/create_acls_request.h"
#include "millrace/wire/gen/create_acls_response.h"
#include "millrace/wire/gen/create_delegation_token_request.h"
#include "millrace/wire/gen/create_delegation_token_response.h"
#include "millrace/wire/gen/delete_acls_request.h"
#include "millrace/wire/gen/delete_acls_response.h"
#include "millrace/wire/gen/describe_acls_request.h"
#include "millrace/wire/gen/describe_acls_response.h"
#include "millrace/wire/gen/describe_delegation_token_request.h"
#include "millrace/wire/gen/describe_delegation_token_response.h"
#include "millrace/wire/gen/expire_delegation_token_request.h"
#include "millrace/wire/gen/expire_delegation_token_response.h"
#include "millrace/wire/gen/renew_delegation_token_request.h"
#include "millrace/wire/gen/renew_delegation_token_response.h"

namespace millrace::api {

namespace {

constexpr const char* kNoAuthorizer = "No Authorizer is configured.";

template <class Answer>
void refuse_acl(Answer& answer) {
    answer.error_code = static_cast<int16_t>(ErrorCode::SecurityDisabled);
    answer.error_message = kNoAuthorizer;
}

void handle_describe_acls(RequestContext&&, wire::DescribeAclsRequest,
                          Reply<wire::DescribeAclsResponse> reply) {
    wire::DescribeAclsResponse response;
    refuse_acl(response);
    response.error_message = "No Authorizer is configured on the broker";
    reply.send(std::move(response));
}

void handle_create_acls(RequestContext&&, wire::CreateAclsRequest request,
                        Reply<wire::CreateAclsResponse> reply) {
    wire::CreateAclsResponse response;
    response.results.resize(request.creations.size());
    for (auto& result : response.results) refuse_acl(result);
    reply.send(std::move(response));
}

void handle_delete_acls(RequestContext&&, wire::DeleteAclsRequest request,
                        Reply<wire::DeleteAclsResponse> reply) {
    wire::DeleteAclsResponse response;
    response.filter_results.resize(request.filters.size());
    for (auto& result : response.filter_results) refuse_acl(result);
    reply.send(std::move(response));
}

template <class Request, class Response>
void refuse_token(RequestContext&&, Request, Reply<Response> reply) {
    Response response;
    response.error_code = static_cast<int16_t>(ErrorCode::DelegationTokenRequestNotAllowed);
    reply.send(std::move(response));
}

}  // namespace

void serve_describe_acls(ServeCall&& call) {
    serve<wire::DescribeAclsRequest, wire::DescribeAclsResponse>(std::move(call),
                                                                 handle_describe_acls);
}
void serve_create_acls(ServeCall&& call) {
    serve<wire::CreateAclsRequest, wire::CreateAclsResponse>(std::move(call), handle_create_acls);
}
void serve_delete_acls(ServeCall&& call) {
    serve<wire::DeleteAclsRequest, wire::DeleteAclsResponse>(std::move(call), handle_delete_acls);
}
void serve_create_delegation_token(ServeCall&& call) {
    using Response = wire::CreateDelegationTokenResponse;
    serve<wire::CreateDelegationTokenRequest, Response>(std::move(call), refuse_token);
}
void serve_renew_delegation_token(ServeCall&& call) {
    using Response = wire::RenewDelegationTokenResponse;
    serve<wire::RenewDelegationTokenRequest, Response>(std::move(call), refuse_token);
}
void serve_expire_delegation_token(ServeCall&& call) {
    using Response = wire::ExpireDelegationTokenResponse;
    serve<wire::ExpireDelegationTokenRequest, Response>(std::move(call), refuse_token);
}
void serve_describe_delegation_token(ServeCall&& call) {
    using Response = wire::DescribeDelegationTokenResponse;
    serve<wire::DescribeDelegationTokenRequest, Response>(std::move(call), refuse_token);
}

}  // namespace millrace::api
