// tests/bench/txn_load.cc: transactional producers over the wire, as Java's client sends (KIP-890).
//
// Each producer has one connection, one partition, one transaction: batches in flight up to the
// depth, then EndTxn when all are acknowledged. Batches of the next transaction wait for its answer.
#include <cstdio>

#include "bench/load_client.h"
#include "millrace/base/crc32c.h"
#include "millrace/base/endian.h"
#include "millrace/record/batch_builder.h"
#include "millrace/wire/gen/end_txn_request.h"
#include "millrace/wire/gen/end_txn_response.h"
#include "millrace/wire/gen/init_producer_id_request.h"
#include "millrace/wire/gen/init_producer_id_response.h"
#include "millrace/wire/gen/produce_request.h"
#include "millrace/wire/gen/produce_response.h"

namespace millrace::bench {
namespace {

constexpr int16_t kProduceVersion = 12;
constexpr int16_t kEndTxnVersion = 5;
constexpr int16_t kInitVersion = 5;
constexpr int64_t kRetryNanos = 1'000'000;
// Places in a batch of magic 2.
constexpr size_t kCrcAt = 17;
constexpr size_t kAttributesAt = 21;
constexpr size_t kProducerIdAt = 43;
constexpr size_t kEpochAt = 51;
constexpr size_t kSequenceAt = 53;

bool retriable(int16_t error) {
    // A topic just made (UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER), a coordinator that
    // loads, NOT_COORDINATOR, NOT_ENOUGH_REPLICAS,
    // CONCURRENT_TRANSACTIONS
    return error == 3 || error == 6 || error == 14 || error == 15 || error == 16 || error == 19 || error == 51;
}

struct Totals {
    bool stopping = false;
    uint64_t bytes = 0;
    uint64_t requests = 0;
    uint64_t retries = 0;
    uint64_t commits = 0;
    size_t running = 0;
    Sample commit_us;
    Sample produce_us;
};

class Producer {
  public:
    Producer(Client& client, size_t index, const Options& options, const Buffer& batch,
             Totals& totals)
        : client_(client),
          index_(index),
          totals_(totals),
          batch_(Buffer::copy_of(batch.view())),
          records_(static_cast<int32_t>(load_big<uint32_t>(batch.data() + 57))),
          depth_(static_cast<size_t>(options.number("depth", 5))),
          commit_nanos_(options.number("commit-ms", 100) * 1'000'000),
          batches_max_(options.number("commit-batches", 0)) {
        id_ = options.text("name", "load") + "-" + std::to_string(index);
        request_.transactional_id = id_;
        request_.acks = -1;
        request_.timeout_ms = 30'000;
        auto& topic = request_.topic_data.emplace_back();
        topic.name = options.text("topic", "bench");
        auto& data = topic.partition_data.emplace_back();
        data.index = static_cast<int32_t>(index) %
                     static_cast<int32_t>(options.number("partitions", 16));
        data.records.emplace(batch_);
    }

    void init() {
        wire::InitProducerIdRequest request;
        request.transactional_id = id_;
        request.transaction_timeout_ms = 60'000;
        client_.ask(index_, kInitVersion, request, [this](wire::Reader& reader) {
            wire::InitProducerIdResponse response;
            if (!response.decode(reader, kInitVersion)) die("InitProducerId");
            if (again(response.error_code, "InitProducerId", [this] { init(); })) return;
            producer_id_ = response.producer_id;
            epoch_ = response.producer_epoch;
            ready_ = true;
            ++totals_.running;
        });
    }
    bool ready() const { return ready_; }

    void begin() {
        if (totals_.stopping) {
            --totals_.running;
            return;
        }
        began_ = nanos_now();
        batches_ = acked_ = 0;
        sequence_ = 0;
        step();
    }

  private:
    /// True when the caller has to leave: the same again a little later.
    template <class Again>
    bool again(int16_t error, const char* what, Again again) {
        if (error == 0) return false;
        if (!retriable(error)) {
            std::fprintf(stderr, "error: %s: error code %d\n", what, error);
            std::exit(1);
        }
        ++totals_.retries;
        client_.after(kRetryNanos, again);
        return true;
    }

    bool full() const {
        if (batches_max_ > 0) return batches_ >= batches_max_;
        return batches_ > 0 && nanos_now() - began_ >= commit_nanos_;
    }

    void step() {
        // The first batch brings the partition into the transaction; only it can be sent back.
        while (!full() && static_cast<size_t>(batches_ - acked_) < (acked_ == 0 ? 1 : depth_)) {
            produce(sequence_);
            sequence_ += records_;
            ++batches_;
        }
        if (full() && acked_ == batches_) end(nanos_now());
    }

    void produce(int32_t sequence) {
        uint8_t* bytes = batch_.mutable_data();
        store_big(bytes + kProducerIdAt, producer_id_);
        store_big(bytes + kEpochAt, epoch_);
        store_big(bytes + kSequenceAt, sequence);
        store_big(bytes + kCrcAt, crc32c(ByteView(bytes + kAttributesAt,
                                                  batch_.size() - kAttributesAt)));
        client_.ask(index_, kProduceVersion, request_,
                    [this, sequence, sent = nanos_now()](wire::Reader& reader) {
            wire::ProduceResponse response;
            if (!response.decode(reader, kProduceVersion)) die("Produce");
            const int16_t error = response.responses[0].partition_responses[0].error_code;
            if (again(error, "Produce", [this, sequence] { produce(sequence); })) return;
            totals_.produce_us.add(static_cast<double>(nanos_now() - sent) / 1000);
            totals_.bytes += batch_.size();
            ++totals_.requests;
            ++acked_;
            step();
        });
    }

    void end(int64_t started) {
        wire::EndTxnRequest request;
        request.transactional_id = id_;
        request.producer_id = producer_id_;
        request.producer_epoch = epoch_;
        request.committed = true;
        client_.ask(index_, kEndTxnVersion, request, [this, started](wire::Reader& reader) {
            wire::EndTxnResponse response;
            if (!response.decode(reader, kEndTxnVersion)) die("EndTxn");
            if (again(response.error_code, "EndTxn", [this, started] { end(started); })) return;
            totals_.commit_us.add(static_cast<double>(nanos_now() - started) / 1000);
            ++totals_.commits;
            producer_id_ = response.producer_id;
            epoch_ = response.producer_epoch;
            begin();
        });
    }

    Client& client_;
    size_t index_;
    Totals& totals_;
    Buffer batch_;
    int32_t records_;
    size_t depth_;
    int64_t commit_nanos_;
    int64_t batches_max_;
    std::string id_;
    wire::ProduceRequest request_;
    int64_t producer_id_ = -1;
    int16_t epoch_ = -1;
    bool ready_ = false;
    int64_t began_ = 0;
    int64_t batches_ = 0;
    int64_t acked_ = 0;
    int32_t sequence_ = 0;
};

Buffer transactional_batch(const Options& options) {
    record::BatchBuilder builder;
    record::BatchOptions batch;
    batch.producer_id = ProducerId{0};
    batch.producer_epoch = ProducerEpoch{0};
    batch.base_sequence = 0;
    batch.is_transactional = true;
    builder.start(batch);
    const std::string value(static_cast<size_t>(options.number("record-bytes", 1024)), 'x');
    const int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
    for (int64_t i = 0; i < options.number("batch-records", 15); ++i) {
        record::NewRecord record;
        record.timestamp = WallMs{now};
        record.value = ByteView(std::string_view(value));
        builder.append(record);
    }
    return builder.finish();
}

}  // namespace

void run_txn(const Options& options) {
    const auto count = static_cast<size_t>(options.number("producers", 16));
    Client client(static_cast<int>(options.number("port", 9092)), count);
    await_coordinator(client, options.text("name", "load") + "-0", 1);
    const Buffer batch = transactional_batch(options);
    Totals totals;
    std::deque<Producer> producers;
    for (size_t i = 0; i < count; ++i) producers.emplace_back(client, i, options, batch, totals);
    for (Producer& producer : producers) producer.init();
    while (totals.running < count) client.turn(1000);
    const Meter meter(options);
    for (Producer& producer : producers) producer.begin();
    client.after(options.number("milliseconds", 3000) * 1'000'000, [&] { totals.stopping = true; });
    while (totals.running > 0) client.turn(1000);
    const double seconds = meter.seconds();
    const std::string tail = meter.tail();
    std::printf("{\"mode\":\"txn\",\"requests\":%llu,\"bytes\":%llu,\"mb_per_s\":%.2f,"
                "\"commits\":%llu,\"commits_per_s\":%.1f,\"commit_p50_us\":%.1f,"
                "\"commit_p99_us\":%.1f,\"produce_p50_us\":%.1f,\"produce_p99_us\":%.1f,"
                "\"retries\":%llu,%s\n",
                static_cast<unsigned long long>(totals.requests),
                static_cast<unsigned long long>(totals.bytes),
                static_cast<double>(totals.bytes) / seconds / 1e6,
                static_cast<unsigned long long>(totals.commits),
                static_cast<double>(totals.commits) / seconds, totals.commit_us.quantile(0.5),
                totals.commit_us.quantile(0.99), totals.produce_us.quantile(0.5),
                totals.produce_us.quantile(0.99), static_cast<unsigned long long>(totals.retries),
                tail.c_str());
}

}  // namespace millrace::bench
