// tests/unit/coordinator/transaction_coordinator_test.cc: runs tests/golden/txn/*.txt on the
// machine.
//
// A file is a list of blocks: "> command", then what it caused. MILLRACE_GOLDEN_UPDATE=1 rewrites
// the files: read the diff. The log here takes everything at once unless told to hold or to refuse.
#include "millrace/coordinator/transaction_coordinator.h"
#include "support/transcript.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <sstream>

namespace millrace::coordinator {
namespace {

constexpr int64_t kWallStart = 1'700'000'000'000;

/// One machine, its log, and what the driver would do with its outputs.
class World {
  public:
    explicit World(int16_t version) : version_(version) { start(1); }

    std::string run(const std::string& line) {
        trace_.clear();
        std::istringstream in(line);
        std::string verb;
        in >> verb;
        std::map<std::string, std::string> args;
        std::vector<std::string> plain;
        for (std::string word; in >> word;) {
            const size_t equals = word.find('=');
            if (equals == std::string::npos)
                plain.push_back(word);
            else
                args[word.substr(0, equals)] = word.substr(equals + 1);
        }
        dispatch(verb, plain, args);
        return trace_;
    }

  private:
    using Args = std::map<std::string, std::string>;

    Tick tick() const { return {Instant{now_ms_ * 1'000'000}, WallMs{kWallStart + now_ms_}}; }
    static int64_t number(const Args& args, const std::string& key, int64_t fallback) {
        const auto found = args.find(key);
        return found == args.end() ? fallback : std::stoll(found->second);
    }
    static Producer producer(const std::string& text) {
        const size_t slash = text.find('/');
        return {ProducerId(std::stoll(text.substr(0, slash))),
                ProducerEpoch(static_cast<int16_t>(std::stoi(text.substr(slash + 1))))};
    }
    static TopicPartition partition(const std::string& text) {
        const size_t dash = text.rfind('-');
        return {text.substr(0, dash), PartitionIndex(std::stoi(text.substr(dash + 1)))};
    }
    static std::string print(const Producer& p) {
        return fmt::format("{}/{}", p.id.value, p.epoch.value);
    }

    void start(int32_t epoch) {
        TxnOptions options;
        options.transaction_version = version_;
        options.two_phase_commit = false;
        machine_ = std::make_unique<TransactionCoordinator>(options);
        drive([&](TxnOutput& out) { machine_->on_elected(tick(), LeaderEpoch(epoch), out); });
    }
    void load() {
        drive([&](TxnOutput& out) {
            for (const CoordinatorBatch& batch : log_) {
                LoadedBatch loaded{batch.base_offset, batch.end() - 1, {}, {}, {}};
                Offset at = batch.base_offset;
                for (const CoordinatorRecord& record : batch.records) {
                    loaded.records.push_back(
                        {at, record.key.view(),
                         record.value ? std::optional(record.value->view()) : std::nullopt});
                    at = at + 1;
                }
                ASSERT_TRUE(machine_->on_load_batch(tick(), loaded, hold_ ? told_ : end_, out).ok());
            }
        });
        if (!hold_) told_ = end_;
        drive([&](TxnOutput& out) { machine_->on_loaded(tick(), end_, told_, out); });
    }

    void drive(const std::function<void(TxnOutput&)>& event) {
        TxnOutput out;
        event(out);
        for (CoordinatorBatch& batch : out.append) {
            for (const CoordinatorRecord& record : batch.records)
                print_record(record);
            if (refuse_ != ErrorCode::None) {
                const ErrorCode error = refuse_;
                trace_ += fmt::format("log: refused with {}\n", error_code_name(error));
                drive([&](TxnOutput& nested) {
                    machine_->on_append_failed(tick(), batch.base_offset, error, nested);
                });
                break;
            }
            ASSERT_EQ(batch.base_offset, end_);
            end_ = batch.end();
            log_.push_back(std::move(batch));
        }
        for (const auto& reply : out.replies)
            print_reply(reply);
        for (const MarkersWanted& wanted : out.markers) {
            for (const TopicPartition& at : wanted.partitions) {
                trace_ += fmt::format("marker: {} {} {} at {} coordinator epoch {} version {}\n",
                                      wanted.transactional_id, print(wanted.marker.producer),
                                      wanted.marker.commit ? "commit" : "abort", at.to_string(),
                                      wanted.marker.coordinator_epoch.value,
                                      wanted.marker.transaction_version);
                markers_[{wanted.transactional_id, at}] = wanted.marker;
            }
        }
        for (const ProducerIdTicket ticket : out.producer_ids)
            give_id(ticket);
        if (!hold_ && told_ < end_) {
            told_ = end_;
            drive([&](TxnOutput& nested) { machine_->on_high_watermark(tick(), end_, nested); });
        }
    }

    void give_id(ProducerIdTicket ticket) {
        const ProducerId id(ids_error_ == ErrorCode::None ? next_id_++ : -1);
        drive(
            [&](TxnOutput& out) { machine_->on_producer_id(tick(), ticket, ids_error_, id, out); });
    }

    void print_record(const CoordinatorRecord& record) {
        TransactionTable table;
        const std::string name(record.key.text().substr(4));
        if (!record.value) {
            trace_ += fmt::format("record: {} tombstone\n", name);
            return;
        }
        ASSERT_TRUE(table.replay({Offset(0), {}, record.key.view(), record.value->view()}).ok());
        print_txn("record", name, **table.by_id.find(name), std::nullopt);
    }
    void print_txn(const char* what, const std::string& name, const Transaction& txn,
                   std::optional<TxnState> pending) {
        trace_ += fmt::format("{}: {} {} {}/{}", what, name, txn_state_name(txn.state),
                              txn.producer_id.value, txn.producer_epoch.value);
        if (txn.next_producer_id != kNoProducerId) {
            trace_ += fmt::format(" next={}", txn.next_producer_id.value);
        }
        for (const TopicPartition& at : txn.partitions)
            trace_ += " " + at.to_string();
        if (txn.start != kNoTimestamp)
            trace_ += fmt::format(" start=+{}", txn.start.value - kWallStart);
        if (txn.client_version > 0) trace_ += fmt::format(" version={}", txn.client_version);
        if (pending) trace_ += fmt::format(" pending={}", txn_state_name(*pending));
        trace_ += "\n";
    }
    void print_reply(const CoordinatorReply<TxnResponse>& reply) {
        trace_ += fmt::format("reply: {}", error_code_name(reply.response.error));
        if (reply.response.producer.transactional()) {
            trace_ += " " + print(reply.response.producer);
        }
        for (const auto& [at, error] : reply.response.partitions) {
            trace_ += fmt::format(" {}={}", at.to_string(), error_code_name(error));
        }
        trace_ += "\n";
    }

    void marker(const std::string& id, const TopicPartition& at, ErrorCode error, bool gone) {
        const Marker marker = markers_[{id, at}];
        drive(
            [&](TxnOutput& out) { machine_->on_marker(tick(), id, marker, at, error, gone, out); });
    }

    void dispatch(const std::string& verb, const std::vector<std::string>& plain,
                  const Args& args) {
        const auto name = [&] { return plain.empty() ? std::string() : plain[0]; };
        if (verb == "load") {
            load();
        } else if (verb == "init") {
            InitProducerIdCommand command;
            command.transactional_id = name();
            command.timeout_ms = static_cast<int32_t>(number(args, "timeout", 60'000));
            if (args.contains("expect")) command.expected = producer(args.at("expect"));
            command.enable_two_phase = args.contains("2pc");
            drive([&](TxnOutput& out) {
                machine_->init_producer_id(tick(), next_request_++, std::move(command), out);
            });
        } else if (verb == "add" || verb == "verify") {
            AddPartitionsCommand command;
            command.transactional_id = name();
            command.producer = producer(plain[1]);
            for (size_t i = 2; i < plain.size(); ++i)
                command.partitions.insert(partition(plain[i]));
            command.verify_only = verb == "verify";
            command.client_version = version_;
            drive([&](TxnOutput& out) {
                machine_->add_partitions(tick(), next_request_++, command, out);
            });
        } else if (verb == "commit" || verb == "abort") {
            const EndTxnCommand command{name(), producer(plain[1]), verb == "commit", version_};
            drive([&](TxnOutput& out) {
                machine_->end_transaction(tick(), next_request_++, command, out);
            });
        } else if (verb == "marked") {
            marker(name(), partition(plain[1]), static_cast<ErrorCode>(number(args, "error", 0)),
                   args.contains("gone"));
        } else if (verb == "wait") {
            now_ms_ += std::stoll(name());
            drive([&](TxnOutput& out) { machine_->on_tick(tick(), out); });
        } else if (verb == "refuse") {
            refuse_ = static_cast<ErrorCode>(std::stoi(name()));
        } else if (verb == "ids") {
            if (args.contains("error"))
                ids_error_ = static_cast<ErrorCode>(number(args, "error", 0));
            next_id_ = number(args, "next", next_id_);
        } else if (verb == "hold") {
            hold_ = true;
        } else if (verb == "replicate") {
            hold_ = false;
            drive([](TxnOutput&) {});
        } else if (verb == "restart") {
            drive([&](TxnOutput& out) { machine_->on_resign(tick(), out); });
            start(static_cast<int32_t>(number(args, "epoch", 2)));
        } else if (verb == "put") {
            put(name(), plain, args);
        } else if (verb == "state") {
            for (const auto& [id, entry] : machine_->entries()) {
                print_txn("state", id, *entry.txn, entry.pending);
            }
        } else {
            trace_ += "unknown command\n";
        }
    }
    /// Writes a record as an earlier coordinator left it.
    void put(const std::string& id, const std::vector<std::string>& plain, const Args& args) {
        Transaction txn;
        const Producer who = producer(plain[2]);
        txn.state = *txn_state_from_name(plain[1]);
        txn.producer_id = who.id;
        txn.producer_epoch = who.epoch;
        for (size_t i = 3; i < plain.size(); ++i)
            txn.partitions.insert(partition(plain[i]));
        txn.timeout_ms = 60'000;
        txn.start = txn.last_update = WallMs{kWallStart};
        txn.client_version = static_cast<int16_t>(number(args, "version", version_));
        CoordinatorBatch batch{end_, WallMs{kWallStart}, {}, {}, {}};
        batch.records.push_back(*transaction_record(id, txn, version_ >= 1 ? 1 : 0));
        end_ = batch.end();
        log_.push_back(std::move(batch));
    }

    int16_t version_;
    std::unique_ptr<TransactionCoordinator> machine_;
    std::deque<CoordinatorBatch> log_;
    Offset end_{0};
    Offset told_{0};
    ErrorCode refuse_ = ErrorCode::None;
    ErrorCode ids_error_ = ErrorCode::None;
    bool hold_ = false;
    int64_t next_id_ = 1000;
    int64_t now_ms_ = 0;
    RequestId next_request_ = 1;
    std::map<std::pair<std::string, TopicPartition>, Marker> markers_;
    std::string trace_;
};

TEST(TransactionCoordinator, GoldenFilesHappenAsWritten) {
    support::check_transcripts("txn", 9, "\n", [] {
        return [world = std::unique_ptr<World>()](const std::string& line) mutable {
            constexpr std::string_view kVersion = "transaction.version ";
            if (!line.starts_with(kVersion)) return world ? world->run(line) : std::string();
            world = std::make_unique<World>(
                static_cast<int16_t>(std::stoi(line.substr(kVersion.size()))));
            return std::string();
        };
    });
}


}  // namespace
}  // namespace millrace::coordinator
