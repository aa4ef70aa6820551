//! Crash points: what a disk held before an operation, crashed, recovered and verified on a machine of its own.

use millstream_env::sim::{Crash, DiskImage};

use crate::Problem;
use crate::model::Model;
use crate::node::{Node, Setup, machine_on};
use crate::verify::verify;

/// How images are crashed, and how many were.
#[derive(Debug)]
pub struct Points {
    setup: Setup,
    /// In which ways each image is crashed. Power losses differ by what survives.
    crashes: Vec<Crash>,
    /// Of a recovery's operations one of so many is crashed again; 0 for none.
    again_every: u64,
    /// Crash points verified.
    pub verified: u64,
    /// Of these, crashes of a recovery.
    pub in_recovery: u64,
}

impl Points {
    /// Points for a machine with this setup.
    #[must_use]
    pub fn new(setup: &Setup, crashes: Vec<Crash>, again_every: u64) -> Points {
        Points { setup: setup.clone(), crashes, again_every, verified: 0, in_recovery: 0 }
    }

    /// Crashes, recovers and verifies.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn check(&mut self, images: &[DiskImage], node: &Node, model: &Model) -> Result<(), Problem> {
        for image in images {
            for way in 0..self.crashes.len() {
                let crash = self.crashes[way];
                let seed = image.operation.wrapping_mul(31).wrapping_add(way as u64) ^ node.machine.trace.sum();
                self.recover(image, crash, seed, node.wall(), model)
                    .map_err(|e| format!("after {crash:?} before operation {}: {e}", image.operation))?;
            }
        }
        Ok(())
    }

    fn recover(&mut self, image: &DiskImage, crash: Crash, seed: u64, wall: u64, model: &Model) -> Result<(), Problem> {
        let machine = machine_on(image, crash, seed, wall);
        if self.again_every > 0 {
            machine.disk.keep_images(Some(self.again_every));
        }
        let node = Node::start(machine, &self.setup).map_err(|failed| format!("it does not start: {}", failed.1))?;
        // What the recovery of logs and unfinished plans writes.
        node.pass(300);
        node.machine.settle();
        let images = node.machine.disk.take_images();
        node.machine.disk.keep_images(None);
        verify(&node, model, Some(crash))?;
        self.verified += 1;
        for image in images {
            let machine = machine_on(&image, Crash::PowerLoss, seed ^ image.operation, wall + 1_000);
            let at = |e: String| format!("recovery lost its power before operation {}: {e}", image.operation);
            let node = Node::start(machine, &self.setup).map_err(|failed| at(failed.1.clone()))?;
            // In relaxed mode the first crash may have been a kill, but what it kept was not synced.
            verify(&node, model, Some(Crash::PowerLoss)).map_err(at)?;
            self.verified += 1;
            self.in_recovery += 1;
        }
        Ok(())
    }
}
