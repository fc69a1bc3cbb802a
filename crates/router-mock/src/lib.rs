//! A simulated provider.
