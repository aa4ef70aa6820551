//! The answer to a GetRecords, written piece by piece while it is sent: what is held of it meanwhile are the records, as
//! shares of the buffers that they were read into, and the piece at hand.

use millstream_api::kinesis::{GetRecordsOutput, Record};
use millstream_api::{Encode, Encoder};

use super::Format;
use super::cbor::CborEncoder;
use super::json::JsonEncoder;
use super::sink::{Count, Sink};

/// A piece ends with the record that takes it beyond this: little enough to be still in the processor's cache when the
/// socket takes it.
const PIECE: usize = 128 << 10;
/// Room for that last record, if it is not large.
const LAST: usize = 8 << 10;

/// What a record takes of memory beside its data.
const RECORD: usize = 192;

/// An answer of records that is not written yet.
#[derive(Debug)]
pub(crate) struct RecordsPage {
    format: Format,
    /// What comes before the records; then what comes after them.
    head: Vec<u8>,
    tail: Vec<u8>,
    records: std::vec::IntoIter<Record>,
    /// Whether a record was written.
    begun: bool,
    /// Bytes still to come.
    left: usize,
}

impl RecordsPage {
    /// The answer for `output`.
    pub fn new(format: Format, output: GetRecordsOutput) -> RecordsPage {
        let (head, tail) = match format {
            Format::Json => {
                let mut encoder = JsonEncoder::new(Vec::with_capacity(1024));
                let at = frame(&mut encoder, &output, JsonEncoder::len);
                split(encoder.into_sink(), at)
            }
            Format::Cbor => {
                let mut encoder = CborEncoder::new(Vec::with_capacity(1024));
                let at = frame(&mut encoder, &output, CborEncoder::len);
                split(encoder.into_sink(), at)
            }
        };
        let records = match format {
            Format::Json => JsonEncoder::within_list(Count::default(), true).elements(&output.records),
            Format::Cbor => CborEncoder::new(Count::default()).elements(&output.records),
        };
        let left = head.len() + records + tail.len();
        RecordsPage { format, head, tail, records: output.records.into_iter(), begun: false, left }
    }

    /// Bytes still to come.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Bytes of memory that are held while it is sent, about.
    pub fn memory(&self) -> usize {
        let of = |r: &Record| RECORD + r.data.len() + r.partition_key.as_ref().map_or(0, String::len);
        self.records.as_slice().iter().map(of).sum::<usize>() + self.left.min(PIECE + LAST)
    }

    /// The next piece; `None` after the last one.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        if self.left == 0 {
            return None;
        }
        let mut piece = Vec::with_capacity(self.left.min(PIECE + LAST));
        piece.append(&mut self.head);
        piece = match self.format {
            Format::Json => {
                let mut encoder = JsonEncoder::within_list(piece, !self.begun);
                self.fill(&mut encoder, JsonEncoder::len);
                encoder.into_sink()
            }
            Format::Cbor => {
                let mut encoder = CborEncoder::new(piece);
                self.fill(&mut encoder, CborEncoder::len);
                encoder.into_sink()
            }
        };
        if self.records.as_slice().is_empty() {
            piece.append(&mut self.tail);
        }
        debug_assert!(piece.len() <= self.left, "an answer has the length that was announced");
        self.left -= piece.len();
        Some(piece)
    }

    /// Writes records until the piece is full or there are no more.
    fn fill<E: Encoder>(&mut self, encoder: &mut E, len: impl Fn(&E) -> usize) {
        while len(encoder) < PIECE
            && let Some(record) = self.records.next()
        {
            encoder.element();
            record.encode(encoder);
            self.begun = true;
        }
    }
}

/// Writes the output but for its records; returns where they belong.
fn frame<E: Encoder>(encoder: &mut E, output: &GetRecordsOutput, len: impl Fn(&E) -> usize) -> usize {
    encoder.begin_structure();
    encoder.member("Records");
    encoder.begin_list(output.records.len());
    let at = len(encoder);
    encoder.end_list();
    if let Some(iterator) = &output.next_shard_iterator {
        encoder.member("NextShardIterator");
        iterator.encode(encoder);
    }
    if let Some(behind) = &output.millis_behind_latest {
        encoder.member("MillisBehindLatest");
        behind.encode(encoder);
    }
    if let Some(children) = &output.child_shards {
        encoder.member("ChildShards");
        children.encode(encoder);
    }
    encoder.end_structure();
    at
}

fn split(mut head: Vec<u8>, at: usize) -> (Vec<u8>, Vec<u8>) {
    let tail = head.split_off(at);
    (head, tail)
}

/// How many bytes elements take.
trait Elements: Encoder + Sized {
    fn count(self) -> usize;

    fn elements(mut self, elements: &[impl Encode]) -> usize {
        for element in elements {
            self.element();
            element.encode(&mut self);
        }
        self.count()
    }
}

impl Elements for JsonEncoder<Count> {
    fn count(self) -> usize {
        self.into_sink().len()
    }
}

impl Elements for CborEncoder<Count> {
    fn count(self) -> usize {
        self.into_sink().len()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millstream_api::Timestamp;
    use millstream_api::kinesis::{ChildShard, HashKeyRange, Output};

    use super::*;

    fn record(n: usize, size: usize) -> Record {
        Record {
            sequence_number: n.to_string(),
            approximate_arrival_timestamp: Some(Timestamp(n as i64 * 37)),
            data: Bytes::from(vec![n as u8; size]),
            partition_key: (!n.is_multiple_of(3)).then(|| format!("key \"{n}\"\n\u{1}ü")),
            encryption_type: None,
        }
    }

    /// The pieces are the answer, which has the length that was announced.
    fn check(output: &GetRecordsOutput, pieces: usize) {
        for format in [Format::Json, Format::Cbor] {
            let mut page = RecordsPage::new(format, output.clone());
            let announced = page.left();
            assert!(page.memory() >= output.records.iter().map(|r| r.data.len()).sum::<usize>());
            let mut written = Vec::new();
            let mut count = 0;
            while let Some(piece) = page.next() {
                assert!(!piece.is_empty());
                written.extend(piece);
                count += 1;
            }
            assert_eq!(written.len(), announced);
            assert_eq!(written, format.encode(&Output::GetRecords(output.clone())));
            if format == Format::Json {
                assert_eq!(count, pieces);
            }
        }
    }

    #[test]
    fn the_pieces_are_the_answer() {
        let mut output = GetRecordsOutput { millis_behind_latest: Some(0), ..GetRecordsOutput::default() };
        check(&output, 1);
        output.next_shard_iterator = Some("AAAA".into());
        output.records = vec![record(1, 10)];
        check(&output, 1);
        output.records = (0..1000).map(|n| record(n, 1024)).collect();
        check(&output, 12);
        output.records = vec![record(1, 5), record(2, 3 << 20), record(3, 0), record(4, 1 << 20)];
        check(&output, 2);
        output.next_shard_iterator = None;
        output.child_shards = Some(vec![ChildShard {
            shard_id: "shardId-000000000001".into(),
            parent_shards: vec!["shardId-000000000000".into()],
            hash_key_range: HashKeyRange { starting_hash_key: "0".into(), ending_hash_key: "1".into() },
        }]);
        check(&output, 2);
    }
}
