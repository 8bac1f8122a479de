//! What the kernel tells, read from `/proc` and `/sys/fs/cgroup`. What cannot be read is `None`, whatever it is.
//!
//! Sources: the kernel's `Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`, `accounting/psi.rst`, and
//! `proc(5)`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

/// Room for each of the files read here; those lines that matter stand in the first page of them all.
pub(super) type Page = [u8; 4096];

/// A file of the kernel's, kept open: each read makes its text anew, in memory.
#[derive(Debug)]
pub(super) struct Kept(File);

impl Kept {
    pub(super) fn open(path: impl AsRef<Path>) -> Option<Self> {
        File::open(path).ok().map(Self)
    }

    /// Its text, in whole lines.
    pub(super) fn text<'a>(&self, page: &'a mut Page) -> Option<&'a str> {
        let length = self.read(page)?;
        let text = std::str::from_utf8(page.get(..length)?).ok()?;
        // A line that is cut off could end in half a number.
        if length == size_of::<Page>() {
            text.rfind('\n').and_then(|end| text.get(..end))
        } else {
            Some(text)
        }
    }

    #[cfg(unix)]
    fn read(&self, page: &mut Page) -> Option<usize> {
        use std::os::unix::fs::FileExt;
        self.0.read_at(page, 0).ok()
    }

    #[cfg(not(unix))]
    fn read(&self, _: &mut Page) -> Option<usize> {
        None
    }
}

/// A file that is a number, or `max` where there is no limit.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        digits => digits.parse().ok(),
    }
}

/// The number behind this name, in a file of lines like `name 42` or `name: 42 kB`.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = rest.strip_prefix([' ', ':'])?;
        rest.split_ascii_whitespace().next()?.parse().ok()
    })
}

/// The total time for which some task waited, of a pressure file.
pub(super) fn stalled(text: &str) -> Option<Duration> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// The directory of this process's group, from `/proc/self/cgroup`: in the unified hierarchy where `controller` is
/// empty, else in that controller's. First its own, then those around it up to the root, which is its own within a
/// container.
pub(super) fn groups<'a>(root: &'a Path, text: &str, controller: &str) -> impl Iterator<Item = PathBuf> + 'a {
    let path = text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|name| name == controller).then_some(path)
    });
    let own = path.map(|path| root.join(path.trim_start_matches('/')));
    let mut next = own;
    std::iter::from_fn(move || {
        let group = next.take()?;
        next = group
            .parent()
            .filter(|parent| parent.starts_with(root))
            .map(Path::to_owned);
        Some(group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("1629405184\n", Some(1_629_405_184)),
            ("max\n", Some(u64::MAX)),
            ("9223372036854771712\n", Some(9_223_372_036_854_771_712)),
            ("0", Some(0)),
            ("", None),
            ("-1\n", None),
            ("12 34\n", None),
            ("99999999999999999999\n", None),
            ("maximum\n", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn fields() {
        let v2 = "anon 18446744\nfile 9613312\ninactive_anon 0\ninactive_file 73829\nactive_file 5447\n";
        let v1 = "inactive_file 0\nhierarchical_memory_limit 536870912\ntotal_inactive_file 738295808\n";
        let meminfo = "MemTotal:       24684092 kB\nMemFree:        22693512 kB\nMemAvailable:   23742780 kB\n";
        for (text, name, expected) in [
            (v2, "inactive_file", Some(73829)),
            (v2, "inactive", None),
            (v1, "total_inactive_file", Some(738_295_808)),
            (v1, "hierarchical_memory_limit", Some(536_870_912)),
            (meminfo, "MemAvailable", Some(23_742_780)),
            (meminfo, "Mem", None),
            ("MemAvailable: lots kB\n", "MemAvailable", None),
            ("MemAvailable:\n", "MemAvailable", None),
            ("", "MemAvailable", None),
        ] {
            assert_eq!(field(text, name), expected, "{name} of {text:?}");
        }
    }

    #[test]
    fn pressures() {
        let full = "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        for (text, expected) in [
            (
                format!("some avg10=0.13 avg60=0.31 avg300=0.68 total=2245809832\n{full}"),
                Some(2_245_809_832),
            ),
            (
                format!("{full}some avg10=100.00 avg60=0.00 avg300=0.00 total=0\n"),
                Some(0),
            ),
            (full.to_owned(), None),
            ("some avg10=0.13 total=\n".to_owned(), None),
            ("some avg10=0.13 total=-4\n".to_owned(), None),
            ("some\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(stalled(&text), expected.map(Duration::from_micros), "{text:?}");
        }
    }

    #[test]
    fn the_groups_of_a_process() {
        let root = Path::new("/sys/fs/cgroup");
        let hybrid = "9:name=systemd:/\n4:memory:/pod/a:b\n2:cpu,cpuacct:/c\n0::/\n";
        let found = |text, controller| {
            let groups = groups(root, text, controller);
            groups
                .map(|group| group.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        let v2 = ["/sys/fs/cgroup/kube/pod", "/sys/fs/cgroup/kube", "/sys/fs/cgroup"];
        assert_eq!(found("0::/kube/pod\n", ""), v2);
        assert_eq!(found(hybrid, "memory")[0], "/sys/fs/cgroup/pod/a:b");
        assert_eq!(found(hybrid, "cpuacct")[0], "/sys/fs/cgroup/c");
        assert_eq!(found(hybrid, "").len(), 1);
        for garbage in ["", "0::\0", "nonsense", "4:memory", ":::::", "0:memoryx:/"] {
            assert_eq!(found(garbage, "memory"), [""; 0], "{garbage:?}");
        }
    }
}
