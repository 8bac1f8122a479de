use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Signal,
    kernel::{Kept, Page, field, groups, number},
};

/// How long a reading is good for.
const EVERY: Duration = Duration::from_millis(500);

/// How much of its memory the process's control group uses, in parts of the limit at which the kernel kills.
///
/// File cache that nobody uses is not counted: the kernel takes it back first. The limit is the tightest of the group
/// and of those around it. In order: control groups v2 (`memory.current` less `inactive_file`, of `memory.max`); v1
/// (`memory.usage_in_bytes` less `total_inactive_file`, of the hierarchy's limit); and where none limits the process,
/// the whole machine, by what `/proc/meminfo` calls available. Where none of them can be read, as on systems other than
/// Linux, it says nothing.
///
/// The files are found when this is made, and read every 500 ms at most, some ten microseconds each time.
#[derive(Debug)]
pub struct Memory {
    source: Option<Source>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    read: Option<Instant>,
    level: Option<f64>,
}

#[derive(Debug)]
enum Source {
    V2 { current: Kept, max: Kept, stat: Kept },
    V1 { usage: Kept, stat: Kept },
    Machine { meminfo: Kept },
}

impl Source {
    fn find(root: &Path) -> Option<Self> {
        let meminfo = root.join("proc/meminfo");
        let machine = Kept::open(&meminfo).map(|meminfo| Self::Machine { meminfo });
        // What limits no less than the machine does is no limit.
        let size = fs::read_to_string(meminfo)
            .ok()
            .and_then(|text| field(&text, "MemTotal"));
        let size = size.map_or(u64::MAX, |kib| kib.saturating_mul(1024));
        let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mounted = root.join("sys/fs/cgroup");
        let v2 = groups(&mounted, &own, "")
            .filter_map(|group| Self::v2(&group))
            .filter(|(_, limit)| *limit < size)
            .min_by_key(|(_, limit)| *limit);
        let v1 = || {
            groups(&mounted.join("memory"), &own, "memory")
                .find_map(|group| Self::v1(&group))
                .filter(|(_, limit)| *limit < size)
        };
        v2.or_else(v1).map(|(source, _)| source).or(machine)
    }

    fn v2(group: &Path) -> Option<(Self, u64)> {
        let source = Self::V2 {
            current: Kept::open(group.join("memory.current"))?,
            max: Kept::open(group.join("memory.max"))?,
            stat: Kept::open(group.join("memory.stat"))?,
        };
        let (_, limit) = source.used_of()?;
        Some((source, limit))
    }

    fn v1(group: &Path) -> Option<(Self, u64)> {
        let source = Self::V1 {
            usage: Kept::open(group.join("memory.usage_in_bytes"))?,
            stat: Kept::open(group.join("memory.stat"))?,
        };
        let (_, limit) = source.used_of()?;
        Some((source, limit))
    }

    /// Bytes used, and the limit. A limit can be changed under way.
    fn used_of(&self) -> Option<(u64, u64)> {
        let mut page: Page = [0; size_of::<Page>()];
        match self {
            Self::V2 { current, max, stat } => {
                let current = number(current.text(&mut page)?)?;
                let max = number(max.text(&mut page)?)?;
                let cache = stat.text(&mut page).and_then(|stat| field(stat, "inactive_file"));
                Some((current.saturating_sub(cache.unwrap_or(0)), max))
            }
            Self::V1 { usage, stat } => {
                let usage = number(usage.text(&mut page)?)?;
                let stat = stat.text(&mut page)?;
                let cache = field(stat, "total_inactive_file").unwrap_or(0);
                Some((usage.saturating_sub(cache), field(stat, "hierarchical_memory_limit")?))
            }
            Self::Machine { meminfo } => {
                let text = meminfo.text(&mut page)?;
                let total = field(text, "MemTotal")?;
                Some((total.saturating_sub(field(text, "MemAvailable")?), total))
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    fn level(&self) -> Option<f64> {
        let (used, limit) = self.used_of()?;
        (limit > 0).then(|| used as f64 / limit as f64)
    }
}

impl Memory {
    /// Finds out what limits this process. Reads a few files.
    pub fn new() -> Self {
        Self::under(Path::new("/"))
    }

    fn under(root: &Path) -> Self {
        Self {
            source: Source::find(root),
            last: Mutex::default(),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn level(&self, now: Instant) -> Option<f64> {
        let source = self.source.as_ref()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last
            .read
            .is_none_or(|read| now.saturating_duration_since(read) >= EVERY)
        {
            *last = Last {
                read: Some(now),
                level: source.level(),
            };
        }
        last.level
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const MEMINFO: (&str, &str) = (
        "proc/meminfo",
        "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n",
    );

    /// Files like the kernel's, gone with this.
    struct Root(PathBuf);

    impl Root {
        fn new(files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("buttress-{}-{:x}", std::process::id(), fastrand::u64(..)));
            let root = Self(root);
            for (path, text) in files {
                root.write(path, text);
            }
            root
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn level(&self) -> Option<f64> {
            Memory::under(&self.0).level(Instant::now())
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn v2(current: &str, max: &str, stat: &str) -> Root {
        Root::new(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.current", current),
            ("sys/fs/cgroup/memory.max", max),
            ("sys/fs/cgroup/memory.stat", stat),
        ])
    }

    #[test]
    fn control_groups_v2() {
        let table = [
            (
                "400000\n",
                "500000\n",
                "anon 300000\nfile 200000\ninactive_file 100000\n",
                Some(0.6),
            ),
            ("400000\n", "500000\n", "garbage", Some(0.8)),
            ("1\n", "500000\n", "inactive_file 7\n", Some(0.0)),
            // No limit, or one beyond the machine: the machine is what ends.
            ("400000\n", "max\n", "inactive_file 0\n", Some(0.75)),
            ("400000\n", "1024000\n", "inactive_file 0\n", Some(0.75)),
            ("garbage\n", "500000\n", "inactive_file 0\n", Some(0.75)),
            ("400000\n", "garbage\n", "inactive_file 0\n", Some(0.75)),
            ("0\n", "0\n", "inactive_file 0\n", None),
        ];
        for (current, max, stat, expected) in table {
            assert_eq!(v2(current, max, stat).level(), expected, "{current:?} {max:?} {stat:?}");
        }
    }

    #[test]
    fn a_number_that_is_cut_off_at_the_end_of_a_page_is_not_taken_for_a_smaller_one() {
        let line = "inactive_file 100000\n";
        for cut in 0..line.len() {
            let padding = "x".repeat(size_of::<Page>() - cut - 1);
            let stat = format!("{padding}\n{line}");
            assert_eq!(v2("400000\n", "500000\n", &stat).level(), Some(0.8), "{cut}");
        }
        let padding = "x".repeat(size_of::<Page>() - line.len() - 1);
        let stat = format!("{padding}\n{line}more");
        assert_eq!(v2("400000\n", "500000\n", &stat).level(), Some(0.6));
    }

    #[test]
    fn the_tightest_limit_counts_wherever_it_is() {
        let root = v2("500\n", "max\n", "inactive_file 0\n");
        root.write("proc/self/cgroup", "0::/slice/unit\n");
        for (group, current, max) in [("slice", "450\n", "500\n"), ("slice/unit", "100\n", "600\n")] {
            root.write(&format!("sys/fs/cgroup/{group}/memory.current"), current);
            root.write(&format!("sys/fs/cgroup/{group}/memory.max"), max);
            root.write(&format!("sys/fs/cgroup/{group}/memory.stat"), "inactive_file 0\n");
        }
        assert_eq!(root.level(), Some(0.9));
    }

    fn v1(cgroup: &str, usage: &str, stat: &str) -> Root {
        Root::new(&[
            MEMINFO,
            ("proc/self/cgroup", cgroup),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", usage),
            ("sys/fs/cgroup/memory/memory.stat", stat),
        ])
    }

    #[test]
    fn control_groups_v1() {
        let cgroup = "4:memory:/not/in/this/namespace\n0::/\n";
        let stat = "inactive_file 0\nhierarchical_memory_limit 500000\ntotal_inactive_file 100000\n";
        assert_eq!(v1(cgroup, "350000\n", stat).level(), Some(0.5));
        let unlimited = "hierarchical_memory_limit 9223372036854771712\ntotal_inactive_file 7\n";
        assert_eq!(v1(cgroup, "350000\n", unlimited).level(), Some(0.75));
        assert_eq!(v1(cgroup, "350000\n", "garbage").level(), Some(0.75));
        assert_eq!(v1("garbage", "350000\n", stat).level(), Some(0.75));
    }

    #[test]
    fn what_is_missing_or_garbage_says_nothing() {
        assert_eq!(Root::new(&[]).level(), None);
        assert_eq!(Root::new(&[("proc/meminfo", "MemTotal: many kB\n")]).level(), None);
        assert_eq!(
            Root::new(&[("proc/meminfo", "MemTotal: 0 kB\nMemAvailable: 0 kB\n")]).level(),
            None
        );
        assert_eq!(Root::new(&[("proc/meminfo", "\0\u{fffd}")]).level(), None);
    }

    #[test]
    fn it_is_read_no_more_often_than_it_must() {
        let (root, now) = (v2("400000\n", "500000\n", "inactive_file 0\n"), Instant::now());
        let memory = Memory::under(&root.0);
        assert_eq!(memory.level(now), Some(0.8));
        root.write("sys/fs/cgroup/memory.current", "450000\n");
        assert_eq!(memory.level(now + EVERY - Duration::from_millis(1)), Some(0.8));
        assert_eq!(memory.level(now + EVERY), Some(0.9));
        root.write("sys/fs/cgroup/memory.max", "garbage\n");
        assert_eq!(memory.level(now + EVERY * 2), None);
    }
}
