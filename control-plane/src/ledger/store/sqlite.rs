//! The ledger in one SQLite file. One thread writes it, in groups of whatever waits; others read it.

mod append;
mod chains;
mod claims;
mod dictionary;
mod evidence;
mod file;
mod forward;
mod head;
mod marks;
#[cfg(test)]
pub(in crate::ledger) mod raw;
mod retention;
mod rows;
mod search;
mod subjects;
mod sums;
mod trace;
mod writer;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
};

use async_trait::async_trait;

use self::{file::Readers, writer::Writer};
use super::SpanIntake;
use crate::{
    ledger::intake::{Export, Ingested},
    store::{Health, StoreError},
};

/// The ledger's file.
#[derive(Debug)]
pub(super) struct SqliteLedger {
    writer: Writer,
    readers: Readers,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteLedger {
    /// Opens the file, and makes it if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened, or was written by a newer version of this program.
    pub(super) fn open(file: &Path) -> Result<Self, StoreError> {
        let conn = file::open_writer(file)?;
        let no_thread = |source| StoreError::Make { file: file.to_owned(), source };
        let (writer, thread) = Writer::start(file, conn).map_err(no_thread)?;
        Ok(Self { writer, readers: Readers::new(file), thread: Mutex::new(Some(thread)) })
    }
}

#[async_trait]
impl SpanIntake for SqliteLedger {
    async fn append(&self, export: Export) -> Result<Option<Ingested>, StoreError> {
        Ok(self.writer.append(export).await?.ok())
    }

    fn is_kept(&self) -> bool {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(|thread| !thread.is_finished())
    }

    fn health(&self) -> &Health {
        self.writer.health()
    }

    async fn try_write(&self) -> Result<(), StoreError> {
        self.writer.write(marks::touch).await
    }

    async fn close(&self) {
        self.writer.end().await;
        let ended = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            // The thread ends by itself: a failure in it was told to whoever waited for it.
            let _ = tokio::task::spawn_blocking(move || ended.join()).await;
        }
    }
}
