//! Changes a stream, one call after the other.

use std::time::Duration;

use millstream_api::ErrorCode;
use millstream_api::kinesis::StreamStatus;

use super::Clients;
use crate::model::NAMES;
use crate::settings::{Change, Settings, observe};

/// How often a stream is looked at until it must be ACTIVE, or gone.
const PATIENCE: u32 = 200;

/// Changes the stream in one way after the other, for ever, or until it is not known what the stream is.
pub async fn run(clients: Clients<'_>, stream: usize) {
    loop {
        clients.pause(2_000).await;
        let now = match clients.model.borrow().streams[stream].allowed.as_slice() {
            [now] => now.clone(),
            _ => return,
        };
        let change = Change::draw(now.as_ref(), &|limit| clients.node.below(limit));
        if !apply(clients, stream, &change).await {
            return;
        }
    }
}

/// Makes a change and waits until it has happened. False if it is not known whether it has.
pub async fn apply(clients: Clients<'_>, stream: usize, change: &Change) -> bool {
    let name = NAMES[stream];
    let before = clients.model.borrow().streams[stream].allowed.first().cloned().flatten();
    let after = change.apply(before.as_ref());
    let existence = matches!(change, Change::Create(_) | Change::Delete);
    {
        let mut model = clients.model.borrow_mut();
        let model = &mut model.streams[stream];
        model.allowed = vec![before.clone(), after.clone()];
        model.version += u64::from(existence);
    }
    clients.node.machine.trace.note(|| format!("{name}: {change:?}"));
    let done = change.ask(clients.node, name).await;
    clients.node.machine.trace.note(|| format!("{name}: {change:?} ended with {done:?}"));
    match done {
        Ok(()) => {
            clients.model.borrow_mut().streams[stream].allowed = vec![after.clone()];
            let settled = settle(clients, stream, after.is_some()).await;
            let mut model = clients.model.borrow_mut();
            let known = &mut model.streams[stream];
            known.version += u64::from(existence);
            let Some(actual) = settled else { return false };
            // How many shards an on-demand stream has is the service's business.
            let fits = match (&actual, &after) {
                (Some(actual), Some(after)) => after.allow(actual),
                (actual, after) => actual.is_none() && after.is_none(),
            };
            if existence {
                known.due = 0;
            }
            known.allowed = vec![actual.clone()];
            if !fits {
                model.problem(format!("{name} is {actual:?} after {change:?}, not {after:?}"));
            }
            true
        }
        Err(error) => {
            let open = clients.is_open(&format!("{change:?} of {name}"), &error, &[ErrorCode::ResourceInUseException]);
            if !open {
                let mut model = clients.model.borrow_mut();
                model.streams[stream].allowed = vec![before];
            }
            // A deletion that was refused leaves its records: but they are not insisted on.
            !open
        }
    }
}

/// Waits until the stream is ACTIVE, or gone. `None` if that does not happen.
async fn settle(clients: Clients<'_>, stream: usize, stays: bool) -> Option<Option<Settings>> {
    for _ in 0..PATIENCE {
        match observe(clients.node, NAMES[stream]).await {
            Ok(None) if !stays => return Some(None),
            Ok(Some((StreamStatus::Active, settings))) if stays => return Some(Some(settings)),
            Ok(_) => {}
            Err(error) => {
                clients.is_open("describing", &error, &[]);
                return None;
            }
        }
        clients.node.machine.env().timer.sleep(Duration::from_millis(100)).await;
    }
    if !clients.faulty {
        clients.model.borrow_mut().problem(format!("{} does not come to rest", NAMES[stream]));
    }
    None
}
