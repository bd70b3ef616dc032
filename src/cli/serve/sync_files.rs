//! The configurations of all syncs of a `serve`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{Config, LedgerConfig, ServeConfig};
use crate::web::UnusableFile;

/// A sync with its configuration.
#[derive(Debug, Clone)]
pub(super) struct SyncFile {
    /// The file.
    pub(super) path: PathBuf,
    /// What the file says.
    pub(super) config: Config,
}

impl SyncFile {
    /// Whether the other is for the same store, or has the same name.
    pub(super) fn conflicts_with(&self, other: &Self) -> bool {
        self.config.store.name == other.config.store.name
            || self.config.name.eq_ignore_ascii_case(&other.config.name)
    }
}

/// The configurations that were read.
#[derive(Debug, Default)]
pub(super) struct SyncFiles {
    /// Those that can be used, in the order of their files.
    pub(super) syncs: Vec<SyncFile>,
    /// Those that cannot be used.
    pub(super) unusable: Vec<UnusableFile>,
}

impl SyncFiles {
    /// Reads all files. Of two files for one store, or of one name, the second cannot be used.
    pub(super) fn read(paths: &[PathBuf]) -> Self {
        let mut files = Self::default();
        for path in paths {
            match Config::load(path) {
                Ok(config) => files.add(SyncFile { path: path.clone(), config }),
                Err(errors) => files.refuse(path, errors.to_string()),
            }
        }
        files
    }

    /// Returns the one `[serve]` of all files.
    ///
    /// # Errors
    /// Two files differ, or a file needs a variable of the environment that is not set.
    pub(super) fn serve_config(syncs: &[SyncFile]) -> Result<ServeConfig, String> {
        let mut found: Option<(&SyncFile, &ServeConfig)> = None;
        for sync in syncs {
            let config = match &sync.config.serve {
                Ok(config) if *config == ServeConfig::default() => continue,
                Ok(config) => config,
                Err(problem) => return Err(format!("{}: {problem}", sync.path.display())),
            };
            match found {
                Some((other, known)) if known != config => {
                    return Err(format!(
                        "[serve] of {} differs from that of {}: one process has one address; keep it in one file",
                        sync.path.display(),
                        other.path.display()
                    ));
                }
                _ => found = Some((sync, config)),
            }
        }
        Ok(found.map_or_else(ServeConfig::default, |(_, config)| config.clone()))
    }

    fn add(&mut self, sync: SyncFile) {
        let taken = |what: &str, other: &Path| {
            format!("{} cannot be used:\n  {what} is that of {} too", sync.path.display(), other.display())
        };
        let found = self.syncs.iter().find_map(|other| {
            if other.config.store.name == sync.config.store.name {
                Some(taken(&format!("its {}", sync.config.store.name), &other.path))
            } else if other.config.name.eq_ignore_ascii_case(&sync.config.name) {
                Some(taken(&format!("its name \"{}\"", sync.config.name), &other.path))
            } else {
                None
            }
        });
        match found {
            Some(problem) => self.refuse(&sync.path, problem),
            None => self.syncs.push(sync),
        }
    }

    /// Takes the syncs that `allowed` allows. The files of the others cannot be used.
    pub(super) fn retain<E: ToString>(&mut self, allowed: impl Fn(&SyncFile) -> Result<(), E>) {
        for sync in std::mem::take(&mut self.syncs) {
            match allowed(&sync) {
                Ok(()) => self.syncs.push(sync),
                Err(problem) => {
                    let problem = format!("{}: {}", sync.path.display(), problem.to_string());
                    self.refuse(&sync.path, problem);
                }
            }
        }
    }

    /// Why files cannot be used, with the files.
    pub(super) fn problems(&self) -> Vec<&str> {
        self.unusable.iter().map(|file| file.problem.as_str()).collect()
    }

    /// Says which syncs wait for each other: a SQLite ledger has one lock, so only one of its stores has a run at a time.
    pub(super) fn waiting_for_each_other(&self) -> Vec<String> {
        let mut by_file: BTreeMap<&Path, Vec<&str>> = BTreeMap::new();
        for sync in &self.syncs {
            if let LedgerConfig::Sqlite(path) = &sync.config.ledger {
                by_file.entry(path).or_default().push(&sync.config.name);
            }
        }
        let shared = by_file.into_iter().filter(|(_, names)| names.len() > 1);
        let text = |(path, names): (&Path, Vec<&str>)| {
            format!(
                "the syncs {} wait for each other, because their ledger is one SQLite file, {}; give each a file of its own \
                 ([ledger] url), or use a Postgres ledger",
                names.join(", "),
                path.display()
            )
        };
        shared.map(text).collect()
    }

    /// Notes that what a file said before stays in force.
    pub(super) fn keep_in_force(&mut self, old: &SyncFile) {
        let path = old.path.display().to_string();
        for file in self.unusable.iter_mut().filter(|file| file.file == path) {
            (file.name, file.stays_in_force) = (old.config.name.clone(), true);
        }
    }

    /// A file that cannot be read has no name, so its sync is called as the file.
    fn refuse(&mut self, path: &Path, problem: String) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = path.display().to_string();
        self.unusable.push(UnusableFile { name, file, problem, stays_in_force: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a file for each name and hash, and reads them all.
    fn read(files: &[(&str, &str, &str)]) -> SyncFiles {
        let folder = tempfile::tempdir().expect("a folder");
        let paths: Vec<PathBuf> = files
            .iter()
            .map(|(file, name, hash)| {
                let path = folder.path().join(file);
                let text = format!(
                    "{name}\n[source]\nurl = \"postgres://db\"\ntable = \"t\"\n[store]\nhash = \"{hash}\"\n\
                     access_token = \"t\"\n"
                );
                std::fs::write(&path, text).expect("a file");
                path
            })
            .collect();
        SyncFiles::read(&paths)
    }

    #[test]
    fn two_files_for_one_store_or_of_one_name_name_each_other() {
        let files = read(&[
            ("a.toml", "", "one"),
            ("b.toml", "", "ONE"),
            ("c.toml", "name = \"A\"", "two"),
            ("d.toml", "name = \"d e\"", "three"),
            ("f.toml", "", "four"),
        ]);
        let names: Vec<&str> = files.syncs.iter().map(|sync| sync.config.name.as_str()).collect();
        assert_eq!(names, ["a", "f"]);
        let problems = files.problems();
        let [store, name, own] = problems.as_slice() else { panic!("{problems:?}") };
        let unusable: Vec<&str> = files.unusable.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(unusable, ["b", "c", "d"]);
        assert!(
            store.contains("b.toml cannot be used") && store.contains("its store one at https"),
            "{store}"
        );
        assert!(store.ends_with("a.toml too"), "{store}");
        assert!(name.contains("c.toml cannot be used:\n  its name \"A\" is that of "), "{name}");
        assert!(name.ends_with("a.toml too"), "{name}");
        assert!(own.contains("d.toml cannot be used:\n  name: has the character ' '"), "{own}");
        let [waiting] = &files.waiting_for_each_other()[..] else { panic!("two syncs have one ledger") };
        assert!(waiting.starts_with("the syncs a, f wait for each other"), "{waiting}");
    }
}
