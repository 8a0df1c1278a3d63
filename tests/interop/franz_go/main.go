// tests/interop/franz_go/main.go: franz-go's client and admin packages against a broker.
//
// usage: franz_go HOST:PORT. Exits 0 when every result was right. Compiles with the franz-go of
// go.mod and with the older one of debian12.mod.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic      = "franz"
	partitions = 3
	perCodec   = 3000
)

func check(ok bool, format string, args ...interface{}) {
	if !ok {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
		os.Exit(1)
	}
}

func must(err error, what string) { check(err == nil, "%s: %v", what, err) }

func client(server string, options ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append(options, kgo.SeedBrokers(server))...)
	must(err, "client")
	return cl
}

func value(codec string, i int) string {
	return fmt.Sprintf("%s %d %s", codec, i, strings.Repeat("z", i%500))
}

// produce sends perCodec records round robin over the partitions, idempotently, and checks that
// each acknowledged offset is the next of its partition.
func produce(ctx context.Context, server, name string, codec kgo.CompressionCodec, next []int64) {
	cl := client(server, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	for i := 0; i < perCodec; i++ {
		record := &kgo.Record{Topic: topic, Partition: int32(i % partitions), Key: []byte(name),
			Value: []byte(value(name, i)), Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(fmt.Sprint(i))}}}
		cl.Produce(ctx, record, func(r *kgo.Record, err error) {
			must(err, "produce "+name)
			check(r.Offset == next[r.Partition], "offset %d of partition %d, wanted %d", r.Offset,
				r.Partition, next[r.Partition])
			next[r.Partition]++
		})
	}
	must(cl.Flush(ctx), "flush")
	fmt.Printf("produced %d records with %s\n", perCodec, name)
}

// consume reads each partition from its start; the records must be those sent, in order.
func consume(ctx context.Context, server string, names []string) {
	from := map[string]map[int32]kgo.Offset{topic: {}}
	for p := int32(0); p < partitions; p++ {
		from[topic][p] = kgo.NewOffset().AtStart()
	}
	cl := client(server, kgo.ConsumePartitions(from), kgo.FetchMaxWait(500*time.Millisecond))
	defer cl.Close()
	seen := make([]int, partitions)
	for total := 0; total < perCodec*len(names); {
		fetches := cl.PollFetches(ctx)
		must(fetches.Err(), "fetch")
		fetches.EachRecord(func(r *kgo.Record) {
			nth := seen[r.Partition]
			name, i := names[nth/(perCodec/partitions)], nth%(perCodec/partitions)*partitions+int(r.Partition)
			check(r.Offset == int64(nth), "offset %d of partition %d, wanted %d", r.Offset, r.Partition, nth)
			check(string(r.Value) == value(name, i), "value %.40s, wanted %.40s", r.Value, value(name, i))
			check(string(r.Headers[0].Value) == fmt.Sprint(i), "header %s", r.Headers[0].Value)
			seen[r.Partition]++
			total++
		})
	}
	fmt.Printf("consumed %d records\n", perCodec*len(names))
}

func oneConfig(ctx context.Context, adm *kadm.Client, key string) string {
	all, err := adm.DescribeTopicConfigs(ctx, topic)
	must(err, "describe configs")
	for _, config := range all[0].Configs {
		if config.Key == key {
			return config.MaybeValue()
		}
	}
	return "no such key"
}

func topics(ctx context.Context, adm *kadm.Client) {
	retention := "3600000"
	made, err := adm.CreateTopics(ctx, 1, 1, map[string]*string{"retention.ms": &retention}, topic)
	must(err, "create")
	must(made[topic].Err, "create topic")
	made, err = adm.CreateTopics(ctx, 1, 1, nil, topic, "bad name")
	must(err, "create again")
	check(errors.Is(made[topic].Err, kerr.TopicAlreadyExists), "create again: %v", made[topic].Err)
	check(errors.Is(made["bad name"].Err, kerr.InvalidTopicException), "bad name: %v", made["bad name"].Err)
	valid, err := adm.ValidateCreateTopics(ctx, 2, 5, nil, "toowide")
	must(err, "validate")
	check(errors.Is(valid["toowide"].Err, kerr.InvalidReplicationFactor), "5 replicas: %v", valid["toowide"].Err)
	more, err := adm.CreatePartitions(ctx, partitions-1, topic)
	must(err, "create partitions")
	must(more[topic].Err, "create partitions")
	listed, err := adm.ListTopics(ctx, topic)
	must(err, "list")
	check(len(listed[topic].Partitions) == partitions, "%d partitions", len(listed[topic].Partitions))
	check(listed[topic].ID != kadm.TopicID{}, "the topic has no id")
	check(oneConfig(ctx, adm, "retention.ms") == retention, "retention.ms")
	changed, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "segment.bytes", Value: kadm.StringPtr("2000000")},
		{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: kadm.StringPtr("compact")},
		{Op: kadm.DeleteConfig, Name: "retention.ms"}}, topic)
	must(err, "alter configs")
	must(changed[0].Err, "alter configs")
	check(oneConfig(ctx, adm, "retention.ms") == "604800000", "retention.ms after delete")
	check(oneConfig(ctx, adm, "segment.bytes") == "2000000", "segment.bytes")
	check(oneConfig(ctx, adm, "cleanup.policy") == "delete,compact", "cleanup.policy: %s",
		oneConfig(ctx, adm, "cleanup.policy"))
	back := []kadm.AlterConfig{{Op: kadm.SubtractConfig, Name: "cleanup.policy", Value: kadm.StringPtr("compact")}}
	changed, err = adm.AlterTopicConfigs(ctx, back, topic)
	must(err, "alter configs")
	must(changed[0].Err, "subtract")
	fmt.Println("admin: topics, partitions, configs")
}

func offsetsAndDirs(ctx context.Context, adm *kadm.Client, next []int64) {
	start, err := adm.ListStartOffsets(ctx, topic)
	must(err, "start offsets")
	end, err := adm.ListEndOffsets(ctx, topic)
	must(err, "end offsets")
	future, err := adm.ListOffsetsAfterMilli(ctx, time.Now().Add(time.Hour).UnixMilli(), topic)
	must(err, "offsets by time")
	first, err := adm.ListOffsetsAfterMilli(ctx, 1, topic)
	must(err, "offsets by time")
	for p := int32(0); p < partitions; p++ {
		check(start[topic][p].Offset == 0 && end[topic][p].Offset == next[p], "offsets %v %v",
			start[topic][p], end[topic][p])
		check(first[topic][p].Offset == 0, "first by time: %d", first[topic][p].Offset)
		check(future[topic][p].Offset == next[p], "nothing later: %d", future[topic][p].Offset)
	}
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	must(err, "log dirs")
	size := int64(0)
	dirs.Each(func(dir kadm.DescribedLogDir) {
		must(dir.Err, "log dir")
		for _, partition := range dir.Topics[topic] {
			size += partition.Size
		}
	})
	check(size > 0, "the log directories say that %s is empty", topic)
	var upTo kadm.Offsets
	upTo.AddOffset(topic, 0, 500, -1)
	deleted, err := adm.DeleteRecords(ctx, upTo)
	must(err, "delete records")
	check(deleted[topic][0].Err == nil && deleted[topic][0].LowWatermark == 500, "delete records: %v",
		deleted[topic][0])
	start, err = adm.ListStartOffsets(ctx, topic)
	must(err, "start offsets")
	check(start[topic][0].Offset == 500, "start after delete: %d", start[topic][0].Offset)
	fmt.Println("admin: offsets, log dirs, delete records")
}

func cluster(ctx context.Context, adm *kadm.Client, server string) {
	brokers, err := adm.ListBrokers(ctx)
	must(err, "brokers")
	check(len(brokers) == 1 && fmt.Sprintf("%s:%d", brokers[0].Host, brokers[0].Port) == server, "brokers %v", brokers)
	versions, err := adm.ApiVersions(ctx)
	must(err, "api versions")
	versions.Each(func(v kadm.BrokerApiVersions) {
		max, ok := v.KeyMaxVersion(0)
		check(v.Err == nil && ok && max >= 12, "Produce up to %d: %v", max, v.Err)
	})
	gone, err := adm.DeleteTopics(ctx, topic, "never")
	must(err, "delete topics")
	must(gone[topic].Err, "delete topic")
	check(errors.Is(gone["never"].Err, kerr.UnknownTopicOrPartition), "delete never: %v", gone["never"].Err)
	fmt.Println("admin: cluster, delete topics")
}

func main() {
	check(len(os.Args) == 2, "usage: franz_go HOST:PORT")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	cl := client(os.Args[1])
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics(ctx, adm)
	next := make([]int64, partitions)
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(),
		kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, codec := range codecs {
		produce(ctx, os.Args[1], names[i], codec, next)
	}
	consume(ctx, os.Args[1], names)
	offsetsAndDirs(ctx, adm, next)
	cluster(ctx, adm, os.Args[1])
}
