//! Queue of notifications and events sent by the emulated services, with a shared counter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Sender of a queue. Clones share the queue. All outboxes of one [`crate::Emulators`] share the counter `sent`.
#[derive(Clone, Debug)]
pub(crate) struct Outbox<T> {
    sender: UnboundedSender<T>,
    sent: Arc<AtomicU64>,
    log: Arc<Mutex<Vec<T>>>,
}

impl<T: Clone> Outbox<T> {
    pub(crate) fn new(sent: &Arc<AtomicU64>) -> (Self, UnboundedReceiver<T>) {
        let (sender, receiver) = unbounded_channel();
        (Self { sender, sent: Arc::clone(sent), log: Arc::default() }, receiver)
    }

    pub(crate) fn send(&self, message: T) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        self.sent.fetch_add(1, Ordering::SeqCst);
        // Fails only when the emulators are being dropped.
        let _ = self.sender.send(message);
    }

    /// All messages sent so far, in order, including received messages.
    pub(crate) fn all(&self) -> Vec<T> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
