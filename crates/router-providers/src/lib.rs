//! Provider wire formats.
