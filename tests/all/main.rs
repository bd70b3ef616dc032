//! Everything that needs the outside: files, sockets, databases, the built program.

mod commands;
//! The tests that need the outside, in one binary.

mod contract;
