//! Promise 10: a guard stops a bad night before it does damage, and lets ordinary nights pass.

mod bad_nights;
mod blocked;
mod ordinary_nights;
mod shop;
