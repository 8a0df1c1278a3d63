// tests/sim/txn_model.cc: comparing groups, offsets and committed output with what was done.
#include "sim/txn_model.h"

#include <algorithm>
#include <cstdio>

#include "millrace/record/batch.h"
#include "millrace/record/batch_iterator.h"
#include "millrace/record/control_record.h"

namespace millrace::sim {

size_t Txn::size() const {
    size_t count = 0;
    for (const auto& [partition, records] : outputs) count += records.size();
    return count;
}

void GroupModel::on_assigned(int32_t generation, const std::string& member,
                             const std::vector<int32_t>& partitions) {
    auto& owners = owners_[generation];
    for (const int32_t partition : partitions) {
        const auto [it, first] = owners.emplace(partition, member);
        world_.check(first || it->second == member, "I20",
                     name_ + ": partition " + std::to_string(partition) + " of generation " +
                         std::to_string(generation) + " belongs to " + it->second + " and " +
                         member);
    }
    generation_ = std::max(generation_, generation);
}

void GroupModel::on_accepted(const char* what, int32_t generation, int32_t floor) const {
    const std::string_view request = what;
    if (stale_answers && request != "OffsetCommit" && request != "TxnOffsetCommit") return;
    world_.check(generation >= floor, "I19",
                 name_ + ": " + what + " of generation " + std::to_string(generation) +
                     " succeeded after generation " + std::to_string(floor) + " was there");
}

void GroupModel::on_commit_sent(int32_t partition, int64_t offset) {
    sent_[partition] = std::max(sent_[partition], offset);
}

void GroupModel::on_commit_acked(int32_t partition, int64_t offset) {
    ++commits_;
    committed_[partition] = std::max(committed_[partition], offset);
}

int64_t GroupModel::committed(int32_t partition) const {
    const auto found = committed_.find(partition);
    return found == committed_.end() ? 0 : found->second;
}

void GroupModel::on_fetched(int32_t partition, int64_t offset, int64_t floor) {
    const std::string what = name_ + ": the offset of partition " + std::to_string(partition) +
                             " is " + std::to_string(offset);
    world_.check(std::max<int64_t>(offset, 0) >= floor, "I22",
                 what + ", committed was " + std::to_string(floor));
    world_.check(offset <= sent_[partition], "I22",
                 what + ", nobody sent more than " + std::to_string(sent_[partition]));
    committed_[partition] = std::max(committed_[partition], offset);
}

std::vector<CommittedReader::Record> CommittedReader::feed(
    World& world, const std::string& name, const wire::FetchResponse::PartitionData& data) {
    std::vector<Record> visible;
    if (!data.records) return visible;
    const Result<Buffer> bytes = data.records->flatten();
    std::vector<std::pair<int64_t, int64_t>> starts;  // first offset, producer
    if (data.aborted_transactions) {
        for (const auto& txn : *data.aborted_transactions) {
            starts.emplace_back(txn.first_offset, txn.producer_id);
        }
    }
    std::sort(starts.begin(), starts.end());
    auto start = starts.begin();
    record::BatchIterator batches(*bytes);
    while (batches.next()) {
        const record::BatchView batch = batches.batch();
        const std::string where = name + " at " + std::to_string(batch.base_offset().value);
        world.check(batch.valid_crc(), "I9", where + ": a wrong checksum");
        const int64_t last = batch.last_offset().value;
        const int64_t producer = batch.producer_id().value;
        for (; start != starts.end() && start->first <= last; ++start) aborted_.insert(start->second);
        if (last < position_) continue;
        world.check(last < data.last_stable_offset, "I15", where + ": beyond the stable offset");
        position_ = last + 1;
        if (batch.is_control()) {
            const auto marker = record::read_end_txn_batch(batch);
            world.check(marker.has_value(), "I15", where + ": a control batch, but no marker");
            if (!marker->commit) aborted_.erase(producer);
            continue;
        }
        if (aborted_.contains(producer)) continue;
        auto records = record::BatchRecords::open(batch);
        world.check(records.ok(), "I9", where + ": not readable");
        record::RecordView record;
        while (records->next(record)) {
            const std::string text(record.value ? record.value->text() : "");
            unsigned long long txn = 0;
            int partition = 0;
            long long index = 0;
            world.check(std::sscanf(text.c_str(), "%llu:%d:%lld", &txn, &partition, &index) == 3,
                        "I7", where + ": nobody produced " + text);
            visible.push_back({txn, partition, index});
        }
    }
    return visible;
}

Txn& TxnModel::begin(const std::string& transactional_id) {
    const uint64_t id = txns_.size() + 1;
    Txn& txn = txns_[id];
    txn.id = id;
    txn.transactional_id = transactional_id;
    return txn;
}

TxnModel::Producer TxnModel::current(const std::string& transactional_id) const {
    const auto found = current_.find(transactional_id);
    return found == current_.end() ? Producer{-1, -1} : found->second;
}

void TxnModel::on_producer(const std::string& transactional_id, Producer producer, Producer floor) {
    on_accepted("a new producer", transactional_id, producer, floor);
    Producer& now = current_[transactional_id];
    auto& old = old_ids_[transactional_id];
    if (old.contains(producer.first)) return;  // an answer that was overtaken
    if (now.first != producer.first) old.insert(now.first);
    if (now.first != producer.first || now.second < producer.second) now = producer;
}

void TxnModel::on_accepted(const char* what, const std::string& transactional_id,
                           Producer producer, Producer floor) const {
    const auto old = old_ids_.find(transactional_id);
    const bool gone = floor.first != producer.first && old != old_ids_.end() &&
                      old->second.contains(producer.first) && current(transactional_id) == floor;
    const bool too_old = floor.first == producer.first && producer.second < floor.second;
    world_.check(!gone && !too_old, "I16",
                 transactional_id + ": " + what + " of producer " + std::to_string(producer.first) +
                     " epoch " + std::to_string(producer.second) + " succeeded after " +
                     std::to_string(floor.first) + " epoch " + std::to_string(floor.second));
}

void TxnModel::on_visible(const std::string& where, const CommittedReader::Record& record) const {
    const auto found = txns_.find(record.txn);
    const std::string what = where + ": a record of transaction " + std::to_string(record.txn);
    world_.check(found != txns_.end(), "I15", what + ", which never was");
    world_.check(found->second.commit_sent, "I15", what + ", which nobody committed");
    world_.check(!found->second.abort_acked, "I15", what + ", which was aborted");
}

void TxnModel::settle(const std::string& when, const std::vector<CommittedReader::Record>& visible,
                      const std::map<int32_t, int64_t>& offsets) const {
    std::map<uint64_t, size_t> seen;
    std::map<std::pair<int32_t, int64_t>, uint64_t> taken;
    std::map<int32_t, int64_t> counts;
    for (const CommittedReader::Record& record : visible) {
        on_visible(when, record);
        ++seen[record.txn];
        ++counts[record.partition];
        const std::string input =
            "input " + std::to_string(record.partition) + ":" + std::to_string(record.index);
        const auto [it, first] = taken.emplace(std::pair(record.partition, record.index), record.txn);
        world_.check(first, "I17",
                     when + ": " + input + " was taken by transactions " +
                         std::to_string(it->second) + " and " + std::to_string(record.txn));
        const auto offset = offsets.find(record.partition);
        world_.check(offset != offsets.end() && record.index < offset->second, "I17",
                     when + ": " + input + " of transaction " + std::to_string(record.txn) +
                         " is not covered by the group's offset");
    }
    for (const auto& [partition, offset] : offsets) {
        world_.check(counts[partition] == std::max<int64_t>(offset, 0), "I17",
                     when + ": " + std::to_string(counts[partition]) + " outputs for " +
                         std::to_string(offset) + " inputs of partition " +
                         std::to_string(partition));
    }
    for (const auto& [id, txn] : txns_) {
        const auto found = seen.find(id);
        const size_t count = found == seen.end() ? 0 : found->second;
        const std::string what = when + ": " + std::to_string(count) + " of " +
                                 std::to_string(txn.size()) + " records of transaction " +
                                 std::to_string(id);
        world_.check(count == 0 || count == txn.size(), "I15", what + " are visible");
        world_.check(!txn.commit_acked || count == txn.size(), "I15",
                     what + " are visible, its commit was acknowledged");
    }
}

}  // namespace millrace::sim
