// tests/unit/cli/cluster_test.cc: what the commands about brokers and racks work out without a
// cluster.
#include <gtest/gtest.h>

#include "cli/cluster_state.h"
#include "cli/dead_hosts.h"
#include "cli/rack_file.h"
#include "cli/topic_placement.h"
#include "unit/cli/run_words.h"

namespace millrace::cli {
namespace {

/// Brokers 1, 2, ... in these racks; partitions of topic t with these replicas, all in sync.
ClusterState cluster(const std::vector<std::string>& racks,
                     const std::vector<std::vector<int32_t>>& partitions) {
    ClusterState state;
    for (size_t i = 0; i < racks.size(); ++i) {
        ClusterBroker& broker = state.brokers.emplace_back();
        broker.id = static_cast<int32_t>(i) + 1;
        broker.rack = racks[i];
        broker.dirs.push_back({"/d", false, false, 0});
        placement::Broker& planned = state.snapshot.brokers.emplace_back();
        planned.id = broker.id;
        planned.labels = placement::labels_of_rack(broker.rack);
    }
    state.snapshot.axes = placement::axes_of_labels(state.snapshot.brokers);
    placement::Topic& topic = state.snapshot.topics.emplace_back();
    topic.name = "t";
    for (const auto& replicas : partitions) {
        placement::Partition& partition = topic.partitions.emplace_back();
        partition.partition = static_cast<int32_t>(topic.partitions.size()) - 1;
        partition.replicas = replicas;
        partition.isr = replicas;
        partition.leader = replicas.front();
        for (const int32_t id : replicas)
            ++state.brokers[static_cast<size_t>(id) - 1].replicas;
        ++state.brokers[static_cast<size_t>(replicas.front()) - 1].leaders;
    }
    return state;
}

const std::vector<std::string> kThree = {"FD0UD0", "FD1UD1", "FD2UD2", "FD0UD1"};

TEST(CliCluster, CountsWhatIsShort) {
    ClusterState state = cluster(kThree, {{1, 2, 3}, {2, 3}, {3, 1}});
    state.min_isr["t"] = 2;
    state.snapshot.topics[0].partitions[1].isr = {2};
    state.snapshot.topics[0].partitions[2].isr = {};
    state.snapshot.topics[0].partitions[2].leader = -1;
    const Shortage shortage = shortage_of(state);
    EXPECT_EQ(shortage.partitions, 3);
    EXPECT_EQ(shortage.replicas, 7);
    EXPECT_EQ(shortage.under_replicated, 2);
    EXPECT_EQ(shortage.offline, 1);
    EXPECT_EQ(shortage.under_min_isr, 1);
}

TEST(CliCluster, SaysWhatALossWouldTake) {
    ClusterState state = cluster(kThree, {{1, 2, 3}, {1, 4}, {2, 3}});
    std::vector<Domain> domains = domains_of(state);
    ASSERT_EQ(domains.size(), 6u);
    EXPECT_EQ(domains[0].name, "FD0");
    EXPECT_EQ(domains[0].brokers, (std::vector<int32_t>{1, 4}));
    EXPECT_EQ(domains[0].replicas, 3);
    EXPECT_EQ(domains[0].leaders, 2);
    EXPECT_EQ(what_if_text(domains, "fd"),
              "losing FD0 now takes 1 partition offline (t-1); losing FD1 or FD2 takes none");
    EXPECT_EQ(what_if_text(domains, "ud"),
              "losing any one update domain takes no partition offline");
    state.min_isr["t"] = 2;
    domains = domains_of(state);
    EXPECT_EQ(what_if_text(domains, "fd"),
              "losing FD0 now takes 1 partition offline (t-1); losing FD1 now takes 1 partition "
              "below min.insync.replicas (t-2); losing FD2 now takes 1 partition below "
              "min.insync.replicas (t-2)");
}

TEST(CliCluster, FindsWhatIsNotRackSafe) {
    EXPECT_EQ(spread_of(cluster(kThree, {{1, 2, 3}})).violations, 0);
    const Spread spread = spread_of(cluster(kThree, {{1, 2, 3}, {1, 4, 2}}));
    EXPECT_EQ(spread.violations, 1);
    EXPECT_EQ(spread.topics, std::vector<std::string>{"t"});
    EXPECT_NE(spread_of(cluster({"FD0UD0", ""}, {{1, 2}})).refused, "");
    EXPECT_EQ(spread_of(cluster({"", ""}, {})).violations, 0);
}

TEST(CliCluster, DrawsTheGrid) {
    ClusterState state = cluster(kThree, {{1, 2, 3}});
    state.quorum_leader = 1;
    state.brokers[0].disk_total = 100;
    state.brokers[0].disk_used = 61;
    state.brokers[1].fenced = true;
    state.brokers[1].answers = false;
    state.brokers[2].dirs[0].cordoned = true;
    EXPECT_EQ(grid_text(state, false),
              "        UD0               UD1               UD2\n"
              "      +-----------------+-----------------+-----------------+\n"
              "      | * 1  L leader   | * 4             |                 |\n"
              " FD0  | L  1 R  1   61% | L  0 R  0    ?  |       -         |\n"
              "      | ######....      |                 |                 |\n"
              "      +-----------------+-----------------+-----------------+\n"
              "      |                 | x 2  DOWN       |                 |\n"
              " FD1  |       -         | L  0 R  1    ?  |       -         |\n"
              "      |                 |                 |                 |\n"
              "      +-----------------+-----------------+-----------------+\n"
              "      |                 |                 | ! 3  CORDONED   |\n"
              " FD2  |       -         |       -         | L  0 R  1    ?  |\n"
              "      |                 |                 |                 |\n"
              "      +-----------------+-----------------+-----------------+\n"
              "      L leaders  R replicas  % disk     * up   ! warning   x down   - no broker "
              "here\n");
    EXPECT_EQ(grid_text(cluster({"r1", "r2"}, {}), true), "") << "one axis makes no grid";
    EXPECT_EQ(grid_text(cluster({"FD0UD0", ""}, {}), true), "");
}

TEST(CliCluster, PreviewsPlacement) {
    const ClusterState state = cluster({"FD0UD0", "FD1UD1", "FD2UD2"}, {{1, 2, 3}});
    PlacementPreview preview(state);
    ASSERT_TRUE(preview.known());
    const auto placed = preview.place("new", 0, 3, 3);
    std::map<int32_t, int> leaders;
    for (const auto& replicas : placed)
        ++leaders[replicas.front()];
    EXPECT_EQ(leaders, (std::map<int32_t, int>{{1, 1}, {2, 1}, {3, 1}}));
    EXPECT_EQ(preview.json(placed, 5)[0]["partition"], 5);
    EXPECT_EQ(PlacementPreview(state).place("new", 0, 3, 3), placed) << "the same every time";
    const ClusterState plain = cluster({"a", "b"}, {});
    EXPECT_FALSE(PlacementPreview(plain).known());
}

TEST(CliRacks, EditOneLine) {
    const std::tuple<const char*, bool, const char*> cases[] = {
        {"a=1\nbroker.rack=x\nb=2\n", false, "a=1\nbroker.rack=FD0UD1\nb=2\n"},
        {"# broker.rack=x\na=1", false, "# broker.rack=x\na=1\nbroker.rack=FD0UD1\n"},
        {"broker.rack: x  # c\nnode.id: 1\n", true, "broker.rack: FD0UD1\nnode.id: 1\n"},
        {"", true, "broker.rack: FD0UD1\n"},
        {"  broker.rack = x\n", false, "broker.rack=FD0UD1\n"},
        {"node:\n  id: 1\nbroker:\n  # here\n  rack: x\n  id: 1\nlog.dirs: /d\n", true,
         "node:\n  id: 1\nbroker:\n  # here\n  rack: FD0UD1\n  id: 1\nlog.dirs: /d\n"},
        {"broker:  # c\n    'rack': \"x\"\n", true, "broker:  # c\n    'rack': FD0UD1\n"},
        {"other:\n  rack: x\n", true, "other:\n  rack: x\nbroker.rack: FD0UD1\n"},
        {"broker:\n  id: 1\nrack: x\n", true, "broker:\n  id: 1\nrack: x\nbroker.rack: FD0UD1\n"},
        {"listeners: PLAINTEXT://:9092\n\"broker.rack\": x\n", true,
         "listeners: PLAINTEXT://:9092\n\"broker.rack\": FD0UD1\n"},
    };
    for (const auto& [before, yaml, after] : cases)
        EXPECT_EQ(with_rack(before, yaml, "FD0UD1"), after);
}

TEST(CliRacks, ReadHdinsightsTopology) {
    const std::string text =
        R"({"hostGroups":{"gateway":[],"workernode":[)"
        R"({"vmId":0,"fqdn":"wn0-k.example.com","faultDomain":2,"updateDomain":0},)"
        R"({"vmId":1,"fqdn":"wn1-k.example.com","faultDomain":1,"updateDomain":12}]}})";
    const auto hosts = parse_topology(text, "f");
    ASSERT_EQ(hosts.size(), 2u);
    EXPECT_EQ(hosts[0].host, "wn0-k.example.com");
    EXPECT_EQ(hosts[0].rack, "FD2UD0");
    EXPECT_EQ(hosts[1].rack, "FD1UD12");
    for (const char* bad :
         {"", "{}", "[]", R"({"hostGroups":{"workernode":[{}]}})", R"({"hostGroups":{"workernode":3}})",
          R"({"hostGroups":{"workernode":[{"fqdn":"a","faultDomain":-1,"updateDomain":0}]}})"})
        EXPECT_THROW(parse_topology(bad, "f"), Failure) << bad;
    EXPECT_TRUE(same_host("wn0-k.example.com", "wn0-k"));
    EXPECT_FALSE(same_host("wn0-k.example.com", "wn0-k.example.org"));
    EXPECT_FALSE(same_host("wn0", "wn01"));
}

TEST(CliRacks, DeadHostsAsPeopleWriteThem) {
    const std::vector<ClusterNode> nodes = {{1, {}, false, "wn0-k.example.com", 9092},
                                            {2, {}, true, "wn1-k.example.com", 9092},
                                            {3, {}, false, "wn1-k.example.com", 9093},
                                            {4, {}, false, "127.0.0.4", 9092},
                                            {5, {}, false, "db.a.example", 9092},
                                            {6, {}, false, "db.b.example", 9092}};
    const std::pair<const char*, std::vector<int32_t>> cases[] = {
        {"wn0-k.example.com", {1}}, {"WN0-K", {1}},    {"wn1-k", {2, 3}},
        {"wn1-k:9093", {3}},        {"3", {3}},        {"127.0.0.4", {4}},
        {"127.0.0.4:9092", {4}},    {"db.b.example", {6}},
    };
    for (const auto& [word, ids] : cases)
        EXPECT_EQ(brokers_named(word, nodes), ids) << word;
    for (const char* wrong : {"wn2-k", "7", "wn1-k:9094", "127.0.0.5", "db", "127", ""})
        EXPECT_THROW(brokers_named(wrong, nodes), Failure) << wrong;
}

TEST(CliOperate, FailuresSayWhatAndHow) {
    const std::tuple<std::vector<std::string>, int, const char*> cases[] = {
        {{"leader", "elect", "--partition", "1"},
         kUsage,
         "error: --partition needs a topic\n  fix: add --topic NAME\n"},
        {{"quorum", "add-voter", "2", "--endpoint", "h:1"},
         kUsage,
         "error: 'h:1' is no endpoint\n  fix: write --endpoint CONTROLLER://host:9093\n"},
        {{"broker", "drian", "1"},
         kUsage,
         "error: no command 'drian'\n  fix: did you mean 'drain'?   millrace broker drain 1\n"},
    };
    for (const auto& [words, code, text] : cases) {
        std::vector<std::string> all = words;
        all.insert(all.begin(), "millrace");
        const Outcome outcome = run_words(all);
        EXPECT_EQ(outcome.exit_code, code) << text;
        EXPECT_EQ(outcome.err, text);
    }
    // Nothing listens on port 1 of this machine.
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"cluster"}, {"doctor"}, {"health"}, {"broker", "list"}, {"broker", "drain", "1"},
             {"rack", "list"}, {"leader", "elect"}, {"quorum", "status"}}) {
        std::vector<std::string> all = words;
        all.insert(all.begin(), "millrace");
        all.insert(all.end(), {"-b", "127.0.0.1:1", "-o", "json"});
        const Outcome outcome = run_words(all);
        EXPECT_EQ(outcome.exit_code, kNoConnection) << words.front();
        EXPECT_EQ(nlohmann::json::parse(outcome.err)["exitCode"], kNoConnection) << words.front();
        EXPECT_EQ(outcome.out, "");
    }
}

}  // namespace
}  // namespace millrace::cli
