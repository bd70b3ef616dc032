//! A small disk for the ledger, which a test can fill.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Enough room for any life.
const SIZE: &str = "size=256m";

/// A file system in memory. Dropping it unmounts it.
pub(super) struct Disk(PathBuf);

impl Disk {
    /// Mounts one at the folder; `None` if this user may not do so.
    pub(super) fn mount(folder: &Path) -> Option<Self> {
        let mounted = run("mount", &["-t", "tmpfs", "-o", SIZE, "attrsync-torture"], folder).is_some();
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Reduces the free room to this size.
    pub(super) fn fill(&self, spare_kib: u64) {
        let sizes = run("df", &["-kP"], &self.0).expect("the size of the disk");
        let used: Option<u64> =
            sizes.lines().last().and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
        let size = used.expect("the used room") + spare_kib;
        run("mount", &["-o", &format!("remount,size={size}k")], &self.0).expect("the disk gets smaller");
    }

    /// Restores the full room.
    pub(super) fn make_room(&self) {
        run("mount", &["-o", &format!("remount,{SIZE}")], &self.0).expect("the disk grows");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

/// The stdout of a program, if it succeeded.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).arg(folder).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
