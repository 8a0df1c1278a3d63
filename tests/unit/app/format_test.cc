// tests/unit/app/format_test.cc: the flags, words and exit codes of `millrace storage`.
#include "app/format.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "millrace/base/uuid.h"

namespace millrace::app {
namespace {

class StorageCommand : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "millrace-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        config_ = folder_ + "/server.properties";
        std::ofstream(config_)
            << "process.roles=broker,controller\nnode.id=1\n"
            << "controller.quorum.bootstrap.servers=localhost:9093\n"
            << "listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
            << "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,"
            << "CONTROLLER:PLAINTEXT\n"
            << "controller.listener.names=CONTROLLER\n"
            << "log.dirs=" << folder_ << "/a," << folder_ << "/b\n";
    }
    void TearDown() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    int run(const std::vector<std::string>& args) {
        ::testing::internal::CaptureStdout();
        ::testing::internal::CaptureStderr();
        const int code = storage_command(args);
        out_ = ::testing::internal::GetCapturedStdout();
        err_ = ::testing::internal::GetCapturedStderr();
        return code;
    }

    std::string folder_;
    std::string config_;
    std::string out_;
    std::string err_;
};

TEST_F(StorageCommand, FormatsAndSaysSo) {
    EXPECT_EQ(run({"format", "-t", "some-id", "--config=" + config_, "-s"}), 0) << err_;
    EXPECT_NE(out_.find("Formatting dynamic metadata voter directory " + folder_ + "/a"),
              std::string::npos);
    const std::string snapshot =
        folder_ + "/a/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    struct stat info {};
    ASSERT_EQ(::stat(snapshot.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0400u);
    EXPECT_EQ(run({"info", "-c", config_}), 0);
    EXPECT_NE(out_.find("cluster.id=some-id"), std::string::npos);
    EXPECT_EQ(run({"format", "-t", "some-id", "-c", config_, "--standalone"}), 1);
    EXPECT_EQ(err_.find("error: Log directory " + folder_ + "/a is already formatted."), 0u);
    EXPECT_NE(err_.find("\n  fix: add --ignore-formatted"), std::string::npos);
}

TEST_F(StorageCommand, SpeaksJson) {
    using nlohmann::json;
    EXPECT_EQ(run({"format", "-t", "some-id", "-c", config_, "-s", "-o", "json"}), 0) << err_;
    EXPECT_EQ(json::parse(out_)["kind"], "StorageFormat");
    EXPECT_EQ(run({"info", "-c", config_, "--output=json"}), 0) << err_;
    const json info = json::parse(out_)["items"][0];
    EXPECT_EQ(info["directories"], json({folder_ + "/a", folder_ + "/b"}));
    EXPECT_EQ(info["metadata"]["cluster.id"], "some-id");
    EXPECT_EQ(info["problems"], json::array());
    EXPECT_EQ(run({"random-uuid", "-o", "json"}), 0);
    EXPECT_EQ(json::parse(out_)["items"][0]["text"].get<std::string>().size(), 22u);
    EXPECT_EQ(run({"format", "-t", "some-id", "-c", config_, "-s", "-o", "json"}), 1);
    EXPECT_EQ(out_, "");
    EXPECT_EQ(json::parse(err_)["exitCode"], 1);
    EXPECT_EQ(run({"formt", "-o", "json"}), 2);
    EXPECT_EQ(json::parse(err_)["fix"], "did you mean 'format'?");
}

TEST_F(StorageCommand, UsageErrorsEndWithTwo) {
    for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
             {},
             {"formt"},
             {"format", "-c", config_},
             {"format", "-t", "id"},
             {"format", "-t", "id", "-c", config_, "--stand-alone"},
             {"format", "-t", "id", "-c"},
             {"format", "-t", "id", "-c", config_, "stray"},
             {"info"},
             {"info", "-c", folder_ + "/missing.properties"},
         }) {
        EXPECT_EQ(run(args), 2) << (args.empty() ? "" : args.back());
        EXPECT_NE(err_.find("error: "), std::string::npos) << err_;
    }
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/a"));
}

TEST_F(StorageCommand, RandomUuidIsOne) {
    EXPECT_EQ(run({"random-uuid"}), 0);
    ASSERT_EQ(out_.size(), 23u);
    EXPECT_TRUE(Uuid::parse(out_.substr(0, 22)).has_value());
    EXPECT_NE(out_[0], '-');
    const std::string first = out_;
    run({"random-uuid"});
    EXPECT_NE(out_, first);
}

TEST_F(StorageCommand, HelpNamesEveryFlagOfKafkas) {
    EXPECT_EQ(run({"--help"}), 0);
    for (const char* flag : {"--cluster-id", "--config", "--standalone", "--initial-controllers",
                             "--no-initial-controllers", "--ignore-formatted", "--release-version",
                             "--feature", "--add-scram"}) {
        EXPECT_NE(out_.find(flag), std::string::npos) << flag;
    }
}

}  // namespace
}  // namespace millrace::app
