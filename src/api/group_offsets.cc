// src/api/group_offsets.cc: OffsetCommit (8), OffsetFetch (9), OffsetDelete (47).
//
// Served: v2-10, v1-10, v0.
// Behavior: coordinators.md 5.1, 5.3, 5.4. What the image does not know is answered here, the rest
//   by the group's machine; answers keep the order of the request.
// Version notes: 8 and 9 name topics by id from v10 on; 9 asks for many groups from v8 on.
// Not done: permissions (there is no authorizer yet).
#include <utility>

#include "api/group_call.h"
#include "api/serve.h"

namespace millrace::api {

namespace {

constexpr int16_t kTopicIdsFrom = 10;
constexpr int16_t kFetchBatchedFrom = 8;
constexpr int16_t kFetchTopErrorFrom = 2;

/// Where the answer of a partition that was asked belongs.
struct Place {
    size_t topic;
    size_t partition;
};

// --- OffsetCommit

struct CommitPlan {
    wire::OffsetCommitRequest asked;      // what the image knows
    wire::OffsetCommitResponse response;  // all, errors of the others filled in
    std::vector<Place> places;            // of the asked partitions, in order
};

CommitPlan plan_commit(const metadata::Image& image, int16_t version,
                       wire::OffsetCommitRequest request) {
    CommitPlan plan;
    auto topics = std::move(request.topics);
    request.topics.clear();
    plan.asked = std::move(request);
    const bool by_id = version >= kTopicIdsFrom;
    for (auto& topic : topics) {
        const metadata::TopicImage* known = by_id ? image.topics.find(topic.topic_id)
                                                  : image.topics.find(std::string_view(topic.name));
        auto& answers = plan.response.topics.emplace_back();
        if (by_id) {
            answers.topic_id = topic.topic_id;
        } else {
            answers.name = topic.name;
        }
        wire::OffsetCommitRequest::OffsetCommitRequestTopic asked;
        if (known != nullptr) {
            asked.name = known->name;
            asked.topic_id = known->id;
        }
        for (auto& partition : topic.partitions) {
            auto& answer = answers.partitions.emplace_back();
            answer.partition_index = partition.partition_index;
            if (known == nullptr) {
                answer.error_code =
                    code(by_id ? ErrorCode::UnknownTopicId : ErrorCode::UnknownTopicOrPartition);
            } else if (known->partition(PartitionIndex(partition.partition_index)) == nullptr) {
                answer.error_code = code(ErrorCode::UnknownTopicOrPartition);
            } else {
                plan.places.push_back(
                    {plan.response.topics.size() - 1, answers.partitions.size() - 1});
                asked.partitions.push_back(std::move(partition));
            }
        }
        if (!asked.partitions.empty()) plan.asked.topics.push_back(std::move(asked));
    }
    return plan;
}

/// Puts the codes of the machine's answer where they belong.
template <class Response>
void merge(const Response& from, const std::vector<Place>& places, Response& into) {
    size_t at = 0;
    for (const auto& topic : from.topics) {
        for (const auto& partition : topic.partitions) {
            MILLRACE_ASSERT(at < places.size(), "one answer for each partition that was asked");
            const Place place = places[at++];
            into.topics[place.topic].partitions[place.partition].error_code = partition.error_code;
        }
    }
}

void handle_offset_commit(RequestContext&& context, wire::OffsetCommitRequest request,
                          Reply<wire::OffsetCommitResponse> reply) {
    CommitPlan plan = plan_commit(context.shard().image(), context.version, std::move(request));
    if (plan.places.empty()) return reply.send(std::move(plan.response));
    using Response = wire::OffsetCommitResponse;
    auto one = gather<Response, Response>(
        1, std::move(reply),
        [response = std::move(plan.response),
         places = std::move(plan.places)](std::vector<Response> parts) mutable {
            merge(parts.front(), places, response);
            return std::move(response);
        });
    const std::string group = plan.asked.group_id;
    run_group(context, group, std::move(plan.asked), [one](coordinator::GroupResponse answer) {
        one->put(0, std::get<Response>(std::move(answer)));
    });
}

// --- OffsetDelete

void handle_offset_delete(RequestContext&& context, wire::OffsetDeleteRequest request,
                          Reply<wire::OffsetDeleteResponse> reply) {
    using Response = wire::OffsetDeleteResponse;
    Response response;
    std::vector<Place> places;
    wire::OffsetDeleteRequest asked;
    asked.group_id = request.group_id;
    for (auto& topic : request.topics) {
        const auto* known = context.shard().image().topics.find(std::string_view(topic.name));
        auto& answers = response.topics.emplace_back();
        answers.name = topic.name;
        wire::OffsetDeleteRequest::OffsetDeleteRequestTopic some;
        some.name = topic.name;
        for (const auto& partition : topic.partitions) {
            auto& answer = answers.partitions.emplace_back();
            answer.partition_index = partition.partition_index;
            if (known == nullptr ||
                known->partition(PartitionIndex(partition.partition_index)) == nullptr) {
                answer.error_code = code(ErrorCode::UnknownTopicOrPartition);
                continue;
            }
            places.push_back({response.topics.size() - 1, answers.partitions.size() - 1});
            some.partitions.push_back(partition);
        }
        if (!some.partitions.empty()) asked.topics.push_back(std::move(some));
    }
    auto one =
        gather<Response, Response>(1, std::move(reply),
                                   [response = std::move(response), places = std::move(places)](
                                       std::vector<Response> parts) mutable {
                                       if (parts.front().error_code != 0)
                                           return std::move(parts.front());
                                       merge(parts.front(), places, response);
                                       return std::move(response);
                                   });
    const std::string group = asked.group_id;
    run_group(context, group, std::move(asked), [one](coordinator::GroupResponse answer) {
        one->put(0, std::get<Response>(std::move(answer)));
    });
}

// --- OffsetFetch

using FetchGroup = wire::OffsetFetchRequest::OffsetFetchRequestGroup;
using GroupAnswer = wire::OffsetFetchResponse::OffsetFetchResponseGroup;

/// One group's part of the request for its machine; `unknown` gets what the image does not know.
wire::OffsetFetchRequest fetch_of(const metadata::Image& image, int16_t version, bool stable,
                                  FetchGroup group, GroupAnswer& unknown) {
    wire::OffsetFetchRequest single;
    single.require_stable = stable;
    const bool by_id = version >= kTopicIdsFrom;
    if (group.topics) {
        auto topics = std::move(*group.topics);
        group.topics->clear();
        for (auto& topic : topics) {
            const metadata::TopicImage* known =
                by_id ? image.topics.find(topic.topic_id)
                      : image.topics.find(std::string_view(topic.name));
            if (known == nullptr && by_id) {
                auto& answers = unknown.topics.emplace_back();
                answers.topic_id = topic.topic_id;
                for (const int32_t partition : topic.partition_indexes) {
                    auto& answer = answers.partitions.emplace_back();
                    answer.partition_index = partition;
                    answer.committed_offset = -1;
                    answer.metadata = "";
                    answer.error_code = code(ErrorCode::UnknownTopicId);
                }
                continue;
            }
            if (known != nullptr) {
                topic.name = known->name;
                topic.topic_id = known->id;
            }
            group.topics->push_back(std::move(topic));
        }
    }
    single.groups.push_back(std::move(group));
    return single;
}

/// Names or ids, as the version has them.
GroupAnswer finish_group(const metadata::Image& image, int16_t version, GroupAnswer answer,
                         GroupAnswer unknown) {
    if (answer.error_code != 0) return answer;
    if (version < kTopicIdsFrom) {
        for (auto& topic : answer.topics)
            topic.topic_id = Uuid();
        return answer;
    }
    // A name without a topic has no id to be listed by.
    std::erase_if(answer.topics, [&](auto& topic) {
        const auto* known = image.topics.find(std::string_view(topic.name));
        if (topic.topic_id == Uuid() && known != nullptr) topic.topic_id = known->id;
        topic.name.clear();
        return topic.topic_id == Uuid();
    });
    for (auto& topic : unknown.topics)
        answer.topics.push_back(std::move(topic));
    return answer;
}

/// The answer of v1-7: one group, its error on top or (v1) on each partition.
wire::OffsetFetchResponse flat(const wire::OffsetFetchRequest& request, int16_t version,
                               GroupAnswer answer) {
    wire::OffsetFetchResponse response;
    if (answer.error_code != 0) {
        if (version >= kFetchTopErrorFrom) {
            response.error_code = answer.error_code;
            return response;
        }
        for (const auto& topic : request.topics.value_or(
                 std::vector<wire::OffsetFetchRequest::OffsetFetchRequestTopic>())) {
            auto& answers = response.topics.emplace_back();
            answers.name = topic.name;
            for (const int32_t partition : topic.partition_indexes) {
                auto& each = answers.partitions.emplace_back();
                each.partition_index = partition;
                each.committed_offset = -1;
                each.metadata = "";
                each.error_code = answer.error_code;
            }
        }
        return response;
    }
    for (auto& topic : answer.topics) {
        auto& answers = response.topics.emplace_back();
        answers.name = std::move(topic.name);
        for (auto& partition : topic.partitions) {
            auto& each = answers.partitions.emplace_back();
            each.partition_index = partition.partition_index;
            each.committed_offset = partition.committed_offset;
            each.committed_leader_epoch = partition.committed_leader_epoch;
            each.metadata = std::move(partition.metadata);
            each.error_code = partition.error_code;
        }
    }
    return response;
}

std::vector<FetchGroup> groups_of(const wire::OffsetFetchRequest& request, int16_t version) {
    if (version >= kFetchBatchedFrom) return request.groups;
    FetchGroup group;
    group.group_id = request.group_id;
    group.topics.reset();
    if (request.topics) {
        auto& topics = group.topics.emplace();
        for (const auto& topic : *request.topics) {
            auto& into = topics.emplace_back();
            into.name = topic.name;
            into.partition_indexes = topic.partition_indexes;
        }
    }
    return {std::move(group)};
}

void handle_offset_fetch(RequestContext&& context, wire::OffsetFetchRequest request,
                         Reply<wire::OffsetFetchResponse> reply) {
    const int16_t version = context.version;
    const metadata::ImagePtr image = context.shard().image_pointer();
    std::vector<FetchGroup> groups = groups_of(request, version);
    const bool stable = request.require_stable;
    auto all = gather<GroupAnswer, wire::OffsetFetchResponse>(
        groups.size(), std::move(reply),
        [version, request = std::move(request)](std::vector<GroupAnswer> parts) {
            if (version < kFetchBatchedFrom) return flat(request, version, std::move(parts[0]));
            wire::OffsetFetchResponse response;
            response.groups = std::move(parts);
            return response;
        });
    for (size_t i = 0; i < groups.size(); ++i) {
        GroupAnswer unknown;
        const std::string group = groups[i].group_id;
        wire::OffsetFetchRequest single =
            fetch_of(*image, version, stable, std::move(groups[i]), unknown);
        run_group(context, group, std::move(single),
                  [all, i, image, version,
                   unknown = std::move(unknown)](coordinator::GroupResponse answer) mutable {
                      auto response = std::get<wire::OffsetFetchResponse>(std::move(answer));
                      all->put(i, finish_group(*image, version, std::move(response.groups.front()),
                                               std::move(unknown)));
                  });
    }
}

}  // namespace

void serve_offset_commit(ServeCall&& call) {
    serve<wire::OffsetCommitRequest, wire::OffsetCommitResponse>(std::move(call),
                                                                 handle_offset_commit);
}
void serve_offset_fetch(ServeCall&& call) {
    serve<wire::OffsetFetchRequest, wire::OffsetFetchResponse>(std::move(call),
                                                               handle_offset_fetch);
}
void serve_offset_delete(ServeCall&& call) {
    serve<wire::OffsetDeleteRequest, wire::OffsetDeleteResponse>(std::move(call),
                                                                 handle_offset_delete);
}

}  // namespace millrace::api
