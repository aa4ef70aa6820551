//! HTTP/2 by hand: what a client must not send can't be had from a library.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{JSON, Running};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

pub const PROTOCOL_ERROR: u32 = 1;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error of a RST_STREAM or a GOAWAY.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

pub fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A length of HPACK, of which the first byte has 7 bits.
fn length(text: &str) -> Vec<u8> {
    if text.len() < 127 {
        return vec![text.len() as u8];
    }
    let (mut bytes, mut rest) = (vec![127], text.len() - 127);
    while rest >= 128 {
        bytes.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// A field by HPACK; `kind` says what becomes of it: 0 for nothing, 0x40 to remember it.
pub fn field(kind: u8, name: &str, value: &str) -> Vec<u8> {
    [&[kind][..], &length(name), name.as_bytes(), &length(value), value.as_bytes()].concat()
}

/// The head of a request with these fields after the ones it must have.
pub fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let must = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")];
    must.iter().chain(more).flat_map(|(name, value)| field(0, name, value)).collect()
}

/// The head of a good call.
pub fn call_head(operation: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let target = format!("Kinesis_20131202.{operation}");
    let credential = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/kinesis/aws4_request, SignedHeaders=host, \
                      Signature=0";
    let must = [
        ("x-amz-target", target.as_str()),
        ("content-type", JSON),
        ("x-amz-date", "20260101T000000Z"),
        ("authorization", credential),
    ];
    head("POST", "/", &[&must[..], more].concat())
}

/// A good call, whole.
pub fn whole_call(stream: u32, operation: &str, body: &str) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &call_head(operation, &[]));
    [head, frame(DATA, END_STREAM, stream, body.as_bytes())].concat()
}

/// A connection of HTTP/2.
pub struct Http2 {
    pub stream: TcpStream,
}

impl Http2 {
    /// One that has said its preface and these settings.
    pub fn connect(server: &Running, settings: &[u8]) -> Http2 {
        let mut http2 = Http2 { stream: server.connect().stream };
        http2.send([PREFACE, &frame(SETTINGS, 0, 0, settings), &frame(SETTINGS, ACK, 0, &[])].concat());
        http2
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as long as the connection is there; says whether it still is.
    pub fn tries_to_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next frame; `None` at the connection's end.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame that is as is asked for.
    pub fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().expect("the connection has ended");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Waits until all that was sent has been looked at.
    pub fn settle(&mut self) {
        self.send(frame(PING, 0, 0, b"settled?"));
        self.until(|frame| frame.kind == PING && frame.flags == ACK);
    }

    /// Waits for the connection's end; gives the error that its GOAWAY tells, if there is one.
    pub fn end(&mut self) -> Option<u32> {
        let mut error = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                error = Some(frame.error());
            }
        }
        error
    }
}
