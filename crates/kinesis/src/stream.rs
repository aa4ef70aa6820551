//! Streams at run time: what the data plane reads, without locks.

use std::cmp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use millstream_log::{LogId, StreamLog};
use tokio::sync::watch;

use crate::hash::Routes;
use crate::limits::{LimitTable, Limits};
use crate::load::Load;
use crate::records::Subscriptions;
use crate::resolve::Address;
use crate::state::{ShardIndex, ShardRecord, Status, StreamRecord};
use crate::throttle::{ShardThrottle, StreamThrottle};

/// One incarnation of a stream.
pub struct Stream {
    /// Its world and name.
    pub address: Address,
    /// Its incarnation id.
    pub incarnation: u64,
    /// Its limits: the service's, or its own.
    pub limits: Arc<Limits>,
    /// Token buckets of its shards.
    pub throttle: StreamThrottle,
    /// What was written to it lately, while it is in on-demand mode.
    pub(crate) load: Load,
    /// Counts the places given to records while the service spreads them over the shards.
    pub(crate) turn: AtomicUsize,
    /// Who is subscribed to its shards.
    pub(crate) subscriptions: Subscriptions,
    view: ArcSwap<View>,
    log: OnceLock<Arc<dyn StreamLog>>,
    news: watch::Sender<News>,
    /// Held by whoever drives the stream's plan.
    pub(crate) driving: tokio::sync::Mutex<()>,
    /// When retention is enforced on its files next, ms since the epoch.
    pub(crate) trim_due: AtomicU64,
}

/// What those hear who wait for another view. Counts only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    /// How often there was another one.
    views: u64,
    /// How often it became known that the one which a change should bring does not come yet, or never will.
    failures: u64,
}

/// The world and name of a record's stream.
pub(crate) fn address_of(record: &StreamRecord) -> Address {
    Address {
        account: record.account.as_str().into(),
        region: record.region.as_str().into(),
        name: record.name.as_str().into(),
    }
}

/// What a stream looks like between two changes. Immutable; swapped whole.
pub struct View {
    /// The catalog's record.
    pub record: StreamRecord,
    /// Hash key → open shard.
    pub routes: Routes,
    /// The buckets of each open shard, by its place in the routes, once it was used: those of the stream's throttle.
    throttles: Box<[OnceLock<Arc<ShardThrottle>>]>,
}

impl View {
    /// The view of a record.
    pub fn new(record: StreamRecord) -> View {
        let routes = Routes::new(record.open_shards().map(|s| (s.range, s.index)));
        let throttles = routes.shards().iter().map(|_| OnceLock::new()).collect();
        View { record, routes, throttles }
    }

    /// The buckets of the open shard at that place in the routes, which are kept by `throttle` from view to view.
    pub fn throttle(&self, place: usize, throttle: &StreamThrottle) -> &ShardThrottle {
        self.throttles[place].get_or_init(|| throttle.shard(self.routes.shards()[place]))
    }

    /// Where the stream stands.
    pub fn status(&self) -> Status {
        self.record.status
    }

    /// The shard of that number, unless it never was or has expired.
    pub fn shard(&self, index: ShardIndex) -> Option<&ShardRecord> {
        self.record.shard(index)
    }
}

impl Stream {
    /// A stream with its record; the log is attached once it exists. Retention is enforced from `trim_due` on.
    pub(crate) fn new(record: StreamRecord, limits: &LimitTable, trim_due: u64) -> Stream {
        let address = address_of(&record);
        Stream {
            limits: limits.of(&address),
            address,
            incarnation: record.incarnation,
            load: Load::default(),
            throttle: StreamThrottle::default(),
            turn: AtomicUsize::new(0),
            subscriptions: Subscriptions::default(),
            view: ArcSwap::from_pointee(View::new(record)),
            log: OnceLock::new(),
            news: watch::Sender::default(),
            driving: tokio::sync::Mutex::new(()),
            trim_due: AtomicU64::new(trim_due),
        }
    }

    /// The present view.
    pub fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// The present view, to be kept across awaits.
    pub fn view_owned(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// The log; `None` while the stream is being created, or if its log is missing.
    pub fn log(&self) -> Option<&Arc<dyn StreamLog>> {
        self.log.get()
    }

    /// The shard that the record `ahead` places from now gets its turn on, while the service spreads records over the
    /// shards, if none is skipped.
    pub(crate) fn shard_in_turn(&self, view: &View, ahead: usize) -> Option<ShardIndex> {
        let (turn, shards) = (self.turn.load(Ordering::Relaxed), view.routes.shards());
        shards.get(turn.wrapping_add(ahead).checked_rem(shards.len())?).copied()
    }

    /// The name of its log.
    pub fn log_id(&self) -> LogId {
        LogId {
            account: Arc::clone(&self.address.account),
            region: Arc::clone(&self.address.region),
            incarnation: self.incarnation,
        }
    }

    /// Waits until the view shows the shard as closed, or until it is known that no such view comes: the change which should
    /// bring it has failed, or the stream is being deleted. An append that met a closed shard waits here before it routes
    /// again. Other changes of the stream may come first.
    pub async fn shows_closed(&self, shard: ShardIndex) {
        let mut news = self.news();
        let failures = news.borrow_and_update().failures;
        let is_to_come =
            |view: &View| view.status() != Status::Deleting && view.shard(shard).is_some_and(ShardRecord::is_open);
        while is_to_come(&self.view()) {
            // The sender lives as long as `self`.
            drop(news.changed().await);
            if news.borrow_and_update().failures != failures {
                return;
            }
        }
    }

    /// A watch that is notified when there is another view, or none is to come.
    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    pub(crate) fn attach(&self, log: Arc<dyn StreamLog>) {
        // A second attach comes from a plan that was driven twice; the first handle is as good.
        drop(self.log.set(log));
    }

    pub(crate) fn show(&self, record: StreamRecord) {
        self.throttle.retain(|shard| record.shard(shard).is_some());
        self.subscriptions.retain(&record);
        self.view.store(Arc::new(View::new(record)));
        self.news.send_modify(|news| news.views += 1);
    }

    /// Wakes those who wait for another view, since the clock was moved: what they wait for may be due.
    pub(crate) fn announce_time(&self) {
        self.news.send_modify(|_| ());
    }

    /// Wakes those who wait for another view: the change that should bring it has failed, or the stream is gone.
    pub(crate) fn announce_failure(&self) {
        self.news.send_modify(|news| news.failures += 1);
    }
}

/// Every stream, for lookups without locks. Immutable; swapped whole when a stream appears or goes.
#[derive(Clone, Default)]
pub struct Streams {
    /// By account, region and name.
    sorted: Vec<Arc<Stream>>,
    by_incarnation: HashMap<u64, Arc<Stream>>,
}

fn order(stream: &Stream, account: &str, region: &str, name: &str) -> cmp::Ordering {
    (&*stream.address.account, &*stream.address.region, &*stream.address.name).cmp(&(account, region, name))
}

impl Streams {
    pub(crate) fn new(mut streams: Vec<Arc<Stream>>) -> Streams {
        streams.sort_by(|a, b| order(a, &b.address.account, &b.address.region, &b.address.name));
        let by_incarnation = streams.iter().map(|s| (s.incarnation, Arc::clone(s))).collect();
        Streams { sorted: streams, by_incarnation }
    }

    /// The stream of that name in that world.
    pub fn get(&self, account: &str, region: &str, name: &str) -> Option<&Arc<Stream>> {
        self.sorted.binary_search_by(|s| order(s, account, region, name)).ok().map(|at| &self.sorted[at])
    }

    /// The stream with that incarnation id.
    pub fn by_incarnation(&self, incarnation: u64) -> Option<&Arc<Stream>> {
        self.by_incarnation.get(&incarnation)
    }

    /// Every stream, by account, region and name.
    pub fn all(&self) -> &[Arc<Stream>] {
        &self.sorted
    }

    /// The streams of one world, by name.
    pub fn of(&self, account: &str, region: &str) -> &[Arc<Stream>] {
        let start = self.sorted.partition_point(|s| order(s, account, region, "") == cmp::Ordering::Less);
        let len =
            self.sorted[start..].partition_point(|s| &*s.address.account == account && &*s.address.region == region);
        &self.sorted[start..start + len]
    }

    pub(crate) fn with(mut self, stream: Arc<Stream>) -> Streams {
        let Address { account, region, name } = &stream.address;
        match self.sorted.binary_search_by(|s| order(s, account, region, name)) {
            Ok(at) => {
                let old = std::mem::replace(&mut self.sorted[at], Arc::clone(&stream));
                self.by_incarnation.remove(&old.incarnation);
            }
            Err(at) => self.sorted.insert(at, Arc::clone(&stream)),
        }
        self.by_incarnation.insert(stream.incarnation, stream);
        self
    }

    /// Leaves out the streams that are `gone`.
    pub(crate) fn drop_all(&mut self, gone: impl Fn(&Stream) -> bool) {
        self.sorted.retain(|stream| !gone(stream));
        self.by_incarnation.retain(|_, stream| !gone(stream));
    }
}
