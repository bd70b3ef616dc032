//! Everything that needs the outside: files, sockets, databases, the built program.

mod commands;
