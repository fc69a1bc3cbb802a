//! The protocol by which those who share an account keep its limits together.
//!
//! Two sides, both without I/O: [`Books`] are what one worker knows, [`Account`] is what is known of all of them. A worker has one
//! [`Message`] under way at a time, with everything that happened since the last: what was settled, what is still held, and who asks
//! for a place. Messages are numbered, so that one that arrives twice counts once, and hold sums rather than single reservations,
//! so that what is kept does not grow with traffic.
//!
//! [`MemoryStore`](crate::MemoryStore) calls `Account` directly. For Redis the same is written once more in Lua, since it has to
//! happen there; a test holds the two against each other. Another tries all interleavings of a small world.

mod books;
#[cfg(test)]
mod explorer;
mod server;

use router_core::AccountLimits;

pub(crate) use self::books::{Books, Given};
pub(crate) use self::server::Account;

/// The spans of time that the protocol goes by, in milliseconds of the server's clock. Tests have shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Spans {
    /// The width of a slot of the minute: twelve of them, and the one that is just passing, count.
    pub(crate) slot: u64,
    /// How long money is held for a worker that says nothing. Workers that hold some speak three times as often.
    pub(crate) lease: u64,
    /// How long a worker's last message is remembered, so that it does not count twice.
    pub(crate) memory: u64,
    /// How long what is not urgent waits for a message that is sent anyway: what a minute gets back. Money never waits.
    pub(crate) patience: u64,
}

impl Spans {
    pub(crate) const USUAL: Self = Self { slot: 5_000, lease: 60_000, memory: 600_000, patience: 250 };
}

/// Slots before the present one that count: whatever minute one looks at, all of it lies within these and the present one.
pub(crate) const SLOTS: u64 = 12;

/// The latest moment there is: what a number in Lua still tells from its neighbours.
pub(crate) const NEVER: u64 = (1 << 53) - 1;

/// The most money an account counts: what Redis adds up without overflowing, in pico-dollars.
pub(crate) const MOST_MONEY: u64 = 1 << 62;

/// What a worker tells of an account, and asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) worker: u64,
    /// Counted up by the worker.
    pub(crate) number: u64,
    pub(crate) limits: AccountLimits,
    /// The budget period that the worker believes it is.
    pub(crate) period: Period,
    /// What all spent in this period as far as the worker was told: for a server that lost its memory.
    pub(crate) floor: u64,
    /// What was spent since the last message.
    pub(crate) spent: u64,
    /// What is granted and not settled.
    pub(crate) held: u64,
    /// Tokens that were really used since the last message.
    pub(crate) tokens: u64,
    /// What is taken back of slots: requests that were not made, and estimates.
    pub(crate) returned: Vec<Return>,
    /// Who asks for a place.
    pub(crate) claims: Vec<Ask>,
}

/// A budget period, from its first moment up to the first after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Period {
    pub(crate) number: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Return {
    pub(crate) slot: u64,
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// One request that asks for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    pub(crate) tokens: u64,
    pub(crate) cost: u64,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reply {
    pub(crate) now: u64,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// It is another period than the worker believes: nothing was done.
    OtherPeriod,
    Done {
        /// The slot that grants were counted in.
        slot: u64,
        /// What all spent in this period.
        spent: u64,
        /// One for each claim.
        verdicts: Vec<Verdict>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Granted,
    /// Too many requests; there is room after so many milliseconds.
    Requests(u64),
    /// Too many tokens, likewise.
    Tokens(u64),
    Budget,
}
