// tests/unit/coordinator/assignor_test.cc: range and uniform: fair, complete, and little moves.
#include "coordinator/assignor.h"

#include <gtest/gtest.h>

#include "millrace/base/rng.h"

namespace millrace::coordinator {
namespace {

const Uuid kFoo{0, 7};
const Uuid kBar{0, 8};

AssignorMember member(const std::string& id, std::set<Uuid> topics, Partitions current = {}) {
    return {id, std::nullopt, std::move(topics), std::move(current)};
}

/// "foo:0,1 bar:2" per member.
std::string text(const AssignorResult& result) {
    std::string all;
    for (const auto& [id, topics] : result) {
        all += id + "=";
        for (const auto& [topic, partitions] : topics) {
            for (const int32_t p : partitions)
                all += (topic == kFoo ? "f" : "b") + std::to_string(p);
        }
        all += " ";
    }
    return all;
}

TEST(RangeAssignor, GivesConsecutivePartitionsTopicByTopic) {
    AssignorInput input;
    input.members = {member("a", {kFoo, kBar}), member("b", {kFoo, kBar}), member("c", {kFoo})};
    input.partition_counts = {{kFoo, 5}, {kBar, 3}};
    EXPECT_EQ(text(assign_range(input)), "a=f0f1b0b1 b=f2f3b2 c=f4 ");
}

TEST(RangeAssignor, StaticMembersComeFirst) {
    std::vector<AssignorMember> members = {member("a", {kFoo}), member("b", {kFoo}),
                                           member("c", {kFoo})};
    members[2].instance_id = "z";
    members[1].instance_id = "zz";
    sort_for_assignor(members);
    EXPECT_EQ(members[0].id + members[1].id + members[2].id, "cba");
}

TEST(UniformAssignor, MovesOnlyWhatItMust) {
    AssignorInput input;
    input.members = {member("a", {kFoo}, {{kFoo, {0, 1, 2, 3}}}), member("b", {kFoo})};
    input.partition_counts = {{kFoo, 4}};
    EXPECT_EQ(text(assign_uniform(input)), "a=f0f1 b=f2f3 ");
    input.members = {member("a", {kFoo}, {{kFoo, {0, 1}}}), member("b", {kFoo}, {{kFoo, {2, 3}}}),
                     member("c", {kFoo})};
    EXPECT_EQ(text(assign_uniform(input)), "a=f0f1 b=f2 c=f3 ");
    // The member that has more keeps the one too many.
    input.members = {member("a", {kFoo}, {{kFoo, {0}}}), member("b", {kFoo}, {{kFoo, {1, 2}}})};
    input.partition_counts = {{kFoo, 3}};
    EXPECT_EQ(text(assign_uniform(input)), "a=f0 b=f1f2 ");
    EXPECT_TRUE(assign_uniform({}).empty());
}

TEST(UniformAssignor, DropsTopicsThatAreNoLongerSubscribed) {
    AssignorInput input;
    input.members = {member("a", {kBar}, {{kFoo, {0, 1}}, {kBar, {0}}}), member("b", {kBar})};
    input.partition_counts = {{kBar, 2}};
    EXPECT_EQ(text(assign_uniform(input)), "a=b0 b=b1 ");
}

TEST(HeterogeneousAssignor, BalancesWithinTheSubscriptions) {
    AssignorInput input;
    input.homogeneous = false;
    input.members = {member("a", {kFoo}), member("b", {kFoo, kBar})};
    input.partition_counts = {{kFoo, 4}, {kBar, 2}};
    const AssignorResult result = assign_uniform(input);
    EXPECT_EQ(result.at("a").at(kFoo).size(), 3u);
    EXPECT_EQ(result.at("b").at(kBar).size(), 2u);
    EXPECT_EQ(result.at("b").at(kFoo).size(), 1u);
}

/// Every partition of a subscribed topic has one owner, who subscribes to it.
void expect_complete(const AssignorInput& input, const AssignorResult& result) {
    std::map<PartitionKey, int> owners;
    for (const AssignorMember& m : input.members) {
        for (const auto& [topic, partitions] : result.at(m.id)) {
            if (partitions.empty()) continue;
            EXPECT_TRUE(m.topics.contains(topic)) << m.id;
            for (const int32_t p : partitions)
                ++owners[{topic, p}];
        }
    }
    size_t expected = 0;
    for (const auto& [topic, count] : input.partition_counts)
        expected += static_cast<size_t>(count);
    EXPECT_EQ(owners.size(), expected);
    for (const auto& [key, count] : owners)
        EXPECT_EQ(count, 1);
}

AssignorInput random_input(Rng& rng, bool homogeneous) {
    AssignorInput input;
    input.homogeneous = homogeneous;
    std::set<Uuid> all;
    for (uint64_t t = 1; t <= 1 + rng.below(4); ++t)
        all.insert(Uuid{0, t});
    const uint64_t members = 1 + rng.below(8);
    for (uint64_t i = 0; i < members; ++i) {
        std::set<Uuid> topics;
        for (const Uuid& topic : all) {
            if (homogeneous || rng.chance(2, 3)) topics.insert(topic);
        }
        for (const Uuid& topic : topics)
            input.partition_counts.emplace(topic, static_cast<int32_t>(1 + rng.below(9)));
        input.members.push_back(member("m" + std::to_string(i), topics));
    }
    // What somebody had: each partition with at most one of the members.
    for (const auto& [topic, count] : input.partition_counts) {
        for (int32_t p = 0; p < count; ++p) {
            AssignorMember& owner = input.members[rng.below(members)];
            if (rng.chance(1, 2)) owner.current[topic].insert(p);
        }
    }
    return input;
}

TEST(Assignors, AreCompleteOnRandomGroups) {
    Rng rng(7);
    for (int round = 0; round < 300; ++round) {
        const bool homogeneous = round % 2 == 0;
        const AssignorInput input = random_input(rng, homogeneous);
        expect_complete(input, assign_range(input));
        const AssignorResult uniform = assign_uniform(input);
        expect_complete(input, uniform);
        if (!homogeneous) continue;
        size_t least = SIZE_MAX;
        size_t most = 0;
        for (const auto& [id, topics] : uniform) {
            size_t size = 0;
            for (const auto& [topic, partitions] : topics)
                size += partitions.size();
            least = std::min(least, size);
            most = std::max(most, size);
        }
        EXPECT_LE(most - least, 1u) << round;
    }
}

}  // namespace
}  // namespace millrace::coordinator
