// tests/unit/cli/plan_test.cc: plans of moves as they are kept, judged and throttled; no cluster.
#include <gtest/gtest.h>

#include "cli/cordon.h"
#include "cli/plan_file.h"
#include "cli/plan_progress.h"
#include "cli/plan_throttle.h"
#include "cli/rebalance.h"

namespace millrace::cli {
namespace {

StoredPlan sample() {
    StoredPlan plan;
    plan.id = "r-1";
    plan.by = "me@here";
    plan.driver = "me@here:7";
    plan.created_ms = 1'000;
    plan.beat_ms = 2'000;
    plan.throttle = 500;
    plan.wave = 1;
    plan.note = "a \"note\"";
    plan.throttles = {{kBrokerResource, "3", "leader.replication.throttled.rate", "500"}};
    plan.moves = {{{"t", 0}, {1, 2}, {1, 3}, {}, 1'000, 0},
                  {{"t", 1}, {1, 2}, {3, 2}, {"any", "/d"}, 2'000, 1},
                  {{"u", 0}, {2, 1}, {1, 2}, {}, 4'000, 1}};
    return plan;
}

TEST(Plan, ComesBackFromItsRecords) {
    const StoredPlan plan = sample();
    std::map<std::string, StoredPlan> plans;
    for (const auto& [key, value] : move_records(plan))
        EXPECT_TRUE(take_record(key, value, plans));
    EXPECT_TRUE(take_record(plan.id, state_json(plan), plans));
    for (const auto& [key, value] : placement::throttle_records(plan.id, plan.throttles))
        EXPECT_TRUE(take_record(key, value, plans));
    ASSERT_TRUE(plans.contains("r-1"));
    const StoredPlan& back = plans["r-1"];
    EXPECT_EQ(state_json(back), state_json(plan));
    EXPECT_EQ(move_records(back), move_records(plan));
    EXPECT_EQ(back.waves(), 2);
    EXPECT_EQ(back.throttles, plan.throttles);
    EXPECT_TRUE(back.driven(2'000 + StoredPlan::kStaleMs - 1));
    EXPECT_FALSE(back.driven(2'000 + StoredPlan::kStaleMs));
}

TEST(Plan, OfTwoWritersAtOnceTheFirstInTheLogWins) {
    std::map<std::string, StoredPlan> plans;
    const auto write = [&plans](int64_t revision, const std::string& writer, PlanPhase phase) {
        StoredPlan plan = sample();
        plan.revision = revision;
        plan.writer = writer;
        plan.phase = phase;
        EXPECT_TRUE(take_record(plan.id, state_json(plan), plans));
        return plans["r-1"].writer;
    };
    EXPECT_EQ(write(7, "a", PlanPhase::Running), "a");  // where compaction let it begin
    EXPECT_EQ(write(8, "b", PlanPhase::Pausing), "b");
    EXPECT_EQ(write(8, "c", PlanPhase::Running), "b") << "made from a's state as well";
    EXPECT_EQ(write(8, "b", PlanPhase::Pausing), "b") << "sent twice";
    EXPECT_EQ(write(10, "d", PlanPhase::Running), "b");
    EXPECT_EQ(write(9, "d", PlanPhase::Cancelled), "d");
    EXPECT_EQ(write(10, "e", PlanPhase::Running), "d") << "a plan that is over stays over";
    EXPECT_EQ(write(10, "e", PlanPhase::Cancelled), "e");
    EXPECT_TRUE(take_record("r-1/moves/0", std::nullopt, plans));
    EXPECT_TRUE(plans.contains("r-1"));
    EXPECT_TRUE(take_record("r-1", std::nullopt, plans));
    EXPECT_FALSE(plans.contains("r-1"));
}

TEST(Plan, NotesOfThrottlesComeAndGoByRecord) {
    std::map<std::string, StoredPlan> plans;
    StoredPlan plan = sample();
    ASSERT_TRUE(take_record(plan.id, state_json(plan), plans));
    EXPECT_TRUE(plans["r-1"].throttles.empty());
    const OwnThrottle a{kTopicResource, "t", "leader.replication.throttled.replicas", "0:1"};
    const OwnThrottle b{kBrokerResource, "1", "leader.replication.throttled.rate", "5"};
    const auto text = [](const OwnThrottle& one) {
        return placement::throttle_records("x", {one}).begin()->second;
    };
    EXPECT_TRUE(take_record("r-1/throttles/0", text(a), plans));
    EXPECT_TRUE(take_record("r-1/throttles/1", text(b), plans));
    EXPECT_EQ(plans["r-1"].throttles, (std::vector<OwnThrottle>{a, b}));
    EXPECT_TRUE(take_record("r-1/throttles/0", std::nullopt, plans));
    EXPECT_EQ(plans["r-1"].throttles, std::vector<OwnThrottle>{b});
    EXPECT_FALSE(take_record("r-1/throttles/1", "x", plans));
    EXPECT_TRUE(take_record("r-9/throttles/1", std::nullopt, plans));
    EXPECT_FALSE(plans.contains("r-9"));
}

TEST(Plan, AMoveThatWouldLeaveTooFewInSyncGoesOn) {
    const std::vector<PlannedMove> moves = {{{"t", 0}, {1, 2, 3}, {1, 2, 4}, {}, 10, 0}};
    PlanView view;
    view.replicas[{"t", 0}] = {1, 2, 4, 3};
    view.ongoing[{"t", 0}] = {{1, 2, 4, 3}, {4}, {3}};
    struct Case {
        std::vector<int32_t> isr;
        int32_t min_isr;
        bool bound;
    };
    const Case cases[] = {
        {{1, 2, 3}, 2, false}, {{1, 2}, 2, false},    {{1, 2, 4}, 2, false},
        {{1, 4}, 2, true},     {{4}, 1, true},        {{1, 4}, 1, false},
        {{1}, 2, false},       {{2, 3, 4}, 9, true},  {{1, 2, 3, 4}, 9, false},
    };
    for (const Case& one : cases) {
        view.isr[{"t", 0}] = one.isr;
        const auto bound = bound_to_go_on(moves, view, {{"t", one.min_isr}});
        EXPECT_EQ(!bound.empty(), one.bound) << one.isr.size() << " of " << one.min_isr;
    }
    view.isr[{"t", 0}] = {4};
    EXPECT_EQ(bound_to_go_on(moves, view, {}).size(), 1U) << "never without a leader";
    view.ongoing.clear();
    EXPECT_TRUE(bound_to_go_on(moves, view, {{"t", 2}}).empty());
}

TEST(Plan, WhoLostItTakesBackOnlyWhatItStartedLast) {
    const StoredPlan lost = sample();
    StoredPlan other = sample();
    other.id = "r-2";
    other.moves = {lost.moves[2]};
    std::map<std::string, StoredPlan> plans = {{"r-1", lost}, {"r-2", other}};
    const auto names = [&](const std::set<TopicPartition>& submitted) {
        std::vector<TopicPartition> partitions;
        for (const PlannedMove& move : late_moves(lost, submitted, plans))
            partitions.push_back(move.partition);
        return partitions;
    };
    EXPECT_TRUE(names({}).empty());
    EXPECT_EQ(names({{"t", 1}, {"u", 0}}), (std::vector<TopicPartition>{{"t", 1}}));
    plans["r-2"].phase = PlanPhase::Done;
    EXPECT_EQ(names({{"t", 1}, {"u", 0}}), (std::vector<TopicPartition>{{"t", 1}, {"u", 0}}));
}

TEST(Plan, WhatABrokerHadCordonedIsKeptUntilItIsTakenBack) {
    std::map<std::string, StoredPlan> plans;
    for (const auto& [id, before] : std::map<std::string, std::optional<std::string>>{
             {"r-1", std::nullopt}, {"r-2", "/d0,/d1"}, {"r-3", ""}}) {
        StoredPlan plan = sample();
        plan.id = id;
        plan.cordon = {7, before};
        ASSERT_TRUE(take_record(id, state_json(plan), plans));
        ASSERT_EQ(plan_of_cordon(plans, 7), &plans[id]);
        EXPECT_EQ(plans[id].cordon.before, before);
    }
    EXPECT_EQ(plan_of_cordon(plans, 8), nullptr);
    plans["r-3"].cordon = {};
    ASSERT_TRUE(take_record("r-3", state_json(plans["r-3"]), plans));
    EXPECT_EQ(plan_of_cordon(plans, 7), &plans["r-2"]);
}

TEST(Plan, LargePlansAreKeptInPieces) {
    StoredPlan plan = sample();
    plan.moves.clear();
    for (int32_t i = 0; i < 4'001; ++i)
        plan.moves.push_back({{"t", i}, {1}, {2}, {}, 1, 0});
    const auto records = move_records(plan);
    ASSERT_EQ(records.size(), 3U);
    EXPECT_EQ(records[2].first, "r-1/moves/2");
    std::map<std::string, StoredPlan> plans;
    for (const auto& [key, value] : records) {
        EXPECT_LT(value.size(), 900'000U);
        take_record(key, value, plans);
    }
    EXPECT_EQ(plans["r-1"].moves.size(), 4'001U);
}

TEST(Plan, RecordsOfOthersAreNotTakenForPlans) {
    std::map<std::string, StoredPlan> plans;
    EXPECT_FALSE(take_record("x", "no json", plans));
    EXPECT_FALSE(take_record("x", "{}", plans));
    EXPECT_FALSE(take_record("x", "[1]", plans));
}

TEST(Plan, JudgesWhatItSees) {
    const PlannedMove move{{"t", 0}, {1, 2}, {1, 3}, {}, 10, 0};
    const std::pair<PlanView, MoveState> cases[] = {
        {{}, MoveState::Gone},
        {{{{{"t", 0}, {1, 2}}}, {}}, MoveState::Pending},
        {{{{{"t", 0}, {1, 3}}}, {}}, MoveState::Done},
        {{{{{"t", 0}, {3, 1}}}, {}}, MoveState::Drifted},
        {{{{{"t", 0}, {1, 3, 2}}}, {{{"t", 0}, {{1, 3, 2}, {3}, {2}}}}}, MoveState::Moving},
        {{{{{"t", 0}, {1, 4, 2}}}, {{{"t", 0}, {{1, 4, 2}, {4}, {2}}}}}, MoveState::Drifted},
    };
    for (const auto& [view, state] : cases)
        EXPECT_EQ(state_of(move, view), state);
}

TEST(Plan, DriftIsOtherCopiesInWhatIsLeft) {
    // t-0 in wave 0; in wave 1 t-1 from 1 2 to 3 2, and u-0 from 2 1 to 1 2.
    const auto moves = sample().moves;
    PlanView view;
    view.replicas = {{{"t", 0}, {7, 8}}, {{"t", 1}, {2, 1}}, {{"u", 0}, {1, 4}}};
    EXPECT_EQ(drifted_moves(moves, 1, view), (std::vector<TopicPartition>{{"u", 0}}));
    view.replicas.erase({"u", 0});
    view.ongoing[{"t", 1}] = {{1, 2, 4}, {4}, {1}};
    EXPECT_EQ(drifted_moves(moves, 1, view), (std::vector<TopicPartition>{{"t", 1}}));
    EXPECT_EQ(drifted_moves(moves, 0, view).size(), 2u);
}

TEST(Plan, CountsWhatHasArrived) {
    const StoredPlan plan = sample();
    const PlanView view{{{{"t", 0}, {1, 3}}, {{"t", 1}, {3, 2, 1}}, {{"u", 0}, {2, 1}}},
                        {{{"t", 1}, {{3, 2, 1}, {3}, {1}}}}};
    const PlanProgress progress = progress_of(plan, view, {{{3, {"t", 1}}, 500}});
    EXPECT_EQ(progress.done_bytes, 1'500);
    EXPECT_EQ(progress.total_bytes, 3'000);
    EXPECT_EQ(progress.moves_in(MoveState::Done), 1);
    EXPECT_EQ(progress.moves_in(MoveState::Moving), 1);
    EXPECT_EQ(progress.moves_in(MoveState::Pending), 1);
    EXPECT_NE(progress_line(plan, progress, 5'000).find("wave 2 of 2   1 of 3 partitions done"),
              std::string::npos);
}

TEST(Plan, TellsWhatStandsStillAndWhoIsSlowest) {
    StoredPlan plan = sample();
    plan.wave_started_ms = 10'000;
    const PlanView view{{{{"t", 0}, {1, 3}}, {{"t", 1}, {3, 2, 1}}, {{"u", 0}, {2, 1}}},
                        {{{"t", 1}, {{3, 2, 1}, {3}, {1}}}}};
    StallWatch stalls;
    const auto look = [&](int64_t bytes, int64_t now) {
        PlanProgress progress = progress_of(plan, view, {{{3, {"t", 1}}, bytes}});
        stalls.mark(progress, now);
        EXPECT_FALSE(progress.moves[0].stalled) << "done";
        EXPECT_EQ(progress_text(plan, progress, now).find("stalled") != std::string::npos,
                  progress.moves[1].stalled);
        return progress.moves[1].stalled;
    };
    EXPECT_FALSE(look(500, 11'000));
    EXPECT_FALSE(look(500, 20'999));
    EXPECT_TRUE(look(500, 21'000));
    EXPECT_FALSE(look(501, 22'000));
    EXPECT_FALSE(look(501, 31'999));
    const PlanProgress progress = progress_of(plan, view, {{{3, {"t", 1}}, 500}});
    const Slowest slowest = slowest_of(plan, progress, 15'000);
    EXPECT_EQ(slowest.broker, 3);
    EXPECT_EQ(slowest.bytes_left, 1'500);
    EXPECT_EQ(slowest.rate, 100);
    const std::string text = progress_text(plan, progress, 15'000);
    EXPECT_NE(text.find("100 B/s   15s  moving"), std::string::npos) << text;
    EXPECT_NE(text.find("slowest: 3 receiving 100 B/s of 500 B/s, 1.46 KiB left"), std::string::npos)
        << text;
}

TEST(Plan, ThrottlesOnlyWhatNobodyLimitsYet) {
    const StoredPlan plan = sample();
    const ConfigValues topics = {{{"t", "leader.replication.throttled.replicas"}, "0:1,7:9"}};
    const ConfigValues brokers = {{{"1", "leader.replication.throttled.rate"}, "9"}};
    std::string text;
    for (const OwnThrottle& one : needed_throttles(plan, topics, brokers))
        text += one.name + " " + one.key.substr(0, 3) + " " + one.value + "\n";
    EXPECT_EQ(text,
              "t lea 0:2,1:1,1:2\n"
              "t fol 0:3,1:3\n"
              "1 fol 500\n2 lea 500\n2 fol 500\n3 lea 500\n3 fol 500\n");
    EXPECT_TRUE(needed_throttles({}, {}, {}).empty());
}

TEST(Plan, NotesOfBrokersThatAreDownOutliveTheMoves) {
    const OwnThrottle topic{kTopicResource, "3", "leader.replication.throttled.replicas", "0:3"};
    const OwnThrottle down{kBrokerResource, "3", "leader.replication.throttled.rate", "500"};
    const OwnThrottle up{kBrokerResource, "4", "leader.replication.throttled.rate", "500"};
    const auto left = throttles_of_absent({topic, down, up}, {1, 4});
    EXPECT_EQ(left, std::vector{down});
    // Set anew at another rate: the broker that is down still has the old one.
    OwnThrottle again = down;
    again.value = "900";
    std::vector<OwnThrottle> notes = {up, again};
    keep_notes(notes, left);
    EXPECT_EQ(notes, (std::vector{up, down}));
    notes = {up};
    keep_notes(notes, left);
    EXPECT_EQ(notes, (std::vector{up, down}));
}

TEST(Plan, AThrottleBelowTheWriteRateIsRefusedWithOneThatWouldDo) {
    const auto moves = sample().moves;
    const std::map<TopicPartition, int64_t> rates = {{{"t", 0}, 4'000'000}, {{"t", 1}, 1'000'000}};
    EXPECT_EQ(rate_floor(moves, rates).bytes_per_second, 4'000'000);
    EXPECT_NO_THROW(check_throttle(moves, 4'000'001, rates));
    EXPECT_NO_THROW(check_throttle(moves, 0, rates));
    try {
        check_throttle(moves, 4'000'000, rates);
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.exit_code, kUsage);
        EXPECT_EQ(failure.fix, "--throttle 6000000 would finish");
    }
}

TEST(Plan, TellsTimesAndRates) {
    const Eta eta = eta_of(sample().moves, 100);
    EXPECT_EQ(eta.seconds, 30);  // waves one after the other
    EXPECT_EQ(eta.broker, 3);
    const std::pair<const char*, std::optional<int64_t>> rates[] = {
        {"50000000", 50'000'000}, {"50MB/s", 50'000'000}, {"1.5 MB", 1'500'000},
        {"8KiB/s", 8'192},        {"2g", 2'000'000'000},  {"0", 0},
        {"fast", std::nullopt},   {"-1", std::nullopt},   {"5 parsecs", std::nullopt}};
    for (const auto& [text, rate] : rates)
        EXPECT_EQ(parse_rate(text), rate) << text;
    EXPECT_EQ(duration_text(578), "9m 38s");
    EXPECT_EQ(duration_text(7'500), "2h 05m");
    EXPECT_EQ(rate_text(50'000'000), "50 MB/s");
    EXPECT_EQ(bar(1, 2, 4), "██░░");
}

TEST(Plan, WavesBoundTheCopiesOfABroker) {
    std::vector<PlannedMove> moves;
    for (int32_t i = 0; i < 5; ++i)
        moves.push_back({{"t", i}, {1}, {i == 4 ? 3 : 2}, {}, 1, 0});
    split_waves(moves, 2);
    std::vector<int32_t> waves;
    for (const PlannedMove& move : moves)
        waves.push_back(move.wave);
    EXPECT_EQ(waves, (std::vector<int32_t>{0, 0, 1, 1, 0}));
}

placement::Snapshot cluster() {
    placement::Snapshot snapshot;
    for (int32_t id = 1; id <= 3; ++id)
        snapshot.brokers.emplace_back().id = id;
    auto& down = snapshot.brokers.emplace_back();
    down.id = 4;
    down.state = placement::BrokerState::Down;
    auto& topic = snapshot.topics.emplace_back();
    topic.name = "orders";
    topic.partitions = {{0, {1, 2}, {}, {}, 100, 0}, {1, {2, 3}, {}, {}, 200, 0}};
    return snapshot;
}

/// The error of applying this file, or what is left to do.
std::string outcome(const std::string& json, const MoveRules& rules = {}) {
    try {
        std::string text;
        for (const PlannedMove& move :
             moves_to_do(read_plan_file("p.json", json), cluster(), rules))
            text += move.partition.to_string() + " wave " + std::to_string(move.wave) + ";";
        return text;
    } catch (const Failure& failure) {
        return std::to_string(failure.exit_code) + " " + failure.error +
               (failure.fix.empty() ? "" : " | " + failure.fix);
    }
}

TEST(Plan, FilesAreCheckedAgainstTheCluster) {
    const std::string row = R"({"partitions":[{"topic":"orders","partition":0,"replicas":)";
    EXPECT_EQ(outcome(row + "[1,3]}]}"), "orders-0 wave 0;");
    EXPECT_EQ(outcome(row + "[1,2]}]}"), "");
    EXPECT_EQ(outcome("{}"), "");
    EXPECT_EQ(outcome(row + "[1]}]}"),
              "2 the plan takes copies away from orders-0 | add "
              "--allow-fewer-copies when you mean it");
    EXPECT_EQ(outcome(row + "[1]}]}", {false, true, 5}), "orders-0 wave 0;");
    EXPECT_EQ(outcome(row + "[1,4]}]}"),
              "5 the plan puts a copy of orders-0 on broker 4, which is "
              "not up | millrace cluster shows the brokers");
    EXPECT_EQ(outcome(R"({"partitions":[{"topic":"order","partition":0,"replicas":[1]}]})"),
              "5 the plan names topic 'order', which does not exist | did you mean 'orders'?");
    EXPECT_EQ(outcome(row + "[1,1]}]}").substr(0, 50),
              "2 p.json: Partition replica lists may not contain ");
    const std::string drift =
        row + R"([1,3]}],"moves":[{"topic":"orders","partition":0,"from":[2,1],"wave":4}]})";
    EXPECT_EQ(outcome(drift),
              "6 the cluster has changed since the plan was made: orders-0 | make "
              "a new plan; --force carries this one out all the same");
    EXPECT_EQ(outcome(drift, {true, false, 5}), "orders-0 wave 4;");
}

TEST(Plan, WhatDoesNotFitIsRefusedBeforeItBegins) {
    placement::Snapshot cluster;
    for (int32_t id = 1; id <= 3; ++id)
        cluster.brokers.emplace_back().id = id;
    cluster.brokers[2].log_dirs = {{"/a", 1'000, 900}, {"/b", 1'000, 950}};
    auto& topic = cluster.topics.emplace_back();
    topic.name = "t";
    for (int32_t i = 0; i < 2; ++i) {
        auto& partition = topic.partitions.emplace_back();
        partition.partition = i;
        partition.replicas = {1};
        partition.size_bytes = 100;
    }
    const std::vector<FileMove> one = {{{"t", 0}, {3}, {}, std::nullopt, std::nullopt}};
    std::vector<FileMove> both = one;
    both.push_back({{"t", 1}, {3}, {}, std::nullopt, std::nullopt});
    EXPECT_EQ(moves_to_do(one, cluster, {}).size(), 1U);
    EXPECT_EQ(moves_to_do(both, cluster, {true, false, 5}).size(), 2U);
    try {
        moves_to_do(both, cluster, {});
        FAIL() << "200 bytes do not fit into 150";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.exit_code, kConflict);
        EXPECT_EQ(failure.error, "the plan brings 200 B to broker 3, which has room for 150 B");
    }
    cluster.brokers[2].log_dirs[0].capacity_bytes.reset();  // nobody knows
    EXPECT_EQ(moves_to_do(both, cluster, {}).size(), 2U);
}

TEST(Plan, CopiesThatAreBeingAddedDoNotCount) {
    placement::Snapshot snapshot;
    auto& topic = snapshot.topics.emplace_back();
    topic.name = "t";
    for (const int32_t index : {0, 1}) {
        auto& partition = topic.partitions.emplace_back();
        partition.partition = index;
        partition.replicas = {3, 2, 1};
        partition.isr = {1, 2, 3};
    }
    leave_out_adding(snapshot, {{{"t", 1}, {{3, 2, 1}, {3}, {1}}}});
    EXPECT_EQ(topic.partitions[0].replicas, (std::vector<int32_t>{3, 2, 1}));
    EXPECT_EQ(topic.partitions[1].replicas, (std::vector<int32_t>{2, 1}));
    EXPECT_EQ(topic.partitions[1].isr, (std::vector<int32_t>{1, 2}));
}

TEST(Plan, BrokenFilesGetLineColumnAndCaret) {
    EXPECT_EQ(outcome("{\"version\":1,\n \"partitions\":[{\"topic\":\"t\",\n"
                      "          \"partition\":0 \"replicas\":[1,2]}]}"),
              "2 p.json line 3, column 25: Unexpected character ('\"' (code 34)): was expecting "
              "comma to separate Object entries\n"
              "                    \"partition\":0 \"replicas\":[1,2]}]}\n"
              "                                  ^");
}

}  // namespace
}  // namespace millrace::cli
