/* tests/interop/librdkafka/transactions.c: librdkafka's transactional producer against a broker.
 *
 * usage: transactions HOST:PORT TOPIC. TOPIC has two partitions. Prints one line per step and exits
 * 0 when every result was right. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kTimeoutMs = 30000, kPerTransaction = 100 };

static char text[512];
static const char *server, *topic;

#define CHECK(condition, ...)                                     \
    do {                                                          \
        if (!(condition)) {                                       \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);       \
            fprintf(stderr, __VA_ARGS__);                         \
            fputc('\n', stderr);                                  \
            exit(1);                                              \
        }                                                         \
    } while (0)

/* Ends the program on an error object; calls that may be told to come again are repeated. */
#define TRY(call)                                                                   \
    do {                                                                            \
        rd_kafka_error_t *error_;                                                   \
        while ((error_ = (call)) != NULL && rd_kafka_error_is_retriable(error_)) {  \
            rd_kafka_error_destroy(error_);                                         \
        }                                                                           \
        CHECK(error_ == NULL, "%s: %s", #call, rd_kafka_error_string(error_));      \
    } while (0)

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    CHECK(rd_kafka_conf_set(conf, key, value, text, sizeof text) == RD_KAFKA_CONF_OK, "%s", text);
}

static rd_kafka_t *producer(const char *transactional_id, const char *timeout_ms) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", server);
    set(conf, "transactional.id", transactional_id);
    set(conf, "transaction.timeout.ms", timeout_ms);
    set(conf, "linger.ms", "5");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    CHECK(rk != NULL, "%s", text);
    TRY(rd_kafka_init_transactions(rk, kTimeoutMs));
    return rk;
}

static void produce(rd_kafka_t *rk, const char *value, int count) {
    for (int i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(i % 2),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE((void *)value, strlen(value)), RD_KAFKA_V_END);
        CHECK(!error, "produce: %s", rd_kafka_err2str(error));
    }
}

/* Counts what a reader finds from the beginning to the end of both partitions. */
static int read_all(const char *isolation, const char *value) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", server);
    set(conf, "group.id", "reader");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "isolation.level", isolation);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    CHECK(rk != NULL, "%s", text);
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(2);
    for (int i = 0; i < 2; i++) {
        rd_kafka_topic_partition_list_add(partitions, topic, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    CHECK(!rd_kafka_assign(rk, partitions), "assign");
    rd_kafka_topic_partition_list_destroy(partitions);
    int found = 0, ends = 0;
    while (ends < 2) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, kTimeoutMs);
        CHECK(message != NULL, "nothing came, %d found", found);
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ends++;
        } else {
            CHECK(!message->err, "consume: %s", rd_kafka_message_errstr(message));
            found += message->len == strlen(value) && !memcmp(message->payload, value, message->len);
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return found;
}

static void expect(const char *isolation, const char *value, int count) {
    const int found = read_all(isolation, value);
    CHECK(found == count, "%s: %d records '%s' instead of %d", isolation, found, value, count);
}

static rd_kafka_t *group_member(void) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", server);
    set(conf, "group.id", "c-group");
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "earliest");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    CHECK(rk != NULL, "%s", text);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    CHECK(!rd_kafka_subscribe(rk, topics), "subscribe");
    rd_kafka_topic_partition_list_destroy(topics);
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, kTimeoutMs);
    CHECK(message != NULL && !message->err, "the group got no record");
    rd_kafka_message_destroy(message);
    return rk;
}

static long committed_offset(rd_kafka_t *member, int partition) {
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(partitions, topic, partition);
    rd_kafka_resp_err_t error = rd_kafka_committed(member, partitions, kTimeoutMs);
    CHECK(!error, "committed: %s", rd_kafka_err2str(error));
    const long offset = (long)partitions->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(partitions);
    return offset;
}

static void send_offset(rd_kafka_t *rk, rd_kafka_t *member, int partition, long offset) {
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, topic, partition)->offset = offset;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(member);
    TRY(rd_kafka_send_offsets_to_transaction(rk, offsets, group, kTimeoutMs));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
}

/* Offsets of a group take part in the transaction. */
static void offsets(rd_kafka_t *rk) {
    rd_kafka_t *member = group_member();
    TRY(rd_kafka_begin_transaction(rk));
    produce(rk, "copied", 2);
    send_offset(rk, member, 0, 7);
    TRY(rd_kafka_commit_transaction(rk, kTimeoutMs));
    CHECK(committed_offset(member, 0) == 7, "the committed offset is %ld", committed_offset(member, 0));
    TRY(rd_kafka_begin_transaction(rk));
    send_offset(rk, member, 0, 99);
    TRY(rd_kafka_abort_transaction(rk, kTimeoutMs));
    CHECK(committed_offset(member, 0) == 7, "the aborted offset is %ld", committed_offset(member, 0));
    rd_kafka_consumer_close(member);
    rd_kafka_destroy(member);
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: transactions HOST:PORT TOPIC");
    server = argv[1];
    topic = argv[2];

    rd_kafka_t *first = producer("c-program", "60000");
    TRY(rd_kafka_begin_transaction(first));
    produce(first, "one", kPerTransaction);
    CHECK(!rd_kafka_flush(first, kTimeoutMs), "flush");
    expect("read_committed", "one", 0);
    expect("read_uncommitted", "one", kPerTransaction);
    TRY(rd_kafka_commit_transaction(first, kTimeoutMs));
    expect("read_committed", "one", kPerTransaction);
    puts("committed");

    TRY(rd_kafka_begin_transaction(first));
    produce(first, "two", kPerTransaction);
    CHECK(!rd_kafka_flush(first, kTimeoutMs), "flush");
    TRY(rd_kafka_abort_transaction(first, kTimeoutMs));
    expect("read_committed", "two", 0);
    expect("read_uncommitted", "two", kPerTransaction);
    puts("aborted");

    for (int i = 0; i < 50; i++) {
        TRY(rd_kafka_begin_transaction(first));
        produce(first, "many", 2);
        /* An abort that overtakes the first AddPartitionsToTxn finds nothing to abort: fatal to
         * this client. */
        CHECK(!rd_kafka_flush(first, kTimeoutMs), "flush");
        TRY(i % 5 == 4 ? rd_kafka_abort_transaction(first, kTimeoutMs)
                       : rd_kafka_commit_transaction(first, kTimeoutMs));
    }
    expect("read_committed", "many", 80);
    puts("fifty short transactions");

    offsets(first);
    expect("read_committed", "copied", 2);
    puts("offsets");

    TRY(rd_kafka_begin_transaction(first));
    produce(first, "fenced", 2);
    CHECK(!rd_kafka_flush(first, kTimeoutMs), "flush");
    rd_kafka_t *second = producer("c-program", "60000");
    produce(first, "fenced", 2);
    rd_kafka_error_t *error = rd_kafka_commit_transaction(first, kTimeoutMs);
    CHECK(error != NULL && rd_kafka_error_is_fatal(error), "the first producer was not fenced");
    rd_kafka_error_destroy(error);
    TRY(rd_kafka_begin_transaction(second));
    produce(second, "winner", 2);
    TRY(rd_kafka_commit_transaction(second, kTimeoutMs));
    expect("read_committed", "fenced", 0);
    expect("read_committed", "winner", 2);
    puts("fenced");

    rd_kafka_destroy(first);
    rd_kafka_destroy(second);
    return 0;
}
