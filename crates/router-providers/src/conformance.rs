//! Recorded traffic against the protocols: what real services sent is read as what it means.
//!
//! Each expectation is computed here from the recorded JSON by a path of its own, never by the code under test.

mod arbitrary;
#[cfg(feature = "bedrock")]
mod bedrock;
mod embeddings;
mod errors;
mod exchange;
mod gemini;
mod matrix;
mod meaning;
mod replay_server;
mod replies;
mod requests;
mod streams;
