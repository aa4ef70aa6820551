//! The answer to a GetRecords, written piece by piece while it is sent: what is held of it meanwhile are the records, as
//! shares of the buffers that they were read into, and the pieces that the connection has not sent yet.

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_api::kinesis::{GetRecordsOutput, Record};
use millstream_api::{Encode, Encoder};

use super::Format;
use super::cbor::CborEncoder;
use super::json::JsonEncoder;
use super::sink::{Count, Sink};
use crate::connection::BUFFER;

/// A piece ends with what takes it beyond this: little enough to be still in the processor's cache when the socket takes
/// it.
const PIECE: usize = 128 << 10;
/// Room for that.
const LAST: usize = 8 << 10;

/// Data of more bytes are written in parts. A record with less of them fits into [`LAST`].
const WHOLE: usize = 4 << 10;

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
    parted: Option<Parted>,
    /// Bytes still to come.
    left: usize,
    /// Bytes of memory that the records take which are not written yet, about.
    held: usize,
    /// Bytes of memory for pieces on their way, at most.
    buffers: usize,
}

/// A record that is written up to its data.
#[derive(Debug)]
struct Parted {
    /// What is not written of them.
    data: Bytes,
    /// What comes after them.
    after: Vec<u8>,
    /// Bytes of memory that the record takes.
    held: usize,
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
        let held = output.records.iter().map(memory_of).sum();
        let records = output.records.into_iter();
        // The connection takes another piece while it has less than a full buffer.
        let buffers = left.min(BUFFER + PIECE + LAST);
        RecordsPage { format, head, tail, records, begun: false, parted: None, left, held, buffers }
    }

    /// Bytes still to come.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Bytes of memory that are held while it is sent, about: less with each piece.
    pub fn memory(&self) -> usize {
        self.held + self.buffers
    }

    /// The next piece; `None` after the last one.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        if self.left == 0 {
            return None;
        }
        let mut piece = Vec::with_capacity(self.left.min(PIECE + LAST));
        piece.append(&mut self.head);
        while piece.len() < PIECE {
            piece = match self.records.as_slice().first() {
                _ if self.parted.is_some() => self.part(piece),
                None => break,
                Some(record) if is_large(record) => self.begin(piece),
                Some(_) => self.fill(piece),
            };
        }
        if self.records.as_slice().is_empty() && self.parted.is_none() {
            piece.append(&mut self.tail);
        }
        debug_assert!(piece.len() <= self.left, "an answer has the length that was announced");
        self.left -= piece.len();
        Some(piece)
    }

    /// Writes records until the piece is full or a large one comes.
    fn fill(&mut self, piece: Vec<u8>) -> Vec<u8> {
        match self.format {
            Format::Json => {
                let mut encoder = JsonEncoder::within_list(piece, !self.begun);
                self.write(&mut encoder, JsonEncoder::len);
                encoder.into_sink()
            }
            Format::Cbor => {
                let mut encoder = CborEncoder::new(piece);
                self.write(&mut encoder, CborEncoder::len);
                encoder.into_sink()
            }
        }
    }

    fn write<E: Encoder>(&mut self, encoder: &mut E, len: impl Fn(&E) -> usize) {
        while len(encoder) < PIECE
            && self.records.as_slice().first().is_some_and(|record| !is_large(record))
            && let Some(record) = self.records.next()
        {
            encoder.element();
            record.encode(encoder);
            self.begun = true;
            self.held -= memory_of(&record);
        }
    }

    /// Writes the next record up to its data.
    fn begin(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let Some(record) = self.records.next() else { return piece };
        let sink = Gap { bytes: piece, at: None };
        let Gap { mut bytes, at } = match self.format {
            Format::Json => element(JsonEncoder::within_list(sink, !self.begun), &record, JsonEncoder::into_sink),
            Format::Cbor => element(CborEncoder::new(sink), &record, CborEncoder::into_sink),
        };
        let after = bytes.split_off(at.unwrap_or(bytes.len()));
        let held = memory_of(&record);
        self.parted = Some(Parted { data: record.data, after, held });
        self.begun = true;
        bytes
    }

    /// Writes of a record's data what the piece has room for; with the last of them, what comes after.
    fn part(&mut self, mut piece: Vec<u8>) -> Vec<u8> {
        let Some(mut parted) = self.parted.take() else { return piece };
        let room = PIECE.saturating_sub(piece.len());
        let most = match self.format {
            // Three bytes are four digits: parts of whole threes can be joined.
            Format::Json => (room / 4 + 1) * 3,
            Format::Cbor => room + 1,
        };
        let part = parted.data.split_to(most.min(parted.data.len()));
        match self.format {
            Format::Json => STANDARD.encode_append(&part[..], &mut piece),
            Format::Cbor => piece.extend_from_slice(&part),
        }
        if parted.data.is_empty() {
            piece.append(&mut parted.after);
            self.held -= parted.held;
        } else {
            self.parted = Some(parted);
        }
        piece
    }
}

fn is_large(record: &Record) -> bool {
    record.data.len() > WHOLE
}

/// What a record takes of memory, about.
fn memory_of(record: &Record) -> usize {
    RECORD + record.data.len() + record.partition_key.as_ref().map_or(0, String::len)
}

/// What takes a large record but for its data, which leave a gap.
struct Gap {
    bytes: Vec<u8>,
    at: Option<usize>,
}

impl Gap {
    /// Whether these are the data.
    fn leaves_out(&mut self, value: &[u8]) -> bool {
        let is_data = value.len() > WHOLE && self.at.is_none();
        if is_data {
            self.at = Some(self.bytes.len());
        }
        is_data
    }
}

impl Sink for Gap {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn put(&mut self, bytes: &[u8]) {
        if !self.leaves_out(bytes) {
            self.bytes.put(bytes);
        }
    }

    fn put_base64(&mut self, value: &[u8]) {
        if !self.leaves_out(value) {
            self.bytes.put_base64(value);
        }
    }

    fn amend(&mut self, at: usize, bits: u8) {
        self.bytes.amend(at, bits);
    }
}

/// Writes one element, and gives the sink.
fn element<E: Encoder>(mut encoder: E, element: &impl Encode, into_sink: impl FnOnce(E) -> Gap) -> Gap {
    encoder.element();
    element.encode(&mut encoder);
    into_sink(encoder)
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
    fn check(output: &GetRecordsOutput) {
        for format in [Format::Json, Format::Cbor] {
            let mut page = RecordsPage::new(format, output.clone());
            let announced = page.left();
            assert!(page.memory() >= output.records.iter().map(|r| r.data.len()).sum::<usize>());
            let mut written = Vec::new();
            let mut pieces = Vec::new();
            loop {
                let before = page.memory();
                let Some(piece) = page.next() else { break };
                assert!(page.memory() <= before);
                assert!(piece.capacity() <= PIECE + LAST, "{}", piece.capacity());
                pieces.push(piece.len());
                written.extend(piece);
            }
            assert_eq!(written.len(), announced);
            assert_eq!(written, format.encode(&Output::GetRecords(output.clone())));
            assert_eq!(page.memory(), announced.min(BUFFER + PIECE + LAST));
            let last = pieces.pop().unwrap();
            assert!(last > 0 && pieces.iter().all(|piece| *piece >= PIECE), "{pieces:?}");
        }
    }

    #[test]
    fn the_pieces_are_the_answer() {
        let mut output = GetRecordsOutput { millis_behind_latest: Some(0), ..GetRecordsOutput::default() };
        check(&output);
        output.next_shard_iterator = Some("AAAA".into());
        output.records = vec![record(1, 10)];
        check(&output);
        output.records = (0..1000).map(|n| record(n, 1024)).collect();
        check(&output);
        output.records = vec![record(1, 5), record(2, 3 << 20), record(3, 0), record(4, 1 << 20)];
        check(&output);
        // Data that end near a piece's end, and on both sides of what is written in parts.
        for size in (WHOLE - 2..WHOLE + 3).chain(98_000..98_400).step_by(7) {
            output.records = vec![record(1, size), record(2, size), record(3, 10)];
            check(&output);
        }
        output.next_shard_iterator = None;
        output.child_shards = Some(vec![ChildShard {
            shard_id: "shardId-000000000001".into(),
            parent_shards: vec!["shardId-000000000000".into()],
            hash_key_range: HashKeyRange { starting_hash_key: "0".into(), ending_hash_key: "1".into() },
        }]);
        check(&output);
    }
}
