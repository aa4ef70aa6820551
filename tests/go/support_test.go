// Package clients proves Millstream with the AWS SDK for Go v2.
package clients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const (
	account  = "333344445555"
	first    = "shardId-000000000000"
	deadline = 30 * time.Second
	poll     = 20 * time.Millisecond
	middle   = "170141183460469231731687303715884105728"
)

var horizon = &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}

// transport is a way to reach the server, and the HTTP version that the SDK should come to.
type transport struct {
	name     string
	endpoint string
	http     kinesis.HTTPClient
	major    int
}

// counting notes the HTTP version of each answer.
type counting struct {
	inner kinesis.HTTPClient
	major atomic.Int32
}

func (c *counting) Do(request *http.Request) (*http.Response, error) {
	answer, err := c.inner.Do(request)
	if err == nil {
		c.major.Store(int32(answer.ProtoMajor))
	}
	return answer, err
}

func transports(t *testing.T) []transport {
	t.Helper()
	pem, err := os.ReadFile(os.Getenv("MILLSTREAM_CA"))
	must(t, err)
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		t.Fatal("MILLSTREAM_CA has no certificate")
	}
	secure := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig = &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}
	})
	return []transport{
		{"HTTP/1.1 in cleartext", os.Getenv("MILLSTREAM_ENDPOINT"), awshttp.NewBuildableClient(), 1},
		{"HTTP/2 over TLS", os.Getenv("MILLSTREAM_TLS_ENDPOINT"), secure, 2},
	}
}

func connect(endpoint string, change ...func(*kinesis.Options)) *kinesis.Client {
	options := kinesis.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       "us-east-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: account, SecretAccessKey: "secret"}, nil
		}),
	}
	return kinesis.New(options, change...)
}

// plain is a client as most programs make it.
func plain() *kinesis.Client {
	return connect(os.Getenv("MILLSTREAM_ENDPOINT"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func same[T comparable](t *testing.T, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// fails says whether an error is of the SDK's type E, and gives it.
func fails[E error](t *testing.T, err error) E {
	t.Helper()
	var typed E
	if !errors.As(err, &typed) {
		t.Fatalf("got %v (%T), want a %T", err, err, typed)
	}
	return typed
}

// until calls look until it gives true.
func until(t *testing.T, what string, look func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !look(); time.Sleep(poll) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

var names atomic.Int64

func fresh(stem string) string {
	return fmt.Sprintf("%s-%d-%d", stem, os.Getpid(), names.Add(1))
}

func arnOf(stream string) *string {
	return aws.String("arn:aws:kinesis:us-east-1:" + account + ":stream/" + stream)
}

func active(t *testing.T, client *kinesis.Client, stream string) {
	t.Helper()
	waiter := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, 200*time.Millisecond
	})
	must(t, waiter.Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: &stream}, deadline))
}

// create makes a stream, waits until it is ACTIVE, and gives its name.
func create(t *testing.T, client *kinesis.Client, stem string, change ...func(*kinesis.CreateStreamInput)) string {
	t.Helper()
	stream := fresh(stem)
	input := &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(1)}
	for _, apply := range change {
		apply(input)
	}
	_, err := client.CreateStream(t.Context(), input)
	must(t, err)
	active(t, client, stream)
	return stream
}

func onDemand(input *kinesis.CreateStreamInput) {
	input.ShardCount = nil
	input.StreamModeDetails = &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
}

func put(ctx context.Context, client *kinesis.Client, stream, words string) (*kinesis.PutRecordOutput, error) {
	return client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: &stream, Data: []byte(words), PartitionKey: aws.String("k"),
	})
}

func mustPut(t *testing.T, client *kinesis.Client, stream string, all ...string) {
	t.Helper()
	for _, words := range all {
		_, err := put(t.Context(), client, stream, words)
		must(t, err)
	}
}

// read gives all records of a shard up to its tip or end, and the last page.
func read(t *testing.T, client *kinesis.Client, input *kinesis.GetShardIteratorInput) ([]types.Record, *kinesis.GetRecordsOutput) {
	t.Helper()
	given, err := client.GetShardIterator(t.Context(), input)
	must(t, err)
	var records []types.Record
	for next := given.ShardIterator; ; {
		page, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
		must(t, err)
		records = append(records, page.Records...)
		next = page.NextShardIterator
		if next == nil || len(page.Records) == 0 && aws.ToInt64(page.MillisBehindLatest) == 0 {
			return records, page
		}
	}
}

func fromHorizon(stream, shard string) *kinesis.GetShardIteratorInput {
	return &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}
}

func texts(records []types.Record) []string {
	all := make([]string, 0, len(records))
	for _, record := range records {
		all = append(all, string(record.Data))
	}
	return all
}

// lineage is the children that a shard's end tells of, each with its parents.
func lineage(children []types.ChildShard) []string {
	all := make([]string, 0, len(children))
	for _, child := range children {
		all = append(all, fmt.Sprint(*child.ShardId, " of ", child.ParentShards))
	}
	return all
}
