//! What clients saw, and when: the judge of a history of concurrent calls.
//!
//! Puts are noted with the time of their acknowledgement, and pages of reads with everything they said. Given the truth,
//! which is what a reading from the beginning found after all of it, this must hold within each shard:
//! - *real-time order*: a put that began after another was acknowledged has a higher sequence number;
//! - *one order*: a page is a piece of the truth, without gaps: it has all that lies between its cursor and its last record;
//!   so a chain of pages rises and never goes back;
//! - *nothing stale*: a page that says it is at the tip (`MillisBehindLatest` is 0) has reached everything that was
//!   acknowledged, or shown to any reader, before it was asked for. With a cursor at a put that has just been
//!   acknowledged, this is read-your-writes;
//! - *nothing vain*: a page that says it is behind is: there is something after its end, and it is not further behind than
//!   the stream is old.
//!
//! What must hold of the truth itself (once per acknowledgement, its bytes, never what was refused) is `ledger.rs`'s.

use std::collections::{BTreeMap, HashMap};

use crate::place::{Place, Sequence};

/// Time on this program's clock, microseconds since its start.
pub type Micros = u64;

/// An acknowledged put.
#[derive(Debug, Clone, Copy)]
pub struct Put {
    /// Where the answer said the record is.
    pub place: Place,
    /// When the call began.
    pub invoked: Micros,
    /// When the answer was here.
    pub completed: Micros,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// At the first record there is.
    Oldest,
    /// Behind this one.
    After(Sequence),
    /// At this one, which was acknowledged.
    At(Sequence),
}

/// One page of a shard: of GetRecords, or an event of a subscription.
#[derive(Debug, Clone)]
pub struct Page {
    /// The shard's number.
    pub shard: u32,
    /// Where it began.
    pub cursor: Cursor,
    /// What it had.
    pub records: Vec<Sequence>,
    /// `MillisBehindLatest`.
    pub behind: u64,
    /// When the call began; of a pushed event, when the one before it was here: it may have been made any time since.
    pub invoked: Micros,
    /// When it was here.
    pub completed: Micros,
}

impl Page {
    /// The cursor behind it.
    fn end(&self) -> Option<Sequence> {
        let begin = match self.cursor {
            Cursor::Oldest | Cursor::At(_) => None,
            Cursor::After(number) => Some(number),
        };
        self.records.last().copied().or(begin)
    }
}

/// Everything that was seen of one stream.
#[derive(Debug, Default)]
pub struct History {
    puts: Vec<Put>,
    pages: Vec<Page>,
}

/// The truth: what is in each shard, in order.
pub type Truth = HashMap<u32, Vec<Sequence>>;

impl History {
    /// Notes an acknowledged put.
    pub fn put(&mut self, put: Put) {
        self.puts.push(put);
    }

    /// Notes a page.
    pub fn page(&mut self, page: Page) {
        self.pages.push(page);
    }

    /// How many puts and pages are noted.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        (self.puts.len() as u64, self.pages.len() as u64)
    }

    /// Judges, and forgets what was judged. `oldest` is the age of the stream, ms.
    ///
    /// Where records expire meanwhile (`expires`), a page may have had what is gone from the truth since, and the tip may
    /// lie before what was acknowledged: then only orders are judged.
    #[must_use]
    pub fn judge(&mut self, truth: &Truth, oldest: u64, expires: bool) -> Vec<String> {
        let (puts, pages) = (std::mem::take(&mut self.puts), std::mem::take(&mut self.pages));
        let mut problems = Vec::new();
        real_time_order(&puts, &mut problems);
        let known = Known::of(&puts, &pages);
        for page in &pages {
            rising(page, &mut problems);
            if expires {
                continue;
            }
            let there = truth.get(&page.shard).map_or(&[] as &[Sequence], Vec::as_slice);
            piece_of(page, there, &mut problems);
            if page.behind == 0 {
                known.reached_by(page, &mut problems);
            } else if there.last().copied() <= page.end() {
                problems.push(format!("{} is {} ms behind nothing", named(page), page.behind));
            } else if page.behind > oldest {
                problems.push(format!(
                    "{} is {} ms behind, and the stream is {oldest} ms old",
                    named(page),
                    page.behind
                ));
            }
        }
        problems
    }
}

fn named(page: &Page) -> String {
    format!("a page of shard {} from {:?} with {} records", page.shard, page.cursor, page.records.len())
}

/// A put that began after another's acknowledgement comes after it.
fn real_time_order(puts: &[Put], problems: &mut Vec<String>) {
    let mut shards: BTreeMap<u32, Vec<&Put>> = BTreeMap::new();
    for put in puts {
        shards.entry(put.place.shard).or_default().push(put);
    }
    for puts in shards.values_mut() {
        puts.sort_by_key(|put| put.place.sequence);
        // From the end: the earliest acknowledgement among all that come later in the shard.
        let mut later: Option<&Put> = None;
        for put in puts.iter().rev() {
            if let Some(other) = later.filter(|other| other.completed < put.invoked) {
                problems.push(format!(
                    "the put of {} began {} us after that of {} was acknowledged",
                    put.place,
                    put.invoked - other.completed,
                    other.place
                ));
            }
            if later.is_none_or(|other| put.completed < other.completed) {
                later = Some(put);
            }
        }
    }
}

/// A page's records rise, from its cursor on.
fn rising(page: &Page, problems: &mut Vec<String>) {
    let begins_well = match (page.cursor, page.records.first()) {
        (Cursor::Oldest, _) | (Cursor::After(_), None) => true,
        (Cursor::After(number), Some(first)) => number < *first,
        // Its own record may have expired only where records do: `piece_of` sees to the others.
        (Cursor::At(number), first) => first.is_none_or(|first| number <= *first),
    };
    if !begins_well || page.records.windows(2).any(|pair| pair[0] >= pair[1]) {
        problems.push(format!("{} goes back: {:?}", named(page), page.records.first()));
    }
}

/// A page has all that is there between its cursor and its end, and nothing else.
fn piece_of(page: &Page, there: &[Sequence], problems: &mut Vec<String>) {
    let begin = match page.cursor {
        Cursor::Oldest => 0,
        Cursor::After(number) => there.partition_point(|one| *one <= number),
        Cursor::At(number) => there.partition_point(|one| *one < number),
    };
    if let Cursor::At(number) = page.cursor
        && page.records.first() != Some(&number)
    {
        problems.push(format!("{} does not begin with the record it was asked for", named(page)));
    }
    let piece = there.get(begin..begin + page.records.len());
    if piece != Some(page.records.as_slice()) {
        problems.push(format!("{} is not what is there from {begin} of {} on", named(page), there.len()));
    }
}

/// What was known to be there, and since when: by shard, in the order of time, with the highest number up to then.
struct Known {
    shards: HashMap<u32, Vec<(Micros, Sequence)>>,
}

impl Known {
    fn of(puts: &[Put], pages: &[Page]) -> Self {
        let mut shards: HashMap<u32, Vec<(Micros, Sequence)>> = HashMap::new();
        for put in puts {
            shards.entry(put.place.shard).or_default().push((put.completed, put.place.sequence));
        }
        for page in pages {
            if let Some(last) = page.records.last() {
                shards.entry(page.shard).or_default().push((page.completed, *last));
            }
        }
        for known in shards.values_mut() {
            known.sort_unstable();
            let mut highest = None;
            for (_, sequence) in known.iter_mut() {
                highest = highest.max(Some(*sequence));
                *sequence = highest.unwrap_or(*sequence);
            }
        }
        Self { shards }
    }

    fn reached_by(&self, page: &Page, problems: &mut Vec<String>) {
        let known = self.shards.get(&page.shard).map_or(&[] as &[(Micros, Sequence)], Vec::as_slice);
        let before = known.partition_point(|(when, _)| *when < page.invoked);
        let Some((when, highest)) = before.checked_sub(1).and_then(|last| known.get(last)) else { return };
        if page.end() < Some(*highest) {
            problems.push(format!(
                "{} says it is at the tip; {highest} was known {} us before it was asked for",
                named(page),
                page.invoked - when
            ));
        }
    }
}

#[cfg(test)]
mod tests;
