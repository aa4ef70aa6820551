//! What one connection may have beyond the memory budget, by how many are served, which those at rest are not: the many get
//! less each, so that what all have read ahead stays bounded.

/// What connections together may have read ahead. Each takes its part of it when it begins, so that those that began
/// before the others keep more; no part is smaller than what a connection can't do without.
const AHEAD: usize = 32 << 20;

/// What a connection of HTTP/1.1 reads at once, if that much comes, and keeps of an answer until the socket takes it.
pub(crate) const BUFFER: usize = 256 << 10;

/// What a connection of HTTP/2 takes of bodies that nobody has asked for yet; one of its streams takes half.
const WINDOW: u32 = 1 << 20;
/// No window of HTTP/2 begins smaller.
const WINDOW_LEAST: u32 = (64 << 10) - 1;

/// Requests in flight of all connections of HTTP/2, each of which takes some kilobytes besides its body, and of one.
const STREAMS_OF_ALL: usize = 16 << 10;
const STREAMS: u32 = 1000;
const STREAMS_LEAST: u32 = 8;

/// A connection's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Buffer of HTTP/1.1, bytes.
    pub buffer: usize,
    /// Windows of HTTP/2, bytes.
    pub connection_window: u32,
    pub stream_window: u32,
    /// Requests of HTTP/2 at once. Clients of AWS send as many as they may.
    pub streams: u32,
}

impl Share {
    /// That of one of so many `served`, whose heads may have `head` bytes.
    pub(super) fn of(served: usize, head: usize) -> Share {
        let served = served.max(1);
        let ahead = AHEAD / served;
        let window = u32::try_from(ahead).unwrap_or(WINDOW).clamp(WINDOW_LEAST, WINDOW);
        let streams = u32::try_from(STREAMS_OF_ALL / served).unwrap_or(STREAMS);
        Share {
            buffer: ahead.min(BUFFER).max(head),
            connection_window: window,
            stream_window: (window / 2).max(WINDOW_LEAST),
            streams: streams.clamp(STREAMS_LEAST, STREAMS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_have_all_they_can_use_and_many_what_they_need() {
        let head = 64 << 10;
        let few = Share { buffer: BUFFER, connection_window: WINDOW, stream_window: WINDOW / 2, streams: STREAMS };
        for served in [0, 1, 16] {
            assert_eq!(Share::of(served, head), few, "{served}");
        }
        let many = Share {
            buffer: head,
            connection_window: WINDOW_LEAST,
            stream_window: WINDOW_LEAST,
            streams: STREAMS_LEAST,
        };
        assert_eq!(Share::of(12 << 10, head), many);
        assert_eq!(Share::of(usize::MAX, head), many);
        assert_eq!(Share::of(1, 1 << 20).buffer, 1 << 20, "a head fits in any case");
    }

    #[test]
    fn what_all_have_is_bounded() {
        let all = |part: fn(Share) -> u64| (1..=12 << 10).map(|n| part(Share::of(n, 64 << 10))).sum::<u64>();
        assert!(all(|share| share.buffer as u64) < 900 << 20);
        assert!(all(|share| u64::from(share.connection_window)) < 900 << 20);
        assert!(all(|share| u64::from(share.streams)) < 200_000);
    }
}
