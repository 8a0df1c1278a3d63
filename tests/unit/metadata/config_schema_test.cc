// tests/unit/metadata/config_schema_test.cc: layers, checks and descriptions of configs.
#include "millrace/metadata/config_schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

namespace millrace::metadata {
namespace {

const ConfigMap kNone;

struct Layers {
    ConfigMap per_broker;
    ConfigMap cluster_default;
    ConfigMap static_file;
    BrokerConfigLayers view() const { return {&per_broker, &cluster_default, &static_file}; }
};

std::string inherited(const Layers& layers, const char* topic_key) {
    return inherited_value(layers.view(), *find_config_key(ConfigResource::Topic, topic_key))
        .value_or("null");
}

ConfigEntry entry_of(const std::vector<ConfigEntry>& entries, std::string_view name) {
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const ConfigEntry& e) { return e.name == name; });
    EXPECT_NE(found, entries.end()) << name;
    return found != entries.end() ? *found : ConfigEntry{};
}

std::string synonyms_text(const ConfigEntry& entry) {
    std::string text;
    for (const ConfigSynonym& s : entry.synonyms) {
        text += s.name + "=" + s.value.value_or("null") + "/" +
                std::to_string(static_cast<int>(s.source)) + " ";
    }
    return text;
}

TEST(ConfigLayers, RetentionFallsBackInKafkasOrder) {
    EXPECT_EQ(inherited({}, "retention.ms"), "604800000");
    EXPECT_EQ(inherited({{}, {}, {{"log.retention.hours", "1"}}}, "retention.ms"), "3600000");
    EXPECT_EQ(inherited({{}, {}, {{"log.retention.hours", "1"}, {"log.retention.minutes", "2"}}},
                        "retention.ms"),
              "120000");
    EXPECT_EQ(inherited({{}, {}, {{"log.retention.ms", "7"}, {"log.retention.minutes", "2"}}},
                        "retention.ms"),
              "7");
    EXPECT_EQ(inherited({{}, {}, {{"log.retention.hours", "-1"}}}, "retention.ms"), "-1");
    EXPECT_EQ(inherited({{}, {}, {{"log.roll.hours", "2"}}}, "segment.ms"), "7200000");
    EXPECT_EQ(inherited({{}, {}, {{"log.flush.scheduler.interval.ms", "9"}}}, "flush.ms"), "9");
    EXPECT_EQ(inherited({}, "internal.segment.bytes"), "null");
}

TEST(ConfigLayers, StrongerLayersWin) {
    const Layers layers{{{"log.segment.bytes", "3000000"}},
                        {{"log.segment.bytes", "2000000"}, {"message.max.bytes", "5"}},
                        {{"message.max.bytes", "4"}, {"min.insync.replicas", "2"}}};
    EXPECT_EQ(inherited(layers, "segment.bytes"), "3000000");
    EXPECT_EQ(inherited(layers, "max.message.bytes"), "5");
    EXPECT_EQ(inherited(layers, "min.insync.replicas"), "2");
}

TEST(ConfigLayers, ADynamicValueHidesTheFilesFallbacks) {
    const Layers layers{{}, {{"log.retention.ms", "5"}}, {{"log.retention.hours", "1"}}};
    EXPECT_EQ(inherited(layers, "retention.ms"), "5");
    EXPECT_EQ(effective_broker_value(layers.view(), "log.retention.hours"), "168");
    EXPECT_FALSE(merge_broker_layers(layers.view()).contains("log.retention.hours"));
}

TEST(ConfigLayers, UnusableDynamicValuesArePassedOver) {
    const Layers layers{{{"log.segment.bytes", "small"}},
                        {{"listeners", "PLAINTEXT://:1"}, {"node.id", "9"}},
                        {{"log.segment.bytes", "2000000"}, {"node.id", "1"}}};
    EXPECT_EQ(inherited(layers, "segment.bytes"), "2000000");
    EXPECT_EQ(effective_broker_value(layers.view(), "listeners"), "PLAINTEXT://:9092");
    EXPECT_EQ(effective_broker_value(layers.view(), "node.id"), "1");
}

struct CheckCase {
    ConfigMap own;
    const char* message;  // empty: accepted
};

TEST(ConfigCheckTopic, MessagesEqualKafkas) {
    const CheckCase cases[] = {
        {{}, ""},
        {{{"retention.ms", "5"}, {"cleanup.policy", "compact,delete"}}, ""},
        {{{"cleanup.policy", ""}}, ""},
        {{{"foo", "1"}}, "Unknown topic config name: foo"},
        {{{"retention.ms", "abc"}},
         "Invalid value abc for configuration retention.ms: Not a number of type LONG"},
        {{{"segment.bytes", "1"}},
         "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"},
        {{{"cleanup.policy", "foo"}},
         "Invalid value foo for configuration cleanup.policy: String must be one of: compact, "
         "delete"},
        {{{"min.compaction.lag.ms", "100"}, {"max.compaction.lag.ms", "50"}},
         "conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (50)"},
        {{{"remote.storage.enable", "true"}},
         "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with "
         "remote log storage."},
    };
    for (const CheckCase& c : cases) {
        const ConfigCheck check = check_topic_configs(c.own, {});
        EXPECT_EQ(check ? check->message : "", c.message);
        EXPECT_TRUE(!check || check->error_code == ErrorCode::InvalidConfig);
    }
}

TEST(ConfigCheckTopic, CrossChecksUseTheBrokersValues) {
    const Layers layers{{}, {}, {{"log.cleaner.max.compaction.lag.ms", "10"}}};
    EXPECT_TRUE(check_topic_configs({{"min.compaction.lag.ms", "11"}}, layers.view()).has_value());
    EXPECT_FALSE(check_topic_configs({{"min.compaction.lag.ms", "10"}}, layers.view()).has_value());
}

TEST(ConfigCheckGroup, MessagesEqualKafkas) {
    const CheckCase cases[] = {
        {{}, ""},
        {{{"consumer.session.timeout.ms", "50000"}}, ""},
        {{{"x", "1"}}, "Unknown group config name: x"},
        {{{"consumer.session.timeout.ms", "1"}},
         "consumer.session.timeout.ms must be greater than or equal to "
         "group.consumer.min.session.timeout.ms"},
        {{{"share.delivery.count.limit", "11"}},
         "share.delivery.count.limit must be less than or equal to "
         "group.share.max.delivery.count.limit"},
        {{{"streams.num.standby.replicas", "3"}},
         "streams.num.standby.replicas must be less than or equal to "
         "group.streams.max.standby.replicas"},
    };
    for (const CheckCase& c : cases) {
        const ConfigCheck check = check_group_configs(c.own, {});
        EXPECT_EQ(check ? check->message : "", c.message);
    }
    const Layers wide{{}, {}, {{"group.consumer.max.heartbeat.interval.ms", "60000"}}};
    const auto check =
        check_group_configs({{"consumer.heartbeat.interval.ms", "45000"}}, wide.view());
    EXPECT_EQ(check ? check->message : "",
              "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms");
}

TEST(ConfigCheckClientMetrics, MessagesEqualKafkas) {
    EXPECT_FALSE(check_client_metrics_configs(
                     {{"metrics", "*"}, {"match", "client_id=a.*,client_source_port=1"}})
                     .has_value());
    const auto unknown = check_client_metrics_configs({{"zz", "1"}});
    EXPECT_EQ(unknown->message, "Unknown client metrics configuration: zz");
    EXPECT_EQ(unknown->error_code, ErrorCode::InvalidRequest);
    const auto interval = check_client_metrics_configs({{"interval.ms", "50"}});
    EXPECT_EQ(interval->message,
              "Invalid value 50 for interval.ms, interval must be between 100 "
              "and 3600000 (1 hour)");
    EXPECT_EQ(interval->error_code, ErrorCode::InvalidRequest);
    const auto match = check_client_metrics_configs({{"match", "foo=bar"}});
    EXPECT_EQ(match->message, "Illegal client matching pattern: foo=bar");
    EXPECT_EQ(match->error_code, ErrorCode::InvalidConfig);
}

TEST(ConfigChange, AppendAndSubtractWorkOnListsOnly) {
    const auto change = [](AlterConfigOp op, const char* key, std::optional<std::string> stored,
                           const char* operand) {
        return change_list_value(ConfigResource::Topic, op, key, stored, operand);
    };
    EXPECT_EQ(change(AlterConfigOp::Append, "cleanup.policy", {}, "compact").value,
              "delete,compact");
    EXPECT_EQ(change(AlterConfigOp::Append, "cleanup.policy", "compact", "compact").value,
              "compact");
    EXPECT_EQ(change(AlterConfigOp::Subtract, "cleanup.policy", {}, "delete").value, "");
    EXPECT_EQ(change(AlterConfigOp::Append, "retention.ms", {}, "1").refusal->message,
              "Can't APPEND to key retention.ms because its type is not LIST.");
    EXPECT_EQ(change(AlterConfigOp::Subtract, "foo", {}, "1").refusal->message,
              "Can't SUBTRACT to key foo because its type is not LIST.");
}

TEST(ConfigDescribeTopic, ListsPublicKeysWithTheirOrigins) {
    const Layers layers{{}, {{"log.segment.bytes", "2000000"}}, {{"log.segment.bytes", "3000000"}}};
    const ConfigMap own{{"segment.bytes", "1048576"}, {"preallocate", "TRUE"}};
    const auto entries = describe_topic(own, layers.view(), {});
    EXPECT_EQ(entries.size(), 33U);
    const ConfigEntry bytes = entry_of(entries, "segment.bytes");
    EXPECT_EQ(bytes.value, "1048576");
    EXPECT_EQ(bytes.source, ConfigSource::Topic);
    EXPECT_EQ(synonyms_text(bytes),
              "segment.bytes=1048576/1 log.segment.bytes=2000000/3 "
              "log.segment.bytes=3000000/4 log.segment.bytes=1073741824/5 ");
    EXPECT_FALSE(bytes.read_only);
    EXPECT_EQ(bytes.type, ConfigType::Int);
    EXPECT_EQ(entry_of(entries, "preallocate").value, "true");
    EXPECT_EQ(entry_of(entries, "min.cleanable.dirty.ratio").value, "0.5");
    EXPECT_EQ(entry_of(entries, "retention.ms").source, ConfigSource::Default);
}

TEST(ConfigDescribeTopic, AFallbackKeyAloneDoesNotShowAsSynonym) {
    const Layers layers{{}, {}, {{"log.retention.hours", "1"}}};
    const std::vector<std::string> keys{"retention.ms", "nonsense"};
    const auto entries = describe_topic({}, layers.view(), keys);
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].value, "3600000");
    EXPECT_EQ(entries[0].source, ConfigSource::Default);
    EXPECT_EQ(synonyms_text(entries[0]), "");
    // CreateTopics answers from another function of Kafka's, which does name the static file.
    const ConfigEntry created = entry_of(created_topic_entries({}, layers.view()), "retention.ms");
    EXPECT_EQ(created.value, "3600000");
    EXPECT_EQ(created.source, ConfigSource::StaticBroker);
}

TEST(ConfigDescribeBroker, ListsPublicKeysInternalOnesThatAreSetAndUnknownOnes) {
    const Layers layers{{{"log.cleaner.threads", "2"}},
                        {{"min.insync.replicas", "1"}},
                        {{"node.id", "1"},
                         {"ssl.key.password", "secret"},
                         {"custom.key", "x"},
                         {"log.initial.task.delay.ms", "5"}}};
    const auto entries = describe_broker(layers.view(), {});
    EXPECT_EQ(entries.size(), 340U + 2U);
    const ConfigEntry id = entry_of(entries, "broker.id");
    EXPECT_EQ(id.value, "1");
    EXPECT_EQ(synonyms_text(id), "broker.id=1/4 broker.id=-1/5 ");
    EXPECT_TRUE(id.read_only);
    const ConfigEntry secret = entry_of(entries, "ssl.key.password");
    EXPECT_FALSE(secret.value.has_value());
    EXPECT_TRUE(secret.sensitive);
    EXPECT_EQ(secret.source, ConfigSource::StaticBroker);
    const ConfigEntry custom = entry_of(entries, "custom.key");
    EXPECT_FALSE(custom.value.has_value());
    EXPECT_TRUE(custom.sensitive && custom.read_only);
    EXPECT_EQ(custom.type, ConfigType::Unknown);
    const ConfigEntry threads = entry_of(entries, "log.cleaner.threads");
    EXPECT_EQ(threads.value, "2");
    EXPECT_FALSE(threads.read_only);
    EXPECT_EQ(synonyms_text(threads), "log.cleaner.threads=2/2 log.cleaner.threads=1/5 ");
    EXPECT_EQ(entry_of(entries, "min.insync.replicas").source, ConfigSource::DynamicDefaultBroker);
}

/// The golden file is what a live Kafka 4.3.1 answered for this node, all 340 keys.
TEST(ConfigDescribeBroker, EveryEntryEqualsKafkas) {
    const Layers layers{{{"log.cleaner.threads", "2"}},
                        {{"log.retention.ms", "5000000"}, {"min.insync.replicas", "1"}},
                        {{"process.roles", "broker,controller"},
                         {"node.id", "1"},
                         {"controller.listener.names", "CONTROLLER"},
                         {"controller.quorum.bootstrap.servers", "127.0.0.1:29093"},
                         {"listeners", "PLAINTEXT://127.0.0.1:29092,CONTROLLER://127.0.0.1:29093"},
                         {"log.dirs", "/var/kafka"},
                         {"offsets.topic.replication.factor", "1"}}};
    const std::map<ConfigSource, std::string> sources = {
        {ConfigSource::DynamicBroker, "broker"},
        {ConfigSource::DynamicDefaultBroker, "cluster"},
        {ConfigSource::StaticBroker, "file"},
        {ConfigSource::Default, "default"}};
    std::vector<std::string> ours;
    for (const ConfigEntry& e : describe_broker(layers.view(), {})) {
        ours.push_back(e.name + "\t" + e.value.value_or("NULL") + "\t" + sources.at(e.source) +
                       "\t" + (e.read_only ? "1" : "0") + "\t" + (e.sensitive ? "1" : "0"));
    }
    std::sort(ours.begin(), ours.end());
    std::ifstream file(std::string(MILLRACE_SOURCE_DIR) +
                       "/tests/golden/config/describe_broker.tsv");
    std::vector<std::string> kafkas;
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("# ")) kafkas.push_back(line);
    }
    std::sort(kafkas.begin(), kafkas.end());
    EXPECT_EQ(ours, kafkas);
}

TEST(ConfigDescribeBroker, ClusterDefaultShowsOnlyWhatItSets) {
    const auto entries = describe_cluster_default({{"min.insync.replicas", "1"}}, {});
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(synonyms_text(entries[0]), "min.insync.replicas=1/3 ");
    EXPECT_EQ(entries[0].source, ConfigSource::DynamicDefaultBroker);
}

TEST(ConfigDescribeGroup, InheritsFromTheBroker) {
    const Layers layers{{}, {}, {{"group.consumer.session.timeout.ms", "46000"}}};
    const auto entries =
        describe_group({{"consumer.heartbeat.interval.ms", "6000"}}, layers.view(), {});
    EXPECT_EQ(entries.size(), 17U);
    EXPECT_EQ(entry_of(entries, "consumer.session.timeout.ms").value, "46000");
    EXPECT_EQ(entry_of(entries, "consumer.heartbeat.interval.ms").source, ConfigSource::Group);
    EXPECT_EQ(synonyms_text(entry_of(entries, "share.auto.offset.reset")),
              "share.auto.offset.reset=latest/5 ");
}

}  // namespace
}  // namespace millrace::metadata
