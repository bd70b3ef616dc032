//! The status site over real HTTP, with a scheduler that is simulated, on both ledgers.

mod access;
mod blocked;
mod client;
mod fixture;
mod html;
mod pages;
mod probes;
