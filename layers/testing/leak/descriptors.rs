//! The open file descriptors of the process, on Linux.

use std::{collections::BTreeMap, fs, path::PathBuf};

/// Each by its number, with what it is of.
pub(super) type Open = BTreeMap<PathBuf, PathBuf>;

pub(super) fn open() -> Open {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Open::new();
    };
    // The directory's own is closed by the time it is asked for.
    let of = |path: PathBuf| fs::read_link(&path).ok().map(|of| (path, of));
    let paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.into_iter().filter_map(of).collect()
}

pub(super) fn opened_since(before: &Open) -> Vec<String> {
    let is_new = |(number, of): &(PathBuf, PathBuf)| before.get(number) != Some(of);
    let name = |(_, of): (PathBuf, PathBuf)| of.display().to_string();
    open().into_iter().filter(is_new).map(name).collect()
}
