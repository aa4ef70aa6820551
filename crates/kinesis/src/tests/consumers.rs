use super::*;
use crate::limits::Limit;

const SECOND: u64 = 1_000;

/// ConsumerARN, StreamARN and ConsumerName of a request; an empty one is left out.
type Named<'a> = (&'a str, &'a str, &'a str);

fn given(text: &str) -> Option<std::borrow::Cow<'static, str>> {
    Some(text.to_owned().into()).filter(|_| !text.is_empty())
}

fn describe_consumer((consumer, stream, name): Named<'_>) -> Input<'static> {
    Input::DescribeStreamConsumer(DescribeStreamConsumerInput {
        consumer_arn: given(consumer),
        stream_arn: given(stream),
        consumer_name: given(name),
        ..Default::default()
    })
}

fn deregister((consumer, stream, name): Named<'_>) -> Input<'static> {
    Input::DeregisterStreamConsumer(DeregisterStreamConsumerInput {
        consumer_arn: given(consumer),
        stream_arn: given(stream),
        consumer_name: given(name),
        ..Default::default()
    })
}

fn list(stream: &str) -> ListStreamConsumersInput<'static> {
    ListStreamConsumersInput { stream_arn: arn(stream).into(), ..Default::default() }
}

impl World {
    fn register(&self, stream: &str, name: &str) -> Consumer {
        match self.call(register(stream, name)) {
            Ok(Output::RegisterStreamConsumer(output)) => output.consumer,
            other => panic!("{other:?}"),
        }
    }

    fn consumer(&self, name: &str) -> Result<ConsumerDescription, Error> {
        match self.call(describe_consumer(("", &arn("s"), name)))? {
            Output::DescribeStreamConsumer(output) => Ok(output.consumer_description),
            other => panic!("{other:?}"),
        }
    }

    fn status(&self, name: &str) -> ConsumerStatus {
        self.consumer(name).expect("the consumer").consumer_status
    }

    fn list(&self, input: ListStreamConsumersInput<'_>) -> (Vec<String>, Option<String>) {
        match self.call(Input::ListStreamConsumers(input)) {
            Ok(Output::ListStreamConsumers(output)) => {
                let names = output.consumers.unwrap_or_default().into_iter().map(|c| c.consumer_name).collect();
                (names, output.next_token)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A world whose stream `s` is ACTIVE.
fn world(config: KinesisConfig) -> World {
    let world = World::new(config);
    world.create("s", 1);
    world.pass(500);
    world
}

#[test]
fn a_consumer_is_creating_then_active_then_deleting_then_gone() {
    let world = world(config());
    let second = world.machine.env().clock.now() / SECOND;
    let registered = world.register("s", "c");
    assert_eq!(registered.consumer_status, ConsumerStatus::Creating);
    assert_eq!(registered.consumer_arn, format!("{}/consumer/c:{second}", arn("s")));
    assert_eq!(registered.consumer_creation_timestamp, millstream_api::Timestamp((second * SECOND) as i64));
    assert_eq!(world.summary("s").consumer_count, Some(1));
    assert_eq!(world.status("c"), ConsumerStatus::Creating);
    assert_eq!(world.kinesis.next_due(), Some(world.machine.env().clock.now() + 500));
    world.pass(499);
    assert_eq!(world.status("c"), ConsumerStatus::Creating);
    world.pass(1);
    let active = world.consumer("c").expect("there");
    assert_eq!((active.consumer_status, &active.stream_arn), (ConsumerStatus::Active, &arn("s")));
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active, "the stream has no part in it");
    world.call(deregister((&registered.consumer_arn, "", ""))).expect("deregistered");
    assert_eq!(world.status("c"), ConsumerStatus::Deleting);
    world.call(deregister((&registered.consumer_arn, "", ""))).expect("again");
    world.pass(500);
    world.refused(
        describe_consumer((&registered.consumer_arn, "", "")),
        ErrorCode::ResourceNotFoundException,
        &format!("Consumer c with creation timestamp {second} under stream: s, account 000000000000 not found."),
    );
    world.refused(
        describe_consumer(("", &arn("s"), "c")),
        ErrorCode::ResourceNotFoundException,
        "Consumer c, account 000000000000 not found.",
    );
    let gone = world.error(deregister((&registered.consumer_arn, "", "")));
    assert_eq!(gone.code, ErrorCode::ResourceNotFoundException);
    assert_eq!(world.summary("s").consumer_count, Some(0));
}

#[test]
fn a_region_knows_nothing_of_the_consumers_of_others() {
    let mut world = world(at_once());
    let consumer = world.register("s", "c").consumer_arn;
    world.context = context("000000000000", "us-east-1");
    let latest = StartingPosition { r#type: ShardIteratorType::Latest, ..Default::default() };
    let subscribe = Input::SubscribeToShard(SubscribeToShardInput {
        consumer_arn: consumer.as_str().into(),
        shard_id: "shardId-000000000000".into(),
        starting_position: latest,
        ..Default::default()
    });
    for call in [describe_consumer((&consumer, "", "")), deregister((&consumer, "", "")), subscribe] {
        let text = format!("{consumer} is not in the region us-east-1.");
        world.refused(call, ErrorCode::InvalidArgumentException, &text);
    }
}

#[test]
fn without_a_transition_delay_all_is_done_within_the_request() {
    let world = world(at_once());
    assert_eq!(world.register("s", "c").consumer_status, ConsumerStatus::Creating);
    assert_eq!(world.status("c"), ConsumerStatus::Active);
    world.call(deregister(("", &arn("s"), "c"))).expect("deregistered");
    assert_eq!(world.consumer("c").expect_err("gone").code, ErrorCode::ResourceNotFoundException);
}

#[test]
fn a_name_is_taken_until_its_consumer_is_gone_and_then_has_another_arn() {
    let world = world(config());
    let first = world.register("s", "c").consumer_arn;
    world.refused(
        register("s", "c"),
        ErrorCode::ResourceInUseException,
        "Consumer c under stream s already exists for account 000000000000.",
    );
    world.call(deregister((&first, "", ""))).expect("deregistered");
    assert_eq!(world.error(register("s", "c")).code, ErrorCode::ResourceInUseException);
    world.pass(500);
    assert_ne!(world.register("s", "c").consumer_arn, first);
    assert_eq!(world.error(describe_consumer((&first, "", ""))).code, ErrorCode::ResourceNotFoundException);
}

#[test]
fn no_arn_ever_names_another_consumer() {
    let mut arns = std::collections::BTreeSet::new();
    let mut world = world(at_once());
    for round in 0..6 {
        assert!(arns.insert(world.register("s", "c").consumer_arn), "all within one second");
        assert!(world.consumer("c").is_ok());
        match round {
            2 => world = world.reopen(),
            4 => {
                world.call(delete_with_consumers("s")).expect("deleted");
                world.create("s", 1);
                continue;
            }
            _ => {}
        }
        world.call(deregister(("", &arn("s"), "c"))).expect("deregistered");
    }
}

#[test]
fn a_consumer_is_named_by_its_arn_or_its_streams_and_its_name() {
    let world = world(at_once());
    world.create("other", 1);
    let consumer = world.register("s", "c").consumer_arn;
    let (stream, other) = (arn("s"), arn("other"));
    for named in [
        (&*consumer, "", ""),
        ("", &*stream, "c"),
        (&*consumer, &*stream, ""),
        (&*consumer, "", "c"),
        (&*consumer, &*stream, "c"),
    ] {
        world.call(describe_consumer(named)).unwrap_or_else(|e| panic!("{named:?}: {e}"));
    }
    for named in [("", "", ""), ("", &*stream, ""), ("", "", "c")] {
        for input in [describe_consumer(named), deregister(named)] {
            let words = "Either ConsumerARN or both StreamARN and ConsumerName must be provided.";
            world.refused(input, ErrorCode::InvalidArgumentException, words);
        }
    }
    for named in [(&*consumer, &*other, "c"), (&*consumer, &*stream, "d"), (&*consumer, "", "d")] {
        let words = "ConsumerARN, StreamARN and ConsumerName do not name the same consumer.";
        world.refused(describe_consumer(named), ErrorCode::InvalidArgumentException, words);
    }
    let foreign = consumer.replace("000000000000", "123456789012");
    assert_eq!(world.error(describe_consumer((&foreign, "", ""))).code, ErrorCode::AccessDeniedException);
    let nowhere = consumer.replace("stream/s/", "stream/none/");
    world.refused(
        describe_consumer((&nowhere, "", "")),
        ErrorCode::ResourceNotFoundException,
        "Stream none under account 000000000000 not found.",
    );
}

#[test]
fn a_stream_has_so_many_consumers_and_so_many_being_created() {
    let limits = Limits { consumers: Limit::of(7), call_rates: false, ..Limits::aws() };
    let world = world(KinesisConfig { limits, ..config() });
    for name in ["c1", "c2", "c3", "c4", "c5"] {
        world.register("s", name);
    }
    let error = world.error(register("s", "c6"));
    assert_eq!(error.code, ErrorCode::LimitExceededException);
    assert!(error.message.is_some_and(|message| message.contains("in CREATING")));
    world.pass(500);
    world.register("s", "c6");
    world.register("s", "c7");
    let error = world.error(register("s", "c8"));
    assert_eq!(error.code, ErrorCode::LimitExceededException);
    assert!(error.message.is_some_and(|message| message.ends_with("Limit: 7.")));
}

#[test]
fn registering_needs_a_stream_that_is_there() {
    let world = World::new(config());
    assert_eq!(world.error(register("s", "c")).code, ErrorCode::ResourceNotFoundException);
    world.create("s", 1);
    world.refused(
        register("s", "c"),
        ErrorCode::ResourceInUseException,
        "Stream s under account 000000000000 not ACTIVE, instead in state CREATING",
    );
    assert_eq!(world.error(Input::ListStreamConsumers(list("s"))).code, ErrorCode::ResourceInUseException);
    world.pass(500);
    world.call(split("s", "0", HALF)).expect("accepted");
    world.register("s", "while-updating");
    world.pass(500);
    world.call(delete_with_consumers("s")).expect("accepted");
    assert_eq!(world.error(register("s", "c")).code, ErrorCode::ResourceInUseException);
}

#[test]
fn tags_are_checked_as_those_of_streams_are() {
    let world = world(at_once());
    let tagged = |key: &str, count: usize| {
        let tags = (0..count).map(|i| (format!("{key}{i}").into(), "v".into())).collect();
        Input::RegisterStreamConsumer(RegisterStreamConsumerInput {
            stream_arn: arn("s").into(),
            consumer_name: "c".into(),
            tags: Some(tags),
            ..Default::default()
        })
    };
    for wrong in [tagged("a;", 1), tagged("a%", 1), tagged("aws:", 1), tagged("a", 51)] {
        assert_eq!(world.error(wrong).code, ErrorCode::InvalidArgumentException);
    }
    world.call(tagged("a", 50)).expect("registered");
    let streams = world.kinesis.streams();
    let stream = streams.get("000000000000", "eu-central-1", "s").expect("the stream");
    assert_eq!(stream.view().record.consumer("c").expect("the consumer").tags.len(), 50);
}

#[test]
fn consumers_are_listed_by_name_in_pages() {
    let world = world(KinesisConfig { limits: Limits::none(), ..at_once() });
    let mut names: Vec<String> = (0..120).map(|i| format!("c{i}")).collect();
    for name in &names {
        world.register("s", name);
    }
    names.sort();
    let (first, token) = world.list(ListStreamConsumersInput { max_results: Some(10_000), ..list("s") });
    assert_eq!(first, names[..100], "a hundred at most");
    let token = token.expect("more");
    let next = || ListStreamConsumersInput { next_token: Some(token.clone().into()), ..list("s") };
    // What goes in between does not disturb the order.
    world.call(deregister(("", &arn("s"), &names[99]))).expect("deregistered");
    let (page, token_after) = world.list(ListStreamConsumersInput { max_results: Some(15), ..next() });
    assert_eq!(page, names[100..115]);
    let last = ListStreamConsumersInput { next_token: token_after.map(Into::into), ..list("s") };
    assert_eq!(world.list(last), (names[115..].to_vec(), None));
    world.create("other", 1);
    for wrong in [
        ListStreamConsumersInput { stream_arn: arn("other").into(), ..next() },
        ListStreamConsumersInput { next_token: Some("garbage".into()), ..list("s") },
        ListStreamConsumersInput { stream_creation_timestamp: Some(millstream_api::Timestamp(0)), ..next() },
    ] {
        assert_eq!(world.error(Input::ListStreamConsumers(wrong)).code, ErrorCode::InvalidArgumentException);
    }
    let world = world.reopen();
    assert_eq!(world.list(next()).0.len(), 20, "a restart does not matter");
    world.pass(300 * SECOND + 1);
    assert_eq!(world.error(Input::ListStreamConsumers(next())).code, ErrorCode::ExpiredNextTokenException);
}

#[test]
fn a_listing_can_name_the_streams_creation() {
    let world = world(at_once());
    world.register("s", "c");
    let created = world.summary("s").stream_creation_timestamp;
    let asked = |time| ListStreamConsumersInput { stream_creation_timestamp: Some(time), ..list("s") };
    assert_eq!(world.list(asked(created)).0, ["c"]);
    let earlier = millstream_api::Timestamp(created.0 - 2_000);
    assert_eq!(world.error(Input::ListStreamConsumers(asked(earlier))).code, ErrorCode::ResourceNotFoundException);
}

#[test]
fn a_stream_with_consumers_is_deleted_only_by_force() {
    let world = world(config());
    world.register("s", "c");
    world.pass(500);
    world.refused(
        delete("s"),
        ErrorCode::ResourceInUseException,
        "DeleteStream can’t delete 000000000000:s because there are consumers associated with this data stream. To delete s \
         anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers that are \
         associated with it.",
    );
    world.call(delete_with_consumers("s")).expect("accepted");
    assert_eq!(world.status("c"), ConsumerStatus::Deleting);
    world.pass(500);
    assert_eq!(world.error(describe("s")).code, ErrorCode::ResourceNotFoundException);
}

#[test]
fn consumers_and_their_transitions_survive_a_restart() {
    let world = world(config());
    world.register("s", "stays");
    world.register("s", "goes");
    world.pass(500);
    world.call(deregister(("", &arn("s"), "goes"))).expect("deregistered");
    let late = world.register("s", "late");
    let world = world.reopen();
    assert_eq!(world.status("stays"), ConsumerStatus::Active);
    assert_eq!((world.status("goes"), world.status("late")), (ConsumerStatus::Deleting, ConsumerStatus::Creating));
    world.pass(500);
    assert_eq!(world.list(list("s")).0, ["late", "stays"]);
    assert_eq!(world.consumer("late").expect("there").consumer_arn, late.consumer_arn);
    assert_eq!(world.status("late"), ConsumerStatus::Active);
}

/// A plan and the consumers' transitions edit the same record: neither takes back what the other did.
#[test]
fn plans_and_consumers_leave_each_other_alone() {
    let world = world(config());
    world.call(split("s", "0", HALF)).expect("accepted");
    world.machine.clock.advance(100);
    world.register("s", "while-splitting");
    world.pass(400);
    assert_eq!(world.describe("s").shards.len(), 3);
    assert_eq!(world.status("while-splitting"), ConsumerStatus::Creating);
    world.call(retain_longer("s", 48)).expect("accepted");
    world.pass(100);
    assert_eq!(world.status("while-splitting"), ConsumerStatus::Active);
    world.register("s", "while-updating");
    world.pass(400);
    assert_eq!((world.describe("s").retention_period_hours, world.summary("s").consumer_count), (48, Some(2)));
}

#[test]
fn calls_have_their_rates() {
    let world =
        World::new(KinesisConfig { limits: Limits { consumers_creating: Limit::NONE, ..Limits::aws() }, ..config() });
    world.create("s", 1);
    world.pass(500);
    world.create("other", 1);
    world.pass(500);
    let count = |input: &dyn Fn(usize) -> Input<'static>| {
        (0..30)
            .take_while(|i| !matches!(world.call(input(*i)), Err(e) if e.code == ErrorCode::LimitExceededException))
            .count()
    };
    let names: Vec<String> = (0..30).map(|i| format!("c{i}")).collect();
    assert_eq!(count(&|i| register(["s", "other"][i % 2], names[i].clone().leak())), 5, "of the account");
    assert_eq!(count(&|_| Input::ListStreamConsumers(list("s"))), 5);
    assert_eq!(count(&|_| Input::ListStreamConsumers(list("other"))), 5, "of the stream");
    assert_eq!(count(&|_| deregister(("", &arn("s"), "none"))), 5);
    assert_eq!(count(&|_| describe_consumer(("", &arn("s"), "c0"))), 20);
    world.refused(
        Input::ListStreamConsumers(list("s")),
        ErrorCode::LimitExceededException,
        "Rate exceeded for stream s under account 000000000000.",
    );
}
