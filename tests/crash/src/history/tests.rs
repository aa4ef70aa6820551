//! A good history passes, and each kind of bad one is found out, wherever it is seeded.

use super::*;

use millstream_harness::Random;

const AGE: u64 = 60_000;

fn number(n: u64) -> Sequence {
    Sequence::parse(&format!("{n:056}")).unwrap()
}

fn place(shard: u32, n: u64) -> Place {
    Place { shard, sequence: number(n) }
}

/// A server of one process, as it should be: puts take effect between their beginning and their end, and pages show what
/// took effect by then.
struct Model {
    random: Random,
    now: Micros,
    next: u64,
    truth: Truth,
    history: History,
}

impl Model {
    /// A history of some hundred calls over two shards. What is put at `t` began before and is answered after it; the next
    /// one may begin before that answer.
    fn run(seed: u64) -> Self {
        let mut model =
            Self { random: Random::new(seed), now: 1_000, next: 1, truth: Truth::new(), history: History::default() };
        let mut cursors = [Cursor::Oldest; 2];
        for _ in 0..300 {
            let shard = model.random.u64() % 2;
            let index = usize::try_from(shard).unwrap();
            if model.random.chance(60) {
                model.put(u32::try_from(shard).unwrap());
            } else {
                cursors[index] = model.page(u32::try_from(shard).unwrap(), cursors[index]);
            }
        }
        model
    }

    fn put(&mut self, shard: u32) {
        let (before, after) = (self.random.range(1, 50), self.random.range(1, 50));
        self.now += 10;
        let place = place(shard, self.next);
        self.next += self.random.range(1, 3);
        self.truth.entry(shard).or_default().push(place.sequence);
        self.history.put(Put { place, invoked: self.now - before, completed: self.now + after });
    }

    fn page(&mut self, shard: u32, cursor: Cursor) -> Cursor {
        self.now += 10;
        let there = self.truth.get(&shard).cloned().unwrap_or_default();
        let begin = match cursor {
            Cursor::After(number) => there.partition_point(|one| *one <= number),
            _ => 0,
        };
        let limit = usize::try_from(self.random.range(1, 6)).unwrap();
        let records: Vec<Sequence> = there[begin..].iter().take(limit).copied().collect();
        let behind = u64::from(begin + records.len() < there.len()) * 5;
        let next = records.last().map_or(cursor, |last| Cursor::After(*last));
        let (invoked, completed) = (self.now - self.random.range(0, 9), self.now + self.random.range(0, 9));
        self.history.page(Page { shard, cursor, records, behind, invoked, completed });
        next
    }

    fn judge(mut self) -> Vec<String> {
        self.history.judge(&self.truth, AGE, false)
    }

    /// A page that is at the tip and had records, drawn by the seed.
    fn some_page(&mut self, wanted: impl Fn(&Page) -> bool) -> &mut Page {
        let found: Vec<usize> =
            (0..self.history.pages.len()).filter(|index| wanted(&self.history.pages[*index])).collect();
        let at = found[usize::try_from(self.random.range(0, found.len() as u64)).unwrap()];
        &mut self.history.pages[at]
    }
}

/// Over many seeds: the history is good, and is not when `spoil` has changed it.
fn is_found_out(spoil: impl Fn(&mut Model)) {
    for seed in 0..200 {
        assert_eq!(Model::run(seed).judge(), [""; 0], "seed {seed}");
        let mut bad = Model::run(seed);
        spoil(&mut bad);
        assert_ne!(bad.judge(), [""; 0], "seed {seed}");
    }
}

#[test]
fn a_put_before_one_that_was_acknowledged_earlier() {
    is_found_out(|model| {
        let puts = &mut model.history.puts;
        let at = usize::try_from(model.random.range(0, puts.len() as u64 - 50)).unwrap();
        // The later one of the same shard was acknowledged before this one began.
        let shard = puts[at].place.shard;
        let other = (at + 1..puts.len()).find(|other| puts[*other].place.shard == shard).unwrap();
        let (first, second) = (puts[at].place, puts[other].place);
        puts[at].place = second;
        puts[other].place = first;
        puts[at].completed = puts[other].invoked - 1;
        puts[at].invoked = puts[at].completed - 1;
    });
}

#[test]
fn a_page_with_a_gap() {
    is_found_out(|model| {
        let page = model.some_page(|page| page.records.len() > 2);
        page.records.remove(1);
    });
}

#[test]
fn a_page_with_a_record_that_is_not_there() {
    is_found_out(|model| {
        let last = model.next + 5;
        model.some_page(|page| !page.records.is_empty()).records.push(number(last));
    });
}

#[test]
fn a_page_that_goes_back() {
    is_found_out(|model| {
        model.some_page(|page| page.records.len() > 1).records.reverse();
    });
    is_found_out(|model| {
        let page = model.some_page(|page| matches!(page.cursor, Cursor::After(_)) && !page.records.is_empty());
        if let Cursor::After(number) = page.cursor {
            page.records.insert(0, number);
        }
    });
}

#[test]
fn a_page_that_skips_what_was_acknowledged() {
    // It goes on behind its cursor, but not with the next one.
    is_found_out(|model| {
        let page = model.some_page(|page| page.records.len() > 1);
        page.records.remove(0);
    });
}

#[test]
fn a_tip_before_what_was_acknowledged() {
    is_found_out(|model| {
        let page = model.some_page(|page| page.behind == 0 && !page.records.is_empty());
        // Long after all of it was known it still is not there.
        page.records.clear();
        page.invoked += 1_000_000;
        page.completed += 1_000_000;
    });
}

#[test]
fn a_read_that_goes_back_behind_another_readers() {
    // Nothing was acknowledged: the put has no answer. But a reader has seen its record.
    let mut history = History::default();
    let truth: Truth = [(0, vec![number(1)])].into();
    let page = |records: Vec<Sequence>, invoked| Page {
        shard: 0,
        cursor: Cursor::Oldest,
        records,
        behind: 0,
        invoked,
        completed: invoked + 5,
    };
    history.page(page(vec![number(1)], 10));
    history.page(page(Vec::new(), 12));
    assert_eq!(history.judge(&truth, AGE, false), [""; 0], "they were under way at once");
    history.page(page(vec![number(1)], 10));
    history.page(page(Vec::new(), 16));
    assert_eq!(history.judge(&truth, AGE, false).len(), 1);
}

#[test]
fn a_record_that_its_own_writer_does_not_find() {
    let truth: Truth = [(0, vec![number(1), number(2)])].into();
    let put = Put { place: place(0, 2), invoked: 10, completed: 20 };
    let page = |cursor, records: &[u64], behind| Page {
        shard: 0,
        cursor,
        records: records.iter().copied().map(number).collect(),
        behind,
        invoked: 21,
        completed: 30,
    };
    let judged = |page: Page| {
        let mut history = History::default();
        history.put(put);
        history.page(page);
        history.judge(&truth, AGE, false)
    };
    assert_eq!(judged(page(Cursor::At(number(2)), &[2], 0)), [""; 0]);
    assert_eq!(judged(page(Cursor::After(number(1)), &[2], 0)), [""; 0]);
    assert_eq!(judged(page(Cursor::After(number(2)), &[], 0)), [""; 0]);
    assert_eq!(judged(page(Cursor::After(number(1)), &[], 3)), [""; 0], "an empty page that says it is behind");
    for bad in [
        page(Cursor::At(number(2)), &[], 0),
        page(Cursor::At(number(2)), &[1], 0),
        page(Cursor::After(number(1)), &[], 0),
        page(Cursor::After(number(2)), &[2], 0),
        page(Cursor::After(number(2)), &[], 3),
        page(Cursor::After(number(1)), &[], AGE + 1),
    ] {
        assert_ne!(judged(bad.clone()), [""; 0], "{bad:?}");
    }
}

#[test]
fn where_records_expire_only_orders_are_judged() {
    let mut model = Model::run(1);
    model.truth.values_mut().for_each(|there| drop(there.drain(..10)));
    assert_eq!(model.history.judge(&model.truth, AGE, true), [""; 0]);
    let mut bad = Model::run(1);
    bad.some_page(|page| page.records.len() > 1).records.reverse();
    assert_ne!(bad.history.judge(&bad.truth, AGE, true), [""; 0]);
}
