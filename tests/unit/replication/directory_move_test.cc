// tests/unit/replication/directory_move_test.cc: the order of steps from directory to directory.
#include "millrace/replication/directory_move.h"

#include <gtest/gtest.h>

namespace millrace::replication {
namespace {

using Step = DirectoryMove::Step;

Instant ms(int64_t n) { return Instant{} + milliseconds(n); }
DirectoryMove make() { return DirectoryMove({100, milliseconds(1000)}); }

TEST(DirectoryMove, CopiesFlushesAssignsAndFinishes) {
    DirectoryMove move = make();
    EXPECT_EQ(move.next(ms(0), 5000), Step::Copy);
    EXPECT_EQ(move.next(ms(0), 5000), Step::Wait) << "one step at a time";
    move.on_copied();
    EXPECT_EQ(move.next(ms(1), 101), Step::Copy);
    move.on_copied();
    EXPECT_EQ(move.next(ms(2), 100), Step::Flush);
    EXPECT_FALSE(move.told_controller());
    move.on_flushed();
    EXPECT_EQ(move.next(ms(3), 0), Step::Assign);
    EXPECT_TRUE(move.told_controller());
    move.on_assigned(ms(4), true);
    EXPECT_EQ(move.next(ms(5), 0), Step::Wait) << "the record is on its way";
    EXPECT_EQ(move.next(ms(6), 5000), Step::Copy) << "what is written meanwhile";
    move.on_copied();
    move.on_recorded(true);
    EXPECT_EQ(move.next(ms(7), 101), Step::Copy);
    move.on_copied();
    EXPECT_EQ(move.next(ms(7), 7), Step::Finish);
    EXPECT_EQ(move.next(ms(7), 7), Step::Finish) << "as often as it takes";
}

TEST(DirectoryMove, ARefusalOfTheControllerIsAskedAgain) {
    DirectoryMove move = make();
    EXPECT_EQ(move.next(ms(0), 0), Step::Flush);
    move.on_flushed();
    EXPECT_EQ(move.next(ms(0), 0), Step::Assign);
    move.on_assigned(ms(10), false);
    EXPECT_EQ(move.next(ms(20), 0), Step::Wait);
    EXPECT_EQ(move.wake_at(), ms(1010));
    EXPECT_EQ(move.next(ms(1010), 0), Step::Assign);
    EXPECT_EQ(move.wake_at(), Instant::never());
}

TEST(DirectoryMove, AfterARestartTheRecordMayBeThereAlready) {
    DirectoryMove move = make();
    move.on_recorded(true);
    EXPECT_TRUE(move.told_controller());
    EXPECT_EQ(move.next(ms(0), 1000), Step::Copy);
    move.on_copied();
    EXPECT_EQ(move.next(ms(0), 0), Step::Flush) << "not before it is durable";
    move.on_flushed();
    EXPECT_EQ(move.next(ms(0), 0), Step::Finish);
}

TEST(DirectoryMove, ARecordThatIsTakenBackHoldsTheChangeOver) {
    DirectoryMove move = make();
    EXPECT_EQ(move.next(ms(0), 0), Step::Flush);
    move.on_flushed();
    EXPECT_EQ(move.next(ms(0), 0), Step::Assign);
    move.on_assigned(ms(1), true);
    move.on_recorded(true);
    move.on_recorded(false);
    EXPECT_EQ(move.next(ms(500), 0), Step::Wait);
    EXPECT_EQ(move.next(ms(1001), 0), Step::Assign);
}

}  // namespace
}  // namespace millrace::replication
