/* tests/interop/librdkafka/client.c: librdkafka against a broker: admin, produce, consume, offsets.
 *
 * usage: client HOST:PORT. Prints one line per step and exits 0 when every result was right. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kPartitions = 4, kRecords = 2000, kTimeoutMs = 30000 };

static char text[512];

#define CHECK(condition, ...)                                     \
    do {                                                          \
        if (!(condition)) {                                       \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);       \
            fprintf(stderr, __VA_ARGS__);                         \
            fputc('\n', stderr);                                  \
            exit(1);                                              \
        }                                                         \
    } while (0)

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    CHECK(rd_kafka_conf_set(conf, key, value, text, sizeof text) == RD_KAFKA_CONF_OK, "%s", text);
}

static long delivered, delivery_errors;
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    (void)rk;
    (void)opaque;
    if (message->err) {
        fprintf(stderr, "delivery: %s\n", rd_kafka_err2str(message->err));
        delivery_errors++;
    } else {
        delivered++;
    }
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *server, const char *codec) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", server);
    if (type == RD_KAFKA_PRODUCER) {
        set(conf, "enable.idempotence", "true");
        set(conf, "compression.type", codec);
        set(conf, "linger.ms", "5");
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    } else {
        set(conf, "group.id", "unused");
        set(conf, "enable.auto.commit", "false");
        set(conf, "enable.partition.eof", "true");
        set(conf, "auto.offset.reset", "earliest");
        set(conf, "check.crcs", "true");
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    CHECK(rk != NULL, "%s", text);
    return rk;
}

static rd_kafka_event_t *admin_result(rd_kafka_queue_t *queue, const char *what) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, kTimeoutMs);
    CHECK(event != NULL, "%s: no answer", what);
    CHECK(!rd_kafka_event_error(event), "%s: %s", what, rd_kafka_event_error_string(event));
    return event;
}

static void check_topic_results(const rd_kafka_topic_result_t **results, size_t count,
                                rd_kafka_resp_err_t wanted, const char *what) {
    CHECK(count == 1, "%s: %zu results", what, count);
    CHECK(rd_kafka_topic_result_error(results[0]) == wanted, "%s: %s", what,
          rd_kafka_err2name(rd_kafka_topic_result_error(results[0])));
}

static void create_topic(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name, int partitions,
                         rd_kafka_resp_err_t wanted) {
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, text, sizeof text);
    CHECK(topic != NULL, "%s", text);
    rd_kafka_NewTopic_set_config(topic, "retention.ms", "3600000");
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, "CreateTopics");
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    check_topic_results(results, count, wanted, "CreateTopics");
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
}

static void add_partitions(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name, int total) {
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(name, total, text, sizeof text);
    CHECK(more != NULL, "%s", text);
    rd_kafka_CreatePartitions(rk, &more, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, "CreatePartitions");
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreatePartitions_result_topics(
        rd_kafka_event_CreatePartitions_result(event), &count);
    check_topic_results(results, count, RD_KAFKA_RESP_ERR_NO_ERROR, "CreatePartitions");
    rd_kafka_event_destroy(event);
    rd_kafka_NewPartitions_destroy(more);
}

static void alter_config(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name,
                         const char *key, const char *value) {
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_ConfigResource_set_config(resource, key, value);
    rd_kafka_AlterConfigs(rk, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, "AlterConfigs");
    size_t count;
    const rd_kafka_ConfigResource_t **results = rd_kafka_AlterConfigs_result_resources(
        rd_kafka_event_AlterConfigs_result(event), &count);
    CHECK(count == 1 && !rd_kafka_ConfigResource_error(results[0]), "AlterConfigs: %s",
          rd_kafka_err2name(rd_kafka_ConfigResource_error(results[0])));
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
}

static void check_config(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name,
                         const char *key, const char *wanted) {
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_DescribeConfigs(rk, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, "DescribeConfigs");
    size_t count, entries, i;
    const rd_kafka_ConfigResource_t **results = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    CHECK(count == 1, "DescribeConfigs: %zu resources", count);
    const rd_kafka_ConfigEntry_t **list = rd_kafka_ConfigResource_configs(results[0], &entries);
    for (i = 0; i < entries && strcmp(rd_kafka_ConfigEntry_name(list[i]), key) != 0; i++) {
    }
    CHECK(i < entries, "DescribeConfigs: no %s among %zu", key, entries);
    CHECK(strcmp(rd_kafka_ConfigEntry_value(list[i]), wanted) == 0, "%s is %s, wanted %s", key,
          rd_kafka_ConfigEntry_value(list[i]), wanted);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
}

static void produce(const char *server, const char *topic, const char *codec) {
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, server, codec);
    char key[32], value[200];
    memset(value, 'v', sizeof value);
    delivered = 0;
    for (int i = 0; i < kRecords; i++) {
        const int size = snprintf(key, sizeof key, "%s-%d", codec, i);
        snprintf(value, sizeof value, "value of %s-%d", codec, i);
        rd_kafka_resp_err_t error;
        do {
            error = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(i % kPartitions),
                                      RD_KAFKA_V_KEY(key, size), RD_KAFKA_V_VALUE(value, sizeof value),
                                      RD_KAFKA_V_HEADER("codec", codec, -1),
                                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
            rd_kafka_poll(rk, error == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 100 : 0);
        } while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL);
        CHECK(!error, "produce: %s", rd_kafka_err2name(error));
    }
    CHECK(!rd_kafka_flush(rk, kTimeoutMs), "flush timed out");
    CHECK(delivered == kRecords && delivery_errors == 0, "%ld of %d delivered", delivered, kRecords);
    CHECK(!rd_kafka_fatal_error(rk, text, sizeof text), "fatal: %s", text);
    rd_kafka_destroy(rk);
    printf("produced %d records with %s\n", kRecords, codec);
}

/* Reads every partition from the start; offsets must be dense, keys those sent, in order. */
static void consume(const char *server, const char *topic, long expected) {
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, server, "none");
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(kPartitions);
    for (int p = 0; p < kPartitions; p++) {
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    CHECK(!rd_kafka_assign(rk, list), "assign");
    rd_kafka_topic_partition_list_destroy(list);
    int64_t next[kPartitions] = {0};
    long got = 0;
    int ended = 0;
    while (ended < kPartitions) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, kTimeoutMs);
        CHECK(message != NULL, "consume: nothing for %d ms after %ld records", kTimeoutMs, got);
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ended++;
        } else {
            CHECK(!message->err, "consume: %s", rd_kafka_message_errstr(message));
            CHECK(message->offset == next[message->partition]++, "a gap at %d@%ld",
                  (int)message->partition, (long)message->offset);
            char wanted[200];
            snprintf(wanted, sizeof wanted, "value of %.*s", (int)message->key_len,
                     (const char *)message->key);
            CHECK(strcmp(wanted, message->payload) == 0, "value %s", (char *)message->payload);
            got++;
        }
        rd_kafka_message_destroy(message);
    }
    CHECK(got == expected, "%ld records came back of %ld", got, expected);
    for (int p = 0; p < kPartitions; p++) {
        int64_t low, high;
        CHECK(!rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, kTimeoutMs), "watermarks");
        CHECK(low == 0 && high == next[p], "watermarks of %d: %ld %ld", p, (long)low, (long)high);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    printf("consumed %ld records\n", got);
}

static void delete_records(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *topic) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 100;
    rd_kafka_DeleteRecords_t *before = rd_kafka_DeleteRecords_new(list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_DeleteRecords(rk, &before, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, "DeleteRecords");
    const rd_kafka_topic_partition_list_t *done =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    CHECK(done->cnt == 1 && !done->elems[0].err && done->elems[0].offset == 100,
          "DeleteRecords: %s, low watermark %ld", rd_kafka_err2name(done->elems[0].err),
          (long)done->elems[0].offset);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(before);
    int64_t low, high;
    CHECK(!rd_kafka_query_watermark_offsets(rk, topic, 0, &low, &high, kTimeoutMs) && low == 100,
          "low watermark %ld", (long)low);
}

static void delete_topic(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name,
                         rd_kafka_resp_err_t wanted) {
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, "DeleteTopics");
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    check_topic_results(results, count, wanted, "DeleteTopics");
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(topic);
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: client HOST:PORT");
    const char *codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    rd_kafka_t *admin = client(RD_KAFKA_PRODUCER, argv[1], "none");
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    create_topic(admin, queue, "rd", 2, RD_KAFKA_RESP_ERR_NO_ERROR);
    create_topic(admin, queue, "rd", 2, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS);
    create_topic(admin, queue, "not a name", 1, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION);
    add_partitions(admin, queue, "rd", kPartitions);
    check_config(admin, queue, "rd", "retention.ms", "3600000");
    alter_config(admin, queue, "rd", "max.message.bytes", "2000000");
    check_config(admin, queue, "rd", "max.message.bytes", "2000000");
    /* AlterConfigs replaces the whole set: what it does not name goes back to its default. */
    check_config(admin, queue, "rd", "retention.ms", "604800000");
    printf("admin: topics, partitions, configs\n");
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) produce(argv[1], "rd", codecs[i]);
    consume(argv[1], "rd", (long)(kRecords * (sizeof codecs / sizeof *codecs)));
    delete_records(admin, queue, "rd");
    delete_topic(admin, queue, "rd", RD_KAFKA_RESP_ERR_NO_ERROR);
    delete_topic(admin, queue, "never", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    printf("admin: records and topics deleted\n");
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(admin);
    return 0;
}
