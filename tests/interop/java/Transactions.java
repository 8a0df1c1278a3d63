// tests/interop/java/Transactions.java: Apache's transactional producer: one transaction's life, and a copier.

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;

/**
 * usage: Transactions SERVER life TOPIC        commits, aborts, is fenced; prints what it saw
 *        Transactions SERVER open ID TOPIC     leaves a transaction of two records open
 *        Transactions SERVER copy IN OUT GROUP PARTITIONS TOTAL
 *             consume-transform-produce until TOTAL input records are copied, whatever happens
 */
public final class Transactions {
    private static String server;

    private static KafkaProducer<String, String> producer(String id) {
        Properties p = new Properties();
        p.put("bootstrap.servers", server);
        p.put("transactional.id", id);
        p.put("transaction.timeout.ms", "60000");
        p.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        p.put("reconnect.backoff.max.ms", "100");
        return new KafkaProducer<>(p);
    }

    private static void send(KafkaProducer<String, String> producer, String topic, String value, int count) {
        for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>(topic, i % 2, null, value));
        producer.flush();
    }

    private static void life(String topic) {
        KafkaProducer<String, String> first = producer("java-life");
        first.initTransactions();
        for (int i = 0; i < 20; i++) {
            first.beginTransaction();
            send(first, topic, i % 4 == 3 ? "aborted" : "committed", 10);
            if (i % 4 == 3) first.abortTransaction(); else first.commitTransaction();
        }
        first.beginTransaction();
        first.abortTransaction();
        first.beginTransaction();
        send(first, topic, "fenced", 2);
        KafkaProducer<String, String> second = producer("java-life");
        second.initTransactions();
        try {
            first.commitTransaction();
            System.out.println("not fenced");
        } catch (ProducerFencedException e) {
            System.out.println("fenced");
        }
        second.beginTransaction();
        send(second, topic, "winner", 2);
        second.commitTransaction();
        first.close(Duration.ZERO);
        second.close();
        System.out.println("done");
    }

    private static void open(String id, String topic) {
        KafkaProducer<String, String> producer = producer(id);
        producer.initTransactions();
        producer.beginTransaction();
        send(producer, topic, "open", 2);
        System.out.println("open");
        Runtime.getRuntime().halt(0);
    }

    private static KafkaConsumer<String, String> consumer(String group) {
        Properties p = new Properties();
        p.put("bootstrap.servers", server);
        p.put("group.id", group);
        p.put("enable.auto.commit", "false");
        p.put("isolation.level", "read_committed");
        p.put("auto.offset.reset", "earliest");
        p.put("max.poll.records", "20");
        p.put("reconnect.backoff.max.ms", "100");
        p.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        p.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        return new KafkaConsumer<>(p);
    }

    private static long position(KafkaConsumer<String, String> consumer, List<TopicPartition> all) {
        long sum = 0;
        for (OffsetAndMetadata at : consumer.committed(new java.util.HashSet<>(all)).values()) {
            sum += at == null ? 0 : at.offset();
        }
        return sum;
    }

    /** One incarnation of the copier; returns true when everything is copied. */
    /** What commitTransaction has returned for; nothing of it may ever be gone. */
    private static final Map<TopicPartition, Long> ACKED = new HashMap<>();

    private static void check(Map<TopicPartition, OffsetAndMetadata> committed) {
        ACKED.forEach((partition, offset) -> {
            OffsetAndMetadata now = committed.get(partition);
            if (now != null && now.offset() >= offset) return;
            System.out.println("LOST: " + partition + " was committed at " + offset + ", is at " + now);
            Runtime.getRuntime().halt(1);
        });
    }

    private static boolean copyOnce(String in, String out, String group, int partitions, long total) {
        List<TopicPartition> all = new java.util.ArrayList<>();
        for (int i = 0; i < partitions; i++) all.add(new TopicPartition(in, i));
        try (KafkaProducer<String, String> producer = producer(group + "-copier");
             KafkaConsumer<String, String> consumer = consumer(group)) {
            producer.initTransactions();
            consumer.assign(all);
            check(consumer.committed(Set.copyOf(all)));
            while (position(consumer, all) < total) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) continue;
                Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
                producer.beginTransaction();
                for (ConsumerRecord<String, String> record : records) {
                    producer.send(new ProducerRecord<>(out, record.partition(), record.key(), record.value() + "!"));
                    next.put(new TopicPartition(in, record.partition()), new OffsetAndMetadata(record.offset() + 1));
                }
                producer.sendOffsetsToTransaction(next, consumer.groupMetadata());
                producer.commitTransaction();
                next.forEach((partition, offset) -> ACKED.put(partition, offset.offset()));
            }
            return true;
        }
    }

    private static void copy(String in, String out, String group, int partitions, long total) {
        while (true) {
            try {
                if (copyOnce(in, out, group, partitions, total)) break;
            } catch (KafkaException e) {
                System.out.println("again: " + e);
            }
        }
        System.out.println("copied");
    }

    public static void main(String[] a) {
        server = a[0];
        switch (a[1]) {
            case "life" -> life(a[2]);
            case "open" -> open(a[2], a[3]);
            case "copy" -> copy(a[2], a[3], a[4], Integer.parseInt(a[5]), Long.parseLong(a[6]));
            default -> throw new IllegalArgumentException(a[1]);
        }
    }
}
