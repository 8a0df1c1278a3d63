// tests/chaos/client.c: numbered records through librdkafka, and the checker of what came back.
//
//   client produce BOOTSTRAP TOPIC PARTITIONS FILE    until SIGTERM; FILE gets what was acknowledged
//   client check BOOTSTRAP TOPIC PARTITIONS FILE      reads all, compares, prints one line of JSON
//
// Each partition gets the numbers 0, 1, 2, … from an idempotent producer with acks=all. Every
// acknowledged number has to be there once and in order; one without an answer may be there, but
// never twice.
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kMaxPartitions = 64, kInFlight = 1000, kIdleMs = 20000 };

static volatile sig_atomic_t stopping;
static void on_signal(int signal) {
    (void)signal;
    stopping = 1;
}

// What became of each number of a partition, one byte each.
typedef struct {
    uint8_t *state;  // 0 unknown, 1 acknowledged, 2 failed
    int64_t count, room;
    int64_t in_flight;
} Numbers;
static Numbers numbers[kMaxPartitions];

static void set_state(int32_t partition, int64_t number, uint8_t state) {
    Numbers *n = &numbers[partition];
    if (number >= n->room) {
        int64_t room = n->room == 0 ? 65536 : n->room * 2;
        while (room <= number)
            room *= 2;
        n->state = realloc(n->state, (size_t)room);
        memset(n->state + n->room, 0, (size_t)(room - n->room));
        n->room = room;
    }
    n->state[number] = state;
    if (number >= n->count) n->count = number + 1;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    (void)rk;
    (void)opaque;
    int64_t number;
    memcpy(&number, message->payload, sizeof number);
    set_state(message->partition, number, message->err ? 2 : 1);
    --numbers[message->partition].in_flight;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char error[256];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error) == RD_KAFKA_CONF_OK) return;
    fprintf(stderr, "%s: %s\n", key, error);
    exit(2);
}

static int save(const char *path, int partitions) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) return 1;
    for (int p = 0; p < partitions; ++p) {
        fwrite(&numbers[p].count, sizeof numbers[p].count, 1, file);
        fwrite(numbers[p].state, 1, (size_t)numbers[p].count, file);
    }
    return fclose(file);
}

static int produce(rd_kafka_conf_t *conf, const char *topic, int partitions, const char *path) {
    char error[256];
    set(conf, "enable.idempotence", "true");
    set(conf, "message.timeout.ms", "120000");
    set(conf, "linger.ms", "2");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (rk == NULL) return fprintf(stderr, "%s\n", error), 2;
    int64_t next[kMaxPartitions] = {0};
    char value[100] = {0};
    while (!stopping) {
        int sent = 0;
        for (int32_t p = 0; p < partitions; ++p) {
            if (numbers[p].in_flight >= kInFlight) continue;
            memcpy(value, &next[p], sizeof next[p]);
            rd_kafka_resp_err_t code = rd_kafka_producev(
                rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(p),
                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(value, sizeof value),
                RD_KAFKA_V_END);
            if (code != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
            ++next[p];
            ++numbers[p].in_flight;
            ++sent;
        }
        rd_kafka_poll(rk, sent == 0 ? 20 : 1);
    }
    rd_kafka_flush(rk, 120000);
    for (int32_t p = 0; p < partitions; ++p) {
        if (next[p] > 0 && numbers[p].count < next[p]) set_state(p, next[p] - 1, 0);
    }
    char text[512];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(rk, text, sizeof text);
    if (fatal) fprintf(stderr, "fatal error of the producer: %s\n", text);
    rd_kafka_destroy(rk);
    return save(path, partitions) || fatal ? 1 : 0;
}

static int load(const char *path, int partitions) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) return 1;
    for (int p = 0; p < partitions; ++p) {
        int64_t count = 0;
        if (fread(&count, sizeof count, 1, file) != 1) return 1;
        if (count > 0) set_state(p, count - 1, 0);
        if (fread(numbers[p].state, 1, (size_t)count, file) != (size_t)count) return 1;
    }
    return fclose(file);
}

typedef struct {
    int64_t acked, read, lost, duplicated, reordered, strange;
} Tally;

static void look(Tally *tally, const rd_kafka_message_t *message, int64_t *last,
                 uint8_t **seen) {
    int64_t number;
    int32_t p = message->partition;
    memcpy(&number, message->payload, sizeof number);
    ++tally->read;
    if (message->len != 100 || number < 0 || number >= numbers[p].count) {
        ++tally->strange;
        return;
    }
    if (seen[p][number]++) ++tally->duplicated;
    if (number < last[p]) ++tally->reordered;
    last[p] = number;
}

static int check(rd_kafka_conf_t *conf, const char *topic, int partitions, const char *path) {
    char error[256];
    if (load(path, partitions)) return fprintf(stderr, "cannot read %s\n", path), 2;
    set(conf, "group.id", "chaos-check");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "auto.offset.reset", "earliest");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    if (rk == NULL) return fprintf(stderr, "%s\n", error), 2;
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    uint8_t *seen[kMaxPartitions];
    int64_t last[kMaxPartitions];
    for (int32_t p = 0; p < partitions; ++p) {
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
        seen[p] = calloc((size_t)numbers[p].count + 1, 1);
        last[p] = -1;
    }
    rd_kafka_assign(rk, list);
    Tally tally = {0, 0, 0, 0, 0, 0};
    int open = partitions;
    while (open > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, kIdleMs);
        if (message == NULL) break;  // silence: what is missing counts as lost
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            --open;
        else if (!message->err)
            look(&tally, message, last, seen);
        rd_kafka_message_destroy(message);
    }
    for (int p = 0; p < partitions; ++p) {
        for (int64_t i = 0; i < numbers[p].count; ++i) {
            if (numbers[p].state[i] != 1) continue;
            ++tally.acked;
            if (seen[p][i] == 0) ++tally.lost;
        }
    }
    printf("{\"acked\":%" PRId64 ",\"read\":%" PRId64 ",\"lost\":%" PRId64 ",\"duplicated\":%" PRId64
           ",\"reordered\":%" PRId64 ",\"strange\":%" PRId64 ",\"unread\":%d}\n",
           tally.acked, tally.read, tally.lost, tally.duplicated, tally.reordered, tally.strange,
           open);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return tally.lost + tally.duplicated + tally.reordered + tally.strange + open > 0 ? 1 : 0;
}

int main(int argc, char **argv) {
    if (argc != 6 || atoi(argv[4]) < 1 || atoi(argv[4]) > kMaxPartitions) {
        fprintf(stderr, "usage: client produce|check BOOTSTRAP TOPIC PARTITIONS FILE\n");
        return 2;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[2]);
    set(conf, "log_level", "2");
    set(conf, "reconnect.backoff.max.ms", "500");
    return strcmp(argv[1], "check") == 0 ? check(conf, argv[3], atoi(argv[4]), argv[5])
                                         : produce(conf, argv[3], atoi(argv[4]), argv[5]);
}
