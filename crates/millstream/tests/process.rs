//! The binary as a process: what it refuses to start with, and how it stops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Server, command, run};

/// Runs `serve` with something wrong, and gives the one line it says.
#[track_caller]
fn refused(arguments: &[&str], code: i32) -> String {
    let output = run(&[&["serve"], arguments].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("millstream: "), "{text}");
    text
}

#[test]
fn it_says_what_it_is_and_where() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    for part in [
        concat!("Millstream ", env!("CARGO_PKG_VERSION"), "\n"),
        &dir.path().join("data").display().to_string(),
        "fsync",
        "anonymous",
        &format!("aws kinesis create-stream --stream-name my-stream --shard-count 1 --endpoint-url {endpoint}\n"),
        &format!("\nlistening on {endpoint}\n"),
    ] {
        assert!(server.greeting.contains(part), "{part}\n{}", server.greeting);
    }
    assert!(server.call("ListStreams", "{}").contains("\"StreamNames\":[]"));
    let relaxed = Server::start(&dir.path().join("relaxed"), &["--durability", "relaxed=100"]);
    assert!(relaxed.greeting.contains("relaxed=100: ") && relaxed.greeting.contains("100 ms"), "{}", relaxed.greeting);
}

#[test]
fn signals_stop_it_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&data, &["--transition-delay", "0"]);
        server.call("CreateStream", &format!("{{\"StreamName\":\"{signal}\",\"ShardCount\":1}}"));
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
    }
    let server = Server::start(&data, &[]);
    assert!(server.call("ListStreams", "{}").contains("[\"INT\",\"TERM\"]"));
    drop(server);
    let check = run(&["check", data.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
}

/// What `check` says, and its exit code.
fn check(data: &Path, more: &[&str]) -> (String, Option<i32>) {
    let output = run(&[&["check", data.to_str().unwrap()], more].concat());
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[test]
fn check_compares_logs_and_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let add = |name: &str| {
        let mut server = Server::start(&data, &["--transition-delay", "0"]);
        server.call("CreateStream", &format!("{{\"StreamName\":\"{name}\",\"ShardCount\":1}}"));
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
    };
    let logs = || -> Vec<_> {
        let entries = std::fs::read_dir(data.join("log/streams/000000000000/us-east-1")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    add("first");
    let (before, of_first) = (std::fs::read(data.join("catalog.redb")).unwrap(), logs());
    add("second");
    assert_eq!(check(&data, &[]).1, Some(0));

    // The catalog is older than the logs: one of them is nobody's.
    std::fs::write(data.join("catalog.redb"), &before).unwrap();
    let epoch = std::fs::read(data.join("log/epoch")).unwrap();
    let (said, code) = check(&data, &[]);
    assert!(code == Some(1) && said.contains(" belongs to no stream: "), "{said}");
    assert_eq!(std::fs::read(data.join("catalog.redb")).unwrap(), before, "a check changes nothing");
    assert_eq!(std::fs::read(data.join("log/epoch")).unwrap(), epoch, "a check changes nothing");
    let (said, code) = check(&data, &["--repair"]);
    assert!(code == Some(0) && said.contains("stream/second is in the catalog again"), "{said}");
    assert_eq!(check(&data, &[]).1, Some(0));

    let second = logs().into_iter().find(|log| !of_first.contains(log)).unwrap();
    std::fs::remove_dir_all(second).unwrap();
    for more in [&[][..], &["--repair"]] {
        let (said, code) = check(&data, more);
        assert!(code == Some(1) && said.contains("stream/second: its log is missing"), "{said}");
    }
}

#[test]
fn a_throttled_call_leaves_a_line_with_its_request_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir.path().join("data"), &["--transition-delay", "0"]);
    server.call("CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":1}");
    let body = "{\"StreamName\":\"s\",\"ShardId\":\"shardId-000000000000\",\"ShardIteratorType\":\"LATEST\"}";
    let mut answers = (0..1000).map(|_| server.call("GetShardIterator", body));
    let refused = answers.find(|answer| answer.contains("ProvisionedThroughputExceededException")).unwrap();
    drop(answers);
    let ids = refused
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-amzn-requestid"));
    let id = ids.map(|(_, id)| id.to_owned()).next().unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let mut said = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.lines().any(|line| line.contains(&id) && line.contains("request refused")), "{id}\n{said}");
}

#[test]
fn a_second_signal_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir.path().join("data"), &["--drain", "1h"]);
    let _open = server.begin_request();
    server.signal("TERM");
    server.wait_until_closed();
    assert!(server.child.try_wait().unwrap().is_none(), "it waits for the request");
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(130));
}

#[test]
fn one_directory_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let data = path.to_str().unwrap();
    let server = Server::start(&path, &[]);
    let pid = server.child.id().to_string();
    let said = refused(&["--listen", "127.0.0.1:0", "--data-dir", data], 1);
    assert!(said.contains(&pid) && said.contains(data), "{said}");
    let check = run(&["check", data]);
    assert_eq!(check.status.code(), Some(3), "it could not be checked");
    assert!(String::from_utf8_lossy(&check.stderr).contains(&pid));
    // A killed server leaves its lock behind for no one.
    drop(server);
    drop(Server::start(&path, &[]));
}

#[test]
fn directories_it_cannot_use() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        let said = refused(&["--listen", "127.0.0.1:0", "--data-dir", path.to_str().unwrap()], 1);
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
    let said = refused(&["--data-dir", dir.path().to_str().unwrap()], 1);
    assert!(said.contains("is no data directory of Millstream"), "{said}");
    let data = dir.path().join("data");
    drop(Server::start(&data, &[]));
    std::fs::write(data.join("format"), "millstream-data 2\n").unwrap();
    let said = refused(&["--data-dir", data.to_str().unwrap()], 1);
    assert!(said.contains("needs a version that knows format 2"), "{said}");
    let check = run(&["check", dir.path().join("nowhere").to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(3));
}

#[test]
fn a_port_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = dir.path().join("data");
    let said = refused(&["--listen", &address, "--data-dir", data.to_str().unwrap()], 1);
    assert!(said.contains(&address), "{said}");
}

#[test]
fn mistakes_in_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.toml");
    let named = file.to_str().unwrap();
    std::fs::write(&file, "no_such_key = 1\n").unwrap();
    let said = refused(&["--config", named], 2);
    assert!(said.contains("no_such_key") && said.contains(named), "{said}");
    assert!(refused(&["--config", "/nowhere/m.toml"], 2).contains("/nowhere/m.toml"));
    assert!(refused(&["--no-such-flag"], 2).contains("--no-such-flag"));
    assert!(refused(&["--drain", "-1s"], 2).contains("--drain"));
    assert!(refused(&["--auth", "iam"], 2).contains("iam"));
    assert!(refused(&["--listen", "0.0.0.0:0"], 2).contains("--allow-anonymous"));
    let output = command(&["serve"]).env("MILLSTREAM_DURABILTY", "fsync").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MILLSTREAM_DURABILTY"));
}

#[test]
fn the_effective_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.toml");
    std::fs::write(&file, "region = \"eu-west-1\"\naccount = \"111111111111\"\n[limits]\ntags = 7\n").unwrap();
    let arguments = ["serve", "--print-config", "--config", file.to_str().unwrap(), "--drain", "2s"];
    let output = command(&arguments).env("MILLSTREAM_REGION", "eu-west-2").output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in ["region = \"eu-west-2\"", "account = \"111111111111\"", "drain = \"2s\"", "tags = 7"] {
        assert!(printed.lines().any(|known| known == line), "{line}\n{printed}");
    }
    std::fs::write(&file, &printed).unwrap();
    let again = run(&arguments[..4]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), printed);
}

#[test]
fn an_ephemeral_server_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        Server::spawn(
            command(&["serve", "--listen", "127.0.0.1:0", "--ephemeral", "--transition-delay", "0"])
                .env("TMPDIR", dir.path()),
        )
    };
    let entries = || std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap()).collect::<Vec<_>>();
    let mut server = start();
    assert!(server.greeting.contains("ephemeral"), "{}", server.greeting);
    assert_eq!(entries()[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
    server.call("CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":1}");
    let put = server.call("PutRecord", "{\"StreamName\":\"s\",\"PartitionKey\":\"k\",\"Data\":\"YWJj\"}");
    assert!(put.contains("SequenceNumber"), "{put}");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(entries().len(), 0);
    let mut server = start();
    assert!(server.call("ListStreams", "{}").contains("\"StreamNames\":[]"));
    // A second signal does not wait, but it does not leave anything behind either.
    let _open = server.begin_request();
    server.signal("TERM");
    server.wait_until_closed();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(130));
    assert_eq!(entries().len(), 0);
}

#[test]
fn small_commands() {
    let version = concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(run(&["version"]).stdout).unwrap(), version);
    assert_eq!(String::from_utf8(run(&["--version"]).stdout).unwrap(), version);
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("data-dir"));
    }
    let help = run(&["serve", "--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8(help.stdout).unwrap().contains("--transition-delay"));
}

/// Starts a server on a new directory, makes a stream of one record, and stops it.
fn directory_with_a_stream(data: &Path) {
    let mut server = Server::start(data, &["--transition-delay", "0"]);
    server.call("CreateStream", "{\"StreamName\":\"orders\",\"ShardCount\":1}");
    let put = server.call("PutRecord", "{\"StreamName\":\"orders\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}");
    assert!(put.contains("SequenceNumber"), "{put}");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn check_says_what_is_wrong_where_and_what_a_repair_would_give_up() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    directory_with_a_stream(&data);
    let (said, code) = check(&data, &[]);
    assert_eq!((said.ends_with("sound\n"), code), (true, Some(0)), "{said}");
    let streams = data.join("log/streams/000000000000/us-east-1");
    let log = std::fs::read_dir(streams).unwrap().next().unwrap().unwrap().path();
    let segment = log.join("0000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let record = bytes.windows(4).position(|four| four == b"k\0\0\0").unwrap();
    bytes[record] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();

    let (said, code) = check(&data, &[]);
    assert_eq!(code, Some(1));
    let problem = said.lines().find(|line| line.starts_with("problem: ")).unwrap();
    for part in [
        "arn:aws:kinesis:us-east-1:000000000000:stream/orders: ",
        segment.to_str().unwrap(),
        " do not match their checksum: records that arrived from 20",
        "; a repair puts a hole in their place and gives up 1 record of shard 0 (offset 0)",
    ] {
        assert!(problem.contains(part), "{part}\n{problem}");
    }
    // A server serves what is sound, and health says what is not.
    let server = Server::start(&data, &[]);
    let iterator = server.call(
        "GetShardIterator",
        "{\"StreamName\":\"orders\",\"ShardId\":\"shardId-000000000000\",\"ShardIteratorType\":\"TRIM_HORIZON\"}",
    );
    let iterator = iterator.split('"').nth(3).unwrap();
    let read = server.call("GetRecords", &format!("{{\"ShardIterator\":\"{iterator}\"}}"));
    assert!(read.contains("InternalFailure"), "{read}");
    let health = server.get("/_millstream/health");
    assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"degraded\""), "{health}");
    assert!(
        health.contains("stream/orders: segment 1: shard 0: the block at offset 0 is damaged: stop the"),
        "{health}"
    );
    assert!(server.get("/_millstream/ready").starts_with("HTTP/1.1 200"));
    assert!(server.get("/_millstream/metrics").contains("\nmillstream_problems 1\n"));
    drop(server);

    let (said, code) = check(&data, &["--repair"]);
    let given_up = "rewritten; given up: 1 record of shard 0 (offset 0); the old file is kept as ";
    assert!(code == Some(0) && said.contains(given_up), "{said}");
    assert_eq!(check(&data, &[]).1, Some(0));
}

#[test]
fn a_missing_catalog_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    directory_with_a_stream(&data);
    std::fs::remove_file(data.join("catalog.redb")).unwrap();
    let said = refused(&["--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()], 1);
    assert!(said.contains("the catalog is missing, and the logs of 1 streams are there"), "{said}");
    let (said, code) = check(&data, &["--repair"]);
    assert!(code == Some(0) && said.contains("stream/orders is in the catalog again"), "{said}");
    assert!(Server::start(&data, &[]).call("ListStreams", "{}").contains("\"orders\""));
}

#[test]
fn a_full_disk_is_said_by_health_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    directory_with_a_stream(&data);
    // More than any disk has.
    let server = Server::start(&data, &["--min-free", "1000000TiB"]);
    let put = server.call("PutRecord", "{\"StreamName\":\"orders\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}");
    assert!(put.starts_with("HTTP/1.1 500") && put.contains("InternalFailure"), "{put}");
    let health = server.get("/_millstream/health");
    assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"degraded\""), "{health}");
    assert!(health.contains("the disk is full (") && health.contains("delete streams"), "{health}");
    // It takes requests: consumers catch up, and whoever frees space must be let in.
    assert!(server.get("/_millstream/ready").starts_with("HTTP/1.1 200"));
    assert!(server.call("ListStreams", "{}").contains("\"orders\""));
    assert!(server.call("DeleteStream", "{\"StreamName\":\"orders\"}").starts_with("HTTP/1.1 200"));
}
