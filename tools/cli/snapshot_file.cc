// tools/cli/snapshot_file.cc: the snapshot's members as they stream by; a million copies in
// seconds.
#include "cli/snapshot_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

using placement::Broker;
using placement::BrokerState;
using placement::Partition;
using placement::Snapshot;

/// Where the reader stands: one per open object or array that it knows.
enum class At : uint8_t {
    Start,
    Root,
    Axes,
    Brokers,
    Broker,
    Labels,
    LogDirs,
    LogDir,
    Topics,
    Topic,
    Partitions,
    Partition,
    Replicas,
    Isr,
};

struct Scalar {
    enum class Kind : uint8_t { Null, Bool, Integer, TooLarge, Fraction, Text } kind;
    int64_t integer = 0;
    double fraction = 0;
    std::string text;
};

class Reader : public nlohmann::json_sax<nlohmann::json> {
  public:
    explicit Reader(Snapshot& snapshot) : snapshot_(snapshot) { stack_.push_back(At::Start); }

    SnapshotProblem problem;
    size_t error_at = 0;

    bool null() override { return scalar({Scalar::Kind::Null, 0, 0, {}}); }
    bool boolean(bool) override { return scalar({Scalar::Kind::Bool, 0, 0, {}}); }
    bool number_integer(int64_t value) override {
        return scalar({Scalar::Kind::Integer, value, 0, {}});
    }
    bool number_unsigned(uint64_t value) override {
        if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
            return scalar({Scalar::Kind::TooLarge, 0, 0, {}});
        return scalar({Scalar::Kind::Integer, static_cast<int64_t>(value), 0, {}});
    }
    bool number_float(double value, const std::string&) override {
        if (value == std::floor(value) && std::abs(value) < 9.0e18)
            return scalar({Scalar::Kind::Integer, static_cast<int64_t>(value), 0, {}});
        if (std::abs(value) >= 9.0e18) return scalar({Scalar::Kind::TooLarge, 0, 0, {}});
        return scalar({Scalar::Kind::Fraction, 0, value, {}});
    }
    bool string(std::string& value) override {
        return scalar({Scalar::Kind::Text, 0, 0, std::move(value)});
    }
    bool binary(nlohmann::json::binary_t&) override { return fail("holds binary data"); }
    bool key(std::string& name) override {
        if (skip_ > 0) return true;
        key_ = std::move(name);
        if (stack_.back() == At::Labels) {
            const auto& labels = broker().labels;
            const bool twice = std::any_of(labels.begin(), labels.end(), [this](const auto& label) {
                return label.first == key_;
            });
            return twice ? fail("is there twice") : true;
        }
        const int at = member();
        if (at < 0) return true;
        if ((seen_.back() >> at & 1U) != 0) return fail("is there twice");
        seen_.back() |= 1U << at;
        return true;
    }
    bool parse_error(size_t position, const std::string&,
                     const nlohmann::json::exception& error) override {
        std::string what = error.what();
        const size_t at = what.find("parse error at ");
        if (at != std::string::npos) what.erase(0, at + 15);
        problem = {"bad-json", what, ""};
        error_at = position;
        return false;
    }

    bool start_object(size_t) override {
        if (skip_ > 0) return skip();
        switch (stack_.back()) {
            case At::Start: return open(At::Root);
            case At::Brokers:
                snapshot_.brokers.emplace_back();
                racks_.emplace_back();
                has_labels_ = has_id_ = false;
                return open(At::Broker);
            case At::LogDirs: broker().log_dirs.emplace_back(); return open(At::LogDir);
            case At::Topics:
                snapshot_.topics.emplace_back();
                has_partitions_ = false;
                return open(At::Topic);
            case At::Partitions:
                snapshot_.topics.back().partitions.emplace_back();
                has_number_ = has_replicas_ = false;
                return open(At::Partition);
            case At::Broker:
                if (key_ != "labels") break;
                has_labels_ = true;
                broker().labels.clear();
                return open(At::Labels);
            case At::Root:
            case At::Axes:
            case At::Labels:
            case At::LogDir:
            case At::Topic:
            case At::Partition:
            case At::Replicas:
            case At::Isr: break;
        }
        return known() ? fail("must not be an object") : skip();
    }

    bool start_array(size_t) override {
        if (skip_ > 0) return skip();
        const At at = stack_.back();
        if (at == At::Root && key_ == "axes") {
            has_axes_ = true;
            snapshot_.axes.clear();
            return open(At::Axes);
        }
        if (at == At::Root && key_ == "brokers") {
            has_brokers_ = true;
            return open(At::Brokers);
        }
        if (at == At::Root && key_ == "topics") {
            has_topics_ = true;
            return open(At::Topics);
        }
        if (at == At::Broker && key_ == "log_dirs") return open(At::LogDirs);
        if (at == At::Topic && key_ == "partitions") {
            has_partitions_ = true;
            return open(At::Partitions);
        }
        if (at == At::Partition && key_ == "replicas") {
            has_replicas_ = true;
            partition().replicas.clear();
            return open(At::Replicas);
        }
        if (at == At::Partition && key_ == "isr") {
            partition().isr.emplace();
            return open(At::Isr);
        }
        return known() ? fail("must not be an array") : skip();
    }

    bool end_object() override {
        if (skip_ > 0) return --skip_, true;
        const At at = stack_.back();
        if (at == At::Root && !has_version_) return fail_at("version", "is missing");
        if (at == At::Root && !has_brokers_) return fail_at("brokers", "is missing");
        if (at == At::Root && !has_topics_) return fail_at("topics", "is missing");
        if (at == At::Broker && !has_id_) return fail_at("id", "is missing");
        if (at == At::Broker && !has_labels_)
            broker().labels = placement::labels_of_rack(racks_.back());
        if (at == At::LogDir && broker().log_dirs.back().path.empty())
            return fail_at("path", "is missing");
        if (at == At::Topic && snapshot_.topics.back().name.empty())
            return fail_at("name", "is missing");
        if (at == At::Topic && !has_partitions_) return fail_at("partitions", "is missing");
        if (at == At::Partition && !has_number_) return fail_at("partition", "is missing");
        if (at == At::Partition && !has_replicas_) return fail_at("replicas", "is missing");
        stack_.pop_back();
        seen_.pop_back();
        return true;
    }
    bool end_array() override {
        if (skip_ > 0) return --skip_, true;
        stack_.pop_back();
        seen_.pop_back();
        return true;
    }

    void finish() {
        if (!has_axes_) snapshot_.axes = placement::axes_of_labels(snapshot_.brokers);
    }

  private:
    Broker& broker() { return snapshot_.brokers.back(); }
    Partition& partition() { return snapshot_.topics.back().partitions.back(); }
    bool open(At at) {
        stack_.push_back(at);
        seen_.push_back(0);
        key_.clear();
        return true;
    }
    bool skip() {
        ++skip_;
        return true;
    }

    /// Whether the value at hand is one that the reader has a place for.
    bool known() const { return member() >= 0; }
    /// Which of the members that the reader knows here it is; -1 for none.
    int member() const {
        const auto any = [this](std::initializer_list<const char*> names) {
            const auto* const at = std::find(names.begin(), names.end(), key_);
            return at == names.end() ? -1 : static_cast<int>(at - names.begin());
        };
        switch (stack_.back()) {
            case At::Root: return any({"version", "axes", "brokers", "topics", "metadata_offset"});
            case At::Broker: return any({"id", "rack", "labels", "state", "log_dirs"});
            case At::LogDir: return any({"path", "capacity_bytes", "used_bytes"});
            case At::Topic: return any({"name", "partitions"});
            case At::Partition:
                return any(
                    {"partition", "replicas", "isr", "leader", "size_bytes", "bytes_in_rate"});
            case At::Start:
            case At::Axes:
            case At::Brokers:
            case At::Labels:
            case At::LogDirs:
            case At::Topics:
            case At::Partitions:
            case At::Replicas:
            case At::Isr: return 0;
        }
        return 0;
    }

    bool fail(const std::string& message) { return fail_at(key_, message); }
    bool fail_at(const std::string& name, const std::string& message) {
        std::string path;
        for (const At at : stack_) {
            switch (at) {
                case At::Axes: path += "axes"; break;
                case At::Brokers: path += "brokers"; break;
                case At::Broker: path += fmt::format("[{}].", snapshot_.brokers.size() - 1); break;
                case At::Labels: path += "labels."; break;
                case At::LogDirs: path += "log_dirs"; break;
                case At::LogDir: path += fmt::format("[{}].", broker().log_dirs.size() - 1); break;
                case At::Topics: path += "topics"; break;
                case At::Topic: path += fmt::format("[{}].", snapshot_.topics.size() - 1); break;
                case At::Partitions: path += "partitions"; break;
                case At::Partition:
                    path += fmt::format("[{}].", snapshot_.topics.back().partitions.size() - 1);
                    break;
                case At::Replicas: path += "replicas"; break;
                case At::Isr: path += "isr"; break;
                case At::Start:
                case At::Root: break;
            }
        }
        if (name.empty() && path.ends_with('.')) path.pop_back();
        path += name;
        problem = {"bad-input", (path.empty() ? "the snapshot" : path) + " " + message, ""};
        return false;
    }

    bool scalar(Scalar value) {
        if (skip_ > 0) return true;
        switch (stack_.back()) {
            case At::Start: return fail("must be an object");
            case At::Root: return root_member(value);
            case At::Axes: return text(value, snapshot_.axes.emplace_back());
            case At::Broker: return broker_member(value);
            case At::Labels: return label(value);
            case At::LogDir: return dir_member(value);
            case At::Topic: return topic_member(value);
            case At::Partition: return partition_member(value);
            case At::Replicas: return id(value, partition().replicas.emplace_back());
            case At::Isr: return id(value, partition().isr->emplace_back());
            case At::Brokers:
            case At::LogDirs:
            case At::Topics:
            case At::Partitions: return fail("must hold objects");
        }
        return true;
    }

    bool text(Scalar& value, std::string& out) {
        if (value.kind != Scalar::Kind::Text) return fail("must be a string");
        out = std::move(value.text);
        return true;
    }
    bool id(const Scalar& value, int32_t& out) {
        if (value.kind != Scalar::Kind::Integer || value.integer < 0 ||
            value.integer > std::numeric_limits<int32_t>::max())
            return fail("must be a whole number from 0 to 2147483647");
        out = static_cast<int32_t>(value.integer);
        return true;
    }
    bool amount(const Scalar& value, int64_t& out) {
        if (value.kind == Scalar::Kind::TooLarge) return fail("does not fit into 63 bits");
        if (value.kind != Scalar::Kind::Integer || value.integer < 0)
            return fail("must be a whole number, 0 or more");
        out = value.integer;
        return true;
    }

    bool root_member(Scalar& value) {
        if (key_ == "version") {
            if (value.kind != Scalar::Kind::Integer || value.integer != 1) return fail("must be 1");
            has_version_ = true;
            return true;
        }
        if (key_ == "metadata_offset") {
            if (value.kind == Scalar::Kind::Null) return true;
            if (value.kind == Scalar::Kind::Integer && value.integer == -1) return true;
            return amount(value, snapshot_.metadata_offset.emplace());
        }
        if (key_ == "axes" && value.kind == Scalar::Kind::Null) return true;
        return known() ? fail("must be an array") : true;
    }

    bool broker_member(Scalar& value) {
        const bool null = value.kind == Scalar::Kind::Null;
        if (key_ == "id") {
            has_id_ = true;
            return id(value, broker().id);
        }
        if (key_ == "rack") return null || text(value, racks_.back());
        if (key_ == "state") {
            if (null) return true;
            std::string name;
            if (!text(value, name)) return false;
            constexpr std::pair<const char*, BrokerState> kStates[] = {
                {"up", BrokerState::Up},
                {"down", BrokerState::Down},
                {"dead", BrokerState::Dead},
                {"cordoned", BrokerState::Cordoned}};
            for (const auto& [word, state] : kStates) {
                if (name != word) continue;
                broker().state = state;
                return true;
            }
            return fail("must be up, down, dead or cordoned");
        }
        if (null) return true;  // labels and log_dirs may be left out
        return known() ? fail(key_ == "labels" ? "must be an object" : "must be an array") : true;
    }

    bool label(Scalar& value) {
        placement::Label made{key_, ""};
        if (value.kind == Scalar::Kind::Null) return true;
        if (value.kind == Scalar::Kind::Integer)
            made.second = fmt::format("{}", value.integer);
        else if (!text(value, made.second))
            return false;
        broker().labels.push_back(std::move(made));
        return true;
    }

    bool dir_member(Scalar& value) {
        placement::LogDir& dir = broker().log_dirs.back();
        if (key_ == "path") return text(value, dir.path);
        if (value.kind == Scalar::Kind::Null) return true;
        if (key_ == "capacity_bytes") return amount(value, dir.capacity_bytes.emplace());
        if (key_ == "used_bytes") return amount(value, dir.used_bytes);
        return true;
    }

    bool topic_member(Scalar& value) {
        if (key_ == "name") return text(value, snapshot_.topics.back().name);
        return known() ? fail("must be an array") : true;
    }

    bool partition_member(Scalar& value) {
        const bool null = value.kind == Scalar::Kind::Null;
        if (key_ == "partition") {
            has_number_ = true;
            return id(value, partition().partition);
        }
        if (key_ == "leader") {
            partition().leader = -1;
            if (null) return true;
            if (value.kind != Scalar::Kind::Integer || value.integer < -1 ||
                value.integer > std::numeric_limits<int32_t>::max())
                return fail("must be a broker id, or -1 for none");
            if (value.integer >= 0) partition().leader = static_cast<int32_t>(value.integer);
            return true;
        }
        if (key_ == "size_bytes") return null || amount(value, partition().size_bytes);
        if (key_ == "bytes_in_rate") {
            if (value.kind == Scalar::Kind::Fraction && value.fraction > 0) {
                partition().bytes_in_rate = static_cast<int64_t>(value.fraction);
                return true;
            }
            return null || amount(value, partition().bytes_in_rate);
        }
        if (key_ == "isr" && null) return true;
        return known() ? fail("must be an array") : true;
    }

    Snapshot& snapshot_;
    std::vector<At> stack_;
    std::vector<uint32_t> seen_;  // by what is open: a bit for each of its members
    std::string key_;
    std::vector<std::string> racks_;
    size_t skip_ = 0;  // depth inside a member that is not ours
    bool has_version_ = false, has_axes_ = false, has_brokers_ = false, has_topics_ = false;
    bool has_id_ = false, has_labels_ = false, has_partitions_ = false;
    bool has_number_ = false, has_replicas_ = false;
};

/// The line around a position, at most 80 characters of it, and a caret below.
std::string excerpt_at(const std::string& text, size_t position) {
    constexpr size_t kBefore = 60;
    constexpr size_t kAfter = 20;
    const size_t at = std::min(position > 0 ? position - 1 : 0, text.size());
    size_t begin = at;
    while (begin > 0 && at - begin < kBefore && text[begin - 1] != '\n')
        --begin;
    size_t end = at;
    while (end < text.size() && end - at < kAfter && text[end] != '\n')
        ++end;
    std::string line = text.substr(begin, end - begin);
    std::replace_if(
        line.begin(), line.end(),
        [](char c) {
            return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e;
        },
        ' ');
    return line + "\n" + std::string(at - begin, ' ') + "^";
}

}  // namespace

SnapshotProblem read_snapshot(const std::string& text, Snapshot& snapshot) {
    Reader reader(snapshot);
    if (!nlohmann::json::sax_parse(text, &reader)) {
        if (reader.problem.rule == "bad-json")
            reader.problem.excerpt = excerpt_at(text, reader.error_at);
        return reader.problem;
    }
    reader.finish();
    return {};
}

}  // namespace millrace::cli
