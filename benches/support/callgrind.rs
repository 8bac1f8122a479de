//! Instructions and clock reads, counted by callgrind.

use std::{
    collections::HashMap,
    env, fs, io,
    process::{Command, Stdio, id},
    sync::{Mutex, PoisonError},
    thread,
};

use super::Case;

/// What one request executed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    pub(crate) clock_reads: f64,
}

/// What is counted: these functions, and all that they call. How cases are built is not: a clock that calibrates itself, or a table
/// under secret keys, is never twice the same.
const COUNTED: [&str; 2] = ["support::drive::batch", "support::drive::counted"];

/// Two lengths of one run. What they have in common, the first request of its kind, is subtracted.
const SHORT: u32 = 1_000;
const LONG: u32 = 3_000;

/// Counts each case in processes of its own, two at a time. `None` where there is no valgrind.
pub(super) fn counts(cases: &[Case]) -> Option<Vec<Counts>> {
    let found = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("no valgrind on the PATH: no instructions are counted");
        return None;
    }
    let names: Vec<String> = cases.iter().map(Case::full_name).collect();
    let todo = Mutex::new(names.iter().enumerate());
    let done = Mutex::new(vec![Counts::default(); names.len()]);
    let work = || {
        while let Some((index, name)) = lock(&todo).next() {
            let counted = count(name).unwrap_or_else(|error| panic!("callgrind of {name}: {error}"));
            lock(&done)[index] = counted;
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    Some(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(name: &str) -> io::Result<Counts> {
    let [short, long] = [totals(name, SHORT)?, totals(name, LONG)?];
    let each = |long: u64, short: u64| {
        let difference = u32::try_from(long.saturating_sub(short)).unwrap_or(u32::MAX);
        f64::from(difference) / f64::from(LONG - SHORT)
    };
    Ok(Counts {
        instructions: each(long.instructions, short.instructions),
        clock_reads: each(long.clock_reads, short.clock_reads),
    })
}

/// The counts of one whole process.
#[derive(Default)]
struct Totals {
    instructions: u64,
    clock_reads: u64,
}

fn totals(name: &str, iterations: u32) -> io::Result<Totals> {
    let out = env::temp_dir().join(format!("bench-callgrind-{}-{:?}", id(), thread::current().id()));
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "-q"])
        .args(COUNTED.map(|function| format!("--toggle-collect=*{function}*")))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["--case", name, "--iterations", &iterations.to_string()])
        .output()?;
    if !run.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&run.stderr).into_owned()));
    }
    let profile = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    Ok(read(&profile))
}

/// Reads a profile: the total of instructions, and the calls of `clock_gettime`.
///
/// A call is a line `cfn=(id) name`, the name only where the id comes first, and after it a line `calls=count target`.
fn read(profile: &str) -> Totals {
    let mut totals = Totals::default();
    let mut names = HashMap::new();
    let mut called_is_clock = false;
    for line in profile.lines() {
        if let Some(count) = line.strip_prefix("totals: ") {
            totals.instructions = count.trim().parse().unwrap_or_default();
        } else if let Some(function) = line.strip_prefix("fn=") {
            is_clock(function, &mut names);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            called_is_clock = is_clock(function, &mut names);
        } else if let (true, Some(calls)) = (called_is_clock, line.strip_prefix("calls=")) {
            let count = calls.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            totals.clock_reads += count.unwrap_or_default();
        }
    }
    totals
}

fn is_clock<'a>(function: &'a str, names: &mut HashMap<&'a str, bool>) -> bool {
    match function.split_once(' ') {
        Some((id, name)) => {
            let clock = name.starts_with("clock_gettime");
            names.insert(id, clock);
            clock
        }
        None => names.get(function).copied().unwrap_or(false),
    }
}
