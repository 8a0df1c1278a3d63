// tests/unit/metadata/settings_control_test.cc: configs, features, quotas, acls, scram, tokens.
#include <gtest/gtest.h>

#include "millrace/base/sha2.h"
#include "unit/metadata/controller_fixture.h"

namespace millrace::metadata {
namespace {

using Outcome = std::pair<ErrorCode, std::string>;

class Settings : public testing::Test {
  protected:
    explicit Settings(ControllerOptions options = ControllerFixture::default_options())
        : f(std::move(options)) {}
    void SetUp() override {
        f.lead();
        f.brokers(1);
        f.create(f.topic("t", 1, 1));
    }
    struct Op {
        const char* key;
        int8_t op;
        std::optional<std::string> value;
    };
    Outcome alter(int8_t type, const std::string& name, const std::vector<Op>& ops,
                  bool forwarded = true, bool validate_only = false) {
        wire::IncrementalAlterConfigsRequest request;
        auto& resource = request.resources.emplace_back();
        resource.resource_type = type;
        resource.resource_name = name;
        for (const Op& op : ops) {
            auto& config = resource.configs.emplace_back();
            config.name = op.key;
            config.config_operation = op.op;
            config.value = op.value;
        }
        request.validate_only = validate_only;
        Requester who;
        who.forwarded = forwarded;
        const auto answer =
            f.run<wire::IncrementalAlterConfigsResponse>(request, who).responses.at(0);
        return {static_cast<ErrorCode>(answer.error_code), answer.error_message.value_or("null")};
    }
    Outcome update(const std::string& feature, int16_t level, int8_t type = 1) {
        wire::UpdateFeaturesRequest request;
        auto& asked = request.feature_updates.emplace_back();
        asked.feature = feature;
        asked.max_version_level = level;
        asked.upgrade_type = type;
        const auto answer = f.run<wire::UpdateFeaturesResponse>(request);
        std::string message = answer.error_message.value_or("null");
        const std::string prefix =
            "The update failed for all features since the following feature had an error: ";
        if (message.rfind(prefix, 0) == 0) message = message.substr(prefix.size());
        return {static_cast<ErrorCode>(answer.error_code), message};
    }
    const std::string& stored(int8_t type, const char* name, const char* key) {
        return f.controller.image().configs.of({static_cast<ConfigResource>(type), name}).at(key);
    }
    ControllerFixture f;
};

const Outcome kDone{ErrorCode::None, "null"};

TEST_F(Settings, TopicConfigs) {
    EXPECT_EQ(alter(2, "t", {{"retention.ms", 0, "5"}}), kDone);
    EXPECT_EQ(f.batch_names(), "CONFIG_RECORD");
    EXPECT_EQ(alter(2, "t", {{"retention.ms", 0, "5"}}), kDone);
    EXPECT_TRUE(f.last_batch.empty()) << "unchanged";
    EXPECT_EQ(alter(2, "t", {{"retention.ms", 0, "6"}}, true, true), kDone);
    EXPECT_EQ(stored(2, "t", "retention.ms"), "5") << "validate only";
    EXPECT_EQ(alter(2, "zz", {{"retention.ms", 0, "5"}}),
              (Outcome{ErrorCode::UnknownTopicOrPartition, "The topic 'zz' does not exist."}));
    EXPECT_EQ(alter(2, "", {{"retention.ms", 0, "5"}}),
              (Outcome{ErrorCode::InvalidRequest, "Default topic resources are not allowed."}));
    EXPECT_EQ(alter(2, "t", {{"foo", 0, "5"}}),
              (Outcome{ErrorCode::InvalidConfig, "Unknown topic config name: foo"}));
    EXPECT_EQ(alter(2, "t", {{"retention.ms", 0, "abc"}}),
              (Outcome{ErrorCode::InvalidConfig,
                       "Invalid value abc for configuration retention.ms: "
                       "Not a number of type LONG"}));
    EXPECT_EQ(alter(2, "t", {{"retention.ms", 2, "5"}}),
              (Outcome{ErrorCode::InvalidConfig,
                       "Can't APPEND to key retention.ms because its type "
                       "is not LIST."}));
    EXPECT_EQ(alter(2, "t", {{"retention.ms", 9, "5"}}).first, ErrorCode::UnknownServerError);
    EXPECT_EQ(alter(2, "t", {{"retention.ms", 0, std::nullopt}}),
              (Outcome{ErrorCode::InvalidRequest, "Null value not supported for : retention.ms"}));
    EXPECT_EQ(alter(2, "t", {{"retention.ms", 0, "7"}, {"retention.ms", 1, std::nullopt}}),
              (Outcome{ErrorCode::InvalidRequest, "Error due to duplicate config keys"}));
    EXPECT_EQ(alter(3, "t", {{"retention.ms", 0, "7"}}),
              (Outcome{ErrorCode::InvalidRequest, "Unknown resource type 3"}));
    EXPECT_EQ(alter(2, "t", {{"cleanup.policy", 2, "compact"}}), kDone);
    EXPECT_EQ(stored(2, "t", "cleanup.policy"), "delete,compact");
    EXPECT_EQ(alter(2, "t", {{"cleanup.policy", 3, "delete"}}), kDone);
    EXPECT_EQ(stored(2, "t", "cleanup.policy"), "compact");
    EXPECT_EQ(alter(2, "t", {{"nothing.here", 1, std::nullopt}}), kDone) << "deleting what is not";
    EXPECT_TRUE(f.last_batch.empty());
}

TEST_F(Settings, MinIsrClearsElr) {
    EXPECT_EQ(alter(2, "t", {{"min.insync.replicas", 0, "2"}}), kDone);
    EXPECT_EQ(f.batch_names(), "CONFIG_RECORD CLEAR_ELR_RECORD");
    EXPECT_EQ(alter(4, "", {{"min.insync.replicas", 0, "2"}}), kDone);
    EXPECT_TRUE(std::get<wire::ClearElrRecord>(f.last_batch[1].body).topic_name.empty());
    EXPECT_EQ(alter(4, "1", {{"min.insync.replicas", 0, "2"}}),
              (Outcome{ErrorCode::InvalidConfig,
                       "Broker-level min.insync.replicas cannot be "
                       "altered while ELR is enabled."}));
    EXPECT_EQ(alter(4, "", {{"min.insync.replicas", 1, std::nullopt}}),
              (Outcome{ErrorCode::InvalidConfig,
                       "Cluster-level min.insync.replicas cannot be "
                       "removed while ELR is enabled."}));
}

TEST_F(Settings, BrokerConfigs) {
    EXPECT_EQ(alter(4, "1", {{"log.cleaner.threads", 0, "2"}}), kDone);
    EXPECT_EQ(alter(4, "1", {{"log.cleaner.threads", 0, "2"}}), kDone);
    EXPECT_EQ(f.batch_names(), "CONFIG_RECORD") << "brokers may reload on an unchanged value";
    EXPECT_EQ(alter(4, "9", {{"log.cleaner.threads", 0, "2"}}),
              (Outcome{ErrorCode::BrokerIdNotRegistered, "No node with id 9 found."}));
    EXPECT_EQ(alter(4, "x", {{"log.cleaner.threads", 0, "2"}}).first, ErrorCode::InvalidRequest);
    EXPECT_EQ(alter(4, "-2", {{"log.cleaner.threads", 0, "2"}}).first, ErrorCode::InvalidRequest);
    EXPECT_EQ(alter(4, "1", {{"cordoned.log.dirs", 0, "/a,/b"}}), kDone);
    EXPECT_EQ(alter(4, "1", {{"cordoned.log.dirs", 0, "/a,/c"}}, false).first,
              ErrorCode::InvalidConfig);
    EXPECT_EQ(alter(4, "1", {{"cordoned.log.dirs", 0, "/a"}}, false), kDone);
    EXPECT_EQ(alter(4, "1", {{"cordoned.log.dirs", 0, ""}}, false), kDone);
    const std::string long_list(32'768, 'x');
    EXPECT_EQ(alter(4, "1", {{"any.key", 0, long_list}}).first, ErrorCode::InvalidConfig);
}

TEST_F(Settings, GroupAndMetricsConfigs) {
    EXPECT_EQ(alter(32, "g", {{"consumer.session.timeout.ms", 0, "50000"}}), kDone);
    EXPECT_EQ(alter(32, "", {{"consumer.session.timeout.ms", 0, "50000"}}).first,
              ErrorCode::InvalidRequest);
    EXPECT_EQ(alter(16, "m", {{"interval.ms", 0, "1000"}}), kDone);
    EXPECT_EQ(alter(16, "", {{"interval.ms", 0, "1000"}}).first, ErrorCode::InvalidRequest);
}

TEST_F(Settings, LegacyAlterReplacesAll) {
    alter(2, "t", {{"retention.ms", 0, "5"}, {"segment.ms", 0, "1000"}});
    wire::AlterConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = 2;
    resource.resource_name = "t";
    auto& config = resource.configs.emplace_back();
    config.name = "segment.ms";
    config.value = "2000";
    const auto answer = f.run<wire::AlterConfigsResponse>(request).responses.at(0);
    EXPECT_EQ(answer.error_code, 0);
    const ConfigMap& left = f.controller.image().configs.topic("t");
    EXPECT_EQ(left, (ConfigMap{{"segment.ms", "2000"}}));
    request.resources.push_back(request.resources[0]);
    const auto twice = f.run<wire::AlterConfigsResponse>(request);
    ASSERT_EQ(twice.responses.size(), 2u);
    EXPECT_EQ(twice.responses[1].error_message, "Each resource must appear at most once.");
}

TEST_F(Settings, Features) {
    EXPECT_EQ(update("group.version", 1), kDone);
    EXPECT_EQ(update("group.version", 0),
              (Outcome{ErrorCode::InvalidUpdateVersion,
                       "Invalid update version 0 for feature group.version. Can't downgrade the "
                       "version of this feature without setting the upgrade type to either safe or "
                       "unsafe downgrade."}));
    EXPECT_EQ(update("group.version", 0, 2), kDone);
    EXPECT_EQ(f.controller.image().features.level("group.version"), 0);
    EXPECT_EQ(update("group.version", 1, 2),
              (Outcome{ErrorCode::InvalidUpdateVersion,
                       "Invalid update version 1 for feature group.version. Can't downgrade to a "
                       "newer version."}));
    EXPECT_EQ(
        update("group.version", 7).second,
        "Invalid update version 7 for feature group.version. Local controller 1 only supports "
        "versions 0-1");
    EXPECT_EQ(update("foo", 1).second,
              "Invalid update version 1 for feature foo. Local controller 1 does not support this "
              "feature.");
    EXPECT_EQ(update("group.version", -1).second,
              "Invalid update version -1 for feature group.version. A feature version cannot be "
              "less than 0.");
    EXPECT_EQ(update("group.version", 1, 0).second,
              "Invalid update version 1 for feature group.version. The controller does not support "
              "the given upgrade type.");
    EXPECT_EQ(update("metadata.version", 29, 2).second,
              "Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the "
              "requested downgrade because it might delete metadata information.");
    EXPECT_EQ(update("metadata.version", 29, 3).second,
              "Unsupported metadata.version downgrade from 30 to 29. Unsafe metadata downgrade is "
              "not supported in this version.");
    EXPECT_EQ(update("kraft.version", 1), kDone);
    EXPECT_EQ(f.batch_names(), "NO_OP_RECORD");
}

class StaticQuorum : public Settings {
  protected:
    static ControllerOptions options() {
        ControllerOptions o = ControllerFixture::default_options();
        o.kraft_version = 0;
        return o;
    }
    StaticQuorum() : Settings(options()) {}
};

TEST_F(StaticQuorum, KRaftVersionIsRaisedByTheQuorumWhenItCan) {
    f.controller.set_quorum(0, {NodeId(1)}, "voter 2 has not told its directory id yet");
    EXPECT_EQ(update("kraft.version", 1).second,
              "Invalid update version 1 for feature kraft.version. The quorum cannot be upgraded: "
              "voter 2 has not told its directory id yet.");
    EXPECT_FALSE(f.out.upgrade_kraft_version);
    f.controller.set_quorum(0, {NodeId(1)}, std::nullopt);
    // The quorum's two control records take the offsets in front of the NoOpRecord.
    wire::UpdateFeaturesRequest request;
    auto& entry = request.feature_updates.emplace_back();
    entry.feature = "kraft.version";
    entry.max_version_level = 1;
    entry.upgrade_type = 1;
    f.controller.run(f.tick(), 77, {}, request, f.out);
    EXPECT_TRUE(f.out.upgrade_kraft_version);
    ASSERT_EQ(f.out.append.size(), 1u);
    EXPECT_EQ(f.out.append[0].base_offset, f.log_end + kKRaftUpgradeRecords);
    EXPECT_TRUE(f.out.replies.empty());
    f.controller.on_high_watermark(f.tick(), f.log_end + kKRaftUpgradeRecords, f.out);
    EXPECT_TRUE(f.out.replies.empty());
    f.controller.on_high_watermark(f.tick(), f.log_end + (kKRaftUpgradeRecords + 1), f.out);
    EXPECT_EQ(f.out.replies.size(), 1u);
}

class OldCluster : public Settings {
  protected:
    static ControllerOptions options() {
        ControllerOptions o = ControllerFixture::default_options();
        o.bootstrap = default_bootstrap_records(22);
        return o;
    }
    OldCluster() : Settings(options()) {}
};

TEST_F(OldCluster, WritesOldRecordsAndUpgrades) {
    EXPECT_EQ(f.controller.image().features.levels.size(), 2u);  // with group.version
    f.create(f.topic("u", 1, 1));
    EXPECT_EQ(f.batch_names(), "TOPIC_RECORD PARTITION_RECORD/1");
    EXPECT_EQ(update(kElrFeature, 1).second,
              "Invalid update version 1 for feature eligible.leader.replicas.version. "
              "eligible.leader.replicas.version could not be set to 1 because it depends on "
              "metadata.version level 23");
    // The controller itself is the only voter, so nobody else must register.
    EXPECT_EQ(update("metadata.version", 30), kDone);
    EXPECT_EQ(update(kElrFeature, 1), kDone);
    EXPECT_EQ(f.batch_names(), "CONFIG_RECORD FEATURE_LEVEL_RECORD");
    EXPECT_EQ(stored(4, "", "min.insync.replicas"), "1");
    f.create(f.topic("v", 1, 1));
    EXPECT_EQ(f.batch_names(), "TOPIC_RECORD PARTITION_RECORD/2");
}

TEST_F(Settings, UpgradeNeedsEveryVoterRegistered) {
    ControllerOptions options = ControllerFixture::default_options();
    options.voters = {NodeId(1), NodeId(2)};
    options.bootstrap = default_bootstrap_records(29);
    ControllerFixture g(options);
    g.lead();
    wire::UpdateFeaturesRequest request;
    auto& asked = request.feature_updates.emplace_back();
    asked.feature = kMetadataVersionFeature;
    asked.max_version_level = 30;
    auto answer = g.run<wire::UpdateFeaturesResponse>(request);
    EXPECT_NE(answer.error_message->find("controller 2 has not registered"), std::string::npos);
    wire::ControllerRegistrationRequest second;
    second.controller_id = 2;
    auto& feature = second.features.emplace_back();
    feature.name = kMetadataVersionFeature;
    feature.min_supported_version = 7;
    feature.max_supported_version = 29;
    g.run<wire::ControllerRegistrationResponse>(second);
    answer = g.run<wire::UpdateFeaturesResponse>(request);
    EXPECT_NE(answer.error_message->find("Controller 2 only supports versions 7-29"),
              std::string::npos);
}

TEST_F(Settings, ClientQuotas) {
    const auto quota = [&](std::vector<std::pair<std::string, std::optional<std::string>>> entity,
                           const char* key, double value, bool remove = false) {
        wire::AlterClientQuotasRequest request;
        auto& entry = request.entries.emplace_back();
        for (auto& [type, name] : entity) {
            auto& part = entry.entity.emplace_back();
            part.entity_type = type;
            part.entity_name = name;
        }
        auto& op = entry.ops.emplace_back();
        op.key = key;
        op.value = value;
        op.remove = remove;
        const auto answer = f.run<wire::AlterClientQuotasResponse>(request).entries.at(0);
        return Outcome{static_cast<ErrorCode>(answer.error_code),
                       answer.error_message.value_or("null")};
    };
    const auto bad = [](const char* text) { return Outcome{ErrorCode::InvalidRequest, text}; };
    EXPECT_EQ(quota({}, "producer_byte_rate", 1), bad("Invalid empty client quota entity"));
    EXPECT_EQ(quota({{"foo", "a"}}, "producer_byte_rate", 1),
              bad("Unhandled client quota entity type: foo"));
    EXPECT_EQ(quota({{"user", ""}}, "producer_byte_rate", 1), bad("Empty user not supported"));
    EXPECT_EQ(quota({{"user", "a"}}, "foo", 1), bad("Invalid configuration key foo"));
    EXPECT_EQ(quota({{"user", "a"}}, "connection_creation_rate", 1),
              bad("Invalid configuration key connection_creation_rate"));
    EXPECT_EQ(quota({{"user", "a"}}, "producer_byte_rate", 0),
              bad("Quota producer_byte_rate must be greater than 0"));
    EXPECT_EQ(quota({{"user", "a"}}, "producer_byte_rate", 1.5),
              bad("producer_byte_rate cannot be a fractional value."));
    EXPECT_EQ(quota({{"ip", "1.2.3.4"}, {"user", "a"}}, "connection_creation_rate", 1).first,
              ErrorCode::InvalidRequest);
    EXPECT_EQ(quota({{"ip", "host"}}, "connection_creation_rate", 1),
              bad("host is not a valid IP or resolvable host."));
    EXPECT_EQ(quota({{"user", "a"}, {"client-id", std::nullopt}}, "request_percentage", 12.5),
              kDone);
    EXPECT_EQ(f.batch_names(), "CLIENT_QUOTA_RECORD");
    const QuotaEntity entity{{"client-id", std::nullopt}, {"user", "a"}};
    EXPECT_EQ((*f.controller.image().client_quotas.find(entity))->at("request_percentage"), 12.5);
    EXPECT_EQ(quota({{"client-id", std::nullopt}, {"user", "a"}}, "request_percentage", 12.5),
              kDone);
    EXPECT_TRUE(f.last_batch.empty());
    EXPECT_EQ(quota({{"user", "a"}, {"client-id", std::nullopt}}, "request_percentage", 0, true),
              kDone);
    EXPECT_TRUE(f.controller.image().client_quotas.empty());
}

TEST_F(Settings, Acls) {
    wire::CreateAclsRequest request;
    const auto acl = [](int8_t type, const char* name, int8_t pattern, const char* principal) {
        wire::CreateAclsRequest::AclCreation creation;
        creation.resource_type = type;
        creation.resource_name = name;
        creation.resource_pattern_type = pattern;
        creation.principal = principal;
        creation.host = "*";
        creation.operation = 3;
        creation.permission_type = 3;
        return creation;
    };
    request.creations = {acl(2, "orders", 3, "User:a"), acl(2, "ord", 4, "User:a"),
                         acl(2, "orders", 3, "User:a"), acl(1, "x", 3, "User:a"),
                         acl(2, "x", 2, "User:a"),      acl(2, "", 3, "User:a"),
                         acl(2, "x", 3, "nobody")};
    const auto created = f.run<wire::CreateAclsResponse>(request);
    const char* messages[] = {"null",
                              "null",
                              "null",
                              "Invalid resourceType ANY",
                              "Invalid patternType MATCH",
                              "Resource name should not be empty",
                              "Could not parse principal from `nobody` (no colon is present "
                              "separating the principal type from the principal name)"};
    for (size_t i = 0; i < 7; ++i) {
        EXPECT_EQ(created.results[i].error_message.value_or("null"), messages[i]);
    }
    EXPECT_EQ(f.controller.image().acls.size(), 2u);
    f.run<wire::CreateAclsResponse>(request);
    EXPECT_TRUE(f.last_batch.empty()) << "they exist already";

    wire::DeleteAclsRequest remove;
    auto& filter = remove.filters.emplace_back();
    filter.resource_type_filter = 2;
    filter.resource_name_filter = "orders";
    filter.pattern_type_filter = 2;  // MATCH: all that apply to the name
    filter.principal_filter = std::nullopt;
    filter.host_filter = std::nullopt;
    filter.operation = 1;
    filter.permission_type = 1;
    remove.filters.push_back(filter);
    remove.filters[1].resource_type_filter = 0;
    const auto removed = f.run<wire::DeleteAclsResponse>(remove);
    EXPECT_EQ(removed.filter_results[0].matching_acls.size(), 2u);
    EXPECT_EQ(removed.filter_results[1].error_message, "Unknown patternFilter.");
    EXPECT_TRUE(f.controller.image().acls.empty());
}

TEST_F(Settings, Scram) {
    wire::AlterUserScramCredentialsRequest request;
    const auto upsert = [&](const char* name, int8_t mechanism, int32_t iterations) {
        auto& u = request.upsertions.emplace_back();
        u.name = name;
        u.mechanism = mechanism;
        u.iterations = iterations;
        u.salt = Buffer::copy_of("salt");
        u.salted_password = Buffer::copy_of("password");
    };
    upsert("ok", 1, 4096);
    upsert("few", 1, 4095);
    upsert("many", 2, 16'385);
    upsert("twice", 1, 4096);
    upsert("twice", 2, 4096);
    upsert("odd", 3, 4096);
    upsert("", 1, 4096);
    auto& deletion = request.deletions.emplace_back();
    deletion.name = "absent";
    deletion.mechanism = 1;
    const auto response = f.run<wire::AlterUserScramCredentialsResponse>(request);
    std::map<std::string, std::string> by;
    for (const auto& r : response.results)
        by[r.user] = r.error_message.value_or("null");
    EXPECT_EQ(by["ok"], "null");
    EXPECT_EQ(by["few"], "Too few iterations");
    EXPECT_EQ(by["many"], "Too many iterations");
    EXPECT_EQ(by["twice"], "A user credential cannot be altered twice in the same request");
    EXPECT_EQ(by["odd"], "Unknown SCRAM mechanism");
    EXPECT_EQ(by[""], "Username must not be empty");
    EXPECT_EQ(by["absent"], "Attempt to delete a user credential that does not exist");
    EXPECT_EQ(f.batch_names(), "USER_SCRAM_CREDENTIAL_RECORD");
    const auto* stored = f.controller.image().scram.find(ScramKey(1, "ok"));
    ASSERT_NE(stored, nullptr);
    const auto key = hmac_sha2(ShaKind::Sha256, ByteView(std::string_view("password")),
                               ByteView(std::string_view("Client Key")));
    EXPECT_EQ((*stored)->stored_key, sha2(ShaKind::Sha256, {key.data(), key.size()}));
    wire::AlterUserScramCredentialsRequest remove;
    auto& gone = remove.deletions.emplace_back();
    gone.name = "ok";
    gone.mechanism = 1;
    f.run<wire::AlterUserScramCredentialsResponse>(remove);
    EXPECT_TRUE(f.controller.image().scram.empty());
}

class Tokens : public Settings {
  protected:
    static ControllerOptions options() {
        ControllerOptions o = ControllerFixture::default_options();
        o.delegation_token_secret = "secret";
        return o;
    }
    Tokens() : Settings(options()) {}
    static Requester user(const char* name) {
        Requester who;
        who.principal = name;
        return who;
    }
};

TEST_F(Tokens, LifeOfAToken) {
    wire::CreateDelegationTokenRequest create;
    create.owner_principal_type = std::nullopt;
    create.owner_principal_name = std::nullopt;
    create.max_lifetime_ms = 10'000;
    auto& renewer = create.renewers.emplace_back();
    renewer.principal_type = "User";
    renewer.principal_name = "b";
    const auto token = f.run<wire::CreateDelegationTokenResponse>(create, user("User:a"));
    EXPECT_EQ(token.error_code, 0);
    EXPECT_EQ(token.principal_name, "a");
    EXPECT_EQ(token.max_timestamp_ms - token.issue_timestamp_ms, 10'000);
    EXPECT_EQ(token.hmac.size(), 64u);
    create.renewers[0].principal_type = "Group";
    EXPECT_EQ(f.run<wire::CreateDelegationTokenResponse>(create, user("User:a")).error_code,
              static_cast<int16_t>(ErrorCode::InvalidPrincipalType));

    wire::RenewDelegationTokenRequest renew;
    renew.hmac = token.hmac;
    renew.renew_period_ms = 3'000;
    const auto renewed = f.run<wire::RenewDelegationTokenResponse>(renew, user("User:b"));
    EXPECT_EQ(renewed.expiry_timestamp_ms, token.issue_timestamp_ms + 3'000);
    EXPECT_EQ(f.run<wire::RenewDelegationTokenResponse>(renew, user("User:c")).error_code,
              static_cast<int16_t>(ErrorCode::DelegationTokenOwnerMismatch));
    renew.hmac = Buffer::copy_of("x");
    EXPECT_EQ(f.run<wire::RenewDelegationTokenResponse>(renew, user("User:b")).error_code,
              static_cast<int16_t>(ErrorCode::DelegationTokenNotFound));
    wire::ExpireDelegationTokenRequest expire;
    expire.hmac = token.hmac;
    expire.expiry_time_period_ms = -1;
    EXPECT_EQ(f.run<wire::ExpireDelegationTokenResponse>(expire, user("User:a")).error_code, 0);
    EXPECT_TRUE(f.controller.image().delegation_tokens.empty());
    EXPECT_EQ(f.run<wire::CreateDelegationTokenResponse>(wire::CreateDelegationTokenRequest{},
                                                         user("User:a"))
                  .error_code,
              0);
    f.pass(seconds(8 * 24 * 3600));
    EXPECT_TRUE(f.controller.image().delegation_tokens.empty()) << "the sweep removed it";
}

TEST_F(Settings, TokensNeedASecret) {
    EXPECT_EQ(
        f.run<wire::CreateDelegationTokenResponse>(wire::CreateDelegationTokenRequest{}).error_code,
        static_cast<int16_t>(ErrorCode::DelegationTokenAuthDisabled));
}

}  // namespace
}  // namespace millrace::metadata
