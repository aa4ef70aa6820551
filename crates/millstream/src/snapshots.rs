//! Snapshots on request: `POST /_millstream/snapshot`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_api::BoxFuture;
use millstream_env::runtime;
use millstream_kinesis::Kinesis;
use millstream_kinesis::snapshot::{SnapshotError, SnapshotTaken};
use millstream_server::{ControlAnswer, ControlRequest, ControlSource};
use serde::Deserialize;
use serde_json::json;

/// What takes them.
pub struct Snapshots {
    kinesis: Arc<Kinesis>,
    /// Where they go.
    dir: PathBuf,
}

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The snapshot's name: the time, if there is none.
    name: Option<String>,
}

impl Snapshots {
    /// Into the directory `dir`.
    pub fn new(kinesis: Arc<Kinesis>, dir: &Path) -> Snapshots {
        Snapshots { kinesis, dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf()) }
    }

    async fn take(&self, body: &[u8]) -> ControlAnswer {
        let wanted = match serde_json::from_slice(body) {
            Ok(Wanted { name }) => name,
            Err(error) => return refusal(400, &format!("write {{}} or {{\"name\": \"monday\"}}: {error}")),
        };
        let name = wanted.unwrap_or_else(|| name_of(self.kinesis.clock().now_ms));
        // It goes on when the one who asked for it has gone.
        let (kinesis, dir) = (Arc::clone(&self.kinesis), self.dir.clone());
        let (done, taken) = tokio::sync::oneshot::channel();
        runtime::spawn(async move {
            let taken = kinesis.snapshot(&dir, &name).await;
            match &taken {
                Ok(SnapshotTaken { path, streams, bytes, copied_bytes, .. }) => {
                    tracing::info!(path = %path.display(), streams, bytes, copied_bytes, "took a snapshot");
                }
                Err(error) => tracing::warn!(name, "no snapshot was taken: {error}"),
            }
            // Whoever asked may be gone.
            let _ = done.send(taken);
        });
        match taken.await.unwrap_or(Err(SnapshotError::Closing)) {
            Ok(taken) => {
                let SnapshotTaken { path, streams, files, bytes, copied_bytes, taken_ms, problems } = taken;
                let body = json!({
                    "path": path.display().to_string(),
                    "time": taken_ms,
                    "streams": streams,
                    "files": files,
                    "bytes": bytes,
                    "copiedBytes": copied_bytes,
                    "problems": problems,
                });
                ControlAnswer { status: 200, body: line(&body), allow: None }
            }
            Err(error) => refusal(status(&error), &error.to_string()),
        }
    }
}

impl ControlSource for Snapshots {
    fn answer<'a>(&'a self, request: ControlRequest<'a>) -> BoxFuture<'a, ControlAnswer> {
        Box::pin(async move {
            match request {
                ControlRequest { path: "/snapshot", changes: true, body, .. } => self.take(body).await,
                ControlRequest { path: "/snapshot", .. } => {
                    ControlAnswer { allow: Some("POST"), ..refusal(405, "this path takes POST") }
                }
                _ => refusal(404, "there is /_millstream/snapshot"),
            }
        })
    }
}

fn status(error: &SnapshotError) -> u16 {
    match error {
        SnapshotError::Name(_) => 400,
        SnapshotError::Exists(_) | SnapshotError::Busy => 409,
        SnapshotError::Full => 507,
        SnapshotError::Closing => 503,
        SnapshotError::Disk { .. } | SnapshotError::Catalog(_) | SnapshotError::Log(_) => 500,
    }
}

fn refusal(status: u16, error: &str) -> ControlAnswer {
    ControlAnswer { status, body: line(&json!({ "error": error })), allow: None }
}

fn line(value: &serde_json::Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

/// A name that says when: `20260131T235959Z`.
fn name_of(ms: u64) -> String {
    let (days, second) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Years that begin in March have the day that some lack at their end; 400 of them have always as many days.
    let since = days + 719_468;
    let (era, day) = (since / 146_097, since % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_when() {
        for (ms, name) in [
            (0, "19700101T000000Z"),
            (951_782_399_999, "20000228T235959Z"),
            (951_782_400_000, "20000229T000000Z"),
            (1_709_251_199_000, "20240229T235959Z"),
            (1_735_689_599_000, "20241231T235959Z"),
            (1_735_689_600_000, "20250101T000000Z"),
            (4_107_542_400_000, "21000301T000000Z"),
        ] {
            assert_eq!(name_of(ms), name);
        }
    }
}
