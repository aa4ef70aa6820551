//! The binary as a process, for tests.
#![allow(dead_code)] // each test uses a part of it

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    let ours = std::env::vars().filter(|(name, _)| name.starts_with("MILLSTREAM_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

pub struct Server {
    pub child: Child,
    pub greeting: String,
    pub port: u16,
}

impl Server {
    pub fn start(data: &Path, more: &[&str]) -> Server {
        let data = data.to_str().unwrap();
        Server::spawn(command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data]).args(more))
    }

    pub fn spawn(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        let ready = lines.by_ref().map_while(Result::ok).find(|line| {
            greeting.push_str(line);
            greeting.push('\n');
            line.starts_with("listening on ")
        });
        let Some(ready) = ready else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("the server did not start: {said}");
        };
        let port = ready.rsplit(':').next().unwrap().parse().unwrap();
        Server { child, greeting, port }
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "the server does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A request whose head has been read, and whose body is yet to come.
    pub fn begin_request(&self) -> TcpStream {
        let mut open = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        open.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
        open.write_all(head).unwrap();
        let mut answer = [0; 12];
        open.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        open.write_all(b"1").unwrap();
        open
    }

    /// Waits until no connection is taken any more: a stop has begun.
    pub fn wait_until_closed(&self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(30), "connections are still accepted");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn call(&self, operation: &str, body: &str) -> String {
        let lines = format!(
            "X-Amz-Target: Kinesis_20131202.{operation}\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Date: a\r\n\
             Authorization: A Credential=k,Signature=s,SignedHeaders=h\r\n"
        );
        self.ask("POST", "/", &lines, body)
    }

    pub fn get(&self, path: &str) -> String {
        self.ask("GET", path, "", "")
    }

    /// A request with these header lines, and its answer.
    pub fn ask(&self, method: &str, path: &str, lines: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}");
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
