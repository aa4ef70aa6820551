#!/usr/bin/env bash
# A stream's whole life, as people script it.
set -euo pipefail

STREAM_NAME="${1:-ScriptStream}"

aws kinesis create-stream --stream-name "$STREAM_NAME" --shard-count 1
aws kinesis wait stream-exists --stream-name "$STREAM_NAME"

# "hello" in base64: without options v2 takes it for that, and v1 takes it as it is.
aws kinesis put-record --stream-name "$STREAM_NAME" --partition-key user-1 --data aGVsbG8=

SHARD_ID=$(aws kinesis describe-stream --stream-name "$STREAM_NAME" \
  --query 'StreamDescription.Shards[0].ShardId' --output text)
SHARD_ITERATOR=$(aws kinesis get-shard-iterator --stream-name "$STREAM_NAME" --shard-id "$SHARD_ID" \
  --shard-iterator-type TRIM_HORIZON --query ShardIterator --output text)
sleep 1
aws kinesis get-records --shard-iterator "$SHARD_ITERATOR" --query 'Records[].Data' --output text

aws kinesis delete-stream --stream-name "$STREAM_NAME"
