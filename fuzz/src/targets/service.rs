//! The service behind the parsers: calls one after the other, as text.

use millstream_api::ErrorCode;
use millstream_api::kinesis::{Operation, Output, Service};
use millstream_controls::{Controls, Verb};
use millstream_env::sim::SimEnv;
use millstream_log::memory::MemoryLog;
use millstream_server::fuzzing::Wire;
use serde_json::Value;

use super::world;

/// What earlier answers gave, and later calls name.
#[derive(Default)]
struct Given {
    iterator: String,
    token: String,
    number: String,
    arn: String,
}

/// A call a line: `Operation {JSON}`, `GET /path` or `POST /path {JSON}` of the test controls, `wait MS`. In a call `@i` is
/// the last shard iterator that was given, `@t` the last page token, `@n` the last sequence number, `@a` the last ARN.
pub(super) fn service(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // A delay waits for real time.
    if text.contains("delay") {
        return;
    }
    let machine = world::machine(1);
    let kinesis = world::start(&machine, MemoryLog::new(machine.env())).expect("starts");
    let controls = Controls::new(machine.env(), kinesis.clone());
    let mut given = Given::default();
    let mut is_disturbed = false;
    for line in text.lines().take(30) {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "wait" => {
                machine.clock.advance(rest.parse::<u64>().unwrap_or(0).min(40 * 86_400_000));
                machine.block_on(kinesis.tick());
            }
            "GET" => control(&machine, &controls, Verb::Get, rest),
            "POST" => {
                is_disturbed = true;
                control(&machine, &controls, Verb::Post, rest);
            }
            name => {
                let Some(operation) = Operation::from_name(name) else { continue };
                call(&machine, &controls, operation, rest, &mut given, is_disturbed);
            }
        }
        machine.settle();
    }
}

fn control(machine: &SimEnv, controls: &Controls, verb: Verb, rest: &str) {
    let (target, body) = rest.split_once(' ').unwrap_or((rest, ""));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let answer = machine.block_on(controls.answer(verb, path, query, body.as_bytes())).expect("no wake-up is lost");
    assert!([200, 400, 404, 405].contains(&answer.status), "{}", answer.status);
    assert!(serde_json::from_slice::<Value>(&answer.body).is_ok());
    assert_eq!(answer.body.iter().position(|byte| *byte == b'\n'), Some(answer.body.len() - 1), "one line");
}

fn call(
    machine: &SimEnv,
    controls: &Controls,
    operation: Operation,
    body: &str,
    given: &mut Given,
    is_disturbed: bool,
) {
    let body = body.replace("@i", &given.iterator).replace("@t", &given.token);
    let body = body.replace("@n", &given.number).replace("@a", &given.arn);
    let Ok(input) = Wire::Json.decode(operation, body.as_bytes()) else { return };
    let context = world::context("000000000000", "us-east-1");
    let answer = machine.block_on(controls.call(&context, input)).expect("no wake-up is lost");
    let output = match answer {
        Ok(Output::SubscribeToShard(mut output)) => {
            for _ in 0..2 {
                // One that waits for records is given up.
                drop(machine.block_on(output.event_stream.next_event()));
            }
            return;
        }
        Ok(output) => output,
        Err(error) => {
            // The machine is healthy, so whatever goes wrong is the caller's fault.
            assert!(is_disturbed || error.code != ErrorCode::InternalFailure, "{body}: {error:?}");
            return;
        }
    };
    drop(Wire::Cbor.answer(&output));
    let json = Wire::Json.answer(&output);
    if json.is_empty() {
        return;
    }
    let shown: Value = serde_json::from_slice(&json).expect("an answer is JSON");
    let mut take = |names: &[&str], place: fn(&mut Given) -> &mut String| {
        if let Some(text) = names.iter().find_map(|name| shown[name].as_str()) {
            text.clone_into(place(given));
        }
    };
    take(&["ShardIterator", "NextShardIterator"], |given| &mut given.iterator);
    take(&["NextToken"], |given| &mut given.token);
    take(&["SequenceNumber"], |given| &mut given.number);
    if let Some(arn) = shown.pointer("/StreamDescription/StreamARN").and_then(Value::as_str) {
        arn.clone_into(&mut given.arn);
    }
    if let Some(arn) = shown.pointer("/Consumer/ConsumerARN").and_then(Value::as_str) {
        arn.clone_into(&mut given.arn);
    }
}
