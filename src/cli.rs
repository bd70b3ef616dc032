//! The commands, a file each; all printing is in the view.
