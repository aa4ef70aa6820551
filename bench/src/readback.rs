//! Reading back what was acknowledged: every record, once.

use millstream_harness::{Endpoint, Kinesis};
use serde::Deserialize;
use serde_json::json;

use crate::contestant::STREAM;
use crate::error::BenchError;
use crate::requests::{Kind, number_of};

/// Reads all shards and checks that records 0 to `records` are there, each once, with their bytes.
///
/// # Errors
/// When a call fails, or a record is missing, double or changed.
pub async fn check(endpoint: &Endpoint, kind: Kind, records: u64) -> Result<(), BenchError> {
    let mut kinesis = Kinesis::open(endpoint).await?;
    let mut there = vec![false; usize::try_from(records).unwrap_or(usize::MAX)];
    for shard in kinesis.list_shards(STREAM).await? {
        let mut iterator = kinesis.iterator(STREAM, &shard.id, None).await?;
        loop {
            let input = json!({ "ShardIterator": iterator }).to_string();
            let page = kinesis.call_raw("GetRecords", input.as_bytes()).await?;
            let page: Page = serde_json::from_value(page).map_err(|error| BenchError::ReadBack(error.to_string()))?;
            for record in &page.records {
                let number = number_of(&record.partition_key, &record.data, kind.records())
                    .and_then(|number| usize::try_from(number).ok());
                let key = &record.partition_key;
                let Some(slot) = number.and_then(|number| there.get_mut(number)) else {
                    return Err(BenchError::ReadBack(format!("a record with key {key:?} was never put")));
                };
                if std::mem::replace(slot, true) {
                    return Err(BenchError::ReadBack(format!("the record with key {key:?} is there twice")));
                }
            }
            match page.next_shard_iterator {
                Some(next) if !(page.records.is_empty() && page.millis_behind_latest == 0) => iterator = next,
                _ => break,
            }
        }
    }
    match there.iter().filter(|there| !**there).count() {
        0 => Ok(()),
        missing => Err(BenchError::ReadBack(format!("{missing} of {records} acknowledged records are missing"))),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    records: Vec<Record>,
    next_shard_iterator: Option<String>,
    millis_behind_latest: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    data: String,
    partition_key: String,
}
