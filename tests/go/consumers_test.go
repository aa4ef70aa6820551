package clients

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// register makes a consumer, waits until it is ACTIVE, and gives its ARN.
func register(t *testing.T, client *kinesis.Client, stream string, change ...func(*kinesis.RegisterStreamConsumerInput)) string {
	t.Helper()
	input := &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf(stream), ConsumerName: aws.String(fresh("consumer"))}
	for _, apply := range change {
		apply(input)
	}
	registered, err := client.RegisterStreamConsumer(t.Context(), input)
	must(t, err)
	arn := *registered.Consumer.ConsumerARN
	until(t, "the consumer is ACTIVE", func() bool {
		answer, err := client.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: &arn})
		must(t, err)
		return answer.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive
	})
	return arn
}

// subscribe begins a subscription. While an older one counts (5 s), it tries again, as applications do.
func subscribe(
	ctx context.Context, t *testing.T, client *kinesis.Client, consumer, shard string, from *types.StartingPosition,
) *kinesis.SubscribeToShardEventStream {
	t.Helper()
	var stream *kinesis.SubscribeToShardEventStream
	until(t, "the shard is free for a subscription", func() bool {
		answer, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
			ConsumerARN: &consumer, ShardId: &shard, StartingPosition: from,
		})
		if busy := (*types.ResourceInUseException)(nil); errors.As(err, &busy) {
			return false
		}
		must(t, err)
		stream = answer.GetStream()
		return true
	})
	return stream
}

// next gives the next event, or nothing at the end of the subscription.
func next(t *testing.T, stream *kinesis.SubscribeToShardEventStream) *types.SubscribeToShardEvent {
	t.Helper()
	event, open := <-stream.Events()
	if !open {
		return nil
	}
	member, known := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
	if !known {
		t.Fatalf("an event of type %T", event)
	}
	return &member.Value
}

// collect reads events until `count` records came, and gives them with the last event.
func collect(t *testing.T, stream *kinesis.SubscribeToShardEventStream, count int) ([]string, *types.SubscribeToShardEvent) {
	t.Helper()
	var records []types.Record
	for {
		event := next(t, stream)
		if event == nil {
			t.Fatalf("the subscription ended after %d records: %v", len(records), stream.Err())
		}
		records = append(records, event.Records...)
		if len(records) >= count {
			return texts(records), event
		}
	}
}

func TestConsumersLife(t *testing.T) {
	client := plain()
	stream := create(t, client, "consumers")
	named := func(name string) func(*kinesis.RegisterStreamConsumerInput) {
		return func(i *kinesis.RegisterStreamConsumerInput) { i.ConsumerName = aws.String(name) }
	}
	consumer := register(t, client, stream, named("one"))
	register(t, client, stream, named("two"))
	register(t, client, stream, named("three"))
	if !regexp.MustCompile(`^` + *arnOf(stream) + `/consumer/one:\d+$`).MatchString(consumer) {
		t.Fatal(consumer)
	}
	described, err := client.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{
		StreamARN: arnOf(stream), ConsumerName: aws.String("one"),
	})
	must(t, err)
	equal(t, *described.ConsumerDescription.ConsumerARN, consumer)
	equal(t, *described.ConsumerDescription.StreamARN, *arnOf(stream))

	count := 0
	pages := kinesis.NewListStreamConsumersPaginator(client, &kinesis.ListStreamConsumersInput{
		StreamARN: arnOf(stream), MaxResults: aws.Int32(2),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		count += len(page.Consumers)
	}
	equal(t, count, 3)
	equal(t, *summary(t, client, stream).ConsumerCount, 3)

	_, err = client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: arnOf(stream), ConsumerName: aws.String("one"),
	})
	fails[*types.ResourceInUseException](t, err)
	_, err = client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: &stream})
	fails[*types.ResourceInUseException](t, err)
	_, err = client.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &consumer})
	must(t, err)
	until(t, "the consumer is gone", func() bool {
		_, err := client.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: &consumer})
		gone := (*types.ResourceNotFoundException)(nil)
		return errors.As(err, &gone)
	})
	_, err = client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{
		StreamName: &stream, EnforceConsumerDeletion: aws.Bool(true),
	})
	must(t, err)
}

func TestSubscription(t *testing.T) {
	for _, way := range transports(t) {
		t.Run(way.name, func(t *testing.T) {
			noted := &counting{inner: way.http}
			client := connect(way.endpoint, func(o *kinesis.Options) { o.HTTPClient = noted })
			stream := create(t, client, "subscribe")
			consumer := register(t, client, stream)
			mustPut(t, client, stream, "there before")
			events := subscribe(t.Context(), t, client, consumer, first, horizon)
			equal(t, int(noted.major.Load()), way.major)
			records, last := collect(t, events, 1)
			same(t, records, []string{"there before"})
			if len(last.ChildShards) > 0 || last.ContinuationSequenceNumber == nil {
				t.Fatalf("%+v", last)
			}

			var entries []types.PutRecordsRequestEntry
			var want []string
			for n := range 50 {
				want = append(want, fmt.Sprint("pushed ", n))
				entries = append(entries, types.PutRecordsRequestEntry{Data: []byte(want[n]), PartitionKey: aws.String(want[n])})
			}
			_, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: &stream, Records: entries})
			must(t, err)
			records, _ = collect(t, events, 50)
			same(t, records, want)

			mustPut(t, client, stream, "last")
			_, err = client.SplitShard(t.Context(), &kinesis.SplitShardInput{
				StreamName: &stream, ShardToSplit: aws.String(first), NewStartingHashKey: aws.String(middle),
			})
			must(t, err)
			records, last = collect(t, events, 1)
			same(t, records, []string{"last"})
			for event := last; event != nil; event = next(t, events) {
				last = event
			}
			must(t, events.Err())
			if last.ContinuationSequenceNumber != nil {
				t.Fatal("the end of a shard can be continued")
			}
			same(t, lineage(last.ChildShards), []string{
				"shardId-000000000001 of [shardId-000000000000]", "shardId-000000000002 of [shardId-000000000000]",
			})
		})
	}
}

func TestCancelAndContinue(t *testing.T) {
	for _, way := range transports(t) {
		t.Run(way.name, func(t *testing.T) {
			client := connect(way.endpoint, func(o *kinesis.Options) { o.HTTPClient = way.http })
			stream := create(t, client, "continue")
			consumer := register(t, client, stream)
			mustPut(t, client, stream, "one", "two")
			ctx, cancel := context.WithCancel(t.Context())
			events := subscribe(ctx, t, client, consumer, first, horizon)
			records, last := collect(t, events, 2)
			same(t, records, []string{"one", "two"})
			cancel()
			for next(t, events) != nil {
			}
			// Over HTTP/1.1 the SDK may see its own closing of the connection first.
			if err := events.Err(); !errors.Is(err, context.Canceled) && !ours(err) {
				t.Fatalf("the cancelled subscription ended with %v", err)
			}

			mustPut(t, client, stream, "three")
			again := subscribe(t.Context(), t, client, consumer, first, &types.StartingPosition{
				Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: last.ContinuationSequenceNumber,
			})
			records, _ = collect(t, again, 1)
			same(t, records, []string{"three"})
			finish(t, again.Close())
		})
	}
}

// ours tells whether an error is only that the SDK has closed the connection itself, and then read on.
func ours(err error) bool {
	return errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), net.ErrClosed.Error())
}

// finish takes what the end of a subscription gave.
func finish(t *testing.T, err error) {
	t.Helper()
	if err != nil && !ours(err) {
		t.Fatal(err)
	}
}

func TestLatestAndQuiet(t *testing.T) {
	client := plain()
	stream := create(t, client, "quiet")
	consumer := register(t, client, stream)
	mustPut(t, client, stream, "not seen from the latest position")
	events := subscribe(t.Context(), t, client, consumer, first, &types.StartingPosition{Type: types.ShardIteratorTypeLatest})
	event := next(t, events)
	if event == nil || len(event.Records) > 0 || *event.MillisBehindLatest != 0 || event.ContinuationSequenceNumber == nil {
		t.Fatalf("%+v, %v", event, events.Err())
	}
	mustPut(t, client, stream, "seen")
	records, _ := collect(t, events, 1)
	same(t, records, []string{"seen"})
	finish(t, events.Close())
}

func TestTakeOver(t *testing.T) {
	client := plain()
	stream := create(t, client, "takeover")
	consumer := register(t, client, stream)
	older := subscribe(t.Context(), t, client, consumer, first, horizon)
	mustPut(t, client, stream, "one")
	collect(t, older, 1)
	_, err := client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
		ConsumerARN: &consumer, ShardId: aws.String(first), StartingPosition: horizon,
	})
	fails[*types.ResourceInUseException](t, err)
	newer := subscribe(t.Context(), t, client, consumer, first, horizon)
	// The older one ends: cleanly, or with the error that says why.
	for next(t, older) != nil {
	}
	if err := older.Err(); err != nil {
		fails[*types.ResourceInUseException](t, err)
	}
	mustPut(t, client, stream, "two")
	records, _ := collect(t, newer, 2)
	same(t, records, []string{"one", "two"})
	finish(t, newer.Close())
}

func TestSubscriptionErrors(t *testing.T) {
	client := connect(os.Getenv("MILLSTREAM_ENDPOINT"))
	stream := create(t, client, "wrong")
	consumer := register(t, client, stream)
	subscribe := func(consumer, shard string, dry bool) error {
		_, err := client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
			ConsumerARN: &consumer, ShardId: &shard, StartingPosition: horizon, DryRun: &dry,
		})
		return err
	}
	fails[*types.ResourceNotFoundException](t, subscribe(consumer, "shardId-000000000009", false))
	fails[*types.ResourceNotFoundException](t, subscribe(*arnOf(stream)+"/consumer/nobody:1", first, false))
	fails[*types.DryRunOperationException](t, subscribe(consumer, first, true))
	must(t, subscribe(consumer, first, false))
}
