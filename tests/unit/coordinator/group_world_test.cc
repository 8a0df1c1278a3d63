// tests/unit/coordinator/group_world_test.cc: the world of the transcripts, and its own test.
#include "unit/coordinator/group_world.h"

#include <gtest/gtest.h>

#include "millrace/wire/writer.h"
#include "unit/coordinator/group_print.h"

namespace millrace::coordinator {

Words::Words(const std::string& line) {
    std::istringstream in(line);
    in >> verb_;
    for (std::string word; in >> word;) {
        const size_t equals = word.find('=');
        values_[word.substr(0, equals)] =
            equals == std::string::npos ? "" : word.substr(equals + 1);
    }
}

namespace {

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, at);)
        parts.push_back(part);
    return parts;
}

/// "foo0+foo1" as topics with partitions.
template <class Topics>
void add_partitions(const std::string& text, Topics& topics) {
    for (const std::string& part : split(text, '+')) {
        const size_t digit = part.find_first_of("0123456789");
        const std::string topic = part.substr(0, digit);
        if (topics.empty() || topics.back().topic != topic) topics.emplace_back().topic = topic;
        topics.back().partitions.push_back(std::stoi(part.substr(digit)));
    }
}

Buffer subscription(const std::string& topics, const std::string& owned, int64_t pad) {
    wire::ConsumerProtocolSubscription value;
    if (pad > 0) value.user_data = Buffer::copy_of(std::string(static_cast<size_t>(pad), 'x'));
    value.topics = split(topics, '+');
    add_partitions(owned, value.owned_partitions);
    wire::Writer writer;
    writer.i16(1);
    value.encode(writer, 1);
    return writer.finish_flat();
}

Buffer assignment(const std::string& text) {
    wire::ConsumerProtocolAssignment value;
    add_partitions(text, value.assigned_partitions);
    return encode_assignment(value, 1);
}

/// "foo-0:42" -> topic, partition, offset.
template <class Request>
void add_offsets(const Words& words, const metadata::Image& image, Request& request) {
    for (const std::string& entry : words.list("at")) {
        const size_t dash = entry.rfind('-');
        const size_t colon = entry.find(':', dash);
        auto& topic = request.topics.emplace_back();
        topic.name = entry.substr(0, dash);
        if constexpr (requires { topic.topic_id; }) {
            const auto* known = image.topics.find(topic.name);
            if (known != nullptr) topic.topic_id = known->id;
        }
        auto& partition = topic.partitions.emplace_back();
        partition.partition_index = std::stoi(entry.substr(dash + 1, colon - dash - 1));
        partition.committed_offset = std::stoll(entry.substr(colon + 1));
        partition.committed_metadata = words.text("meta");
        if (words.has("metasize")) {
            partition.committed_metadata =
                std::string(static_cast<size_t>(words.number("metasize", 0)), 'x');
        }
    }
}

wire::ConsumerGroupHeartbeatRequest consumer_heartbeat(const Words& words) {
    wire::ConsumerGroupHeartbeatRequest r;
    r.group_id = words.text("g");
    r.member_id = words.text("id");
    r.member_epoch = static_cast<int32_t>(words.number("epoch", 0));
    r.instance_id = words.maybe("inst");
    r.rebalance_timeout_ms = static_cast<int32_t>(words.number("rebalance", -1));
    if (words.has("topics")) r.subscribed_topic_names = words.list("topics");
    r.subscribed_topic_regex = words.maybe("regex");
    r.server_assignor = words.maybe("assignor");
    if (words.has("owned")) {
        auto& owned = r.topic_partitions.emplace();
        for (const std::string& topic : words.list("owned")) {
            const size_t colon = topic.find(':');
            auto& entry = owned.emplace_back();
            entry.topic_id = Uuid{0, std::stoull(topic.substr(0, colon))};
            for (const std::string& partition : split(topic.substr(colon + 1), '+'))
                entry.partitions.push_back(std::stoi(partition));
        }
    }
    return r;
}

}  // namespace

std::vector<std::string> Words::list(const std::string& key) const { return split(text(key), ','); }

GroupWorld::GroupWorld() { start(); }

void GroupWorld::start() {
    unanswered_.clear();  // the connections went with the machine
    machine_ = std::make_unique<GroupCoordinator>(settings_, seed_++);
    out_.clear();
    machine_->on_elected(tick(), LeaderEpoch(1), out_);
    machine_->on_image(tick(), image_, out_);
    Offset end{0};
    for (const CoordinatorBatch& batch : log_) {
        LoadedBatch loaded{batch.base_offset, batch.end() - 1, batch.producer, batch.marker, {}};
        Offset at = batch.base_offset;
        for (const CoordinatorRecord& record : batch.records) {
            loaded.records.push_back(
                {at, record.key.view(),
                 record.value ? std::optional<ByteView>(record.value->view()) : std::nullopt});
            at = at + 1;
        }
        const Status status = machine_->on_load_batch(tick(), loaded, log_end_, out_);
        if (!status.ok()) print("cannot load: " + status.to_string());
        end = batch.end();
    }
    machine_->on_loaded(tick(), end, end, out_);
    log_end_ = end;
    high_watermark_ = end;
    carry_out();
}

std::string GroupWorld::run(const std::string& line) {
    printed_.clear();
    std::string plain;
    for (const std::string& word : split(line, ' ')) {
        const size_t equals = word.find('=');
        const std::string key = word.substr(0, equals);
        plain += (plain.empty() ? "" : " ");
        plain += key == "id" || key == "assign" ? key + "=" + real(word.substr(equals + 1)) : word;
    }
    const Words words(plain);
    if (words.verb() == "wait") {
        wait(words.number("ms", 0));
    } else if (words.verb() == "hold") {
        holding_ = words.number("on", 1) == 1;
        settle();
    } else if (words.verb() == "refuse") {
        refuse_ = static_cast<ErrorCode>(words.number("error", 0));
    } else if (words.verb() == "machine") {
        print(machine_->debug_line());
    } else if (words.verb() == "restart") {
        start();
    } else if (words.verb() == "leave-office") {
        out_.clear();
        machine_->on_resign(tick(), out_);
        carry_out();
    } else if (words.verb() == "set") {
        if (words.has("policy")) {
            settings_->consumer_migration_policy =
                static_cast<MigrationPolicy>(words.number("policy", 3));
        }
        settings_->max_size = static_cast<int32_t>(words.number("max_size", settings_->max_size));
        settings_->consumer_max_size =
            static_cast<int32_t>(words.number("consumer_max_size", settings_->consumer_max_size));
        settings_->offsets_retention_ms =
            words.number("retention", settings_->offsets_retention_ms);
        start();
    } else if (words.verb() == "topic" || words.verb() == "untopic") {
        topic(words);
    } else if (words.verb() == "marker") {
        transaction_ends(words);
    } else {
        request(words);
    }
    return printed_;
}

void GroupWorld::topic(const Words& words) {
    auto next = std::make_shared<metadata::Image>(*image_);
    next->provenance.offset = next->provenance.offset + 1;
    const Uuid id{0, static_cast<uint64_t>(words.number("id", 1))};
    if (words.verb() == "untopic") {
        const auto* known = next->topics.find(id);
        const std::string name = known->name;
        next->topics.ids_by_name.erase(name);
        next->topics.by_id.erase(id);
    } else {
        for (int64_t n = 0; n < words.number("count", 1); ++n) {
            auto image = std::make_shared<metadata::TopicImage>();
            image->name = words.text("name") + (words.has("count") ? std::to_string(n) : "");
            image->id = Uuid{0, id.low + static_cast<uint64_t>(n)};
            for (int32_t i = 0; i < words.number("partitions", 1); ++i) {
                auto partition = std::make_shared<metadata::PartitionImage>();
                partition->replicas = {NodeId(1)};
                partition->leader = NodeId(1);
                image->partitions.set(PartitionIndex(i), std::move(partition));
            }
            next->topics.ids_by_name.set(image->name, image->id);
            next->topics.by_id.set(image->id, image);
        }
    }
    image_ = std::move(next);
    out_.clear();
    machine_->on_image(tick(), image_, out_);
    carry_out();
    settle();
}

void GroupWorld::transaction_ends(const Words& words) {
    out_.clear();
    unanswered_.insert(next_id_);
    machine_->end_transaction(tick(), next_id_++,
                              {{ProducerId(words.number("pid", 1)), ProducerEpoch(0)},
                               words.number("commit", 1) == 1,
                               {}},
                              out_);
    carry_out();
    settle();
}

GroupRequest GroupWorld::make_request(const Words& words) const {
    const std::string& verb = words.verb();
    const auto generation = static_cast<int32_t>(words.number("gen", -1));
    if (verb == "join") {
        wire::JoinGroupRequest r;
        r.group_id = words.text("g");
        r.member_id = words.text("id");
        r.group_instance_id = words.maybe("inst");
        r.protocol_type = words.text("type", "consumer");
        r.session_timeout_ms = static_cast<int32_t>(words.number("session", 10'000));
        r.rebalance_timeout_ms = static_cast<int32_t>(words.number("rebalance", 60'000));
        for (const std::string& protocol : split(words.text("protos", "range:foo"), ',')) {
            const size_t colon = protocol.find(':');
            r.protocols.push_back({protocol.substr(0, colon),
                                   subscription(protocol.substr(colon + 1), words.text("owned"),
                                                words.number("pad", 0)),
                                   {}});
        }
        return r;
    }
    if (verb == "sync") {
        wire::SyncGroupRequest r;
        r.group_id = words.text("g");
        r.member_id = words.text("id");
        r.group_instance_id = words.maybe("inst");
        r.generation_id = generation;
        r.protocol_type = words.text("type", "consumer");
        r.protocol_name = words.text("proto", "range");
        for (const std::string& entry : words.list("assign")) {
            const size_t colon = entry.rfind(':');
            r.assignments.push_back(
                {entry.substr(0, colon), assignment(entry.substr(colon + 1)), {}});
        }
        return r;
    }
    if (verb == "beat") {
        wire::HeartbeatRequest r;
        r.group_id = words.text("g");
        r.member_id = words.text("id");
        r.group_instance_id = words.maybe("inst");
        r.generation_id = generation;
        return r;
    }
    if (verb == "leave") {
        wire::LeaveGroupRequest r;
        r.group_id = words.text("g");
        r.member_id = words.text("id");
        r.members.push_back({words.text("id"), words.maybe("inst"), {}, {}});
        return r;
    }
    if (verb == "commit") {
        wire::OffsetCommitRequest r;
        r.group_id = words.text("g");
        r.member_id = words.text("id");
        r.group_instance_id = words.maybe("inst");
        r.generation_id_or_member_epoch = generation;
        r.retention_time_ms = words.number("keep", -1);
        add_offsets(words, *image_, r);
        return r;
    }
    if (verb == "txncommit") {
        wire::TxnOffsetCommitRequest r;
        r.group_id = words.text("g");
        r.member_id = words.text("id");
        r.generation_id = generation;
        r.producer_id = words.number("pid", 1);
        add_offsets(words, *image_, r);
        return r;
    }
    if (verb == "fetch") {
        wire::OffsetFetchRequest r;
        auto& group = r.groups.emplace_back();
        group.group_id = words.text("g");
        group.member_id = words.maybe("id");
        group.member_epoch = static_cast<int32_t>(words.number("epoch", -1));
        r.require_stable = words.number("stable", 0) == 1;
        if (!words.has("of")) group.topics.reset();
        for (const std::string& entry : words.list("of")) {
            const size_t dash = entry.rfind('-');
            auto& topic = group.topics->emplace_back();
            topic.name = entry.substr(0, dash);
            const auto* known = image_->topics.find(topic.name);
            if (known != nullptr) topic.topic_id = known->id;
            topic.partition_indexes = {std::stoi(entry.substr(dash + 1))};
        }
        return r;
    }
    if (verb == "unset") {
        wire::OffsetDeleteRequest r;
        r.group_id = words.text("g");
        for (const std::string& entry : words.list("of")) {
            const size_t dash = entry.rfind('-');
            auto& topic = r.topics.emplace_back();
            topic.name = entry.substr(0, dash);
            topic.partitions.emplace_back().partition_index = std::stoi(entry.substr(dash + 1));
        }
        return r;
    }
    if (verb == "list") {
        wire::ListGroupsRequest r;
        r.states_filter = words.list("states");
        r.types_filter = words.list("types");
        return r;
    }
    if (verb == "describe") {
        wire::DescribeGroupsRequest r;
        r.groups = words.list("g");
        return r;
    }
    if (verb == "delete") {
        wire::DeleteGroupsRequest r;
        r.groups_names = words.list("g");
        return r;
    }
    if (verb == "cdescribe") {
        wire::ConsumerGroupDescribeRequest r;
        r.group_ids = words.list("g");
        return r;
    }
    return consumer_heartbeat(words);
}

void GroupWorld::request(const Words& words) {
    static const std::map<std::string, int16_t> kNewest = {
        {"join", 9},  {"sync", 5},     {"beat", 4}, {"leave", 5}, {"commit", 9},   {"txncommit", 5},
        {"fetch", 9}, {"describe", 6}, {"list", 5}, {"cgh", 1},   {"cdescribe", 1}};
    auto newest = kNewest.find(words.verb());
    const auto version =
        static_cast<int16_t>(words.number("v", newest == kNewest.end() ? 0 : newest->second));
    const GroupCaller caller{version, words.text("c", "c"), "/127.0.0.1"};
    out_.clear();
    const RequestId id = next_id_++;
    unanswered_.insert(id);
    machine_->run(tick(), id, caller, make_request(words), out_);
    const size_t before = printed_.size();
    carry_out();
    settle();
    if (printed_.size() == before ||
        printed_.find(fmt::format("{}: ", id), before) == std::string::npos)
        print(fmt::format("{} waits", id));
}

void GroupWorld::wait(int64_t ms) {
    const Instant until = now_ + milliseconds(ms);
    for (int turns = 0; wake_at_ <= until && turns < 10'000; ++turns) {
        now_ = std::max(now_, wake_at_);
        out_.clear();
        machine_->on_tick(tick(), out_);
        const std::string before = std::exchange(printed_, "");
        carry_out();
        settle();
        const std::string caused = std::exchange(printed_, before);
        if (!caused.empty()) {
            print(fmt::format("at {} ms:", now_.nanos / 1'000'000));
            printed_ += caused;
        }
    }
    now_ = until;
}

void GroupWorld::carry_out() {
    Out out = std::move(out_);
    out_ = Out();
    wake_at_ = out.wake_at;
    for (CoordinatorBatch& batch : out.append) {
        if (refuse_ != ErrorCode::None) {
            print(fmt::format("refused: {}", error_code_name(refuse_)));
            Out failed;
            machine_->on_append_failed(tick(), batch.base_offset,
                                       std::exchange(refuse_, ErrorCode::None), failed);
            out_ = std::move(failed);
            break;
        }
        EXPECT_EQ(batch.base_offset, log_end_);
        for (const CoordinatorRecord& record : batch.records)
            print_record(batch, record);
        if (batch.marker)
            print(fmt::format("  marker {}", batch.marker->commit ? "commit" : "abort"));
        log_end_ = batch.end();
        log_.push_back(std::move(batch));
    }
    for (const auto& reply : out.replies)
        print_reply(reply);
    if (!out_.append.empty() || !out_.replies.empty()) carry_out();
}

/// Commits what is appended, until nothing more follows from it.
void GroupWorld::settle() {
    while (!holding_ && high_watermark_ < log_end_) {
        high_watermark_ = log_end_;
        out_.clear();
        machine_->on_high_watermark(tick(), high_watermark_, out_);
        carry_out();
    }
}

void GroupWorld::print(const std::string& line) { printed_ += alias(line) + "\n"; }

void GroupWorld::print_record(const CoordinatorBatch& batch, const CoordinatorRecord& record) {
    print(
        "  " + record_text(record) +
        (batch.producer.transactional() ? fmt::format(" in txn {}", batch.producer.id.value) : ""));
}

void GroupWorld::print_reply(const CoordinatorReply<GroupResponse>& reply) {
    EXPECT_EQ(unanswered_.erase(reply.id), 1u) << reply.id << " was answered twice";
    print(fmt::format("{}: {}", reply.id,
                      std::visit([](const auto& r) { return text_of(r); }, reply.response)));
}

/// Replaces "client-<36 characters of UUID>" by "client#n".
std::string GroupWorld::alias(const std::string& text) {
    constexpr size_t kUuidSize = 36;
    std::string result;
    size_t word = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const bool uuid = text[i] == '-' && i + kUuidSize < text.size() + 0 + 1 &&
                          i + kUuidSize <= text.size() - 1 + 0 && text[i + 9] == '-' &&
                          text[i + 14] == '-' && text[i + 19] == '-' && text[i + 24] == '-';
        if (!uuid) {
            result += text[i];
            if (text[i] == ' ' || text[i] == '(' || text[i] == '/' || text[i] == '=') word = i + 1;
            continue;
        }
        const std::string full = text.substr(word, i + 1 + kUuidSize - word);
        const std::string client = text.substr(word, i - word);
        if (!aliases_.contains(full)) {
            aliases_[full] = client + "#" + std::to_string(++alias_count_[client]);
        }
        result.resize(result.size() - client.size());
        result += aliases_[full];
        i += kUuidSize;
    }
    return result;
}

std::string GroupWorld::real(const std::string& text) const {
    std::string result = text;
    for (const auto& [full, short_name] : aliases_) {
        size_t at = 0;
        while ((at = result.find(short_name, at)) != std::string::npos) {
            const size_t end = at + short_name.size();
            if (end < result.size() && result[end] >= '0' && result[end] <= '9') {
                at = end;
                continue;
            }
            result.replace(at, short_name.size(), full);
            at += full.size();
        }
    }
    return result;
}

namespace {

TEST(GroupWorldTest, AliasesMemberIds) {
    GroupWorld world;
    const std::string printed = world.run("join c=A g=g");
    EXPECT_NE(printed.find("MEMBER_ID_REQUIRED member A#1"), std::string::npos) << printed;
}

}  // namespace
}  // namespace millrace::coordinator
