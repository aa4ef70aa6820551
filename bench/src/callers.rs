//! Who makes the requests of a load: putters and readers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use millstream_harness::{Endpoint, Kinesis};

use crate::answers::{self, Put};
use crate::client::{Client, Envelope, Protocol};
use crate::engine::{Called, Caller, Load, Until, run};
use crate::error::BenchError;
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::payload::Payload;
use crate::requests::{Codec, Operation, PutBody, get_records_body};

/// How requests are made and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The operation that puts.
    pub operation: Operation,
    /// The encoding of bodies.
    pub codec: Codec,
    /// The protocol.
    pub protocol: Protocol,
}

/// When each record was meant to be put, by its number. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    by_number: Rc<RefCell<Vec<Instant>>>,
}

impl Moments {
    fn note(&self, first: u64, count: usize, at: Instant) {
        let mut moments = self.by_number.borrow_mut();
        let end = usize::try_from(first).unwrap_or_default() + count;
        if moments.len() < end {
            moments.resize(end, at);
        }
    }

    /// When a record was meant to be put.
    #[must_use]
    pub fn of(&self, number: u64) -> Option<Instant> {
        self.by_number.borrow().get(usize::try_from(number).ok()?).copied()
    }
}

/// Puts records that are numbered by a ledger.
#[derive(Debug)]
pub struct Putter {
    client: Client,
    way: Way,
    envelope: Envelope,
    body: PutBody,
    records: usize,
    bytes: u64,
    ledger: Ledger,
    moments: Option<Moments>,
}

impl Putter {
    /// As many putters into one stream as there are clients.
    ///
    /// # Errors
    /// None that is known.
    pub fn new(
        clients: Vec<Client>,
        way: Way,
        stream: &str,
        payload: &Rc<Payload>,
        ledger: &Ledger,
    ) -> Result<Vec<Self>, BenchError> {
        let body = PutBody::new(stream, way.operation, way.codec, payload);
        let shape = payload.shape();
        clients
            .into_iter()
            .map(|client| {
                let envelope = client.envelope(way.operation.name(), way.codec, body.length())?;
                Ok(Self {
                    client,
                    way,
                    envelope,
                    body: body.clone(),
                    records: shape.per_request,
                    bytes: (shape.per_request * shape.counted_bytes()) as u64,
                    ledger: ledger.clone(),
                    moments: None,
                })
            })
            .collect()
    }

    /// Notes when each record was meant to be put.
    #[must_use]
    pub fn noting(mut self, moments: &Moments) -> Self {
        self.moments = Some(moments.clone());
        self
    }

    /// One request, and its answer as it came: for a server that is to answer the same.
    ///
    /// # Errors
    /// When the answer is wrong.
    pub async fn sample_answer(&mut self) -> Result<Vec<u8>, BenchError> {
        let first = self.ledger.take(self.records);
        let (front, back) = self.body.numbered(first);
        let response = self.client.send(&self.envelope, front, back).await?;
        match answers::put(
            self.way.codec,
            self.records,
            self.way.operation == Operation::PutRecords,
            response.status,
            response.body,
        ) {
            Put::All => {
                self.ledger.acknowledged(first, self.records);
                Ok(response.body.to_vec())
            }
            _ => Err(BenchError::answer(response.status, response.body)),
        }
    }
}

impl Caller for Putter {
    async fn call(&mut self, intended: Instant) -> Result<Called, BenchError> {
        let first = self.ledger.take(self.records);
        if let Some(moments) = &self.moments {
            moments.note(first, self.records, intended);
        }
        let (front, back) = self.body.numbered(first);
        let response = self.client.send(&self.envelope, front, back).await?;
        let many = self.way.operation == Operation::PutRecords;
        match answers::put(self.way.codec, self.records, many, response.status, response.body) {
            Put::All => {
                self.ledger.acknowledged(first, self.records);
                Ok(Called::Good { records: self.records as u64, bytes: self.bytes })
            }
            Put::Refused => {
                self.ledger.refused(first, self.records);
                Ok(Called::Refused)
            }
            Put::Some(put) => {
                for (number, put) in (first..).zip(&put) {
                    if *put {
                        self.ledger.acknowledged(number, 1);
                    } else {
                        self.ledger.refused(number, 1);
                    }
                }
                let records = put.iter().filter(|put| **put).count() as u64;
                let bytes = self.bytes / self.records as u64 * records;
                Ok(if records == 0 { Called::Refused } else { Called::Good { records, bytes } })
            }
            Put::Wrong => Err(BenchError::answer(response.status, response.body)),
        }
    }
}

/// What a reader does with the records it reads, besides checking that each is one of the payload's.
#[derive(Debug, Clone)]
pub enum Noting {
    /// Notes that they were read.
    Into(Ledger),
    /// Nothing.
    Nothing,
    /// Nothing, and begins a shard anew when it is read.
    AgainAndAgain,
    /// Nothing, and asks for the same page again and again: its server makes the pages up.
    MadeUp,
}

/// Reads shards from their oldest record to their end, one after the other.
#[derive(Debug)]
pub struct Reader {
    client: Client,
    codec: Codec,
    payload: Rc<Payload>,
    noting: Noting,
    /// Iterators of the shards to read; where each began.
    iterators: VecDeque<(String, String)>,
}

impl Reader {
    /// Readers of these iterators' shards, which are dealt out among the clients.
    #[must_use]
    pub fn new(
        clients: Vec<Client>,
        codec: Codec,
        payload: &Rc<Payload>,
        noting: Noting,
        iterators: Vec<String>,
    ) -> Vec<Self> {
        let mut readers: Vec<Self> = clients
            .into_iter()
            .map(|client| Self {
                client,
                codec,
                payload: Rc::clone(payload),
                noting: noting.clone(),
                iterators: VecDeque::new(),
            })
            .collect();
        let count = readers.len().max(1);
        for (index, iterator) in iterators.into_iter().enumerate() {
            readers[index % count].iterators.push_back((iterator.clone(), iterator));
        }
        readers
    }

    /// The answer to one GetRecords as it came: for a server that is to answer the same.
    ///
    /// # Errors
    /// When it is no page.
    pub async fn sample_answer(&mut self) -> Result<Vec<u8>, BenchError> {
        let body = get_records_body(self.codec, self.iterators.front().map_or("", |(iterator, _)| iterator));
        let response = self.client.call("GetRecords", self.codec, &body).await?;
        answers::page(self.codec, &self.payload, response.status, response.body, |_| Ok(()))?;
        Ok(response.body.to_vec())
    }
}

impl Caller for Reader {
    async fn call(&mut self, _: Instant) -> Result<Called, BenchError> {
        let Some((iterator, _)) = self.iterators.front() else { return Ok(Called::Over) };
        let body = get_records_body(self.codec, iterator);
        let envelope = self.client.envelope("GetRecords", self.codec, body.len())?;
        let response = self.client.send(&envelope, &body, &Bytes::new()).await?;
        if answers::is_refusal(response.status, response.body) {
            return Ok(Called::Refused);
        }
        let noting = &self.noting;
        let page = answers::page(self.codec, &self.payload, response.status, response.body, |number| match noting {
            Noting::Into(ledger) => ledger.read(number),
            Noting::Nothing | Noting::AgainAndAgain | Noting::MadeUp => Ok(()),
        })?;
        match (page.next, &self.noting) {
            (_, Noting::MadeUp) => {}
            (Some(next), _) if !page.at_end => self.iterators[0].0 = next,
            (_, Noting::AgainAndAgain) => self.iterators[0].0 = self.iterators[0].1.clone(),
            _ => {
                self.iterators.pop_front();
            }
        }
        let bytes = (page.records * self.payload.shape().counted_bytes()) as u64;
        Ok(Called::Good { records: page.records as u64, bytes })
    }
}

/// Iterators at the oldest record of all shards of a stream.
///
/// # Errors
/// When a call fails.
pub async fn iterators(endpoint: &Endpoint, stream: &str) -> Result<Vec<String>, BenchError> {
    let mut kinesis = Kinesis::open(endpoint).await?;
    let mut iterators = Vec::new();
    for shard in kinesis.list_shards(stream).await? {
        iterators.push(kinesis.iterator(stream, &shard.id, None).await?);
    }
    Ok(iterators)
}

/// Reads a whole stream back and checks that every acknowledged record is there, once, with its bytes; how many were.
///
/// # Errors
/// When a call fails, or a record is missing, double or changed.
pub async fn read_back(
    endpoint: &Endpoint,
    stream: &str,
    payload: &Rc<Payload>,
    ledger: &Ledger,
) -> Result<u64, BenchError> {
    let iterators = iterators(endpoint, stream).await?;
    let clients = Client::open(endpoint, Protocol::Http1, 2).await?;
    let readers = Reader::new(clients, Codec::Json, payload, Noting::Into(ledger.clone()), iterators);
    let load = Load { pace: Pace::Closed, until: Until::Records(u64::MAX), tolerant: false };
    run(load, readers, None).await?;
    ledger.close()
}
