// tests/unit/cli/shim_test.cc: the scripts of Kafka that the binary plays, as far as no broker is asked.
#include "cli/shim.h"

#include <gtest/gtest.h>

#include "cli/shim_java.h"
#include "cli/shim_options.h"
#include "cli/shim_topic_filter.h"
#include "unit/cli/run_words.h"

namespace millrace::cli {
namespace {

TEST(Shim, IsChosenByTheProgramsName) {
    EXPECT_EQ(find_shim("/opt/bin/kafka-topics.sh"), &shim_topics);
    EXPECT_EQ(find_shim("kafka-consumer-groups"), &shim_consumer_groups);
    EXPECT_EQ(find_shim("millrace"), nullptr);
    EXPECT_EQ(run_words({"/x/kafka-topics.sh", "--version"}).out, "4.3.1\n");
    EXPECT_EQ(run_words({"millrace", "shim", "kafka-get-offsets.sh", "--version"}).out, "4.3.1\n");
    const Outcome wrong = run_words({"millrace", "shim", "kafka-topic.sh"});
    EXPECT_EQ(wrong.exit_code, kUsage);
    EXPECT_EQ(wrong.err,
              "error: no shim 'kafka-topic.sh'\n  fix: did you mean 'kafka-topics.sh'?\n");
}

struct RefusalCase {
    std::vector<std::string> words;
    const char* first_line;
};

TEST(Shim, RefusesWithKafkasFirstLine) {
    const RefusalCase cases[] = {
        {{"kafka-topics.sh"}, "Create, delete, describe, or change a topic."},
        {{"kafka-topics.sh", "--list"}, "--bootstrap-server must be specified"},
        {{"kafka-topics.sh", "--bootstrap-server", "x:1", "--create"},
         "Missing required argument \"[topic]\""},
        {{"kafka-topics.sh", "--lst"}, "lst is not a recognized option"},
        {{"kafka-topics.sh", "--topic"}, "Option topic requires an argument"},
        {{"kafka-topics.sh", "--bootstrap-server", "x:1", "--list", "--partitions", "3"},
         "Option \"[partitions]\" can't be used with option \"[list]\""},
        {{"kafka-topics.sh", "--list", "--describe"},
         "Command must include exactly one action: --list, --describe, --create, --alter or "
         "--delete"},
        {{"kafka-consumer-groups.sh", "--bootstrap-server", "x:1"},
         "Command must include exactly one action: --list, --describe, --delete, "
         "--reset-offsets, --delete-offsets, --validate-regex"},
        {{"kafka-consumer-groups.sh", "--list"},
         "Missing required argument \"[bootstrap-server]\""},
        {{"kafka-consumer-groups.sh", "--bootstrap-server", "x:1", "--list", "--verbose"},
         "Exception in thread \"main\" joptsimple.UnavailableOptionException: Option(s) [verbose] "
         "are unavailable given other options on the command line"},
        {{"kafka-consumer-groups.sh", "--bootstrap-server", "x:1", "--reset-offsets", "--group",
          "g", "--to-latest", "--to-earliest", "--all-topics", "--dry-run"},
         "Option \"[to-earliest]\" can't be used with option \"[to-latest]\""},
        {{"kafka-get-offsets.sh", "--bootstrap-server", "x"},
         "Please provide valid host:port like host1:9091,host2:9092"},
        {{"kafka-get-offsets.sh", "--bootstrap-server", "x:1", "--partitions", "a"},
         "Error occurred: --partitions expects a comma separated list of numeric partition ids, "
         "but received: a"},
        {{"kafka-console-consumer.sh", "--bootstrap-server", "x:1"},
         "Exactly one of the following arguments is required: [topic], [include]"},
        {{"kafka-console-consumer.sh", "--bootstrap-server", "x:1", "--topic", "t", "--offset",
          "1"},
         "The partition is required when offset is specified."},
        {{"kafka-console-producer.sh", "--bootstrap-server", "x:1"},
         "Missing required argument \"[topic]\""},
    };
    for (const RefusalCase& one : cases) {
        const Outcome outcome = run_words(one.words);
        EXPECT_EQ(outcome.exit_code, 1) << one.first_line;
        EXPECT_EQ(outcome.err.substr(0, outcome.err.find('\n')), one.first_line);
        EXPECT_EQ(outcome.out, "");
    }
}

TEST(ShimJava, HashesAndWalksAsJavaDoes) {
    EXPECT_EQ(java_hash(std::string_view("orders")), -1008770331);
    EXPECT_EQ(java_hash(std::string_view("")), 0);
    EXPECT_EQ(java_hash(std::string_view("\xC3\xA4")), 0xE4);
    EXPECT_EQ(java_hash(TopicPartition{"", 2}), 33 * 31);
    // Bucket by bucket of a table of 16.
    EXPECT_EQ(java_hash_order(std::vector<std::string>{"b", "q", "a"}),
              (std::vector<std::string>{"q", "a", "b"}));
}

TEST(ShimJava, NamesExceptions) {
    Failure refused{kFailed, "x", "", wire_error(ErrorCode::NonEmptyGroup), ""};
    EXPECT_EQ(java_text(refused),
              "org.apache.kafka.common.errors.GroupNotEmptyException: The group is not empty.");
    refused.kafka_message = "own words";
    EXPECT_EQ(java_text(refused),
              "org.apache.kafka.common.errors.GroupNotEmptyException: own words");
}

TEST(ShimTopicFilter, MatchesWholeNames) {
    EXPECT_TRUE(TopicFilter("a,b").matches("b"));
    EXPECT_FALSE(TopicFilter("a").matches("ab"));
    EXPECT_TRUE(TopicFilter("\"a.*\"").matches("ab"));
    EXPECT_THROW(TopicFilter("("), Failure);
}

}  // namespace
}  // namespace millrace::cli
