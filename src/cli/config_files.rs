//! The configuration files of a command that takes several.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::Failure;
use super::path_arg;

/// Options of a command that takes several configuration files.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFiles {
    /// Read every file NAME.toml of this folder, one for each sync, instead of --config
    #[arg(long, value_name = "DIR", value_parser = path_arg::parser())]
    config_dir: Option<PathBuf>,
}

impl ConfigFiles {
    /// Whether they are those of a folder.
    pub(super) const fn is_folder(&self) -> bool {
        self.config_dir.is_some()
    }

    /// Returns the files: those of the folder in the order of their names, or those that `--config` names.
    ///
    /// # Errors
    /// The folder cannot be read, or has no such file.
    pub(super) fn paths(&self, context: &Context) -> Result<Vec<PathBuf>, Failure> {
        let Some(folder) = &self.config_dir else { return Ok(context.configs.clone()) };
        let failed = |problem: &dyn std::fmt::Display| {
            Failure::usage(format!("the folder {} cannot be used: {problem}", folder.display()))
        };
        let entries = std::fs::read_dir(folder).map_err(|error| failed(&error))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| failed(&error))?.path();
            if is_config(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            return Err(failed(&"it has no file whose name ends in .toml"));
        }
        Ok(paths)
    }
}

/// Whether a file of a folder is a configuration. Editors leave hidden files behind.
fn is_config(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    path.extension().is_some_and(|extension| extension == "toml") && !is_hidden && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::view::console::{Console, LogFormat};
    use crate::cli::view::paint::ColorWhen;

    #[test]
    fn a_folder_has_one_file_for_each_sync_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let console = Console::new(ColorWhen::Never, LogFormat::Text, false, false);
        let context = Context::new(vec![PathBuf::from("sync.toml")], console);
        let files = ConfigFiles { config_dir: Some(folder.path().to_owned()) };
        let problem = files.paths(&context).expect_err("an empty folder").whole();
        assert!(problem.contains("no file whose name ends in .toml"), "{problem}");
        for name in ["b.toml", "a.toml", ".#a.toml", "a.toml.bak", "notes.md"] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        std::fs::create_dir(folder.path().join("c.toml")).expect("a folder");
        let paths = files.paths(&context).expect("two files");
        assert_eq!(paths, [folder.path().join("a.toml"), folder.path().join("b.toml")]);
        let named = ConfigFiles { config_dir: None }.paths(&context).expect("as named");
        assert_eq!(named, [PathBuf::from("sync.toml")]);
    }
}
