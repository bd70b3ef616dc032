//! All tests that need the outside: one binary, a module a subject.

mod sandbox;
