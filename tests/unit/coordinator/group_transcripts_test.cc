// tests/unit/coordinator/group_transcripts_test.cc: runs tests/golden/groups/*.txt.
//
// A file is a list of blocks: "> command", then what it caused. MILLRACE_GOLDEN_UPDATE=1 rewrites
// the outputs; the change is then read as a diff. Commands, with their key=value words:
//   set NAME=VALUE ...          settings, before anything else
//   topic name=foo id=7 partitions=4 | untopic id=7
//   join c=A g=g v=9 [id= inst= protos=range:foo,other:bar owned=foo0+foo1 session= rebalance=]
//   sync g= id= gen= [inst= assign=A#1:foo0+foo1,B#1:foo2]   beat g= id= gen= [inst=]
//   leave g= id= [inst=] [v=]   commit g= [id= gen= inst= v=] at=foo-0:42,foo-1:7 [meta= keep=]
//   txncommit g= pid= at=...    marker pid= commit=1
//   fetch g= [of=foo-0,foo-1] [stable=1 id= epoch=]   unset g= of=foo-0 (OffsetDelete)
//   list [states= types=]  describe g=  delete g=  cdescribe g=
//   cgh g= id= epoch= [inst= topics=foo,bar regex= owned=7:0+1 rebalance= assignor= v=]
//   wait ms=   hold on=1   refuse error=19   restart   leave-office
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "unit/coordinator/group_world.h"

namespace millrace::coordinator {
namespace {

TEST(GroupTranscripts, GoldenFilesHappenAsWritten) {
    const std::filesystem::path folder =
        std::filesystem::path(MILLRACE_SOURCE_DIR) / "tests/golden/groups";
    const bool update = std::getenv("MILLRACE_GOLDEN_UPDATE") != nullptr;
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".txt") continue;
        ++files;
        std::ifstream in(entry.path());
        const std::string expected((std::istreambuf_iterator<char>(in)),
                                   std::istreambuf_iterator<char>());
        std::istringstream lines(expected);
        std::string actual;
        GroupWorld world;
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("#")) actual += line + "\n";
            if (line.starts_with("> ")) actual += line + "\n" + world.run(line.substr(2));
        }
        if (update) {
            std::ofstream(entry.path()) << actual;
        } else {
            EXPECT_EQ(actual, expected) << entry.path();
        }
    }
    EXPECT_GE(files, 5);
}

}  // namespace
}  // namespace millrace::coordinator
