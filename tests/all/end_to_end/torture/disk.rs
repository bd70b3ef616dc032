//! A disk of the ledger's own that can be filled, where this user may mount one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Room enough for any life.
const SIZE: &str = "size=256m";

/// A file system in memory. Dropping it takes it away, with what is on it.
pub(super) struct Disk(PathBuf);

impl Disk {
    /// Mounts one at the folder; `None` where that may not be done.
    pub(super) fn mount(folder: &Path) -> Option<Self> {
        let mounted = run("mount", &["-t", "tmpfs", "-o", SIZE, "attrsync-torture"], folder).is_some();
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Leaves so much room.
    pub(super) fn fill(&self, spare_kib: u64) {
        let told = run("df", &["-kP"], &self.0).expect("the size of the disk is told");
        let used: Option<u64> =
            told.lines().last().and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
        let size = used.expect("the room that is used") + spare_kib;
        run("mount", &["-o", &format!("remount,size={size}k")], &self.0).expect("the disk gets smaller");
    }

    /// Gives the room back.
    pub(super) fn make_room(&self) {
        run("mount", &["-o", &format!("remount,{SIZE}")], &self.0).expect("the disk grows");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

/// What a program said to stdout, if it did what it was asked.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).arg(folder).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
