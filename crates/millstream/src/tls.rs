//! The files for TLS: read at the start, and again when they may have changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{Disk, Env, runtime};
use millstream_server::{CertificateError, Tls};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::TlsFiles;

/// How often the files are looked at. What renews certificates tells nobody.
const LOOK: Duration = Duration::from_secs(60);

/// Why the files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// One can't be read.
    #[error("{}: cannot be read: {error}; millstream certs makes a certificate and its key", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// One holds something else.
    #[error("{}: {error}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: CertificateError,
    },
}

/// What the two files hold.
#[derive(PartialEq, Eq)]
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate that follows its files.
pub struct Certificate {
    files: TlsFiles,
    content: Content,
    /// Whether `content` is what is shown: it could be used.
    is_shown: bool,
    tls: Arc<Tls>,
}

impl Certificate {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// [`TlsFilesError`] names the file and says what is wrong with it.
    pub fn open(disk: &dyn Disk, files: &TlsFiles) -> Result<Certificate, TlsFilesError> {
        let content = read(disk, files)?;
        let tls = Tls::new(&content.cert, &content.key, files.only).map_err(|error| unusable(files, error))?;
        Ok(Certificate { files: files.clone(), content, is_shown: true, tls: Arc::new(tls) })
    }

    /// What the server is given.
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Reads the files again every minute and on SIGHUP, and has new connections get what is new in them. Files that
    /// can't be used are reported and change nothing. Needs a tokio runtime with I/O and time.
    pub async fn follow(mut self, env: Env) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                tracing::warn!(%error, "SIGHUP is not listened to: the certificate stays as it is");
                return;
            }
        };
        loop {
            let is_asked = tokio::select! {
                asked = hangups.recv() => asked.is_some(),
                () = runtime::sleep(LOOK) => false,
            };
            let (disk, files) = (Arc::clone(&env.disk), self.files.clone());
            let read = env.pool.run(move || read(&*disk, &files)).await;
            match read {
                Some(Ok(content)) => self.take(content, is_asked),
                Some(Err(error)) => tracing::warn!(%error, "the certificate stays as it is"),
                None => return,
            }
        }
    }

    fn take(&mut self, content: Content, is_asked: bool) {
        // What can't be used is said once, and again to who asks.
        if content == self.content && (self.is_shown || !is_asked) {
            if is_asked {
                tracing::info!("the certificate has not changed");
            }
            return;
        }
        let replaced = self.tls.replace(&content.cert, &content.key);
        self.is_shown = replaced.is_ok();
        match replaced {
            Ok(()) => tracing::info!("new connections get the new certificate"),
            // It may be that one of the two files is new already and the other is not.
            Err(error) => tracing::warn!(error = %unusable(&self.files, error), "the certificate stays as it is"),
        }
        self.content = content;
    }
}

fn read(disk: &dyn Disk, files: &TlsFiles) -> Result<Content, TlsFilesError> {
    let read = |path: &Path| {
        disk.read_file(path).map_err(|error| TlsFilesError::Unreadable { path: path.to_path_buf(), error })
    };
    Ok(Content { cert: read(&files.cert)?, key: read(&files.key)? })
}

fn unusable(files: &TlsFiles, error: CertificateError) -> TlsFilesError {
    let path = if error.is_of_key() { &files.key } else { &files.cert };
    TlsFilesError::Unusable { path: path.clone(), error }
}
