//! The way of checked records into the log: routing, admission, append, sequence numbers.

use std::sync::Arc;

use millstream_api::{Blob, Error};
use millstream_log::{AppendError, Appended, Batch, BatchSlot, NotWritten, RecordKeys};
use smallvec::{SmallVec, smallvec};

use super::log_of;
use super::spread::Spread;
use crate::hash::HashKey;
use crate::hooks::Refusal;
use crate::load::Volume;
use crate::sequence::SequenceNumber;
use crate::service::Kinesis;
use crate::state::{Mode, ShardIndex, Status};
use crate::stream::{Stream, View};
use crate::texts;

/// How often records are routed anew when they meet a closed shard. Once is what a reshard takes; more are needed only if
/// the next change of the stream overtakes them.
const ROUTINGS: usize = 4;

/// What decides on a record's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its hash key.
    At(HashKey),
    /// Nothing: the records of its stream are spread evenly.
    Anywhere,
}

/// A record of a request, checked.
pub(crate) struct Incoming<'a> {
    /// Decides on the shard.
    pub(crate) place: Place,
    /// Data and partition key, bytes.
    pub(super) size: usize,
    /// What is stored beside the data.
    pub(super) keys: RecordKeys<'a>,
    /// The data.
    pub(super) data: &'a Blob<'a>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// The shard's throughput is used up.
    Throttled(ShardIndex),
    /// It is durable and has this number, which names its shard.
    Written(SequenceNumber),
}

/// The fates of a request's records. A PutRecord has one, which needs no memory of its own.
pub(super) type Fates = SmallVec<[Fate; 1]>;

/// Where a record stands while the request is under way.
#[derive(Clone, Copy)]
enum Step {
    New,
    Throttled(ShardIndex),
    /// In the batch.
    Sent(BatchSlot),
}

impl Kinesis {
    /// Writes the records as one batch, except those whose shard has no throughput left: the fate of each, in order. An
    /// error means that none is known to be durable.
    pub(super) async fn write(
        &self,
        stream: &Stream,
        mut view: Arc<View>,
        records: &[Incoming<'_>],
    ) -> Result<Fates, Error> {
        let gone = || texts::stream_not_found(&stream.address.name, &stream.address.account);
        let log = log_of(stream, gone)?;
        let now = self.env.clock.monotonic();
        let mut steps: SmallVec<[Step; 1]> = smallvec![Step::New; records.len()];
        let mut spread = Spread::new(&stream.turn);
        let bytes = records.iter().map(|record| record.size).sum();
        for _ in 0..ROUTINGS {
            let (routes, shards) = (&view.routes, view.routes.shards());
            let mut batch = Batch::expecting(records.len(), bytes, shards.len());
            for (record, step) in records.iter().zip(&mut steps) {
                let admit = |place| {
                    stream.limits.is_write_unlimited()
                        || view.throttle(place, &stream.throttle).admit_write(&stream.limits, record.size as u64, now)
                };
                let routed = match (&step, record.place) {
                    (Step::Throttled(_), _) => continue,
                    (Step::New, Place::At(key)) => routes.place(key).map(|place| match admit(place) {
                        true => Ok(place),
                        false => Err(place),
                    }),
                    (Step::New, Place::Anywhere) => spread.admitted(shards.len(), admit),
                    // Routed before: it has been admitted then.
                    (Step::Sent(_), Place::At(key)) => routes.place(key).map(Ok),
                    (Step::Sent(_), Place::Anywhere) => spread.next(shards.len()).map(Ok),
                };
                *step = match routed.ok_or_else(gone)? {
                    Ok(place) => Step::Sent(push(&mut batch, shards[place], record)),
                    Err(place) => Step::Throttled(shards[place]),
                };
            }
            if batch.is_empty() {
                return Ok(self.account(stream, &view, records, &steps, &Appended { shards: Vec::new() }));
            }
            match log.append(batch, self.log.epoch()).await {
                Ok(appended) => return Ok(self.account(stream, &view, records, &steps, &appended)),
                Err(AppendError::NotWritten(NotWritten::Closed(shard))) => {
                    // The log has closed the shard: the view that has its children is on its way, or there.
                    stream.shows_closed(shard).await;
                    view = stream.view_owned();
                    if view.status() == Status::Deleting {
                        return Err(gone());
                    }
                }
                Err(error) => return Err(append_failed(&error, stream)),
            }
        }
        tracing::error!(stream = %stream.address.arn(), "no open shard was found for a record");
        Err(texts::internal_failure())
    }

    /// Gives the records their numbers and tells the meter.
    fn account(
        &self,
        stream: &Stream,
        view: &View,
        records: &[Incoming<'_>],
        steps: &[Step],
        appended: &Appended,
    ) -> Fates {
        let mut throttled = 0;
        // Records and bytes of each entry of `appended.shards`, and the creation of its shard.
        let mut groups: SmallVec<[(u64, u64, u64); 1]> = appended
            .shards
            .iter()
            .map(|group| (0, 0, view.shard(group.shard).map_or(0, |shard| shard.create_second)))
            .collect();
        let mut fates = Fates::with_capacity(records.len());
        for (record, step) in records.iter().zip(steps) {
            match *step {
                Step::Throttled(shard) => {
                    throttled += 1;
                    fates.push(Fate::Throttled(shard));
                }
                Step::Sent(slot) => {
                    if let (Some(at), Some((count, bytes, create))) =
                        (appended.shards.get(slot.group), groups.get_mut(slot.group))
                    {
                        *count += 1;
                        *bytes += record.size as u64;
                        let offset = at.first + u64::from(slot.behind);
                        fates.push(Fate::Written(SequenceNumber::of_record(*create, at.shard, offset, at.time)));
                    }
                }
                Step::New => {}
            }
        }
        let is_on_demand = view.record.mode == Mode::OnDemand && !stream.limits.is_write_unlimited();
        if is_on_demand && !groups.is_empty() {
            let written = appended.shards.iter().zip(&groups);
            stream.load.add(
                self.now(),
                written.map(|(at, (records, bytes, _))| (at.shard, Volume { records: *records, bytes: *bytes })),
            );
        }
        for (at, (count, bytes, _)) in appended.shards.iter().zip(groups) {
            self.hooks.meter.incoming(stream, at.shard, count, bytes);
        }
        if throttled > 0 {
            self.hooks.meter.refused(Refusal::WriteThroughput, throttled);
        }
        fates
    }
}

fn push(batch: &mut Batch, shard: ShardIndex, record: &Incoming<'_>) -> BatchSlot {
    batch.push_with(shard, record.keys, record.data.decoded_len(), |into| record.data.append_to(into))
}

fn append_failed(error: &AppendError, stream: &Stream) -> Error {
    if let AppendError::NotWritten(NotWritten::Deleted) = error {
        return texts::stream_not_found(&stream.address.name, &stream.address.account);
    }
    tracing::warn!(stream = %stream.address.arn(), %error, "an append failed");
    texts::internal_failure()
}
