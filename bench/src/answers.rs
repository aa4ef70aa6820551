//! Whether an answer is the right one. What is not right is never counted as a success.

use memchr::memmem;
use serde::Deserialize;

use crate::error::BenchError;
use crate::payload::Payload;
use crate::requests::Codec;

/// What an answer to a put says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Every record has a sequence number.
    All,
    /// The whole request was refused because there is too much to do.
    Refused,
    /// Per record, whether it has a sequence number; the others were refused because there is too much to do.
    Some(Vec<bool>),
    /// Anything else.
    Wrong,
}

/// The errors by which a service says that there is too much to do.
const REFUSALS: [&str; 3] = ["ProvisionedThroughputExceededException", "LimitExceededException", "ServiceUnavailable"];

/// What an answer to a put of `records` records says.
#[must_use]
pub fn put(codec: Codec, records: usize, many: bool, status: u16, body: &[u8]) -> Put {
    if status != 200 {
        return if is_refusal(status, body) { Put::Refused } else { Put::Wrong };
    }
    let numbers = memmem::find_iter(body, b"SequenceNumber").count();
    if numbers == records && (!many || none_failed(codec, body)) {
        return Put::All;
    }
    match codec {
        Codec::Json if many => some(records, body).map_or(Put::Wrong, Put::Some),
        _ => Put::Wrong,
    }
}

/// Whether an answer is one of the service's ways to say that there is too much to do.
#[must_use]
pub fn is_refusal(status: u16, body: &[u8]) -> bool {
    matches!(status, 400 | 429 | 503) && REFUSALS.iter().any(|code| memmem::find(body, code.as_bytes()).is_some())
}

/// Whether the answer to a PutRecords says that no record failed.
fn none_failed(codec: Codec, body: &[u8]) -> bool {
    const NAME: &[u8] = b"FailedRecordCount";
    let Some(at) = memmem::find(body, NAME) else { return false };
    let rest = &body[at + NAME.len()..];
    match codec {
        Codec::Cbor => rest.first() == Some(&0),
        Codec::Json => {
            let mut value = rest.iter().skip_while(|byte| matches!(byte, b'"' | b':' | b' '));
            value.next() == Some(&b'0') && !value.next().is_some_and(u8::is_ascii_digit)
        }
    }
}

fn some(records: usize, body: &[u8]) -> Option<Vec<bool>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer<'a> {
        #[serde(borrow)]
        records: Vec<Entry<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry<'a> {
        sequence_number: Option<&'a str>,
        error_code: Option<&'a str>,
    }
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let put: Option<Vec<bool>> = answer
        .records
        .iter()
        .map(|entry| match (entry.sequence_number, entry.error_code) {
            (Some(_), None) => Some(true),
            (None, Some(code)) if REFUSALS.contains(&code) => Some(false),
            _ => None,
        })
        .collect();
    put.filter(|put| put.len() == records)
}

/// What a page of GetRecords says besides its records.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The next iterator; `None` at the end of a closed shard.
    pub next: Option<String>,
    /// Whether there is nothing more to read at present.
    pub at_end: bool,
    /// How many records it held.
    pub records: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonPage<'a> {
    #[serde(borrow)]
    records: Vec<JsonRecord<'a>>,
    next_shard_iterator: Option<&'a str>,
    millis_behind_latest: Option<u64>,
}

/// A record as pages and events carry it in JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JsonRecord<'a> {
    /// Its data, in base64.
    pub data: &'a str,
    /// Its key.
    pub partition_key: &'a str,
}

/// Reads a page and gives each record's number to `each`.
///
/// # Errors
/// When it is no page, a record is not one of the payload's, or `each` refuses it.
pub fn page(
    codec: Codec,
    payload: &Payload,
    status: u16,
    body: &[u8],
    mut each: impl FnMut(u64) -> Result<(), BenchError>,
) -> Result<Page, BenchError> {
    if status != 200 {
        return Err(BenchError::answer(status, body));
    }
    let unknown = |key: &str| BenchError::ReadBack(format!("a record with key {key:?} is not as it was put"));
    match codec {
        Codec::Json => {
            let page: JsonPage<'_> = serde_json::from_slice(body)
                .map_err(|error| BenchError::ReadBack(format!("a page is not as expected: {error}")))?;
            for record in &page.records {
                let number = payload.number(record.partition_key, record.data);
                each(number.ok_or_else(|| unknown(record.partition_key))?)?;
            }
            Ok(Page {
                next: page.next_shard_iterator.map(str::to_owned),
                at_end: page.records.is_empty() && page.millis_behind_latest.unwrap_or(0) == 0,
                records: page.records.len(),
            })
        }
        Codec::Cbor => cbor_page(body, payload, each).map_err(|error| match error {
            CborError::Form(what) => BenchError::ReadBack(format!("a page is not as expected: {what}")),
            CborError::Record(error) => error,
        }),
    }
}

enum CborError {
    Form(minicbor::decode::Error),
    Record(BenchError),
}

impl From<minicbor::decode::Error> for CborError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Form(error)
    }
}

fn cbor_page(
    body: &[u8],
    payload: &Payload,
    mut each: impl FnMut(u64) -> Result<(), BenchError>,
) -> Result<Page, CborError> {
    let mut decoder = minicbor::Decoder::new(body);
    let mut page = Page { next: None, at_end: true, records: 0 };
    for _ in 0..entries(decoder.map()?)? {
        match decoder.str()? {
            "NextShardIterator" => page.next = Some(decoder.str()?.to_owned()),
            "MillisBehindLatest" => page.at_end &= decoder.u64()? == 0,
            "Records" => {
                page.records = usize::try_from(entries(decoder.array()?)?).unwrap_or_default();
                page.at_end &= page.records == 0;
                for _ in 0..page.records {
                    let number = cbor_record(&mut decoder, payload)?;
                    each(number).map_err(CborError::Record)?;
                }
            }
            _ => decoder.skip()?,
        }
    }
    Ok(page)
}

fn cbor_record(decoder: &mut minicbor::Decoder<'_>, payload: &Payload) -> Result<u64, CborError> {
    let (mut key, mut data) = ("", [].as_slice());
    for _ in 0..entries(decoder.map()?)? {
        match decoder.str()? {
            "PartitionKey" => key = decoder.str()?,
            "Data" => data = decoder.bytes()?,
            _ => decoder.skip()?,
        }
    }
    payload.number_of_bytes(key, data).ok_or_else(|| {
        CborError::Record(BenchError::ReadBack(format!("a record with key {key:?} is not as it was put")))
    })
}

fn entries(length: Option<u64>) -> Result<u64, minicbor::decode::Error> {
    length.ok_or_else(|| minicbor::decode::Error::message("a length is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Shape, digits};
    use crate::requests::base64;

    #[test]
    fn only_whole_success_is_right() {
        let json = |records, many, status, body: &[u8]| put(Codec::Json, records, many, status, body);
        let one = br#"{"SequenceNumber":"1","ShardId":"s"}"#;
        assert_eq!(json(1, false, 200, one), Put::All);
        assert_eq!(json(1, false, 500, one), Put::Wrong);
        assert_eq!(json(1, false, 200, b"{}"), Put::Wrong);
        let two = br#"{"FailedRecordCount": 0,"Records":[{"SequenceNumber":"1"},{"SequenceNumber":"2"}]}"#;
        assert_eq!(json(2, true, 200, two), Put::All);
        assert_eq!(json(3, true, 200, two), Put::Wrong);
        let none = br#"{"FailedRecordCount":1,"Records":[{"ErrorCode":"InternalFailure","ErrorMessage":"x"}]}"#;
        assert_eq!(json(1, true, 200, none), Put::Wrong);
        let unmarked = br#"{"FailedRecordCount":10,"Records":[{"SequenceNumber":"1"}]}"#;
        assert_eq!(json(1, true, 200, unmarked), Put::Some(vec![true]));
    }

    #[test]
    fn refusals_are_told_from_failures() {
        let refused = br#"{"__type":"ProvisionedThroughputExceededException","message":"x"}"#;
        assert_eq!(put(Codec::Json, 1, false, 400, refused), Put::Refused);
        assert_eq!(put(Codec::Json, 1, false, 503, br#"{"__type":"ServiceUnavailable"}"#), Put::Refused);
        assert_eq!(put(Codec::Json, 1, false, 400, br#"{"__type":"ValidationException"}"#), Put::Wrong);
        let partly = br#"{"FailedRecordCount":1,"Records":[{"SequenceNumber":"1","ShardId":"s"},
            {"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"x"}]}"#;
        assert_eq!(put(Codec::Json, 2, true, 200, partly), Put::Some(vec![true, false]));
        assert_eq!(put(Codec::Json, 3, true, 200, partly), Put::Wrong);
    }

    #[test]
    fn cbor_answers_are_judged_as_well() {
        let answer = |failed: u8| {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            encoder.map(2).unwrap().str("FailedRecordCount").unwrap().u8(failed).unwrap();
            encoder.str("Records").unwrap().array(1).unwrap().map(1).unwrap();
            encoder.str("SequenceNumber").unwrap().str("1").unwrap();
            encoder.into_writer()
        };
        assert_eq!(put(Codec::Cbor, 1, true, 200, &answer(0)), Put::All);
        assert_eq!(put(Codec::Cbor, 1, true, 200, &answer(1)), Put::Wrong);
        assert_eq!(put(Codec::Cbor, 2, true, 200, &answer(0)), Put::Wrong);
    }

    #[test]
    fn pages_hold_the_records_that_were_put() {
        let payload = Payload::new(Shape { per_request: 2, record_bytes: 30 });
        let key = String::from_utf8(digits(5).to_vec()).unwrap();
        let data = [crate::payload::number_bytes(5).as_slice(), payload.bytes(1)].concat();
        let json = |data: &[u8]| {
            let data = base64(data);
            format!(
                r#"{{"Records":[{{"Data":"{data}","PartitionKey":"{key}"}}],"NextShardIterator":"n","MillisBehindLatest":7}}"#
            )
        };
        let mut read = Vec::new();
        let mut each = |number| {
            read.push(number);
            Ok(())
        };
        let expected = Page { next: Some("n".to_owned()), at_end: false, records: 1 };
        assert_eq!(page(Codec::Json, &payload, 200, json(&data).as_bytes(), &mut each).unwrap(), expected);
        let mut encoder = minicbor::Encoder::new(Vec::new());
        encoder.map(3).unwrap().str("NextShardIterator").unwrap().str("n").unwrap();
        encoder.str("MillisBehindLatest").unwrap().u8(7).unwrap().str("Records").unwrap().array(1).unwrap();
        encoder.map(3).unwrap().str("SequenceNumber").unwrap().str("9").unwrap();
        encoder.str("Data").unwrap().bytes(&data).unwrap().str("PartitionKey").unwrap().str(&key).unwrap();
        let cbor = encoder.into_writer();
        assert_eq!(page(Codec::Cbor, &payload, 200, &cbor, &mut each).unwrap(), expected);
        assert_eq!(read, [5, 5]);
        let mut changed = data.clone();
        changed[29] ^= 1;
        assert!(page(Codec::Json, &payload, 200, json(&changed).as_bytes(), |_| Ok(())).is_err());
        assert!(page(Codec::Json, &payload, 500, json(&data).as_bytes(), |_| Ok(())).is_err());
    }
}
