//! The account of what was put and what was read: numbers given out, records acknowledged, each read once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::error::BenchError;

/// What is known of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Sent, and no answer yet or none that tells.
    Sent,
    /// Refused: it must not be there.
    Refused,
    /// Acknowledged: it must be there.
    Acknowledged,
    /// Read.
    Read,
}

/// The account of one stream's records. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    states: Rc<RefCell<Vec<State>>>,
}

impl Ledger {
    /// The numbers of the next `count` records; the first of them.
    #[must_use]
    pub fn take(&self, count: usize) -> u64 {
        let mut states = self.states.borrow_mut();
        let first = states.len();
        states.resize(first + count, State::Sent);
        first as u64
    }

    /// How many numbers were given out.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.states.borrow().len() as u64
    }

    /// These records were acknowledged.
    pub fn acknowledged(&self, first: u64, count: usize) {
        self.set(first, count, State::Acknowledged);
    }

    /// These records were refused.
    pub fn refused(&self, first: u64, count: usize) {
        self.set(first, count, State::Refused);
    }

    fn set(&self, first: u64, count: usize, state: State) {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        // A number that was not given out is ours to get wrong, and shows when it is read.
        if let Some(range) = self.states.borrow_mut().get_mut(first..first.saturating_add(count)) {
            range.fill(state);
        }
    }

    /// A record was read.
    ///
    /// # Errors
    /// When it is there twice, was refused or was never put.
    pub fn read(&self, number: u64) -> Result<(), BenchError> {
        let mut states = self.states.borrow_mut();
        let wrong = match usize::try_from(number).ok().and_then(|index| states.get_mut(index)) {
            Some(state @ (State::Sent | State::Acknowledged)) => {
                *state = State::Read;
                return Ok(());
            }
            Some(State::Read) => "is there twice",
            Some(State::Refused) => "is there although it was refused",
            None => "was never put",
        };
        Err(BenchError::ReadBack(format!("record {number} {wrong}")))
    }

    /// All that were read are unread again.
    pub fn unread(&self) {
        let mut states = self.states.borrow_mut();
        for state in states.iter_mut().filter(|state| **state == State::Read) {
            *state = State::Acknowledged;
        }
    }

    /// Another account of the same, in which none was read.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self { states: Rc::new(RefCell::new(self.states.borrow().clone())) };
        copy.unread();
        copy
    }

    /// How many were read, when every acknowledged record was; all are unread again then.
    ///
    /// # Errors
    /// When acknowledged records were not read.
    pub fn close(&self) -> Result<u64, BenchError> {
        let mut states = self.states.borrow_mut();
        let missing = states.iter().filter(|state| **state == State::Acknowledged).count();
        let mut read = 0;
        for state in states.iter_mut().filter(|state| **state == State::Read) {
            *state = State::Acknowledged;
            read += 1;
        }
        match missing {
            0 => Ok(read),
            missing => Err(BenchError::ReadBack(format!("{missing} acknowledged records are missing"))),
        }
    }
}

/// What one consumer received of a stream. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Deliveries {
    received: Rc<RefCell<Vec<bool>>>,
    count: Rc<Cell<u64>>,
}

impl Deliveries {
    /// A record was received.
    ///
    /// # Errors
    /// When it was received before.
    pub fn note(&self, number: u64) -> Result<(), BenchError> {
        let mut received = self.received.borrow_mut();
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        if received.len() <= index {
            received.resize(index.saturating_add(1), false);
        }
        if std::mem::replace(&mut received[index], true) {
            return Err(BenchError::ReadBack(format!("record {number} was delivered twice")));
        }
        self.count.set(self.count.get() + 1);
        Ok(())
    }

    /// How many were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_acknowledged_record_is_read_once() {
        let ledger = Ledger::default();
        assert_eq!((ledger.take(3), ledger.take(2)), (0, 3));
        ledger.acknowledged(0, 3);
        ledger.refused(3, 1);
        for number in [2, 0] {
            ledger.read(number).unwrap();
        }
        assert!(ledger.close().is_err());
        for number in [0, 1, 2, 4] {
            // The fifth has no answer: it may be there.
            ledger.read(number).unwrap();
        }
        for number in [0, 3, 5] {
            assert!(ledger.read(number).is_err(), "{number}");
        }
        assert_eq!(ledger.close().unwrap(), 4);
        assert_eq!(ledger.taken(), 5);
        ledger.read(1).unwrap();
        let copy = ledger.copy();
        for number in [0, 1, 2, 4] {
            copy.read(number).unwrap();
        }
        assert_eq!(copy.close().unwrap(), 4);
        assert!(ledger.read(1).is_err());
        ledger.unread();
        ledger.read(1).unwrap();
    }

    #[test]
    fn deliveries_are_single() {
        let deliveries = Deliveries::default();
        deliveries.note(5).unwrap();
        deliveries.note(0).unwrap();
        assert!(deliveries.note(5).is_err());
        assert_eq!(deliveries.count(), 2);
    }
}
