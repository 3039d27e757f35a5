//! What the emulated services send out, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The sending end. Clones send to the same place; `sent` is shared by all outboxes of one set of emulators.
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
        // Nobody listening is the end of the emulators themselves.
        let _ = self.sender.send(message);
    }

    /// Everything that was sent, taken or not, in order.
    pub(crate) fn all(&self) -> Vec<T> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
