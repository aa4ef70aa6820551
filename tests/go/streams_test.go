package clients

import (
	"bytes"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

func TestStreamsLife(t *testing.T) {
	for _, way := range transports(t) {
		t.Run(way.name, func(t *testing.T) {
			noted := &counting{inner: way.http}
			client := connect(way.endpoint, func(o *kinesis.Options) { o.HTTPClient = noted })
			stream := create(t, client, "life")
			put, err := put(t.Context(), client, stream, "from go ü")
			must(t, err)
			equal(t, *put.ShardId, first)
			if !regexp.MustCompile(`^\d{56}$`).MatchString(*put.SequenceNumber) {
				t.Fatal(*put.SequenceNumber)
			}
			var entries []types.PutRecordsRequestEntry
			for _, key := range []string{"a", "b", "c"} {
				entries = append(entries, types.PutRecordsRequestEntry{Data: []byte{0, 255, key[0]}, PartitionKey: aws.String(key)})
			}
			many, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: &stream, Records: entries})
			must(t, err)
			equal(t, *many.FailedRecordCount, 0)

			records, _ := read(t, client, fromHorizon(stream, first))
			same(t, texts(records), []string{"from go ü", "\x00\xffa", "\x00\xffb", "\x00\xffc"})
			equal(t, *records[0].SequenceNumber, *put.SequenceNumber)
			equal(t, *records[3].PartitionKey, "c")
			stamped := *records[0].ApproximateArrivalTimestamp
			if time.Since(stamped).Abs() > time.Minute {
				t.Fatalf("arrived at %v", stamped)
			}

			from := func(kind types.ShardIteratorType, number *string, at *time.Time) int {
				input := fromHorizon(stream, first)
				input.ShardIteratorType, input.StartingSequenceNumber, input.Timestamp = kind, number, at
				records, _ := read(t, client, input)
				return len(records)
			}
			equal(t, from(types.ShardIteratorTypeAtSequenceNumber, many.Records[1].SequenceNumber, nil), 2)
			equal(t, from(types.ShardIteratorTypeAfterSequenceNumber, many.Records[1].SequenceNumber, nil), 1)
			equal(t, from(types.ShardIteratorTypeAtTimestamp, nil, &stamped), 4)

			_, err = client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: &stream})
			must(t, err)
			waiter := kinesis.NewStreamNotExistsWaiter(client, func(o *kinesis.StreamNotExistsWaiterOptions) {
				o.MinDelay, o.MaxDelay = 100*time.Millisecond, 200*time.Millisecond
			})
			must(t, waiter.Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: &stream}, deadline))
			equal(t, int(noted.major.Load()), way.major)
		})
	}
}

func TestPaginators(t *testing.T) {
	client := plain()
	made := []string{create(t, client, "page"), create(t, client, "page"), create(t, client, "page")}
	var seen []string
	calls := 0
	pages := kinesis.NewListStreamsPaginator(client, &kinesis.ListStreamsInput{Limit: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		calls++
		seen = append(seen, page.StreamNames...)
	}
	if calls < 2 {
		t.Fatalf("%d pages", calls)
	}
	for _, stream := range made {
		if !slices.Contains(seen, stream) {
			t.Fatalf("%s is not in %v", stream, seen)
		}
	}

	sharded := create(t, client, "shards", func(i *kinesis.CreateStreamInput) { i.ShardCount = aws.Int32(5) })
	shards := 0
	described := kinesis.NewDescribeStreamPaginator(client, &kinesis.DescribeStreamInput{StreamName: &sharded, Limit: aws.Int32(2)})
	for described.HasMorePages() {
		page, err := described.NextPage(t.Context())
		must(t, err)
		shards += len(page.StreamDescription.Shards)
	}
	equal(t, shards, 5)
}

func TestResharding(t *testing.T) {
	client := plain()
	stream := create(t, client, "reshard")
	mustPut(t, client, stream, "before")
	_, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: &stream, ShardToSplit: aws.String(first), NewStartingHashKey: aws.String(middle),
	})
	must(t, err)
	active(t, client, stream)
	records, page := read(t, client, fromHorizon(stream, first))
	same(t, texts(records), []string{"before"})
	if page.NextShardIterator != nil {
		t.Fatal("a closed shard has a next iterator at its end")
	}
	same(t, lineage(page.ChildShards), []string{
		"shardId-000000000001 of [shardId-000000000000]", "shardId-000000000002 of [shardId-000000000000]",
	})
	equal(t, *page.ChildShards[1].HashKeyRange.StartingHashKey, middle)

	_, err = client.MergeShards(t.Context(), &kinesis.MergeShardsInput{
		StreamName: &stream, ShardToMerge: page.ChildShards[0].ShardId, AdjacentShardToMerge: page.ChildShards[1].ShardId,
	})
	must(t, err)
	active(t, client, stream)
	_, page = read(t, client, fromHorizon(stream, "shardId-000000000002"))
	same(t, lineage(page.ChildShards), []string{"shardId-000000000003 of [shardId-000000000001 shardId-000000000002]"})

	update, err := client.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{
		StreamName: &stream, TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling,
	})
	must(t, err)
	equal(t, *update.TargetShardCount, 2)
	active(t, client, stream)
	open, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{
		StreamName: &stream, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest},
	})
	must(t, err)
	equal(t, len(open.Shards), 2)

	count := 0
	for input := (&kinesis.ListShardsInput{StreamName: &stream, MaxResults: aws.Int32(4)}); input != nil; {
		page, err := client.ListShards(t.Context(), input)
		must(t, err)
		count += len(page.Shards)
		input = nil
		if page.NextToken != nil {
			input = &kinesis.ListShardsInput{NextToken: page.NextToken, MaxResults: aws.Int32(4)}
		}
	}
	equal(t, count, 6)
}

func TestLargeRecord(t *testing.T) {
	client := plain()
	stream := create(t, client, "large", func(i *kinesis.CreateStreamInput) { i.MaxRecordSizeInKiB = aws.Int32(3072) })
	// Below what a shard gives in a second, so that no read has to wait.
	data := bytes.Repeat([]byte("0123456789abcdef"), 3<<19/16)
	_, err := put(t.Context(), client, stream, string(data))
	must(t, err)
	records, _ := read(t, client, fromHorizon(stream, first))
	if !bytes.Equal(records[0].Data, data) {
		t.Fatal("the record came back changed")
	}
}
