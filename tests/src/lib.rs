//! Parts that the whole-system tests share: scripted providers, a gateway in this process, an observer that listens, and
//! a [`simulator`] of whole worlds.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod gateway;
mod recorder;
mod scripted;
pub mod simulator;
mod smoke;

pub use self::gateway::Gateway;
pub use self::recorder::Recorder;
pub use self::scripted::{Act, ScriptedProvider};
pub use self::smoke::{Outcome, smoke};
