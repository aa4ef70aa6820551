//! What is named by a ResourceARN: policies and tags of streams and consumers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::*;
use crate::limits::Limit;
use crate::{ConsumerRecord, ConsumerStatus};

const STREAM: &str = "arn:aws:kinesis:eu-central-1:000000000000:stream/s";
const CONSUMER: &str = "arn:aws:kinesis:eu-central-1:000000000000:stream/s/consumer/c:1700000000";

fn policy_of(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "111111111111"}},
        "Action": "kinesis:{action}", "Resource": "{STREAM}"}}]}}"#
    )
}

fn put<'a>(arn: &'a str, policy: &'a str) -> Input<'a> {
    let (resource_arn, policy) = (arn.into(), policy.into());
    Input::PutResourcePolicy(PutResourcePolicyInput { resource_arn, policy, ..Default::default() })
}

fn delete_policy(arn: &str) -> Input<'_> {
    Input::DeleteResourcePolicy(DeleteResourcePolicyInput { resource_arn: arn.into(), ..Default::default() })
}

fn get(arn: &str) -> Input<'_> {
    Input::GetResourcePolicy(GetResourcePolicyInput { resource_arn: arn.into(), ..Default::default() })
}

fn policy(world: &World, arn: &str) -> String {
    match world.call(get(arn)) {
        Ok(Output::GetResourcePolicy(output)) => output.policy,
        other => panic!("{other:?}"),
    }
}

fn tag<'a>(arn: &'a str, tags: &[(&'a str, &'a str)]) -> Input<'a> {
    let tags: BTreeMap<Cow<'a, str>, Cow<'a, str>> = tags.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Input::TagResource(TagResourceInput { resource_arn: arn.into(), tags, ..Default::default() })
}

fn untag<'a>(arn: &'a str, keys: &[&'a str]) -> Input<'a> {
    let tag_keys = keys.iter().map(|k| (*k).into()).collect();
    Input::UntagResource(UntagResourceInput { resource_arn: arn.into(), tag_keys, ..Default::default() })
}

fn list(arn: &str) -> Input<'_> {
    Input::ListTagsForResource(ListTagsForResourceInput { resource_arn: arn.into(), ..Default::default() })
}

fn tags(world: &World, arn: &str) -> Vec<String> {
    match world.call(list(arn)) {
        Ok(Output::ListTagsForResource(output)) => {
            let tags = output.tags.expect("always there").into_iter();
            tags.map(|tag| format!("{}={}", tag.key, tag.value.unwrap_or_default())).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Gives stream `s` the consumer of [`CONSUMER`].
fn add_consumer(world: &World, status: ConsumerStatus) {
    let stream = Arc::clone(world.kinesis.streams().get("000000000000", "eu-central-1", "s").expect("there"));
    let consumer = ConsumerRecord {
        name: "c".to_owned(),
        created_ms: 1_700_000_000_123,
        status,
        due_ms: None,
        tags: BTreeMap::new(),
        policy: None,
    };
    let added = world.kinesis.change(&stream, move |record, _| {
        record.consumers = vec![consumer];
        Ok(())
    });
    world.machine.block_on(added).expect("an answer").expect("added");
}

#[test]
fn a_policy_is_kept_as_it_was_put() {
    let world = World::new(at_once());
    world.create("s", 1);
    assert_eq!(policy(&world, STREAM), "{}");
    let first = policy_of("GetRecords");
    world.call(put(STREAM, &first)).expect("put");
    assert_eq!(policy(&world, STREAM), first);
    let second = policy_of("PutRecord");
    world.call(put(STREAM, &second)).expect("replaced");
    let world = world.reopen();
    assert_eq!(policy(&world, STREAM), second);
    world.call(delete_policy(STREAM)).expect("deleted");
    assert_eq!(policy(&world, STREAM), "{}");
    world.refused(
        delete_policy(STREAM),
        ErrorCode::ResourceNotFoundException,
        &format!("No resource policy found for resource ARN {STREAM}."),
    );
}

#[test]
fn a_policy_names_the_actions_of_its_resource() {
    let world = World::new(at_once());
    world.create("s", 1);
    add_consumer(&world, ConsumerStatus::Active);
    world.refused(
        put(STREAM, &policy_of("SubscribeToShard")),
        ErrorCode::InvalidArgumentException,
        "The resource policy is not valid: statement 1 names the action kinesis:SubscribeToShard, which a policy of this \
         resource cannot.",
    );
    assert_eq!(world.error(put(CONSUMER, &policy_of("GetRecords"))).code, ErrorCode::InvalidArgumentException);
    world.call(put(CONSUMER, &policy_of("SubscribeToShard"))).expect("put");
    assert_eq!(policy(&world, CONSUMER), policy_of("SubscribeToShard"));
    assert_eq!(policy(&world, STREAM), "{}", "it is the consumer's alone");
    let spaces = policy_of("GetRecords") + &" ".repeat(20 << 10);
    world.refused(
        put(STREAM, &spaces),
        ErrorCode::InvalidArgumentException,
        "The resource policy is larger than 20480 bytes.",
    );
}

#[test]
fn resources_are_named_by_arn() {
    let mut world = World::new(at_once());
    world.create("s", 1);
    add_consumer(&world, ConsumerStatus::Active);
    let other_second = "arn:aws:kinesis:eu-central-1:000000000000:stream/s/consumer/c:1700000001";
    for input in [get(other_second), list(other_second), untag(other_second, &["a"]), delete_policy(other_second)] {
        world.refused(
            input,
            ErrorCode::ResourceNotFoundException,
            "Consumer c with creation timestamp 1700000001 under stream: s, account 000000000000 not found.",
        );
    }
    let nowhere = "arn:aws:kinesis:eu-central-1:000000000000:stream/t";
    for input in [get(nowhere), list(nowhere), tag(nowhere, &[("a", "b")])] {
        let text = "Stream t under account 000000000000 not found.";
        world.refused(input, ErrorCode::ResourceNotFoundException, text);
    }
    let abroad = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    assert_eq!(world.error(list(abroad)).code, ErrorCode::InvalidArgumentException);
    for garbage in [
        "arn:aws:kinesis:eu-central-1:000000000000:mystream/s",
        "arn:aws:kinesis:eu-central-1:000000000000:stream/s/consumer/c",
        "arn:aws:kinesis:eu-central-1:000000000000:stream/s/queue/q",
    ] {
        let text = format!("ResourceARN {garbage} is not the ARN of a stream or of a consumer.");
        world.refused(list(garbage), ErrorCode::InvalidArgumentException, &text);
    }
    let queue = "arn:aws:kinesis:eu-central-1:000000000000:queue/q";
    let text = "Millstream does not support ListTagsForResource on queues yet.";
    world.refused(list(queue), ErrorCode::UnsupportedOperationException, text);
    let channel = "arn:aws:kinesis:eu-central-1:000000000000:channel/c";
    let text = "Millstream does not support GetResourcePolicy on channels yet.";
    world.refused(get(channel), ErrorCode::UnsupportedOperationException, text);
    world.context = context("111111111111", "eu-central-1");
    for arn in [STREAM, CONSUMER] {
        let error = world.error(list(arn));
        assert_eq!(error.code, ErrorCode::AccessDeniedException);
        assert!(error.message.unwrap_or_default().contains(arn), "the resource is named");
    }
}

#[test]
fn a_streams_tags_are_the_same_whatever_the_operation() {
    let world = World::new(at_once());
    world.create("s", 1);
    world.call(tag(STREAM, &[("b", "1"), ("a:c", "")])).expect("tagged");
    let more = AddTagsToStreamInput {
        stream_name: Some("s".into()),
        tags: BTreeMap::from([("b".into(), "2".into())]),
        ..Default::default()
    };
    world.call(Input::AddTagsToStream(more)).expect("added");
    assert_eq!(tags(&world, STREAM), ["a:c=", "b=2"]);
    world.call(untag(STREAM, &["b", "absent"])).expect("untagged");
    assert_eq!(tags(&world.reopen(), STREAM), ["a:c="]);
}

#[test]
fn bad_tags_of_a_resource_are_refused() {
    let limits = Limits { tags: Limit::of(2), ..config().limits };
    let world = World::new(KinesisConfig { limits, ..at_once() });
    world.create("s", 1);
    add_consumer(&world, ConsumerStatus::Active);
    for arn in [STREAM, CONSUMER] {
        for bad in [("a;", "v"), ("a", "50%"), ("aws:x", "v"), ("AWS:x", "v")] {
            assert_eq!(world.error(tag(arn, &[bad])).code, ErrorCode::InvalidArgumentException, "{bad:?}");
        }
        assert_eq!(world.error(untag(arn, &["a;"])).code, ErrorCode::InvalidArgumentException);
        assert_eq!(world.error(tag(arn, &[("a", ""), ("b", ""), ("c", "")])).code, ErrorCode::InvalidArgumentException);
        world.call(tag(arn, &[("a", ""), ("b", "")])).expect("two");
        assert_eq!(world.error(tag(arn, &[("c", "")])).code, ErrorCode::InvalidArgumentException);
        assert_eq!(tags(&world, arn), ["a=", "b="]);
    }
}

#[test]
fn what_comes_or_goes_is_not_changed() {
    let world = World::new(config());
    world.create("s", 1);
    let text = "Stream s under account 000000000000 not ACTIVE, instead in state CREATING";
    let policy_text = policy_of("GetRecords");
    for input in [put(STREAM, &policy_text), delete_policy(STREAM), tag(STREAM, &[("a", "b")]), untag(STREAM, &["a"])] {
        world.refused(input, ErrorCode::ResourceInUseException, text);
    }
    assert_eq!((policy(&world, STREAM), tags(&world, STREAM).len()), ("{}".to_owned(), 0));
    world.pass(500);
    world.call(retain_longer("s", 48)).expect("updating");
    world.call(put(STREAM, &policy_text)).expect("while updating");
    world.call(tag(STREAM, &[("a", "b")])).expect("while updating");
    for status in [ConsumerStatus::Creating, ConsumerStatus::Deleting] {
        add_consumer(&world, status);
        let text = "Consumer c with creation timestamp 1700000000 under stream s and account 000000000000 is not in ACTIVE \
                    status.";
        world.refused(put(CONSUMER, &policy_of("SubscribeToShard")), ErrorCode::ResourceInUseException, text);
        world.refused(tag(CONSUMER, &[("a", "b")]), ErrorCode::ResourceInUseException, text);
        assert_eq!(policy(&world, CONSUMER), "{}");
    }
}
