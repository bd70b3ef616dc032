//! Where a ledger's file really is, and whether a ledger is safe there.
//!
//! SQLite keeps the newest commits in a `-wal` file beside the database, and attrsync keeps its lock there. Both must
//! go wherever the file goes. Otherwise a commit is lost with its `-wal`, and two runs take two locks of one ledger.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::paths::folder;
use super::rights;
use crate::file_kind::other_than_file;
use crate::ledger::{LedgerError, Result};

/// Returns the path without symbolic links: two names of one ledger must not have two locks. A link to a file that is
/// not there yet counts too, because the file is made where the link points.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    follow(path).map_err(|error| rights::unusable(path, &error))
}

fn follow(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    if let Ok(target) = fs::read_link(path) {
        return follow(&folder(path).join(target));
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(fs::canonicalize(folder(path))?.join(name))
}

/// Fails if something that is not a file is at `path`. Opening a pipe would wait for ever.
pub(super) fn refuse_other_kinds(path: &Path) -> Result<()> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let Some(what) = other_than_file(metadata.file_type()) else { return Ok(()) };
    let shown = path.display();
    Err(LedgerError::Unusable(match metadata.is_dir() {
        true => {
            format!(
                "the ledger {shown} is {what}: name a file in it in [ledger] url, as in sqlite:{shown}/ledger.db"
            )
        }
        false => format!("the ledger {shown} is {what}, not a file: name a file in [ledger] url"),
    }))
}

/// Fails if a ledger would not be safe at `path`, which has no symbolic links. A run that is not stopped here could
/// believe what the store does not hold.
pub(super) fn refuse_unsafe(path: &Path) -> Result<()> {
    refuse_other_kinds(path)?;
    let shown = path.display();
    if let Ok(links @ 2..) = fs::metadata(path).map(|metadata| metadata.nlink()) {
        return Err(LedgerError::Unusable(format!(
            "the ledger {shown} has {links} names (hard links): its -wal file and its lock are beside one name only, so \
             that two runs could write it at once. Remove the other names; `find FOLDER -samefile {shown}` finds them"
        )));
    }
    match mount_of(&mountinfo(), path) {
        Some((point, _)) if point == path => Err(LedgerError::Unusable(format!(
            "the ledger {shown} is mounted as a single file: its -wal file, which has the newest commits, and its lock \
             would stay outside of the mount. {MOUNT_THE_FOLDER}"
        ))),
        Some((_, kind)) if is_of_kernel(kind) => Err(LedgerError::Unusable(format!(
            "the ledger {shown} cannot be in {kind}, which has the kernel's own files only: name a file on a disk in [ledger] url"
        ))),
        Some((_, kind)) if is_network(kind) => Err(LedgerError::Unusable(format!(
            "the ledger {shown} is on a network file system ({kind}), where SQLite cannot keep two machines apart: put \
             it on a local disk, or keep the ledger in Postgres"
        ))),
        _ => Ok(()),
    }
}

const MOUNT_THE_FOLDER: &str = "Mount the folder that the ledger is in, not the file";

/// Returns why what is read of the ledger at `path` may be old, although nothing is wrong with it now.
pub(super) fn caution_of_reader(path: &Path) -> Option<String> {
    is_mounted_alone(&mountinfo(), path).then(|| {
        format!(
            "the ledger {} is mounted as a single file: its -wal file, which has the newest commits, is outside of the \
             mount, so that what is shown may be old. {MOUNT_THE_FOLDER}",
            path.display()
        )
    })
}

fn is_mounted_alone(mountinfo: &str, path: &Path) -> bool {
    mount_of(mountinfo, path).is_some_and(|(point, _)| point == path)
}

/// Returns why the ledger at `path` may be lost or old, although nothing is wrong with it now.
pub(super) fn caution(path: &Path) -> Option<String> {
    let mounts = mountinfo();
    let (_, file_system) = mount_of(&mounts, path)?;
    (file_system == "overlay").then(|| {
        format!(
            "the ledger {} is in a container's own layer: it is lost with the container, and if it came with the image, \
             every new container believes the same old values. Mount a folder and keep the ledger there",
            path.display()
        )
    })
}

/// The mounts that this process sees. Only Linux has this file.
fn mountinfo() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// Returns the mount that `path` is on: its mount point and its file system.
fn mount_of<'a>(mountinfo: &'a str, path: &Path) -> Option<(PathBuf, &'a str)> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let point = PathBuf::from(unescape(mount.split(' ').nth(4)?));
        Some((point, file_system.split(' ').next()?))
    });
    // Of two mounts at one point, the later one covers the other.
    mounts.filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.as_os_str().len())
}

/// The kernel writes a space as `\040`, and a tab, a line end and a backslash likewise.
fn unescape(point: &str) -> String {
    let codes = [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")];
    codes.iter().fold(point.to_owned(), |point, (code, character)| point.replace(code, character))
}

/// The file systems in which no program can make a file.
fn is_of_kernel(file_system: &str) -> bool {
    matches!(
        file_system,
        "proc"
            | "sysfs"
            | "cgroup"
            | "cgroup2"
            | "devpts"
            | "securityfs"
            | "debugfs"
            | "tracefs"
            | "configfs"
            | "bpf"
            | "binfmt_misc"
            | "efivarfs"
            | "fusectl"
            | "mqueue"
            | "pstore"
            | "selinuxfs"
    )
}

/// The file systems that several machines may have mounted at once.
fn is_network(file_system: &str) -> bool {
    matches!(
        file_system,
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "afs" | "ceph" | "lustre" | "glusterfs" | "davfs"
    ) || ["sshfs", "s3fs", "gcsfuse", "rclone", "glusterfs", "blobfuse", "davfs", "ceph"]
        .iter()
        .any(|name| file_system.strip_prefix("fuse.").is_some_and(|kind| kind.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 21 0:30 / /data rw - overlay overlay rw
23 22 254:0 /host/ledger.db /data/ledger.db rw - ext4 /dev/vda rw
24 21 0:31 / /srv/two\\040words rw shared:1 - nfs4 server:/export rw
25 21 0:32 / /data rw - tmpfs tmpfs rw
26 21 0:33 / /ssh rw - fuse.sshfs host:/ rw";

    #[test]
    fn the_mount_of_a_file_is_the_longest_and_the_last() {
        for (path, point, file_system) in [
            ("/ledger.db", "/", "ext4"),
            ("/data/ledger.db", "/data/ledger.db", "ext4"),
            ("/data/ledger.db-wal", "/data", "tmpfs"),
            ("/database/ledger.db", "/", "ext4"),
            ("/srv/two words/ledger.db", "/srv/two words", "nfs4"),
        ] {
            assert_eq!(
                mount_of(MOUNTINFO, Path::new(path)),
                Some((PathBuf::from(point), file_system)),
                "{path}"
            );
        }
        assert_eq!(mount_of("", Path::new("/ledger.db")), None);
    }

    #[test]
    fn a_single_file_that_is_mounted_is_known() {
        let covered = |line: &str| !line.contains("/data rw - tmpfs");
        let mounts: Vec<&str> = MOUNTINFO.lines().filter(|line| covered(line)).collect();
        let mounts = mounts.join("\n");
        assert!(is_mounted_alone(&mounts, Path::new("/data/ledger.db")));
        assert!(!is_mounted_alone(&mounts, Path::new("/data/other.db")));
    }

    #[test]
    fn a_ledger_cannot_be_among_the_files_of_the_kernel() {
        let refused = refuse_unsafe(Path::new("/proc/ledger.db")).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|error| error.contains("cannot be in proc")));
    }

    #[test]
    fn a_file_system_of_several_machines_is_known_by_its_name() {
        for network in ["nfs", "nfs4", "cifs", "fuse.sshfs", "fuse.gcsfuse", "fuse.blobfuse2"] {
            assert!(is_network(network), "{network}");
        }
        for local in
            ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "virtiofs", "9p", "fuseblk", "fuse.grpcfuse"]
        {
            assert!(!is_network(local), "{local}");
        }
    }
}
