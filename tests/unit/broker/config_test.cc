// tests/unit/broker/config_test.cc: the node's config against Kafka's own answers.
#include "millrace/broker/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

namespace millrace::broker {
namespace {

using metadata::ConfigMap;

ConfigMap combined_node() {
    return {{"process.roles", "broker,controller"},
            {"node.id", "1"},
            {"controller.listener.names", "CONTROLLER"},
            {"listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"},
            {"controller.quorum.voters", "1@localhost:9093"}};
}

ConfigMap combined_node(const ConfigMap& more) {
    ConfigMap map = combined_node();
    for (const auto& [key, value] : more)
        map[key] = value;
    return map;
}

/// Blocks of "key=value" (or "-key"), each closed by "=> answer", made by Kafka's KafkaConfig.
TEST(BrokerConfigStart, AnswersEqualKafkas) {
    std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/config/startup.txt");
    std::string line;
    std::string title;
    ConfigMap map = combined_node();
    size_t count = 0;
    while (std::getline(file, line)) {
        if (line.starts_with("# ")) {
            title = line;
        } else if (line.starts_with("=> ")) {
            const auto config = make_broker_config(map);
            EXPECT_EQ(config.ok() ? "ok" : config.status().message(), line.substr(3)) << title;
            map = combined_node();
            ++count;
        } else if (line.starts_with("-")) {
            map.erase(line.substr(1));
        } else if (const size_t equals = line.find('='); equals != std::string::npos) {
            map[line.substr(0, equals)] = line.substr(equals + 1);
        }
    }
    EXPECT_GT(count, 80U);
}

TEST(BrokerConfigStart, FieldsComeFromTheFile) {
    const auto made = make_broker_config(
        combined_node({{"log.dirs", "/a, /b"},
                       {"broker.rack", "FD0UD1"},
                       {"advertised.listeners", "PLAINTEXT://host.example:19092"},
                       {"num.partitions", "7"},
                       {"compressed.batch.validation", "header"}}));
    ASSERT_TRUE(made.ok()) << made.status().message();
    const BrokerConfig& c = *made;
    EXPECT_EQ(c.node_id, NodeId(1));
    EXPECT_TRUE(c.combined());
    EXPECT_EQ(c.log_dirs, (std::vector<std::string>{"/a", "/b"}));
    EXPECT_EQ(c.metadata_log_dir, "/a");
    EXPECT_EQ(c.broker_rack, "FD0UD1");
    EXPECT_EQ(c.num_partitions, 7);
    EXPECT_TRUE(c.compressed_batch_validation_header_only);
    ASSERT_EQ(c.listeners.size(), 2U);
    EXPECT_EQ(c.listeners[0].to_string(), "PLAINTEXT://:9092");
    ASSERT_EQ(c.advertised_listeners.size(), 1U);
    EXPECT_EQ(c.advertised_listeners[0].to_string(), "PLAINTEXT://host.example:19092");
    ASSERT_EQ(c.controller_listeners.size(), 1U);
    EXPECT_EQ(c.controller_listeners[0].port, 9093);
    ASSERT_EQ(c.advertised_controller_listeners.size(), 1U);
    EXPECT_EQ(c.advertised_controller_listeners[0].to_string(), "CONTROLLER://localhost:9093");
    EXPECT_EQ(c.inter_broker_listener_name, "PLAINTEXT");
    ASSERT_EQ(c.quorum_voters.size(), 1U);
    EXPECT_EQ(c.quorum_voters[0].id, NodeId(1));
    EXPECT_EQ(c.quorum_voters[0].host, "localhost");
    EXPECT_EQ(c.number("offsets.topic.num.partitions"), 50);
    EXPECT_EQ(c.text("compression.type"), "producer");
}

TEST(BrokerConfigStart, DomainsMakeTheRack) {
    const std::tuple<ConfigMap, std::string> cases[] = {
        {{{"broker.fault.domain", "2"}, {"broker.update.domain", "0"}}, "FD2UD0"},
        {{{"broker.fault.domain", "a"}, {"broker.update.domain", "0"}, {"broker.rack", "x"}},
         "/a/0"},
        {{{"broker.rack", "x"}}, "x"},
    };
    for (const auto& [more, rack] : cases)
        EXPECT_EQ(make_broker_config(combined_node(more))->broker_rack, rack);
    const ConfigMap faults[] = {
        {{"broker.fault.domain", "2"}},
        {{"broker.fault.domain", "2"}, {"broker.update.domain", "a/b"}},
        {{"broker.fault.domain", ""}, {"broker.update.domain", "1"}},
    };
    for (const ConfigMap& fault : faults)
        EXPECT_FALSE(make_broker_config(combined_node(fault)).ok());
}

TEST(BrokerConfigStart, WhatIsNotServedIsRefusedAndNotIgnored) {
    const std::pair<ConfigMap, const char*> cases[] = {
        {{{"authorizer.class.name", "org.example.A"}}, "'authorizer.class.name' cannot be"},
        {{{"remote.log.storage.system.enable", "true"}},
         "'remote.log.storage.system.enable' cannot be true here."},
        {{{"zookeeper.connect", "h:2181"}}, "'zookeeper.connect' is set"},
        {{{"listeners", "SSL://:9092,CONTROLLER://:9093"},
          {"listener.security.protocol.map", "SSL:SSL,CONTROLLER:PLAINTEXT"},
          {"security.inter.broker.protocol", "SSL"}},
         "Listener SSL uses SSL, which is not served yet"},
        {{{"listeners", "PLAINTEXT://:70000,CONTROLLER://:9093"}}, "Error creating broker"},
    };
    for (const auto& [more, start] : cases) {
        const auto made = make_broker_config(combined_node(more));
        ASSERT_FALSE(made.ok()) << start;
        EXPECT_TRUE(made.status().message().starts_with(start)) << made.status().message();
    }
    // Their defaults are fine.
    EXPECT_TRUE(make_broker_config(combined_node({{"authorizer.class.name", ""},
                                                  {"remote.log.storage.system.enable", "FALSE"}}))
                    .ok());
}

TEST(BrokerConfigStart, WarnsOfKeysUnknownAndWithoutEffect) {
    std::vector<ConfigWarning> warnings;
    ASSERT_TRUE(make_broker_config(combined_node({{"log.retention.hour", "1"},
                                                  {"num.io.threads", "16"},
                                                  {"num.network.threads", "3"}}),
                                   &warnings)
                    .ok());
    ASSERT_EQ(warnings.size(), 2U);
    EXPECT_EQ(warnings[0].key, "log.retention.hour");
    EXPECT_NE(warnings[0].text.find("did you mean 'log.retention.hours'?"), std::string::npos);
    EXPECT_EQ(warnings[1].key, "num.io.threads");
}

TEST(BrokerConfigStart, AllFaultsAreListedForConfigCheck) {
    EXPECT_EQ(
        all_config_faults(combined_node({{"num.io.threads", "x"}, {"log.roll.ms", "y"}})).size(),
        2U);
    EXPECT_EQ(
        all_config_faults(combined_node({{"log.roll.ms", "0"}, {"log.retention.ms", "0"}})).size(),
        2U);
    EXPECT_TRUE(all_config_faults(combined_node()).empty());
}

TEST(TopicConfig, DefaultsEqualKafkasAndOverridesWin) {
    const TopicConfig defaults = make_topic_config({}, {});
    const TopicConfig plain;
    EXPECT_EQ(defaults.retention_ms, plain.retention_ms);
    EXPECT_EQ(defaults.segment_bytes, plain.segment_bytes);
    EXPECT_EQ(defaults.max_message_bytes, plain.max_message_bytes);
    EXPECT_EQ(defaults.cleanup_delete, plain.cleanup_delete);
    EXPECT_EQ(defaults.flush_ms, plain.flush_ms);
    EXPECT_EQ(defaults.min_cleanable_dirty_ratio, plain.min_cleanable_dirty_ratio);

    const ConfigMap file{{"log.retention.hours", "1"}, {"compression.type", "zstd"}};
    const metadata::BrokerConfigLayers layers{nullptr, nullptr, &file};
    const TopicConfig c = make_topic_config({{"cleanup.policy", "compact"},
                                             {"internal.segment.bytes", "1000"},
                                             {"message.timestamp.type", "LogAppendTime"}},
                                            layers);
    EXPECT_TRUE(c.cleanup_compact);
    EXPECT_FALSE(c.cleanup_delete);
    EXPECT_EQ(c.segment_bytes, 1000);
    EXPECT_EQ(c.retention_ms, 3'600'000);
    EXPECT_EQ(c.compression_type, "zstd");
    EXPECT_TRUE(c.message_timestamp_log_append_time);
}

TEST(TopicConfig, AStoredValueThatDoesNotParseFallsBack) {
    EXPECT_EQ(make_topic_config({{"segment.bytes", "many"}}, {}).segment_bytes, 1'073'741'824);
}

TEST(DynamicSettings, FollowTheLayers) {
    const ConfigMap own{{"log.cleaner.threads", "2"}};
    const ConfigMap cluster{{"log.cleaner.threads", "3"}, {"max.connections", "9"}};
    const ConfigMap file{{"max.connections.per.ip.overrides", "127.0.0.1:5, h:6"}};
    const DynamicSettings s = make_dynamic_settings({&own, &cluster, &file});
    EXPECT_EQ(s.log_cleaner_threads, 2);
    EXPECT_EQ(s.max_connections, 9);
    ASSERT_EQ(s.max_connections_per_ip_overrides.size(), 2U);
    EXPECT_EQ(s.max_connections_per_ip_overrides[1], (std::pair<std::string, int32_t>("h", 6)));
    EXPECT_EQ(s.producer_id_expiration_ms, 86'400'000);
}

struct ChangeCase {
    ConfigMap proposed;
    bool cluster_level;
    const char* message;  // empty: accepted
};

TEST(BrokerChange, MessagesEqualKafkas) {
    const ConfigMap file = combined_node();
    const metadata::BrokerConfigLayers layers{nullptr, nullptr, &file};
    const ChangeCase cases[] = {
        {{{"log.cleaner.threads", "2"}}, true, ""},
        {{{"log.retention.ms", "5"}}, false, ""},
        {{{"custom.key", "5"}}, true, ""},
        {{{"log.dirs", "/x"}}, false, "Cannot update these configs dynamically: [log.dirs]"},
        {{{"cordoned.log.dirs", "*"}}, false, ""},
        {{{"principal.builder.class", "a.B"}},
         true,
         "Cannot update these configs at default cluster level, broker id must be specified: "
         "[principal.builder.class]"},
        {{{"listener.name.x.ssl.key.password", "p"}},
         true,
         "Cannot update these configs at default cluster level, broker id must be specified: "
         "[listener.name.x.ssl.key.password]"},
        {{{"ssl.keystore.type", "PEM"}},
         false,
         "These security configs can be dynamically updated only per-listener using the listener "
         "prefix: [ssl.keystore.type]"},
        {{{"num.io.threads", "abc"}},
         false,
         "Invalid value abc for configuration num.io.threads: Not a number of type INT"},
        {{{"num.io.threads", "100"}},
         false,
         "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count "
         "update validation failed for num.io.threads=100, value should not be greater than double "
         "the current value 8 for configuration Invalid dynamic configuration"},
        {{{"log.cleaner.threads", "3"}},
         true,
         "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot "
         "be increased to more than double the current value 1 for configuration Invalid dynamic "
         "configuration"},
        {{{"log.retention.ms", "0"}},
         false,
         "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to "
         "1"},
        {{{"listeners", "PLAINTEXT://:1,CONTROLLER://:9093"}},
         false,
         "listeners can be changed only in the node's file, with a restart"},
    };
    for (const ChangeCase& c : cases) {
        const auto check = check_broker_change(c.proposed, c.cluster_level, layers);
        EXPECT_EQ(check ? check->message : "", c.message);
        EXPECT_TRUE(!check || check->error_code == ErrorCode::InvalidRequest);
    }
}

TEST(Listeners, ParseAndPrint) {
    const auto parsed = parse_listeners("a://[::1]:1, B://h:2,C://:0", "listeners");
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    ASSERT_EQ(parsed->size(), 3U);
    EXPECT_EQ((*parsed)[0].to_string(), "A://[::1]:1");
    EXPECT_EQ((*parsed)[0].host, "::1");
    EXPECT_EQ((*parsed)[2].host, "");
}

}  // namespace
}  // namespace millrace::broker
