package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

func summary(t *testing.T, client *kinesis.Client, stream string) *types.StreamDescriptionSummary {
	t.Helper()
	answer, err := client.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
	must(t, err)
	return answer.StreamDescriptionSummary
}

func TestSettings(t *testing.T) {
	client := plain()
	stream := create(t, client, "settings")
	_, err := client.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{
		StreamName: &stream, RetentionPeriodHours: aws.Int32(48),
	})
	must(t, err)
	active(t, client, stream)
	equal(t, *summary(t, client, stream).RetentionPeriodHours, 48)
	_, err = client.DecreaseStreamRetentionPeriod(t.Context(), &kinesis.DecreaseStreamRetentionPeriodInput{
		StreamName: &stream, RetentionPeriodHours: aws.Int32(24),
	})
	must(t, err)
	active(t, client, stream)

	metric := []types.MetricsName{types.MetricsNameIncomingBytes}
	on, err := client.EnableEnhancedMonitoring(t.Context(), &kinesis.EnableEnhancedMonitoringInput{
		StreamName: &stream, ShardLevelMetrics: metric,
	})
	must(t, err)
	same(t, on.DesiredShardLevelMetrics, metric)
	active(t, client, stream)
	off, err := client.DisableEnhancedMonitoring(t.Context(), &kinesis.DisableEnhancedMonitoringInput{
		StreamName: &stream, ShardLevelMetrics: []types.MetricsName{types.MetricsNameAll},
	})
	must(t, err)
	same(t, off.CurrentShardLevelMetrics, metric)
	equal(t, len(off.DesiredShardLevelMetrics), 0)
	active(t, client, stream)

	_, err = client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
		StreamARN: arnOf(stream), MaxRecordSizeInKiB: aws.Int32(2048),
	})
	must(t, err)
	active(t, client, stream)
	equal(t, *summary(t, client, stream).MaxRecordSizeInKiB, 2048)

	_, err = client.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{
		StreamARN: arnOf(stream), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
	})
	must(t, err)
	active(t, client, stream)
	equal(t, summary(t, client, stream).StreamModeDetails.StreamMode, types.StreamModeOnDemand)

	_, err = client.UpdateStreamRecordDistributionStrategy(t.Context(), &kinesis.UpdateStreamRecordDistributionStrategyInput{
		StreamARN: arnOf(stream), RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
	})
	must(t, err)
	placed, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &stream, Data: []byte("no key")})
	must(t, err)
	records, _ := read(t, client, fromHorizon(stream, *placed.ShardId))
	if records[0].PartitionKey != nil {
		t.Fatalf("a key came from nowhere: %q", *records[0].PartitionKey)
	}

	_, err = client.UpdateStreamWarmThroughput(t.Context(), &kinesis.UpdateStreamWarmThroughputInput{
		StreamName: &stream, WarmThroughputMiBps: aws.Int32(100),
	})
	fails[*types.ValidationException](t, err)
}

func TestAccount(t *testing.T) {
	client := plain()
	limits, err := client.DescribeLimits(t.Context(), &kinesis.DescribeLimitsInput{})
	must(t, err)
	if *limits.ShardLimit <= 0 || *limits.OnDemandStreamCountLimit <= 0 {
		t.Fatalf("%+v", limits)
	}
	settings, err := client.DescribeAccountSettings(t.Context(), &kinesis.DescribeAccountSettingsInput{})
	must(t, err)
	equal(t, settings.MinimumThroughputBillingCommitment.Status, types.MinimumThroughputBillingCommitmentOutputStatusDisabled)
}

func TestTags(t *testing.T) {
	client := plain()
	stream := create(t, client, "tags", func(i *kinesis.CreateStreamInput) { i.Tags = map[string]string{"born": "with"} })
	_, err := client.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{
		StreamName: &stream, Tags: map[string]string{"old": "1", "gone": "x"},
	})
	must(t, err)
	_, err = client.TagResource(t.Context(), &kinesis.TagResourceInput{
		ResourceARN: arnOf(stream), Tags: map[string]string{"new": "2"},
	})
	must(t, err)
	_, err = client.RemoveTagsFromStream(t.Context(), &kinesis.RemoveTagsFromStreamInput{
		StreamName: &stream, TagKeys: []string{"gone"},
	})
	must(t, err)
	of := func(arn *string) map[string]string {
		listed, err := client.ListTagsForResource(t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: arn})
		must(t, err)
		return tagMap(listed.Tags)
	}
	all := map[string]string{"born": "with", "new": "2", "old": "1"}
	older, err := client.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: &stream})
	must(t, err)
	for _, got := range []map[string]string{of(arnOf(stream)), tagMap(older.Tags)} {
		if !maps.Equal(got, all) {
			t.Fatalf("got %v, want %v", got, all)
		}
	}
	_, err = client.UntagResource(t.Context(), &kinesis.UntagResourceInput{
		ResourceARN: arnOf(stream), TagKeys: []string{"born", "new"},
	})
	must(t, err)
	equal(t, len(of(arnOf(stream))), 1)

	consumer := register(t, client, stream, func(i *kinesis.RegisterStreamConsumerInput) {
		i.Tags = map[string]string{"stage": "test"}
	})
	equal(t, of(&consumer)["stage"], "test")
}

func tagMap(tags []types.Tag) map[string]string {
	all := map[string]string{}
	for _, tag := range tags {
		all[*tag.Key] = aws.ToString(tag.Value)
	}
	return all
}

func TestPolicies(t *testing.T) {
	client := plain()
	stream := create(t, client, "policy")
	consumer := register(t, client, stream)
	for arn, action := range map[string]string{*arnOf(stream): "kinesis:GetRecords", consumer: "kinesis:SubscribeToShard"} {
		policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"read","Effect":"Allow",`+
			`"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":[%q],"Resource":%q}]}`, action, arn)
		get := func() any {
			answer, err := client.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: &arn})
			must(t, err)
			return parsed(t, *answer.Policy)
		}
		equal(t, len(get().(map[string]any)), 0)
		_, err := client.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{ResourceARN: &arn, Policy: &policy})
		must(t, err)
		if got := get(); !reflect.DeepEqual(got, parsed(t, policy)) {
			t.Fatalf("got %v", got)
		}
		_, err = client.DeleteResourcePolicy(t.Context(), &kinesis.DeleteResourcePolicyInput{ResourceARN: &arn})
		must(t, err)
		_, err = client.DeleteResourcePolicy(t.Context(), &kinesis.DeleteResourcePolicyInput{ResourceARN: &arn})
		fails[*types.ResourceNotFoundException](t, err)
	}
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	var value any
	must(t, json.Unmarshal([]byte(text), &value))
	return value
}

func TestTypedErrors(t *testing.T) {
	client := plain()
	stream := create(t, client, "errors")
	_, err := put(t.Context(), client, "nowhere", "x")
	missing := fails[*types.ResourceNotFoundException](t, err)
	equal(t, missing.ErrorMessage(), "Stream nowhere under account "+account+" not found.")
	answer := fails[*awshttp.ResponseError](t, err)
	equal(t, answer.HTTPStatusCode(), 400)
	equal(t, len(answer.ServiceRequestID()), 36)
	api := fails[smithy.APIError](t, err)
	equal(t, api.ErrorCode(), "ResourceNotFoundException")

	_, err = client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(1)})
	fails[*types.ResourceInUseException](t, err)
	_, err = client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String("garbage")})
	fails[*types.InvalidArgumentException](t, err)
	_, err = put(t.Context(), client, stream, strings.Repeat("x", 1<<20+1))
	fails[*types.ValidationException](t, err)
	_, err = client.PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: &stream, Data: []byte("x"), PartitionKey: aws.String("k"), DryRun: aws.Bool(true),
	})
	dry := fails[*types.DryRunOperationException](t, err)
	equal(t, dry.ErrorMessage(), "Request would have succeeded, but DryRun flag is set.")
}

func TestShardRate(t *testing.T) {
	client := plain()
	stream := create(t, client, "rate")
	once := func(o *kinesis.Options) { o.RetryMaxAttempts = 1 }
	data := []byte(strings.Repeat("x", 700<<10))
	var last error
	for range 3 {
		_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: &stream, Data: data, PartitionKey: aws.String("k"),
		}, once)
		last = errors.Join(last, err)
	}
	over := fails[*types.ProvisionedThroughputExceededException](t, last)
	equal(t, over.ErrorMessage(), "Rate exceeded for shard "+first+" in stream "+stream+" under account "+account+".")
	// With retries the same put is only slower.
	_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: &stream, Data: data, PartitionKey: aws.String("k"),
	}, func(o *kinesis.Options) { o.RetryMaxAttempts = 8 })
	must(t, err)
}
