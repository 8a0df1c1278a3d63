// tests/unit/metadata/config_table_test.cc: the table against lists made from Kafka's jars.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "millrace/metadata/config_def.h"

namespace millrace::metadata {
namespace {

/// Rows of a CSV file with its double quotes resolved; the heading is dropped.
std::vector<std::vector<std::string>> read_csv(const std::string& name) {
    std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/config/" + name);
    EXPECT_TRUE(file.good()) << name;
    std::vector<std::vector<std::string>> rows;
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        std::vector<std::string> cells(1);
        bool quoted = false;
        for (char c : line) {
            if (c == '"')
                quoted = !quoted;
            else if (c == ',' && !quoted)
                cells.emplace_back();
            else if (c != '\r')
                cells.back() += c;
        }
        rows.push_back(cells);
    }
    return rows;
}

std::string default_as_listed(const ConfigKey& key) {
    if (key.required) return "(required)";
    if (key.default_text == nullptr) return "null";
    return *key.default_text == '\0' ? "(empty)" : key.default_text;
}

const char* mode_as_listed(DynamicMode mode) {
    switch (mode) {
        case DynamicMode::ReadOnly: return "read-only";
        case DynamicMode::PerBroker: return "per-broker";
        case DynamicMode::ClusterWide: return "cluster-wide";
    }
    return "";
}

const char* importance_as_listed(Importance importance) {
    switch (importance) {
        case Importance::High: return "HIGH";
        case Importance::Medium: return "MEDIUM";
        case Importance::Low: return "LOW";
    }
    return "";
}

void expect_row(const ConfigKey& key, const std::vector<std::string>& row) {
    EXPECT_STREQ(config_type_name(key.type), row[1].c_str()) << key.name;
    EXPECT_EQ(default_as_listed(key), row[2]) << key.name;
    EXPECT_EQ(valid_values_text(key), row[3]) << key.name;
    EXPECT_EQ(importance_as_listed(key.importance), row[4]) << key.name;
}

TEST(ConfigTable, BrokerKeysEqualKafkas) {
    std::set<std::string> listed;
    for (const auto& row : read_csv("broker-configs.csv")) {
        const ConfigKey* key = find_config_key(ConfigResource::Broker, row[0]);
        ASSERT_NE(key, nullptr) << row[0];
        expect_row(*key, row);
        EXPECT_EQ(mode_as_listed(key->mode), row[5]) << row[0];
        EXPECT_EQ(key->internal ? "yes" : "no", row[6]) << row[0];
        listed.insert(row[0]);
    }
    EXPECT_EQ(listed.size(), 363U);
    for (const ConfigKey* key : config_keys(ConfigResource::Broker)) {
        const bool ours = std::string_view(key->doc).starts_with("Ours, not Kafka's.");
        EXPECT_TRUE(ours || listed.contains(key->name)) << key->name << " is not Kafka's";
    }
}

TEST(ConfigTable, TopicKeysEqualKafkas) {
    const auto rows = read_csv("topic-configs.csv");
    EXPECT_EQ(rows.size(), config_keys(ConfigResource::Topic).size());
    for (const auto& row : rows) {
        const ConfigKey* key = find_config_key(ConfigResource::Topic, row[0]);
        ASSERT_NE(key, nullptr) << row[0];
        expect_row(*key, row);
        EXPECT_EQ(key->broker_synonyms, row[5]) << row[0];
        EXPECT_EQ(key->internal ? "yes" : "no", row[6]) << row[0];
    }
}

TEST(ConfigTable, GroupAndClientMetricsKeysEqualKafkas) {
    size_t groups = 0;
    for (auto row : read_csv("group-configs.csv")) {
        const bool group = row[0] == "GROUP";
        groups += group ? 1 : 0;
        row.erase(row.begin());
        const ConfigKey* key =
            find_config_key(group ? ConfigResource::Group : ConfigResource::ClientMetrics, row[0]);
        ASSERT_NE(key, nullptr) << row[0];
        expect_row(*key, row);
        EXPECT_EQ(key->broker_synonyms, row[5]) << row[0];
    }
    EXPECT_EQ(groups, config_keys(ConfigResource::Group).size());
    EXPECT_EQ(config_keys(ConfigResource::ClientMetrics).size(), 3U);
}

TEST(ConfigTable, EveryRowIsSortedDocumentedAndItsDefaultValid) {
    for (ConfigResource resource : {ConfigResource::Broker, ConfigResource::Topic,
                                    ConfigResource::Group, ConfigResource::ClientMetrics}) {
        std::string last;
        for (const ConfigKey* key : config_keys(resource)) {
            EXPECT_LT(last, key->name);
            last = key->name;
            EXPECT_GT(std::string_view(key->doc).size(), 10U) << key->name;
            // -1 is broker.id's way to say "not set"; empty lists of voters mean "none".
            if (key->default_text == nullptr || last == "broker.id") continue;
            EXPECT_TRUE(parse_config_value(*key, key->default_text).ok()) << key->name;
        }
    }
}

TEST(ConfigTable, SynonymsNameBrokerKeys) {
    for (ConfigResource resource : {ConfigResource::Topic, ConfigResource::Group}) {
        for (const ConfigKey* key : config_keys(resource)) {
            std::string_view rest = key->broker_synonyms;
            while (!rest.empty()) {
                const size_t end = std::min(rest.find("; "), rest.size());
                EXPECT_NE(find_config_key(ConfigResource::Broker, rest.substr(0, end)), nullptr)
                    << key->name;
                rest.remove_prefix(std::min(end + 2, rest.size()));
            }
        }
    }
}

/// Made by Kafka's ConfigDef.parseValue of every kind of validator on values good and bad.
TEST(ConfigParse, ResultsAndMessagesEqualKafkas) {
    const std::map<std::string, ConfigResource> resources = {
        {"broker", ConfigResource::Broker},
        {"topic", ConfigResource::Topic},
        {"group", ConfigResource::Group},
        {"metrics", ConfigResource::ClientMetrics}};
    std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/config/validation.tsv");
    std::string line;
    size_t count = 0;
    while (std::getline(file, line)) {
        std::vector<std::string> cells(1);
        for (char c : line) {
            if (c == '\t')
                cells.emplace_back();
            else
                cells.back() += c;
        }
        ASSERT_EQ(cells.size(), 5U) << line;
        const ConfigKey* key = find_config_key(resources.at(cells[0]), cells[1]);
        ASSERT_NE(key, nullptr) << line;
        const auto value = parse_config_value(*key, cells[2]);
        if (cells[3] == "ok") {
            ASSERT_TRUE(value.ok()) << line << "\n" << value.status().message();
            EXPECT_EQ(config_value_text(*value), cells[4]) << line;
        } else {
            ASSERT_FALSE(value.ok()) << line;
            EXPECT_EQ(value.status().message(), cells[4]) << line;
        }
        ++count;
    }
    EXPECT_GT(count, 500U);
}

TEST(ConfigParse, DoublesPrintAsJavaPrintsThem) {
    const ConfigKey* key =
        find_config_key(ConfigResource::Broker, "log.cleaner.io.max.bytes.per.second");
    const std::pair<const char*, const char*> cases[] = {
        {"1", "1.0"},
        {"0.5", "0.5"},
        {"1e7", "1.0E7"},
        {"9999999", "9999999.0"},
        {"0.001", "0.001"},
        {"0.0001", "1.0E-4"},
        {"123456789", "1.23456789E8"},
        {"1.7976931348623157E308", "1.7976931348623157E308"}};
    for (const auto& [text, expected] : cases) {
        EXPECT_EQ(normal_config_text(*key, text), expected);
    }
}

TEST(ConfigNames, NearestAreFoundAndFarAreNot) {
    using Names = std::vector<std::string>;
    EXPECT_EQ(nearest_config_keys(ConfigResource::Broker, "log.retention.hour").front(),
              "log.retention.hours");
    EXPECT_EQ(nearest_config_keys(ConfigResource::Topic, "retention.sm").front(), "retention.ms");
    EXPECT_EQ(nearest_config_keys(ConfigResource::Broker, "zookeeper.connect"), Names{});
}

}  // namespace
}  // namespace millrace::metadata
