//! Snapshots of a process that serves, and processes that serve what was restored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Server, run};
use serde_json::{Value, json};

const JSON: &str = "Content-Type: application/json\r\n";
const SNAPSHOT: &str = "/_millstream/snapshot";

/// Status and body of an answer.
fn parts(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The number that an acknowledged record was given, the record, and its shard.
type Put = (String, String, String);

fn put(server: &Server, data: &str) -> Option<Put> {
    let (key, data) = (data.get(..6).unwrap_or(data), base64(data));
    let body = json!({ "StreamName": "s", "PartitionKey": key, "Data": data }).to_string();
    let (status, answer) = parts(&server.call("PutRecord", &body));
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (status == 200).then(|| (text("SequenceNumber"), data, text("ShardId")))
}

/// Digits only, whose base64 is easily made.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert_eq!(text.len() % 3, 0);
    let groups = text.as_bytes().chunks(3).map(|c| u32::from_be_bytes([0, c[0], c[1], c[2]]));
    groups.flat_map(|g| [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(g >> shift) as usize & 63]))).collect()
}

/// All records of the stream `s`.
fn read(server: &Server) -> Vec<Put> {
    let (_, described) = parts(&server.call("DescribeStream", "{\"StreamName\":\"s\"}"));
    let mut records = Vec::new();
    for shard in described["StreamDescription"]["Shards"].as_array().unwrap() {
        let body = json!({ "StreamName": "s", "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON" });
        let (_, mut page) = parts(&server.call("GetShardIterator", &body.to_string()));
        let mut next = page["ShardIterator"].clone();
        while next.is_string() {
            page = parts(&server.call("GetRecords", &json!({ "ShardIterator": next }).to_string())).1;
            let found = page["Records"].as_array().unwrap();
            records.extend(found.iter().map(|record| {
                let text = |name: &str| record[name].as_str().unwrap().to_owned();
                (text("SequenceNumber"), text("Data"), shard["ShardId"].as_str().unwrap().to_owned())
            }));
            next = if found.is_empty() { Value::Null } else { page["NextShardIterator"].clone() };
        }
    }
    records
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Takes two snapshots into `snapshots` while a client puts records, kills the server, and restores.
fn round(snapshots: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--snapshots", snapshots.to_str().unwrap(), "--limits", "none", "--transition-delay", "0"];
    let mut server = Server::start(&dir.path().join("data"), &flags);
    server.call("CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":2}");
    // Enough for some sealed segments.
    let (acknowledged, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let numbers = AtomicUsize::new(100_000);
    let before: usize = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let number = numbers.fetch_add(1, Ordering::Relaxed).to_string();
                let record = put(&server, &number.repeat(1000)).unwrap();
                acknowledged.lock().unwrap().push(record);
            }
        });
        let count = || acknowledged.lock().unwrap().len();
        wait_until("records are put", || count() >= 150);
        let (status, taken) = parts(&server.ask("POST", SNAPSHOT, JSON, "{}"));
        assert_eq!((status, &taken["streams"], &taken["problems"]), (200, &json!(1), &json!([])), "{taken}");
        wait_until("more records are put", || count() >= 200);
        let before = count();
        let (status, taken) = parts(&server.ask("POST", SNAPSHOT, JSON, "{\"name\":\"second\"}"));
        assert_eq!((status, taken["path"].as_str()), (200, snapshots.join("second").to_str()), "{taken}");
        let then = count();
        wait_until("records are put after it", || count() >= then + 20);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        before
    });
    server.child.kill().unwrap();
    server.wait();
    let acknowledged = acknowledged.into_inner().unwrap();

    let (snapshot, restored) = (snapshots.join("second"), dir.path().join("restored"));
    let arguments = ["restore", snapshot.to_str().unwrap(), restored.to_str().unwrap()];
    let said = run(&arguments);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(String::from_utf8_lossy(&said.stdout).starts_with("restored 1 streams, "));
    let again = run(&arguments);
    assert_eq!((again.status.code(), again.stderr.iter().filter(|byte| **byte == b'\n').count()), (Some(1), 1));
    assert!(run(&["check", restored.to_str().unwrap()]).status.success());
    let mut server = Server::start(&restored, &flags[2..]);
    let found = read(&server);
    let kept = found.len();
    assert!(kept >= before, "{kept} of {before}");
    let mut first: Vec<Put> = acknowledged[..kept.min(acknowledged.len())].to_vec();
    let mut sorted = found;
    first.sort();
    sorted.sort();
    assert!(first == sorted, "one client's records are there up to one of them");
    let (number, _, shard) = put(&server, "123").unwrap();
    let mut of_shard = acknowledged.iter().filter(|record| record.2 == shard);
    assert!(of_shard.all(|(lost, ..)| *lost < number));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_process_is_restored_from_a_snapshot_on_the_same_disk() {
    let dir = tempfile::tempdir().unwrap();
    round(&dir.path().join("snapshots"));
}

#[test]
fn a_process_is_restored_from_a_snapshot_on_another_disk() {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return };
    round(&dir.path().join("snapshots"));
}

#[test]
fn snapshots_are_asked_for_in_one_way_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let (status, answer) = parts(&server.ask("POST", SNAPSHOT, JSON, "{}"));
    assert!(status == 403 && answer["error"].as_str().unwrap().contains("--snapshots"), "{answer}");
    let snapshots = dir.path().join("snapshots");
    let flags = ["--snapshots", snapshots.to_str().unwrap()];
    let server = Server::start(&dir.path().join("other"), &flags);
    let ask = |method: &str, path: &str, lines: &str, body: &str| parts(&server.ask(method, path, lines, body)).0;
    assert_eq!(ask("GET", SNAPSHOT, "", ""), 405);
    assert_eq!(ask("POST", "/_millstream/snapshot/x", JSON, "{}"), 404);
    assert_eq!(ask("POST", SNAPSHOT, "Content-Type: text/plain\r\n", "{}"), 400);
    assert_eq!(ask("POST", SNAPSHOT, &format!("{JSON}Origin: http://evil.example\r\n"), "{}"), 403);
    for body in ["", "[]", "{\"nam\":\"x\"}", "{\"name\":\"../x\"}", "{\"name\":\"\"}"] {
        assert_eq!(ask("POST", SNAPSHOT, JSON, body), 400, "{body}");
    }
    assert!(!snapshots.exists());
    assert_eq!(ask("POST", SNAPSHOT, JSON, "{\"name\":\"x\"}"), 200);
    assert_eq!(ask("POST", SNAPSHOT, JSON, "{\"name\":\"x\"}"), 409);
    let data = dir.path().join("data");
    let inside = data.join("snapshots");
    let flags = ["serve", "--data-dir", data.to_str().unwrap(), "--snapshots", inside.to_str().unwrap()];
    let said = run(&flags);
    assert_eq!(said.status.code(), Some(2), "{}", String::from_utf8_lossy(&said.stderr));
    let said = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", snapshots.join("x").to_str().unwrap()]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(1) && text.contains("is a snapshot"), "{text}");
}
