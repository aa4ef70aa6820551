#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use millstream_api::BoxFuture;
use millstream_api::kinesis::{
    ConsumerDescription, DescribeStreamConsumerOutput, DescribeStreamSummaryOutput, RegisterStreamConsumerOutput,
};
use millstream_env::Env;

use super::*;

/// One world in which every transition ends after it was seen a few times. At most two consumers may be CREATING.
#[derive(Default)]
struct Fake(Mutex<State>);

#[derive(Default)]
struct State {
    streams: BTreeMap<String, Made>,
    /// What was asked for, but for descriptions.
    calls: Vec<String>,
}

#[derive(Default)]
struct Made {
    on_demand: bool,
    shards: i32,
    retention: i32,
    kib: i32,
    tags: BTreeMap<String, String>,
    consumers: BTreeMap<String, u32>,
    /// How often it is still seen in transition, and in which.
    pending: u32,
    status: Option<StreamStatus>,
}

const SEEN: u32 = 3;

impl Fake {
    fn with(streams: impl IntoIterator<Item = (&'static str, Made)>) -> Fake {
        let streams = streams.into_iter().map(|(name, made)| (name.to_owned(), made)).collect();
        Fake(Mutex::new(State { streams, calls: Vec::new() }))
    }

    fn answer(&self, context: &Context, input: Input<'_>) -> Result<Output, Error> {
        assert_eq!((&*context.account, &*context.region), ("000000000000", "us-east-1"));
        let state = &mut *self.0.lock().unwrap();
        input.validate()?;
        let operation = input.operation().name();
        if !operation.starts_with("Describe") {
            state.calls.push(operation.to_owned());
        }
        let streams = &mut state.streams;
        let missing = || Error::bare(ErrorCode::ResourceNotFoundException);
        let of_arn = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
        match input {
            Input::DescribeStreamSummary(i) => {
                let name = i.stream_name.unwrap_or_default().into_owned();
                let made = streams.get_mut(&name).ok_or_else(missing)?;
                let status = if made.pending > 0 { made.status.clone() } else { None };
                if made.pending == 1 && made.status == Some(StreamStatus::Deleting) {
                    streams.remove(&name);
                    return Err(missing());
                }
                made.pending = made.pending.saturating_sub(1);
                let mode = if made.on_demand { StreamMode::OnDemand } else { StreamMode::Provisioned };
                Ok(Output::DescribeStreamSummary(DescribeStreamSummaryOutput {
                    stream_description_summary: StreamDescriptionSummary {
                        stream_arn: format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}"),
                        stream_name: name,
                        stream_status: status.unwrap_or(StreamStatus::Active),
                        stream_mode_details: Some(StreamModeDetails { stream_mode: mode, ..Default::default() }),
                        open_shard_count: made.shards,
                        retention_period_hours: made.retention,
                        max_record_size_in_kib: Some(made.kib),
                        ..Default::default()
                    },
                }))
            }
            Input::CreateStream(i) => {
                let made = Made {
                    on_demand: i.shard_count.is_none(),
                    shards: i.shard_count.unwrap_or(4),
                    retention: 24,
                    kib: i.max_record_size_in_kib.unwrap_or(1024),
                    pending: SEEN,
                    status: Some(StreamStatus::Creating),
                    tags: owned(i.tags.unwrap_or_default()),
                    ..Made::default()
                };
                assert!(streams.insert(i.stream_name.into_owned(), made).is_none(), "it is there already");
                Ok(Output::CreateStream)
            }
            Input::IncreaseStreamRetentionPeriod(i) => {
                let made = changing(streams, i.stream_name)?;
                assert!(i.retention_period_hours > made.retention);
                made.retention = i.retention_period_hours;
                Ok(Output::IncreaseStreamRetentionPeriod)
            }
            Input::DecreaseStreamRetentionPeriod(i) => {
                let made = changing(streams, i.stream_name)?;
                if i.retention_period_hours < 24 {
                    return Err(Error::new(ErrorCode::InvalidArgumentException, "too short"));
                }
                made.retention = i.retention_period_hours;
                Ok(Output::DecreaseStreamRetentionPeriod)
            }
            Input::UpdateMaxRecordSize(i) => {
                let name = of_arn(&i.stream_arn.unwrap_or_default());
                changing(streams, Some(Cow::Owned(name)))?.kib = i.max_record_size_in_kib;
                Ok(Output::UpdateMaxRecordSize)
            }
            Input::AddTagsToStream(i) => {
                let made = streams.get_mut(&*i.stream_name.unwrap_or_default()).ok_or_else(missing)?;
                made.tags.extend(owned(i.tags));
                Ok(Output::AddTagsToStream)
            }
            Input::RegisterStreamConsumer(i) => {
                let made = streams.get_mut(&of_arn(&i.stream_arn)).ok_or_else(missing)?;
                if made.consumers.values().filter(|pending| **pending > 0).count() >= 2 {
                    return Err(Error::bare(ErrorCode::LimitExceededException));
                }
                assert!(made.consumers.insert(i.consumer_name.into_owned(), SEEN).is_none(), "it is there already");
                Ok(Output::RegisterStreamConsumer(RegisterStreamConsumerOutput::default()))
            }
            Input::DescribeStreamConsumer(i) => {
                let made = streams.get_mut(&of_arn(&i.stream_arn.unwrap_or_default())).ok_or_else(missing)?;
                let pending = made.consumers.get_mut(&*i.consumer_name.unwrap_or_default()).ok_or_else(missing)?;
                let consumer_status = if *pending > 0 { ConsumerStatus::Creating } else { ConsumerStatus::Active };
                *pending = pending.saturating_sub(1);
                Ok(Output::DescribeStreamConsumer(DescribeStreamConsumerOutput {
                    consumer_description: ConsumerDescription { consumer_status, ..Default::default() },
                }))
            }
            other => panic!("{} is not for a start", other.operation().name()),
        }
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }
}

/// A stream that must be ACTIVE, and then is UPDATING.
fn changing<'a>(streams: &'a mut BTreeMap<String, Made>, name: Option<Cow<'_, str>>) -> Result<&'a mut Made, Error> {
    let made = streams.get_mut(&*name.unwrap_or_default());
    let made = made.ok_or_else(|| Error::bare(ErrorCode::ResourceNotFoundException))?;
    assert_eq!(made.pending, 0, "a change needs an ACTIVE stream");
    (made.pending, made.status) = (SEEN, Some(StreamStatus::Updating));
    Ok(made)
}

fn owned(tags: BTreeMap<Cow<'_, str>, Cow<'_, str>>) -> BTreeMap<String, String> {
    tags.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

impl Service for Fake {
    fn call<'a>(&'a self, context: &'a Context, input: Input<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move { self.answer(context, input) })
    }
}

fn entry(name: &str) -> StreamEntry {
    StreamEntry {
        name: name.to_owned(),
        account: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        capacity: Capacity::Shards(2),
        retention_hours: None,
        max_record_size_kib: None,
        consumers: Vec::new(),
        tags: BTreeMap::new(),
    }
}

fn apply_to(fake: &Fake, entries: &[StreamEntry]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = Env::real(1).clock;
    runtime.block_on(apply(fake, &clock, Duration::ZERO, entries)).map_err(|error| error.to_string())
}

#[test]
fn streams_are_made_and_made_again_without_a_change() {
    let fake = Fake::default();
    let mut whole = entry("whole");
    (whole.retention_hours, whole.max_record_size_kib) = (Some(48), Some(2048));
    whole.tags.insert("team".to_owned(), "a".to_owned());
    whole.consumers = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    let entries = [whole, StreamEntry { capacity: Capacity::OnDemand, ..entry("on-demand") }, entry("plain")];
    apply_to(&fake, &entries).unwrap();
    {
        let state = fake.0.lock().unwrap();
        let whole = &state.streams["whole"];
        assert_eq!((whole.shards, whole.retention, whole.kib, whole.tags["team"].as_str()), (2, 48, 2048, "a"));
        assert_eq!(whole.consumers.keys().collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
        assert!(state.streams["on-demand"].on_demand && state.streams["plain"].shards == 2);
        for made in state.streams.values() {
            assert!(made.pending == 0 && made.consumers.values().all(|pending| *pending == 0), "all are ACTIVE");
        }
    }
    assert_eq!(fake.calls().iter().filter(|call| *call == "CreateStream").count(), 3);
    apply_to(&fake, &entries).unwrap();
    assert_eq!(fake.calls(), ["AddTagsToStream"]);
}

#[test]
fn what_is_there_is_brought_to_what_is_written_but_not_resharded() {
    let there = Made { shards: 7, retention: 100, kib: 1024, ..Made::default() };
    let going = Made { pending: SEEN, status: Some(StreamStatus::Deleting), shards: 9, ..Made::default() };
    let fake = Fake::with([("there", there), ("going", going)]);
    let mut wanted = entry("there");
    (wanted.retention_hours, wanted.max_record_size_kib) = (Some(24), Some(10240));
    wanted.consumers.push("late".to_owned());
    apply_to(&fake, &[wanted, entry("going")]).unwrap();
    let state = fake.0.lock().unwrap();
    let there = &state.streams["there"];
    assert_eq!((there.shards, there.retention, there.kib, there.consumers.len()), (7, 24, 10240, 1));
    assert_eq!(state.streams["going"].shards, 2, "a stream on its way out is waited for and made anew");
}

#[test]
fn what_the_service_refuses_names_the_entry() {
    let fake = Fake::with([("s", Made { retention: 24, ..Made::default() })]);
    let said = apply_to(&fake, &[StreamEntry { retention_hours: Some(5), ..entry("s") }]).unwrap_err();
    assert_eq!(said, "streams: \"s\": InvalidArgumentException: too short");
}
