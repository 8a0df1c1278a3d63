// tests/unit/coordinator/group_transcripts_test.cc: runs tests/golden/groups/*.txt.
//
// A file is a list of blocks: "> command", then what it caused. MILLRACE_GOLDEN_UPDATE=1 rewrites
// the outputs; the change is then read as a diff. Commands, with their key=value words:
//   set NAME=VALUE ...          settings, before anything else
//   topic name=foo id=7 partitions=4 [count=5: foo0 to foo4] | untopic id=7
//   join c=A g=g v=9 [id= inst= protos=range:foo,other:bar owned=foo0+foo1 session= rebalance=
//        pad=: bytes of user data]
//   sync g= id= gen= [inst= assign=A#1:foo0+foo1,B#1:foo2]   beat g= id= gen= [inst=]
//   leave g= id= [inst=] [v=]   commit g= [id= gen= inst= v=] at=foo-0:42,foo-1:7 [meta= keep=]
//   txncommit g= pid= at=...    marker pid= commit=1
//   fetch g= [of=foo-0,foo-1] [stable=1 id= epoch=]   unset g= of=foo-0 (OffsetDelete)
//   list [states= types=]  describe g=  delete g=  cdescribe g=
//   cgh g= id= epoch= [inst= topics=foo,bar regex= owned=7:0+1 rebalance= assignor= v=]
//   wait ms=   hold on=1   refuse error=19   restart   leave-office   machine (its debug line)
#include <gtest/gtest.h>

#include <sstream>

#include "unit/coordinator/group_world.h"
#include "support/transcript.h"

namespace millrace::coordinator {
namespace {

TEST(GroupTranscripts, GoldenFilesHappenAsWritten) {
    support::check_transcripts("groups", 12, "", [] {
        return [world = std::make_unique<GroupWorld>()](const std::string& line) {
            return world->run(line);
        };
    });
}

TEST(GroupTranscripts, AMemberIdFitsARecordWhateverTheClientIsCalled) {
    GroupWorld world;
    const std::string longest(INT16_MAX, 'i');
    world.run("join c=A g=g inst=" + longest);
    world.run("wait ms=6000");
    const std::string settled = world.run("describe g=g");
    EXPECT_NE(settled.find(longest.substr(0, INT16_MAX - 37)), std::string::npos);
    EXPECT_TRUE(world.unanswered().empty());
}


}  // namespace
}  // namespace millrace::coordinator
