// tests/unit/coordinator/classic_group_test.cc: which protocols all members of a classic group know.
#include "coordinator/classic_group.h"

#include <gtest/gtest.h>

namespace millrace::coordinator {
namespace {

std::vector<ClassicProtocol> protocols(std::initializer_list<const char*> names) {
    std::vector<ClassicProtocol> result;
    for (const char* name : names) result.push_back({name, Buffer()});
    return result;
}

void add(ClassicGroup& group, const char* id, std::initializer_list<const char*> names) {
    ClassicMember member;
    member.id = id;
    group.set_protocols(member, protocols(names));
    group.add(std::move(member));
}

TEST(ClassicGroup, AMemberMayJoinWithWhatAllKnow) {
    ClassicGroup group;
    group.protocol_type = "consumer";
    const auto accepts = [&](std::initializer_list<const char*> names) {
        return group.accepts("consumer", protocols(names));
    };
    EXPECT_TRUE(accepts({"anything"}));
    add(group, "a", {"range", "sticky", "range"});
    add(group, "b", {"sticky"});
    EXPECT_TRUE(accepts({"range", "sticky"}));
    EXPECT_FALSE(accepts({"range"}));
    EXPECT_FALSE(group.accepts("connect", protocols({"sticky"})));
    EXPECT_EQ(group.vote(), "sticky");

    group.set_protocols(*group.member("b"), protocols({"range"}));
    EXPECT_TRUE(accepts({"range"}));
    EXPECT_FALSE(accepts({"sticky"}));
    add(group, "b", {"sticky", "range"});  // in place of the one before
    EXPECT_TRUE(accepts({"sticky"}));
    EXPECT_EQ(group.vote(), "range");
    group.rename("b", "c");
    group.remove("a");
    EXPECT_TRUE(accepts({"sticky"}));
    group.remove("c");
    EXPECT_TRUE(group.supporters.empty());
    EXPECT_TRUE(accepts({"anything"}));
}

}  // namespace
}  // namespace millrace::coordinator
