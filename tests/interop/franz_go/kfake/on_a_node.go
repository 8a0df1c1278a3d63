// tests/interop/franz_go/kfake/on_a_node.go: kfake's Cluster as a client of a node that the test file starts.

// Package kfake: 0023_kfake.py lays this file into franz-go's package, in place of the functions that
// start an in-process cluster and look into its memory, and so kfake's tests meet a real broker.
package kfake

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	startTimeout = 120 * time.Second
	askTimeout   = 20 * time.Second
)

// What the fake allows and a broker only does when told.
var nodeDefaults = map[string]string{
	"node.id":                                  "0",
	"group.initial.rebalance.delay.ms":         "0",
	"group.consumer.assignment.interval.ms":    "0",
	"group.consumer.min.heartbeat.interval.ms": "1",
	"group.consumer.min.session.timeout.ms":    "1",
	"log.message.timestamp.after.max.ms":       "9223372036854775807",
	"offsets.topic.num.partitions":             "1",
	"offsets.topic.replication.factor":         "1",
	"transaction.state.log.num.partitions":     "1",
	"transaction.state.log.replication.factor": "1",
	"transaction.state.log.min.isr":            "1",
}

type node struct {
	server string
	client *kgo.Client
	admin  *kadm.Client
}

var nodes sync.Map // *Cluster to *node

// control asks the test file to start or stop a node.
func control(request map[string]any) (string, error) {
	connection, err := net.Dial("unix", os.Getenv("MILLRACE_NODES"))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(startTimeout)); err != nil {
		return "", err
	}
	if err := json.NewEncoder(connection).Encode(request); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(connection).ReadBytes('\n')
	if err != nil {
		return "", err
	}
	var answer struct{ Server, Error string }
	if err := json.Unmarshal(line, &answer); err != nil {
		return "", err
	}
	if answer.Error != "" {
		return "", errors.New(answer.Error)
	}
	return answer.Server, nil
}

func NewCluster(opts ...Opt) (*Cluster, error) {
	settings := cfg{
		defaultNumParts:   10,
		minSessionTimeout: 6 * time.Second,
		maxSessionTimeout: 5 * time.Minute,
		sasls:             make(map[struct{ m, u string }]string),
	}
	for _, opt := range opts {
		opt.apply(&settings)
	}
	config := map[string]string{
		"auto.create.topics.enable":    strconv.FormatBool(settings.allowAutoTopic),
		"num.partitions":               strconv.Itoa(settings.defaultNumParts),
		"group.min.session.timeout.ms": strconv.FormatInt(settings.minSessionTimeout.Milliseconds(), 10),
		"group.max.session.timeout.ms": strconv.FormatInt(settings.maxSessionTimeout.Milliseconds(), 10),
	}
	for _, keys := range []map[string]string{nodeDefaults, settings.brokerConfigs} {
		for key, value := range keys {
			config[key] = value
		}
	}
	server, err := control(map[string]any{"start": config})
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(server))
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: settings}
	nodes.Store(c, &node{server, client, kadm.NewClient(client)})
	if err := c.awaitCoordinators(); err != nil {
		return nil, err
	}
	for _, seed := range settings.seedTopics {
		for _, topic := range seed.ts {
			if err := c.CreateTopic(topic, seed.p, nil); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// awaitCoordinators: the fake has them from the start, a broker makes their topics at the first question.
func (c *Cluster) awaitCoordinators() error {
	ctx, cancel := asking()
	defer cancel()
	for {
		groups, err := c.node().admin.DescribeGroups(ctx, "-")
		if err != nil && !errors.Is(err, kerr.CoordinatorNotAvailable) {
			return err
		}
		transactions, err2 := c.node().admin.DescribeTransactions(ctx, "-")
		if err2 != nil && !errors.Is(err2, kerr.CoordinatorNotAvailable) {
			return err2
		}
		if err == nil && err2 == nil && !retriable(groups["-"].Err) && !retriable(transactions["-"].Err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func retriable(err error) bool { return err != nil && kerr.IsRetriable(err) }

func (c *Cluster) node() *node {
	found, ok := nodes.Load(c)
	if !ok {
		panic("a cluster that is closed")
	}
	return found.(*node)
}

func asking() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), askTimeout)
}

// must ends the test process: these functions have no error to return.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (c *Cluster) ListenAddrs() []string { return []string{c.node().server} }

func (c *Cluster) Close() {
	found, ok := nodes.LoadAndDelete(c)
	if !ok {
		return
	}
	found.(*node).client.Close()
	_, err := control(map[string]any{"stop": found.(*node).server})
	must(err)
}

func (c *Cluster) CreateTopic(topic string, partitions int32, configs map[string]string) error {
	ctx, cancel := asking()
	defer cancel()
	if partitions < 1 {
		partitions = -1
	}
	values := make(map[string]*string)
	for key, value := range configs {
		values[key] = kadm.StringPtr(value)
	}
	_, err := c.node().admin.CreateTopic(ctx, partitions, -1, values, topic)
	return err
}

func (c *Cluster) DeleteTopic(topic string) error {
	ctx, cancel := asking()
	defer cancel()
	_, err := c.node().admin.DeleteTopic(ctx, topic)
	return err
}

func (c *Cluster) DeleteRecords(topic string, partition int32, offset int64) error {
	ctx, cancel := asking()
	defer cancel()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, partition, offset, -1)
	_, err := c.node().admin.DeleteRecords(ctx, offsets)
	if err != nil {
		return err
	}
	return nil
}

// described asks the broker: kadm would answer from what it heard before.
func (c *Cluster) described(topic string) *kmsg.MetadataResponseTopic {
	ctx, cancel := asking()
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(topic)}}
	response, err := request.RequestWith(ctx, c.node().client)
	must(err)
	if len(response.Topics) != 1 || response.Topics[0].ErrorCode != 0 {
		return nil
	}
	return &response.Topics[0]
}

func (c *Cluster) partition(topic string, partition int32) *kmsg.MetadataResponseTopicPartition {
	if detail := c.described(topic); detail != nil {
		for i := range detail.Partitions {
			if detail.Partitions[i].Partition == partition {
				return &detail.Partitions[i]
			}
		}
	}
	return nil
}

func (c *Cluster) TopicInfo(topic string) *TopicInfo {
	detail := c.described(topic)
	if detail == nil {
		return nil
	}
	ctx, cancel := asking()
	defer cancel()
	resources, err := c.node().admin.DescribeTopicConfigs(ctx, topic)
	must(err)
	info := &TopicInfo{Topic: topic, TopicID: detail.TopicID,
		NumReplicas: len(detail.Partitions[0].Replicas), Configs: make(map[string]*string)}
	for _, config := range resources[0].Configs {
		if config.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
			info.Configs[config.Key] = config.Value
		}
	}
	return info
}

func (c *Cluster) LeaderFor(topic string, partition int32) int32 {
	if found := c.partition(topic, partition); found != nil {
		return found.Leader
	}
	return -1
}

func (c *Cluster) PartitionInfo(topic string, partition int32) *PartitionInfo {
	found := c.partition(topic, partition)
	if found == nil {
		return nil
	}
	ctx, cancel := asking()
	defer cancel()
	admin := c.node().admin
	offset := func(list func(context.Context, ...string) (kadm.ListedOffsets, error)) kadm.ListedOffset {
		offsets, err := list(ctx, topic)
		must(err)
		listed, _ := offsets.Lookup(topic, partition)
		must(listed.Err)
		return listed
	}
	return &PartitionInfo{Partition: partition, Epoch: found.LeaderEpoch, Leader: found.Leader,
		HighWatermark:    offset(admin.ListEndOffsets).Offset,
		LastStableOffset: offset(admin.ListCommittedOffsets).Offset,
		LogStartOffset:   offset(admin.ListStartOffsets).Offset,
		MaxTimestamp:     offset(admin.ListMaxTimestampOffsets).Timestamp}
}

// consumerGroup is nil where the group is none of the new protocol.
func (c *Cluster) consumerGroup(ctx context.Context, group string) *GroupInfo {
	described, err := c.node().admin.DescribeConsumerGroups(ctx, group)
	must(err)
	found := described[group]
	if found.Err != nil {
		return nil
	}
	info := &GroupInfo{Group: group, State: found.State, Epoch: found.Epoch}
	for _, member := range found.Members {
		info.Members = append(info.Members, GroupMember{MemberID: member.MemberID,
			InstanceID: member.InstanceID, ClientID: member.ClientID, ClientHost: member.ClientHost,
			SubscribedTopics: member.SubscribedTopics, Assignment: partitionsOf(member.Assignment)})
	}
	return info
}

func (c *Cluster) classicGroup(ctx context.Context, group string) *GroupInfo {
	described, err := c.node().admin.DescribeGroups(ctx, group)
	must(err)
	found := described[group]
	if found.Err != nil || found.State == "Dead" {
		return nil
	}
	info := &GroupInfo{Group: group, State: found.State}
	for _, member := range found.Members {
		one := GroupMember{MemberID: member.MemberID, InstanceID: member.InstanceID,
			ClientID: member.ClientID, ClientHost: member.ClientHost}
		if metadata, ok := member.Join.AsConsumer(); ok {
			one.SubscribedTopics = metadata.Topics
		}
		one.Assignment = make(map[string][]int32)
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				one.Assignment[topic.Topic] = topic.Partitions
			}
		}
		info.Members = append(info.Members, one)
	}
	return info
}

func partitionsOf(assigned kadm.TopicsSet) map[string][]int32 {
	topics := make(map[string][]int32)
	for topic := range assigned {
		for partition := range assigned[topic] {
			topics[topic] = append(topics[topic], partition)
		}
	}
	return topics
}

func (c *Cluster) GroupInfo(group string) *GroupInfo {
	ctx, cancel := asking()
	defer cancel()
	info := c.consumerGroup(ctx, group)
	if info == nil {
		info = c.classicGroup(ctx, group)
	}
	if info == nil {
		return nil
	}
	sortMembers(info.Members)
	info.Commits = make(map[string]map[int32]GroupCommit)
	offsets, err := c.node().admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil
	}
	must(err)
	for topic, partitions := range offsets {
		info.Commits[topic] = make(map[int32]GroupCommit)
		for partition, offset := range partitions {
			info.Commits[topic][partition] = GroupCommit{Offset: offset.At,
				LeaderEpoch: offset.LeaderEpoch, Metadata: offset.Metadata}
		}
	}
	return info
}
