// tests/sim/model.cc: comparing answers with what must be there.
#include "sim/model.h"

#include <algorithm>

#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::sim {

namespace {
constexpr size_t kValueBytesMax = 400;
}

std::string Attempt::key(uint64_t id, size_t index) {
    return std::to_string(id) + "." + std::to_string(index);
}

std::string Attempt::value(uint64_t id, size_t index) {
    Rng rng(id * 1000 + index);
    std::string text = key(id, index) + ":";
    const size_t size = rng.below(rng.chance(1, 8) ? kValueBytesMax * 4 : kValueBytesMax / 4);
    for (size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('a' + rng.below(26)));
    return text;
}

Buffer Attempt::encode() const {
    record::BatchBuilder builder;
    record::BatchOptions options;
    options.compression = compression;
    options.producer_id = ProducerId(producer_id);
    options.producer_epoch = ProducerEpoch(producer_epoch);
    options.base_sequence = base_sequence;
    builder.start(options);
    for (size_t i = 0; i < count(); ++i) {
        const std::string key_text = key(id, i);
        const std::string value_text = value(id, i);
        record::NewRecord record;
        record.timestamp = WallMs{timestamps[i]};
        record.key = ByteView(key_text);
        record.value = ByteView(value_text);
        builder.append(record);
    }
    return builder.finish();
}

void PartitionModel::fail(const std::string& invariant, const std::string& text) const {
    model_.world().fail(kExitSafety, invariant, name_ + ": " + text);
}

Attempt& PartitionModel::make_attempt(size_t records, Rng& rng) {
    const uint64_t id = model_.next_attempt++;
    Attempt& attempt = attempts_[id];
    attempt.id = id;
    attempt.made_in = model_.incarnation;
    const int64_t now = model_.world().wall().value;
    for (size_t i = 0; i < records; ++i) {
        attempt.timestamps.push_back(now - (rng.chance(1, 4) ? rng.between(0, 20'000) : 0));
    }
    if (rng.chance(1, 3)) {
        attempt.compression = static_cast<record::CompressionType>(rng.below(5));
    }
    return attempt;
}

/// The attempt's records are at these offsets, says the broker.
void PartitionModel::place(Attempt& attempt, int64_t base_offset) {
    if (attempt.base_offset && *attempt.base_offset != base_offset) {
        const int64_t before = *attempt.base_offset;
        if (!unsure(before)) {
            fail("I14", "batch " + std::to_string(attempt.id) + " is at offset " +
                            std::to_string(base_offset) + " and at " + std::to_string(before));
        }
        lose_from(before);  // its first copy was lost with a crash, and so is all behind it
    }
    for (size_t i = 0; i < attempt.count(); ++i) {
        const int64_t offset = base_offset + static_cast<int64_t>(i);
        const Place here{attempt.id, i};
        const auto found = log_.find(offset);
        if (found != log_.end() && !(found->second == here)) {
            if (!unsure(offset)) {
                fail("I7", "offset " + std::to_string(offset) + " held record " +
                               Attempt::key(found->second.attempt, found->second.index) +
                               ", now " + Attempt::key(attempt.id, i));
            }
            lose_from(offset);
        }
        log_[offset] = here;
    }
    if (!attempt.base_offset) attempt.placed_in = model_.life;
    attempt.base_offset = base_offset;
    // A log after a crash is a prefix: what lies before a survivor survived. A batch that was not
    // there before that crash may lie behind a shorter log.
    const int64_t end = base_offset + static_cast<int64_t>(attempt.count());
    for (auto& [life, from] : unsure_from_) {
        if (attempt.placed_in <= life) from = std::max(from, end);
    }
}

bool PartitionModel::unsure(int64_t offset) const {
    return std::any_of(unsure_from_.begin(), unsure_from_.end(),
                       [offset](const auto& crash) { return offset >= crash.second; });
}

void PartitionModel::lose_from(int64_t offset) {
    for (auto it = log_.lower_bound(offset); it != log_.end(); it = log_.erase(it)) {
        const auto found = attempts_.find(it->second.attempt);
        found->second.base_offset.reset();
    }
}

void PartitionModel::on_ack(Attempt& attempt, int64_t base_offset) {
    if (base_offset < 0) return fail("I7", "an ack without an offset");
    // A batch that was sent again may have come to its old place a second time.
    attempt.placed_in = model_.life;
    place(attempt, base_offset);
    const int64_t end = base_offset + static_cast<int64_t>(attempt.count());
    visible_end_ = std::max(visible_end_, end);
    // A batch that an earlier process wrote is acked as a duplicate, without another sync (as in
    // Kafka); a new one is synced with all that is before it.
    if (durable_acks_ && attempt.made_in == model_.incarnation) {
        durable_end_ = std::max(durable_end_, end);
    }
    if (model_.world().trace) {
        model_.world().say("model: " + name_ + " batch " + std::to_string(attempt.id) +
                           " acked at " + std::to_string(base_offset) + ", end " +
                           std::to_string(end));
    }
    model_.acked_records += attempt.count();
}

Floor PartitionModel::floor() const {
    return {model_.stale_answers ? kNoLife : model_.life, visible_end_, log_start_};
}

void PartitionModel::on_log_start(int64_t start, const Floor& floor) {
    const bool same_life = floor.life == model_.life;
    if (same_life && start < floor.log_start) {
        fail("I5", "log start went back from " + std::to_string(floor.log_start) + " to " +
                       std::to_string(start));
    }
    if (!retention && start > delete_asked_) {
        fail("I5", "log start " + std::to_string(start) + " is beyond every DeleteRecords, " +
                       std::to_string(delete_asked_));
    }
    // A dead process may not have written it down.
    if (same_life) log_start_ = std::max(log_start_, start);
}

void PartitionModel::on_offsets(std::optional<int64_t> start, std::optional<int64_t> end,
                                const Floor& floor) {
    const bool same_life = floor.life == model_.life;
    if (start) on_log_start(*start, floor);
    if (!end) return;
    if (same_life && *end < floor.high_watermark) {
        fail("I5", "the high watermark " + std::to_string(*end) + " is before " +
                       std::to_string(floor.high_watermark) + ", which was visible");
    }
    if (!same_life) return;
    if (model_.world().trace && *end > visible_end_) {
        model_.world().say("model: " + name_ + " is visible up to " + std::to_string(*end));
    }
    // Not durable for that: what a killed process wrote is visible after the restart, unsynced.
    visible_end_ = std::max(visible_end_, *end);
}

int64_t PartitionModel::on_fetch(int64_t fetch_offset, int64_t high_watermark, int64_t log_start,
                                 const Floor& floor, ByteView records) {
    on_offsets(log_start < 0 ? std::nullopt : std::optional(log_start), high_watermark, floor);
    int64_t next = -1;
    record::BatchIterator batches(records);
    while (batches.next()) {
        const record::BatchView batch = batches.batch();
        const int64_t base = batch.base_offset().value;
        if (next < 0 ? base > fetch_offset || batch.last_offset().value < fetch_offset
                     : base != next) {
            fail("I7", "asked for " + std::to_string(fetch_offset) + ", batch at " +
                           std::to_string(base) + " after " + std::to_string(next));
        }
        if (batch.next_offset().value > high_watermark && batch.base_offset().value >= high_watermark) {
            // Kafka samples the watermark before it reads; such a batch was committed meanwhile.
            visible_end_ = std::max(visible_end_, batch.next_offset().value);
        }
        if (!batch.valid_crc() && model_.rotten.contains(name_)) break;  // its reader is told
        check_batch(batch);
        next = batch.next_offset().value;
    }
    if (batches.end() == record::WalkEnd::Corrupt && !model_.rotten.contains(name_)) {
        fail("I9", "asked for " + std::to_string(fetch_offset) + ": after " +
                       std::to_string(batches.valid_bytes()) + " of " +
                       std::to_string(records.size) + " bytes, what follows offset " +
                       std::to_string(next) + " is no batch");
    }
    return next < 0 ? fetch_offset : next;
}

void PartitionModel::check_batch(const record::BatchView& batch) {
    const int64_t base = batch.base_offset().value;
    const std::string where = "batch at " + std::to_string(base);
    if (!batch.valid_crc()) fail("I9", where + " has a wrong checksum");
    auto records = record::BatchRecords::open(batch);
    if (!records.ok()) fail("I9", where + ": " + records.status().to_string());
    record::RecordView record;
    Attempt* attempt = nullptr;
    size_t index = 0;
    for (; records->next(record); ++index) {
        const std::string text(record.value ? record.value->text() : "");
        const uint64_t id = std::strtoull(text.c_str(), nullptr, 10);
        const auto found = attempts_.find(id);
        if (found == attempts_.end()) fail("I7", where + ": nobody produced " + text.substr(0, 20));
        if (attempt == nullptr) attempt = &found->second;
        if (&found->second != attempt || index >= attempt->count() ||
            record.offset_delta != static_cast<int32_t>(index) ||
            text != Attempt::value(id, index) || !record.key ||
            record.key->text() != Attempt::key(id, index) ||
            record_timestamp(batch, record).value != attempt->timestamps[index]) {
            fail("I7", where + ": record " + std::to_string(index) + " is not what was produced");
        }
    }
    if (attempt == nullptr || index != attempt->count()) fail("I7", where + ": records are missing");
    if (attempt->refused) fail("I7", where + " was refused, yet it is there");
    if (batch.producer_id().value != attempt->producer_id ||
        batch.producer_epoch().value != attempt->producer_epoch ||
        batch.base_sequence() != attempt->base_sequence) {
        fail("I14", where + " has another producer or sequence than was sent");
    }
    place(*attempt, base);
    model_.read_records += index;
}

void PartitionModel::on_delete_asked(int64_t offset) {
    delete_asked_ = std::max(delete_asked_, offset);
}

void PartitionModel::on_delete_acked(int64_t low_watermark) {
    log_start_ = std::max(log_start_, low_watermark);
}

void PartitionModel::on_down(bool machine, bool clean) {
    if (clean) {
        durable_end_ = std::max(durable_end_, visible_end_);
        return;
    }
    // Log starts are written down from time to time only, as in Kafka.
    log_start_ = 0;
    if (!machine) return;
    if (!durable_acks_) ++losses_;
    visible_end_ = std::min(visible_end_, durable_end_);
    unsure_from_[model_.life] = durable_end_;
}

void PartitionModel::settle(int64_t start, int64_t end) {
    if (end < visible_end_) {
        fail("I7", "the log ends at " + std::to_string(end) + ", records up to " +
                       std::to_string(visible_end_) + " were visible");
    }
    if (model_.many_nodes && !log_.empty() && log_.rbegin()->first >= end) {
        fail("I7", "the log ends at " + std::to_string(end) + ", offset " +
                       std::to_string(log_.rbegin()->first) + " was acked or read");
    }
    lose_from(end);
    unsure_from_.clear();
    for (int64_t offset = start; offset < end; ++offset) {
        if (!log_.contains(offset)) fail("I7", "no record at " + std::to_string(offset));
    }
    visible_end_ = end;
}

std::optional<std::pair<int64_t, int64_t>> PartitionModel::lookup(int64_t start,
                                                                  int64_t timestamp) const {
    for (auto it = log_.lower_bound(start); it != log_.end(); ++it) {
        const int64_t here = attempts_.at(it->second.attempt).timestamps[it->second.index];
        if (here >= timestamp) return std::pair(it->first, here);
    }
    return std::nullopt;
}

std::vector<int64_t> PartitionModel::timestamps(int64_t start) const {
    std::vector<int64_t> all;
    for (auto it = log_.lower_bound(start); it != log_.end(); ++it) {
        all.push_back(attempts_.at(it->second.attempt).timestamps[it->second.index]);
    }
    return all;
}

std::map<int64_t, PartitionModel::ProducerEnd> PartitionModel::producers(int64_t start) const {
    std::map<int64_t, ProducerEnd> ends;
    for (auto it = log_.lower_bound(start); it != log_.end(); ++it) {
        const Attempt& attempt = attempts_.at(it->second.attempt);
        if (attempt.producer_id < 0) continue;
        ProducerEnd& end = ends[attempt.producer_id];
        end.epoch = attempt.producer_epoch;
        end.last_sequence = attempt.base_sequence + static_cast<int32_t>(attempt.count()) - 1;
        end.last_timestamp =
            *std::max_element(attempt.timestamps.begin(), attempt.timestamps.end());
    }
    return ends;
}

TopicModel& Model::add_topic(std::string name, bool durable_acks, bool retention,
                             size_t partitions) {
    TopicModel& topic = *topics_.emplace_back(std::make_unique<TopicModel>());
    topic.name = std::move(name);
    topic.durable_acks = durable_acks;
    for (size_t i = 0; i < partitions; ++i) add_partition(topic, retention);
    return topic;
}

void Model::add_partition(TopicModel& topic, bool retention) {
    const std::string name = topic.name + "-" + std::to_string(topic.partitions.size());
    topic.partitions.push_back(std::make_unique<PartitionModel>(*this, name, topic.durable_acks));
    topic.partitions.back()->retention = retention;
}

std::vector<TopicModel*> Model::live_topics() {
    std::vector<TopicModel*> live;
    for (const auto& topic : topics_) {
        if (topic->live()) live.push_back(topic.get());
    }
    return live;
}

void Model::on_down(bool machine, bool clean) {
    for (const auto& topic : topics_) {
        for (const auto& partition : topic->partitions) partition->on_down(machine, clean);
    }
    ++life;
}

}  // namespace millrace::sim
