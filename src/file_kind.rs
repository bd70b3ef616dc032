//! What is at a path, if it is not a file. Opening a pipe would wait for ever, and a device may have no end.

use std::fs::FileType;
use std::os::unix::fs::FileTypeExt as _;

/// Names what is not a file: `a folder`, `a pipe`.
pub(crate) fn other_than_file(kind: FileType) -> Option<&'static str> {
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder"),
        () if kind.is_fifo() => Some("a pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}
