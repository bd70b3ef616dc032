//! A path on the command line.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};

/// Reads a path. Refuses one in the home folder that the shell has not replaced: `--config=~/sync.toml`.
pub(super) fn parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.starts_with("~") {
        false => Ok(path),
        true => Err("a shell replaces ~ only at the beginning of a word: write the whole path, or $HOME in place of ~"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[arg(long, value_parser = parser())]
        config: PathBuf,
    }

    #[test]
    fn a_home_folder_that_the_shell_has_not_replaced_is_refused() {
        let config = |path: &str| <Line as clap::Parser>::try_parse_from(["x", &format!("--config={path}")]);
        assert_eq!(config("~sync.toml").expect("a path").config, PathBuf::from("~sync.toml"));
        assert_eq!(config("./~/sync.toml").expect("a path").config, PathBuf::from("./~/sync.toml"));
        let error = config("~/sync.toml").expect_err("is refused").to_string();
        assert!(error.contains("$HOME"), "{error}");
    }
}
