//! The tests that need something outside of the library: a database, a port, the binary.

mod source;
mod support;
