//! What this user may do with the ledger's files, in words that name the file and its owner.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::paths::{LOCK, SHM, WAL, beside, folder};
use crate::ledger::{LedgerError, Result};

const CHANGE: &str = "or change `url` in [ledger]";

/// Fails unless this user may write the ledger at `path`, or make it there. Writes nothing.
pub(super) fn writable(path: &Path) -> Result<()> {
    let lock = beside(path, LOCK);
    refuse_other_lock(&lock)?;
    let read_and_write = Access::READ_OK | Access::WRITE_OK;
    let files = [path.to_owned(), beside(path, WAL), beside(path, SHM), lock];
    files[1..].iter().try_for_each(|file| refuse_lost_link(file))?;
    let mut places: Vec<(PathBuf, Access)> = files.map(|file| (file, read_and_write)).into();
    places.retain(|(file, _)| access(file, Access::EXISTS) != Err(Errno::NOENT));
    places.push((folder(path).to_owned(), Access::WRITE_OK | Access::EXEC_OK));
    let mut denied = Vec::new();
    for (place, needed) in &places {
        match access(place, *needed) {
            Ok(()) => {}
            Err(Errno::ACCESS) => denied.push(place.as_path()),
            Err(error) => return Err(unusable(place, &error.into())),
        }
    }
    if !denied.is_empty() {
        return Err(LedgerError::Unusable(denied_to_write(&denied)));
    }
    match statvfs(folder(path)) {
        Ok(disk) if disk.f_blocks > 0 && disk.f_bfree == 0 => Err(LedgerError::Unusable(format!(
            "the disk of the ledger {} is full: make room, or change `url` in [ledger]",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// Fails if something else is in the lock's place. Opening a pipe would wait for ever.
fn refuse_other_lock(lock: &Path) -> Result<()> {
    match fs::metadata(lock) {
        Ok(metadata) if !metadata.is_file() => Err(LedgerError::Unusable(format!(
            "{} is not a file: attrsync keeps the ledger's lock there. Move it away, or change `url` in [ledger]",
            lock.display()
        ))),
        _ => Ok(()),
    }
}

/// Fails if a link to a file that is not there is in the place of a file beside the ledger.
fn refuse_lost_link(file: &Path) -> Result<()> {
    match fs::read_link(file) {
        Ok(target) if !file.exists() => Err(LedgerError::Unusable(format!(
            "{} is a link to {}, which is not there: attrsync and SQLite make a file in this place. Remove the link, or \
             change `url` in [ledger]",
            file.display(),
            target.display()
        ))),
        _ => Ok(()),
    }
}

/// Fails unless this user may read the ledger at `path`.
pub(super) fn readable(path: &Path) -> Result<()> {
    match access(path, Access::READ_OK) {
        Err(Errno::ACCESS) => {
            let (belonging, user) = (belongs_to(path), name(geteuid().as_raw()));
            Err(LedgerError::Unusable(format!(
                "{} cannot be read: it belongs to {belonging}, and {user} may not read it. Run this as its owner, or let \
                 the owner make a copy: sqlite3 {0} \"vacuum into 'copy.db'\"",
                path.display()
            )))
        }
        Err(error) => Err(unusable(path, &error.into())),
        Ok(()) => Ok(()),
    }
}

/// The error of a file or folder that cannot be written, with what to do.
pub(super) fn unusable(path: &Path, error: &io::Error) -> LedgerError {
    let (shown, folder) = (path.display(), folder(path).display());
    let change = CHANGE;
    LedgerError::Unusable(match error.kind() {
        io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => format!(
                "the ledger {shown} is a link to {}, and the folder of that is not there: create the folder, {change}",
                target.display()
            ),
            Err(_) => format!("the ledger {shown} has no folder to be in: create {folder}, {change}"),
        },
        io::ErrorKind::NotADirectory => {
            format!(
                "the ledger {shown} cannot be there, because {folder} is not a folder: {change}",
                change = &change[3..]
            )
        }
        _ if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => format!(
            "{shown} cannot be written, not even by the user it belongs to: `lsattr` shows whether it is immutable, \
             `chattr -i` ends that, {change}"
        ),
        io::ErrorKind::PermissionDenied => denied_to_write(&[path]),
        io::ErrorKind::ReadOnlyFilesystem => format!(
            "{shown} cannot be written: it is on a read-only file system. Mount it so that it can be written, {change}"
        ),
        _ => format!("{shown} cannot be written ({error}): mend that, {change}"),
    })
}

/// Why this user may not write these files and folders, with what to do about all of them.
fn denied_to_write(paths: &[&Path]) -> String {
    let user = name(geteuid().as_raw());
    let list =
        |paths: &[&Path]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    let is_own = |path: &&Path| fs::metadata(path).is_ok_and(|file| file.uid() == geteuid().as_raw());
    let (own, others): (Vec<&Path>, Vec<&Path>) = paths.iter().partition(|path| is_own(path));
    let mode = (!own.is_empty()).then(|| format!("run `chmod u+rwX {}`", list(&own)));
    let (it, its) = if others.len() > 1 { ("them", "their") } else { ("it", "its") };
    let others = (!others.is_empty()).then(|| {
        format!("run attrsync as {its} owner, or give {it} to {user} with `chown {user} {}`", list(&others))
    });
    let each = paths
        .iter()
        .map(|path| format!("{} cannot be written: it belongs to {}", path.display(), belongs_to(path)));
    format!(
        "{}, and {user} may not write {}: {}, {CHANGE}",
        each.collect::<Vec<_>>().join("; "),
        if paths.len() > 1 { "them" } else { "it" },
        [mode, others].into_iter().flatten().collect::<Vec<_>>().join(", and ")
    )
}

/// The owner and the mode of a file.
fn belongs_to(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(metadata) => format!("{} (mode {:04o})", name(metadata.uid()), metadata.mode() & 0o7777),
        Err(_) => "another user".to_owned(),
    }
}

/// The name of a user, as far as /etc/passwd has it.
fn name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    user.unwrap_or_else(|| format!("the user {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_named_with_its_owner_and_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ledger.db.lock");
        fs::write(&file, "").expect("writes");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("sets");
        let told = |kind: io::ErrorKind| unusable(&file, &kind.into()).to_string();
        let (user, denied) = (name(geteuid().as_raw()), told(io::ErrorKind::PermissionDenied));
        let expect = format!("ledger.db.lock cannot be written: it belongs to {user} (mode 0600)");
        assert!(denied.contains(&expect) && denied.contains("chmod"), "{denied}");
        let immutable = unusable(&file, &Errno::PERM.into()).to_string();
        assert!(immutable.contains("lsattr") && !immutable.contains("chmod"), "{immutable}");
        assert!(told(io::ErrorKind::ReadOnlyFilesystem).contains("a read-only file system"));
    }

    #[test]
    fn a_user_without_a_name_is_a_number() {
        assert_eq!(name(4_294_967_294), "the user 4294967294");
    }
}
