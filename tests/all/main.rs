//! The tests that need the outside, in one binary.

mod contract;
