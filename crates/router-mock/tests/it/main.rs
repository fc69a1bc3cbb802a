//! What a client sees of the simulated provider, over real sockets.

#[cfg(test)]
mod client;
#[cfg(test)]
mod control;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod streams;
