/* tests/interop/librdkafka/groups.c: consumer groups by librdkafka: two members, hand-over, admin.
 *
 * usage: groups HOST:PORT TOPIC ASSIGNOR. TOPIC has 6 partitions and 600 records. Prints one line
 *   per step and exits 0 when every result was right.
 * usage: groups HOST:PORT TOPIC stay. Prints the values it reads, commits, and outlives any loss of
 *   the broker until it is killed. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kPartitions = 6, kRecords = 600, kTimeoutMs = 30000, kPollMs = 100 };

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

static rd_kafka_t *consumer(const char *server, const char *group, const char *topic,
                            const char *assignor) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", server);
    set(conf, "group.id", group);
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "partition.assignment.strategy", assignor);
    set(conf, "session.timeout.ms", "6000");
    set(conf, "heartbeat.interval.ms", "200");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    CHECK(rk != NULL, "%s", text);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    CHECK(rd_kafka_subscribe(rk, topics) == 0, "subscribe");
    rd_kafka_topic_partition_list_destroy(topics);
    return rk;
}

static int assigned(rd_kafka_t *rk) {
    rd_kafka_topic_partition_list_t *list = NULL;
    CHECK(rd_kafka_assignment(rk, &list) == 0, "assignment");
    const int count = list->cnt;
    rd_kafka_topic_partition_list_destroy(list);
    return count;
}

/* One poll; 1 when there was a record. */
static int poll_one(rd_kafka_t *rk) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, kPollMs);
    if (message == NULL) return 0;
    CHECK(message->err == 0, "consume: %s", rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
    return 1;
}

static void poll_until_assigned(rd_kafka_t **members, int count, int each, int *records) {
    const time_t until = time(NULL) + kTimeoutMs / 1000;
    for (;;) {
        int right = 0;
        for (int i = 0; i < count; ++i) {
            *records += poll_one(members[i]);
            right += assigned(members[i]) == each;
        }
        if (right == count) return;
        CHECK(time(NULL) < until, "no balanced assignment");
    }
}

static void check_committed(rd_kafka_t *rk, const char *topic, int64_t wanted) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(kPartitions);
    rd_kafka_topic_partition_list_add_range(list, topic, 0, kPartitions - 1);
    CHECK(rd_kafka_committed(rk, list, kTimeoutMs) == 0, "committed");
    int64_t sum = 0;
    for (int i = 0; i < list->cnt; ++i) {
        if (list->elems[i].offset > 0) sum += list->elems[i].offset;
    }
    CHECK(sum == wanted, "committed %ld, not %ld", (long)sum, (long)wanted);
    rd_kafka_topic_partition_list_destroy(list);
}

static rd_kafka_event_t *admin_result(rd_kafka_queue_t *queue, const char *what) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, kTimeoutMs);
    CHECK(event != NULL, "%s: no answer", what);
    CHECK(!rd_kafka_event_error(event), "%s: %s", what, rd_kafka_event_error_string(event));
    return event;
}

/* 1 when the group is as wanted; a member that was closed may still be on its way out. */
static int described(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *group,
                     rd_kafka_consumer_group_state_t state, size_t members) {
    const char *names[] = {group};
    rd_kafka_DescribeConsumerGroups(rk, names, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, "DescribeConsumerGroups");
    size_t count;
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    CHECK(count == 1, "%zu descriptions", count);
    const int right =
        rd_kafka_ConsumerGroupDescription_state(groups[0]) == state &&
        rd_kafka_ConsumerGroupDescription_member_count(groups[0]) == members;
    rd_kafka_event_destroy(event);
    return right;
}

static void check_described(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *group,
                            rd_kafka_consumer_group_state_t state, size_t members) {
    const time_t until = time(NULL) + kTimeoutMs / 1000;
    while (!described(rk, queue, group, state, members))
        CHECK(time(NULL) < until, "not %s with %zu members",
              rd_kafka_consumer_group_state_name(state), members);
}

static rd_kafka_resp_err_t delete_group(rd_kafka_t *rk, rd_kafka_queue_t *queue,
                                        const char *group) {
    rd_kafka_DeleteGroup_t *item = rd_kafka_DeleteGroup_new(group);
    rd_kafka_DeleteGroups(rk, &item, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, "DeleteGroups");
    size_t count;
    const rd_kafka_group_result_t **results = rd_kafka_DeleteGroups_result_groups(
        rd_kafka_event_DeleteGroups_result(event), &count);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(results[0]);
    const rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : 0;
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteGroup_destroy(item);
    return code;
}

static void stay(const char *server, const char *topic) {
    rd_kafka_t *rk = consumer(server, "stay", topic, "range");
    for (;;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, kPollMs);
        if (message == NULL) continue;
        if (message->err == 0) {
            printf("%.*s\n", (int)message->len, (const char *)message->payload);
            fflush(stdout);
            if (rd_kafka_commit_message(rk, message, 0) != 0) fprintf(stderr, "not committed\n");
        }
        rd_kafka_message_destroy(message);
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 4, "usage: groups HOST:PORT TOPIC ASSIGNOR");
    const char *server = argv[1];
    const char *topic = argv[2];
    if (strcmp(argv[3], "stay") == 0) stay(server, topic);
    char group[64];
    snprintf(group, sizeof group, "c-%s", argv[3]);

    rd_kafka_t *members[2];
    int records = 0;
    members[0] = consumer(server, group, topic, argv[3]);
    poll_until_assigned(members, 1, kPartitions, &records);
    members[1] = consumer(server, group, topic, argv[3]);
    poll_until_assigned(members, 2, kPartitions / 2, &records);
    printf("two members with three partitions each\n");

    const time_t until = time(NULL) + kTimeoutMs / 1000;
    /* Nothing is committed yet: what moved in the rebalance may be read twice. */
    while (records < kRecords && time(NULL) < until)
        records += poll_one(members[0]) + poll_one(members[1]);
    CHECK(records >= kRecords, "%d records", records);
    int idle = 0;
    while (idle < 5) idle = poll_one(members[0]) + poll_one(members[1]) ? 0 : idle + 1;
    for (int i = 0; i < 2; ++i)
        CHECK(rd_kafka_commit(members[i], NULL, 0) == 0, "commit");
    check_committed(members[0], topic, kRecords);
    printf("all records read and committed\n");

    rd_kafka_queue_t *queue = rd_kafka_queue_new(members[0]);
    check_described(members[0], queue, group, RD_KAFKA_CONSUMER_GROUP_STATE_STABLE, 2);
    CHECK(delete_group(members[0], queue, group) == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP, "deleted");
    rd_kafka_consumer_close(members[1]);
    rd_kafka_destroy(members[1]);
    poll_until_assigned(members, 1, kPartitions, &records);
    printf("one member with all partitions\n");

    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", server);
    rd_kafka_t *admin = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    CHECK(admin != NULL, "%s", text);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(members[0]);
    rd_kafka_destroy(members[0]);
    queue = rd_kafka_queue_new(admin);
    check_described(admin, queue, group, RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY, 0);
    CHECK(delete_group(admin, queue, group) == 0, "not deleted");
    CHECK(delete_group(admin, queue, group) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND, "still there");
    printf("deleted\n");
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(admin);
    return 0;
}
