//! A thread of its own for connections that write.
//!
//! A request that is handed from thread to thread costs more for the waking than for the samples of a scrape. On the
//! lane one thread reads a request, appends it and syncs the log; nobody is woken. While the disk is busy further
//! requests gather in their sockets, and the next sync is for all of them. It may block on the disk, which
//! nothing but its own connections has to wait for.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use model::{Appendable, StorageError};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::{Error, WRITERS_MAX};

/// A longer message, unpacked, is handed to another thread, so that a backfill uses all processors and the requests
/// beside it do not wait for it. Live requests are far shorter: 2,000 samples take half of it.
pub(crate) const INLINE_BYTES_MAX: usize = 1 << 20;

/// A thread that took a longer message and has nothing to do is given back after this time.
const THREAD_KEPT: Duration = Duration::from_secs(2);

/// The thread and the requests on it; clones are the same lane. The thread ends when the last one is dropped.
#[derive(Clone)]
pub struct Lane {
    handle: Handle,
    group: Arc<Group>,
    _running: Arc<oneshot::Sender<()>>,
}

/// Requests that are appended and wait for the disk.
#[derive(Default)]
struct Group {
    waiting: Mutex<Vec<oneshot::Sender<Result<(), StorageError>>>>,
}

impl Lane {
    /// Starts the thread. Errors: the system has no further one.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(WRITERS_MAX)
            .thread_keep_alive(THREAD_KEPT)
            .build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel();
        thread::Builder::new().name("remote-write".to_owned()).spawn(move || {
            // The sender is dropped, and nothing else ever comes.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, group: Arc::default(), _running: Arc::new(running) })
    }

    /// Runs a connection on the thread. Requests of it carry a clone of the lane among their extensions.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(connection);
    }

    /// Waits until the disk has what was committed. The first one to wait leaves the thread to all requests that can be
    /// read now; they are appended before the sync that is for all of them.
    pub(crate) async fn synced(&self, store: &Arc<dyn Appendable>) -> Result<(), Error> {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut waiting = self.group.waiting.lock();
            waiting.push(tell);
            waiting.len() == 1
        };
        if is_first {
            // A task, because the sender of a request may hang up while others wait for the same sync.
            let (group, store) = (Arc::clone(&self.group), Arc::clone(store));
            self.handle.spawn(async move {
                yield_now().await;
                group.sync(&*store);
            });
        }
        let outcome = told.await.map_err(|_| Error::Internal)?;
        outcome.map_err(|error| Error::Store(error.into()))
    }
}

impl Group {
    fn sync(&self, store: &dyn Appendable) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let outcome = store.sync();
        for tell in waiting {
            // Who hung up does not want to know.
            let _ = tell.send(outcome.clone());
        }
    }
}
