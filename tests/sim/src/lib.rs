//! The whole service on a simulated machine: many clients, every operation, crashes and faults of the disk at any step, all
//! drawn from one seed; and a plain model of what clients were promised, against which everything is checked.
//!
//! A *life* is one run of the process on the machine; it ends in a clean stop, a kill or a power loss, and the next one begins
//! on the disk that is left. Beside that, the disk's content is kept before many of its operations, and each of these images
//! is crashed, recovered and verified on a machine of its own: a *crash point*.

pub mod actors;
pub mod life;
pub mod model;
pub mod node;
pub mod payload;
pub mod plans;
pub mod points;
pub mod run;
pub mod settings;
pub mod verify;

/// What a broken promise looks like: one line.
pub type Problem = String;
