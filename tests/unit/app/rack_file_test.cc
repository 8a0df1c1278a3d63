// tests/unit/app/rack_file_test.cc: `rack set` changes what a node reads, and nothing else.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/config_file.h"
#include "unit/cli/run_words.h"

namespace millrace::app {
namespace {

namespace fs = std::filesystem;

class RackFile : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "rackXXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string put(const std::string& name, const std::string& text) {
        std::ofstream(folder_ / name, std::ios::binary) << text;
        return folder_ / name;
    }
    static std::string text_of(const fs::path& path) {
        std::ostringstream text;
        text << std::ifstream(path, std::ios::binary).rdbuf();
        return text.str();
    }
    static cli::Outcome set(const std::string& rack, const std::string& path) {
        return cli::run_millrace({"rack", "set", rack, "-c", path}, [](CLI::App& root,
                                                                       cli::Context& context) {
            cli::add_rack_file_commands(root, context, config_text);
        });
    }
    size_t files() const {
        return static_cast<size_t>(
            std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
    }

    fs::path folder_;
};

TEST_F(RackFile, IsSetOrLeftAsItWas) {
    struct Case {
        const char* name;
        const char* text;
        bool set;
    };
    const Case cases[] = {
        {"a.properties", "node.id=1\nbroker.rack=old\n", true},
        {"b.properties", "node.id=1\nlog.dirs=/a,\\\n  /b\n", true},
        {"c.properties", "broker.rack=ol\\\nd\nnode.id=1\n", false},
        {"d.properties", "log.dirs=/a,\\\nbroker.rack=x\n", false},
        {"e.properties", "log.dirs=/a\\", false},
        {"f.properties", "broker.fault.domain=1\nbroker.update.domain=2\n", false},
        {"a.yaml", "node.id: 1\nbroker.rack: old # c\n", true},
        {"b.yaml", "node:\n  id: 1\nbroker:\n  rack: old\n", true},
        {"c.yaml", "broker.rack : old\nnode.id: 1\n", false},
        {"d.yaml", "\"broker.rack\" : old\n", false},
        {"e.yaml", "broker.rack:\told\n", false},
        {"f.yaml", "  node.id: 1\n  log.dirs: /d\n", false},
        {"g.yaml", "{node.id: 1, log.dirs: /d}\n", false},
        {"h.yaml", "---\nnode.id: 1\n...\n", false},
        {"i.yaml", "log.dirs: |\n  /d\n  broker.rack: x\nnode.id: 1\n", false},
        {"j.yaml", "broker: {rack: x}\n", false},
        {"k.yaml", "broker:\n  fault:\n    domain: 1\n", false},
        {"l.yaml", "node.id: [1\n", false},
        {"m.conf", "node.id=1\n", true},
        {"n", "node.id: 1\n", true},
    };
    for (const Case& one : cases) {
        const std::string path = put(one.name, one.text);
        const auto before = config_text(path, one.text);
        const cli::Outcome outcome = set("FD0UD1", path);
        EXPECT_EQ(outcome.exit_code, one.set ? cli::kDone : cli::kConflict) << one.text;
        const std::string text = text_of(path);
        if (!one.set) {
            EXPECT_EQ(text, one.text);
            EXPECT_TRUE(outcome.err.starts_with("error: ")) << outcome.err;
            EXPECT_NE(outcome.err.find("\n  fix: "), std::string::npos) << outcome.err;
            continue;
        }
        auto wanted = before.values;
        wanted["broker.rack"] = "FD0UD1";
        EXPECT_EQ(config_text(path, text).values, wanted) << text;
    }
    EXPECT_EQ(files(), std::size(cases)) << "nothing beside them";
}

TEST_F(RackFile, WhatAReaderWouldTakeForSomethingElseIsRefused) {
    const std::string yaml = put("a.yaml", "node.id: 1\n");
    for (const char* rack : {"null", "~", "[a", "*a", "|"})
        EXPECT_EQ(set(rack, yaml).exit_code, cli::kConflict) << rack;
    EXPECT_EQ(set("a\\b", put("a.properties", "node.id=1\n")).exit_code, cli::kConflict);
    EXPECT_EQ(text_of(yaml), "node.id: 1\n");
    EXPECT_EQ(set("/row1/shelf2", yaml).exit_code, cli::kDone);
}

TEST_F(RackFile, LinksModesAndOwnersStay) {
    const fs::path real = put("real.properties", "node.id=1\n");
    const fs::path link = folder_ / "link.properties";
    fs::create_symlink("real.properties", link);
    ASSERT_EQ(::chmod(real.c_str(), 0640), 0);
    constexpr uid_t kSome = 4'711;
    const bool root = ::geteuid() == 0 && ::chown(real.c_str(), kSome, kSome) == 0;
    EXPECT_EQ(set("FD0UD1", link).exit_code, cli::kDone);
    EXPECT_TRUE(fs::is_symlink(link));
    EXPECT_EQ(text_of(real), "node.id=1\nbroker.rack=FD0UD1\n");
    struct stat now {};
    ASSERT_EQ(::stat(real.c_str(), &now), 0);
    EXPECT_EQ(now.st_mode & 07777, 0640U);
    if (root) {
        EXPECT_EQ(now.st_uid, kSome);
        EXPECT_EQ(now.st_gid, kSome);
    }
    EXPECT_EQ(files(), 2U);
}

TEST_F(RackFile, FailuresSayWhatAndHow) {
    EXPECT_EQ(set("a b", "f").err, "error: 'a b' is no rack\n"
                                   "  fix: FD0UD1, /row1/shelf2, or a plain name\n");
    const cli::Outcome outcome = set("FD0UD1", "/nonexistent");
    EXPECT_EQ(outcome.exit_code, cli::kNotFound);
    EXPECT_EQ(outcome.err, "error: cannot read /nonexistent\n"
                           "  fix: give the path of a file of this machine\n");
}

}  // namespace
}  // namespace millrace::app
