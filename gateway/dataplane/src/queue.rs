//! [`Queue`]: a bounded queue in memory that poll(2) can wait for, as the threads wait for a
//! descriptor.
//!
//! A pipe holds one byte while the queue is not empty, so that its reading end is readable exactly
//! then. When the queue is full, the new item is refused.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Several threads may push and pop.
pub(crate) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    pushed: Condvar,
    readable: PipeReader,
    signal: PipeWriter,
}

impl<T> Queue<T> {
    /// An empty queue of up to `capacity` items. Error: the process has no descriptors left.
    pub(crate) fn new(capacity: usize) -> io::Result<Queue<T>> {
        let (readable, signal) = io::pipe()?;

        Ok(Queue {
            items: Mutex::new(VecDeque::new()),
            capacity,
            pushed: Condvar::new(),
            readable,
            signal,
        })
    }

    /// False if the queue is full; the item is dropped then.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut items = self.lock();
        if items.len() == self.capacity {
            return false;
        }

        // One byte at most: a pipe that fills up would block.
        if items.is_empty() {
            self.mark_readable();
        }

        items.push_back(item);
        self.pushed.notify_one();
        true
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The oldest item, if there is one.
    pub(crate) fn pop(&self) -> Option<T> {
        self.take(&mut self.lock())
    }

    /// The oldest item, waiting up to `timeout` for one.
    pub(crate) fn pop_within(&self, timeout: Duration) -> Option<T> {
        let waited = self
            .pushed
            .wait_timeout_while(self.lock(), timeout, |items| items.is_empty());
        let (mut items, _) = waited.unwrap_or_else(PoisonError::into_inner);
        self.take(&mut items)
    }

    fn take(&self, items: &mut VecDeque<T>) -> Option<T> {
        let item = items.pop_front()?;
        if items.is_empty() {
            self.mark_unreadable();
        }
        Some(item)
    }

    /// Makes the queue readable. The pipe is empty before, so that this never waits.
    fn mark_readable(&self) {
        (&self.signal)
            .write_all(&[0])
            .expect("both ends of the pipe are open");
    }

    /// Makes the queue unreadable. The pipe holds a byte before, so that this never waits.
    fn mark_unreadable(&self) {
        (&self.readable)
            .read_exact(&mut [0])
            .expect("both ends of the pipe are open");
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> AsFd for Queue<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll;

    #[test]
    fn a_full_queue_refuses_and_order_is_kept() {
        let queue = Queue::new(2).unwrap();
        assert_eq!([1, 2, 3].map(|item| queue.push(item)), [true, true, false]);
        assert_eq!(queue.pop(), Some(1));
        assert!(queue.push(4));
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop()],
            [Some(2), Some(4), None]
        );
    }

    #[test]
    fn the_queues_descriptor_is_readable_while_it_is_not_empty() {
        let queue = Queue::new(2).unwrap();
        let (stop, _writer) = io::pipe().unwrap();
        let is_readable = || {
            let timeout = Some(Duration::from_millis(1));
            poll::wait(Some(queue.as_fd()), stop.as_fd(), timeout).unwrap()
        };
        assert!(!is_readable());
        queue.push(1);
        queue.push(2);
        queue.pop();
        assert!(is_readable());
        queue.pop();
        assert!(!is_readable());
    }

    #[test]
    fn a_waiting_thread_is_woken_by_a_push() {
        let queue = Queue::new(1).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.pop_within(Duration::from_secs(10)));
            queue.push(7);
            assert_eq!(waiting.join().unwrap(), Some(7));
        });
        assert_eq!(queue.pop_within(Duration::from_millis(1)), None);
    }
}
