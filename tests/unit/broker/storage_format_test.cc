// tests/unit/broker/storage_format_test.cc: the files and words of kafka-storage.
#include "millrace/broker/storage_format.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "millrace/record/batch_iterator.h"
#include "millrace/storage/meta_properties.h"
#include "support/sim_disk.h"

namespace millrace::broker {
namespace {

std::string golden(const std::string& name) {
    std::ifstream in(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/formatted/" + name,
                     std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

StorageFormatOptions standalone() {
    StorageFormatOptions options;
    options.node_id = NodeId(1);
    options.log_dirs = {"/b", "/a"};
    options.metadata_log_dir = "/a";
    options.has_controller_role = true;
    options.controller_listener_name = "CONTROLLER";
    options.controller_host = "localhost";
    options.controller_port = 39193;
    options.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
    options.standalone = true;
    return options;
}

Status format(support::SimDisk& disk, const StorageFormatOptions& options,
              std::vector<std::string>* lines = nullptr, int64_t now = 1'795'234'673'141) {
    Rng rng(3);
    return format_storage(disk, WallMs{now}, rng, options, [&](const std::string& line) {
        if (lines != nullptr) lines->push_back(line);
    });
}

/// The file with the times and the checksum of its batches set to zero.
std::string without_times(std::string bytes) {
    record::BatchIterator walk{ByteView(bytes)};
    std::string out = bytes;
    while (walk.next()) {
        for (const size_t at :
             {record::kCrcAt, record::kBaseTimestampAt, record::kMaxTimestampAt}) {
            out.replace(walk.start() + at, at == record::kCrcAt ? 4 : 8,
                        at == record::kCrcAt ? 4 : 8, '\0');
        }
    }
    EXPECT_EQ(walk.end(), record::WalkEnd::Clean);
    return out;
}

TEST(StorageFormat, WritesKafkasFiles) {
    support::SimDisk disk;
    std::vector<std::string> lines;
    StorageFormatOptions options = standalone();
    options.standalone = false;
    options.initial_controllers = "1@localhost:39193:ojBbeR18RumznFhzNNcEHA";
    ASSERT_TRUE(format(disk, options, &lines).ok());
    EXPECT_EQ(without_times(disk.contents("/a/bootstrap.checkpoint")),
              without_times(golden("bootstrap.checkpoint")));
    EXPECT_EQ(disk.contents("/a/bootstrap.checkpoint"), disk.contents("/b/bootstrap.checkpoint"));
    const std::string name = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    std::string ours = without_times(disk.contents("/a/" + name));
    std::string theirs = without_times(golden(name));
    ASSERT_EQ(ours.size(), theirs.size());
    // The value of SnapshotHeader is the wall clock, and stands 14 bytes into the first record.
    const size_t value = record::kBatchHeaderBytes + 13;
    ours.replace(value, 8, 8, '\0');
    theirs.replace(value, 8, 8, '\0');
    EXPECT_EQ(ours, theirs);
    EXPECT_FALSE(disk.stat("/b/__cluster_metadata-0")->has_value());
    const auto properties = storage::parse_meta_properties(disk.contents("/a/meta.properties"));
    ASSERT_TRUE(properties.ok());
    EXPECT_EQ(properties->directory_id, Uuid::parse("ojBbeR18RumznFhzNNcEHA"));
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[1],
              "Formatting dynamic metadata voter directory /a with metadata.version 4.3-IV0.");
    EXPECT_EQ(lines[2], "Formatting data directory /b with metadata.version 4.3-IV0.");
}

TEST(StorageFormat, StaticQuorumHasNoFirstSnapshot) {
    support::SimDisk disk;
    StorageFormatOptions options = standalone();
    options.standalone = false;
    options.has_static_voters = true;
    std::vector<std::string> lines;
    ASSERT_TRUE(format(disk, options, &lines).ok());
    EXPECT_FALSE(disk.stat("/a/__cluster_metadata-0")->has_value());
    EXPECT_EQ(lines[1], "Formatting metadata directory /a with metadata.version 4.3-IV0.");
}

TEST(StorageFormat, RefusesWithKafkasWords) {
    struct Row {
        const char* what;
        void (*change)(StorageFormatOptions&);
        const char* message;
    };
    const Row rows[] = {
        {"no quorum option", [](StorageFormatOptions& o) { o.standalone = false; },
         "Because controller.quorum.voters is not set on this controller, you must specify one of "
         "the following: --standalone, --initial-controllers, or --no-initial-controllers."},
        {"static and standalone", [](StorageFormatOptions& o) { o.has_static_voters = true; },
         "You cannot specify controller.quorum.voters and format the node with "
         "--initial-controllers or --standalone. If you want to use dynamic quorum, please remove "
         "controller.quorum.voters and specify controller.quorum.bootstrap.servers instead."},
        {"broker", [](StorageFormatOptions& o) { o.has_controller_role = false; },
         "You can only use --standalone on a controller."},
        {"feature", [](StorageFormatOptions& o) { o.features = {"foo=1"}; },
         "Unsupported feature: foo. Supported features are: eligible.leader.replicas.version, "
         "group.version, kraft.version, share.version, streams.version, transaction.version"},
        {"level", [](StorageFormatOptions& o) { o.features = {"transaction.version=7"}; },
         "No feature:transaction.version with feature level 7"},
        {"no equals", [](StorageFormatOptions& o) { o.features = {"group.version"}; },
         "Can't parse feature=level string group.version: equals sign not found."},
        {"not a level", [](StorageFormatOptions& o) { o.features = {"group.version=x"}; },
         "Can't parse feature=level string group.version=x: unable to parse x as a short."},
        {"kraft 0", [](StorageFormatOptions& o) { o.features = {"kraft.version=0"}; },
         "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags "
         "--standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic "
         "controllers support, try removing the --feature flag for kraft.version."},
        {"both",
         [](StorageFormatOptions& o) {
             o.features = {"metadata.version=30"};
             o.release_version = "4.2";
         },
         "Use --release-version instead of --feature metadata.version=X to avoid ambiguity."},
        {"unstable", [](StorageFormatOptions& o) { o.features = {"metadata.version=31"}; },
         "metadata.version 4.4-IV0 is not yet stable."},
        {"voters",
         [](StorageFormatOptions& o) {
             o.standalone = false;
             o.initial_controllers = "1localhost";
         },
         "No @ found in dynamic voter string."},
        {"twice",
         [](StorageFormatOptions& o) {
             o.standalone = false;
             o.initial_controllers = "1@a:1:ojBbeR18RumznFhzNNcEHA,1@b:2:ojBbeR18RumznFhzNNcEHA";
         },
         "Node id 1 was specified more than once."},
    };
    for (const Row& row : rows) {
        support::SimDisk disk;
        StorageFormatOptions options = standalone();
        row.change(options);
        const Status status = format(disk, options);
        ASSERT_EQ(status.errc(), Errc::InvalidInput) << row.what;
        EXPECT_EQ(status.message(), row.message) << row.what;
        EXPECT_FALSE(disk.stat("/a")->has_value()) << row.what << " leaves nothing behind";
    }
}

TEST(StorageFormat, StoresIpv6AddressesAsJavaPrintsThem) {
    struct Row {
        const char* host;
        const char* stored;
    };
    for (const Row& row :
         {Row{"[::1]", "0:0:0:0:0:0:0:1"}, Row{"[fe80::a:B]", "fe80:0:0:0:0:0:a:b"},
          Row{"[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8"}, Row{"[2001:db8::]", "2001:db8:0:0:0:0:0:0"},
          Row{"127.0.0.1", "127.0.0.1"}, Row{"host.example", "host.example"}}) {
        support::SimDisk disk;
        StorageFormatOptions options = standalone();
        options.standalone = false;
        options.initial_controllers =
            std::string("1@") + row.host + ":39193:ojBbeR18RumznFhzNNcEHA";
        ASSERT_TRUE(format(disk, options).ok());
        const std::string bytes =
            disk.contents("/a/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint");
        const std::string wanted =
            std::string(1, static_cast<char>(std::string(row.stored).size() + 1)) + row.stored;
        EXPECT_NE(bytes.find(wanted), std::string::npos) << row.host;
    }
}

TEST(StorageFormat, OlderReleaseHasItsFeatures) {
    support::SimDisk disk;
    StorageFormatOptions options = standalone();
    options.release_version = "3.9";
    std::vector<std::string> lines;
    ASSERT_TRUE(format(disk, options, &lines).ok());
    EXPECT_EQ(lines[0],
              "Bootstrap metadata: BootstrapMetadata(records=[ApiMessageAndVersion("
              "FeatureLevelRecord(name='metadata.version', featureLevel=21) at version 0)], "
              "metadataVersionLevel=21, source=format command)");
    EXPECT_EQ(lines[1],
              "Formatting dynamic metadata voter directory /a with metadata.version 3.9-IV0.");
}

TEST(StorageFormat, FormattedDirectoriesAreLeftAlone) {
    support::SimDisk disk;
    StorageFormatOptions options = standalone();
    ASSERT_TRUE(format(disk, options).ok());
    const std::string before = disk.contents("/a/meta.properties");
    EXPECT_EQ(format(disk, options).message(),
              "Log directory /a is already formatted. Use --ignore-formatted to ignore this "
              "directory and format the others.");
    options.ignore_formatted = true;
    options.log_dirs.emplace_back("/c");
    std::vector<std::string> lines;
    ASSERT_TRUE(format(disk, options, &lines).ok());
    EXPECT_EQ(lines.back(), "Formatting data directory /c with metadata.version 4.3-IV0.");
    EXPECT_EQ(disk.contents("/a/meta.properties"), before);
    lines.clear();
    ASSERT_TRUE(format(disk, options, &lines).ok());
    EXPECT_EQ(lines, std::vector<std::string>{"All of the log directories are already formatted."});
    options.cluster_id = "other";
    EXPECT_EQ(format(disk, options).errc(), Errc::InvalidInput);
}

/// Stopped after any step of the disk and then run again, format ends with whole directories; a
/// directory counts as formatted only when all its files are there.
TEST(StorageFormat, SurvivesACrashAtEveryStep) {
    for (uint64_t stop = 1; stop < 200; ++stop) {
        support::SimDisk disk;
        Rng rng(stop);
        disk.halt_after(stop);
        const bool reported = format(disk, standalone()).ok();
        const bool whole = reported && !disk.halted();
        disk.crash(support::CrashStyle::Random, rng);
        disk.clear_faults();
        for (const char* dir : {"/a", "/b"}) {
            const std::string path = dir;
            const bool formatted = disk.stat(path + "/meta.properties")->has_value();
            EXPECT_TRUE(formatted || !reported) << "stop " << stop;
            if (!formatted) continue;
            EXPECT_EQ(disk.contents(path + "/bootstrap.checkpoint").size(), 411u)
                << "stop " << stop;
            if (path == "/a") {
                EXPECT_EQ(disk.contents("/a/__cluster_metadata-0/"
                                        "00000000000000000000-0000000000.checkpoint")
                              .size(),
                          241u)
                    << "stop " << stop;
            }
        }
        StorageFormatOptions again = standalone();
        again.ignore_formatted = true;
        ASSERT_TRUE(format(disk, again).ok()) << "stop " << stop;
        const auto all = storage::MetaPropertiesEnsemble::load(disk, {"/a", "/b"});
        EXPECT_EQ(all.log_dirs.size(), 2u) << "stop " << stop;
        EXPECT_TRUE(all.verify_for_start(NodeId(1), "/a").ok()) << "stop " << stop;
        if (whole) return;
    }
    FAIL() << "format never ran to its end";
}

TEST(StorageFeatures, ReleasesAndDependenciesAreKafkas) {
    const auto lines = describe_release("4.1");
    ASSERT_TRUE(lines.ok());
    EXPECT_EQ(*lines, (std::vector<std::string>{"metadata.version=27 (4.1)", "kraft.version=1",
                                                "transaction.version=2", "group.version=1",
                                                "eligible.leader.replicas.version=1",
                                                "share.version=0", "streams.version=0"}));
    EXPECT_EQ(describe_release({})->front(), "metadata.version=30 (4.3-IV0)");
    std::vector<std::string> said;
    const Status status = describe_feature_dependencies(
        {"eligible.leader.replicas.version=1", "metadata.version=22", "group.version=1", "nope=1"},
        [&](const std::string& line) { said.push_back(line); });
    EXPECT_EQ(status.message(), "Unknown feature: nope");
    EXPECT_EQ(said, (std::vector<std::string>{"eligible.leader.replicas.version=1 requires:",
                                              "    metadata.version=23 (4.0-IV1)",
                                              "metadata.version=22 (4.0-IV0) has no dependencies.",
                                              "group.version=1 has no dependencies."}));
}

TEST(StorageInfo, SaysWhatKafkaSays) {
    support::SimDisk disk;
    ASSERT_TRUE(format(disk, standalone()).ok());
    StorageInfo info = describe_storage(disk, {"/b", "/a"});
    EXPECT_FALSE(info.has_problems);
    ASSERT_EQ(info.lines.size(), 6u);
    EXPECT_EQ(info.lines[0], "Found log directories:");
    EXPECT_EQ(info.lines[1], "  /a");
    EXPECT_TRUE(info.lines[4].starts_with(
        "Found metadata: {cluster.id=MkU3OEVBNTcwNTJENDM2Qg, directory.id="));
    info = describe_storage(disk, {"/a", "/missing"});
    EXPECT_TRUE(info.has_problems);
    EXPECT_EQ(info.lines[0], "Found log directory:");
    EXPECT_EQ(info.lines[6 - 1], "Found problem:");
    EXPECT_EQ(info.lines[6], "  /missing does not exist");
}

}  // namespace
}  // namespace millrace::broker
