//! The list as a page for people, of one piece: it loads nothing, runs nothing, and asks for itself again every two seconds. `tests/browser` looks at it.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::{
    super::worker::QueueStatus,
    list::{Left, List, Shown},
};
use crate::registry::Kind;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What stops this work?</title>
<style>
:root { color-scheme: light dark; --ground: #f6f6f4; --sheet: #fff; --ink: #1c1e21; --faint: #5f646b; --line: #e3e3df;
  --mark: #ecece8; --link: #1f5a94; --late: #b3261e; --late-sheet: #fdefed }
@media (prefers-color-scheme: dark) { :root { --ground: #131517; --sheet: #1b1e21; --ink: #e6e7e9; --faint: #9aa1a9; --line: #2c3035;
  --mark: #2a2e33; --link: #8fbdec; --late: #ff938a; --late-sheet: #351f1e } }
* { box-sizing: border-box }
body { font: 14px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 84rem; padding: 1.8rem 1.2rem 3rem; background: var(--ground);
  color: var(--ink) }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 1rem }
h2 { font-size: .95rem; margin: 1.6rem 0 .5rem }
a { color: var(--link) }
dl { display: flex; flex-wrap: wrap; gap: .6rem; margin: 0 }
dl div { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; padding: .45rem .9rem .5rem; min-width: 6.5rem }
dt { color: var(--faint); font-size: .8rem }
dd { font-size: 1.25rem; font-weight: 600; line-height: 1.3; margin: 0; font-variant-numeric: tabular-nums }
section { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .9rem; border-bottom: 1px solid var(--line); vertical-align: baseline }
tr:last-child td { border-bottom: 0 }
th { color: var(--faint); font-size: .8rem; font-weight: 500; white-space: nowrap }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.name { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; min-width: 9rem }
.by { min-width: 10rem }
.end { color: var(--faint); min-width: 13rem }
.kind { background: var(--mark); border-radius: 1rem; padding: .1rem .6rem; white-space: nowrap; font-size: .85rem }
.late td { background: var(--late-sheet) }
.late td:first-child { box-shadow: inset 4px 0 var(--late) }
:target td { background: var(--mark) }
b, .bad { color: var(--late); font-weight: 600 }
.faint { color: var(--faint) }
p { color: var(--faint); margin: .8rem 0 }
@media (max-width: 44rem) { th, td { padding: .3rem .6rem; white-space: nowrap } .name, .by, .end { min-width: 0 } }
</style>
</head>
<body>
<h1>What stops this work?</h1>
"#;

pub(super) fn write(list: &List) -> String {
    let mut page = String::with_capacity(HEAD.len() + 2_048 + 380 * list.shown.len());
    page.push_str(HEAD);
    // To a string nothing fails to be written.
    let _ = write_list(&mut page, list);
    page.push_str("</body>\n</html>\n");
    page
}

fn write_list(page: &mut String, list: &List) -> fmt::Result {
    let (phase, alive, overdue) = (list.phase.as_str().replace('_', " "), list.alive, list.overdue);
    let bad = if overdue > 0 { " class=\"bad\"" } else { "" };
    writeln!(
        page,
        "<dl>\n<div><dt>Process<dd>{phase}</div>\n<div><dt>Alive<dd>{alive}</div>\n<div><dt>Overdue<dd{bad}>{overdue}</div>"
    )?;
    for (kind, count) in &list.kinds {
        writeln!(page, "<div><dt>{}<dd>{count}</div>", Headed(kind.as_str()))?;
    }
    page.push_str("</dl>\n");
    write_queues(page, list)?;
    if list.shown.is_empty() {
        page.push_str("<p>Nothing runs on its own.</p>\n");
    } else {
        page.push_str(
            "<h2>Work: the overdue first, then the oldest</h2>\n<section>\n<table id=\"work\">\n<thead><tr><th>Kind<th>Name<th>Started by\
             <th class=\"n\">Age<th class=\"n\">Deadline<th>What stops it</tr></thead>\n<tbody>\n",
        );
        for work in &list.shown {
            write_row(page, work)?;
        }
        page.push_str("</tbody>\n</table>\n</section>\n");
    }
    if list.more() > 0 {
        writeln!(page, "<p>And {} more.</p>", list.more())?;
    }
    if list.kinds.contains_key(&Kind::Connection) && !list.kinds.contains_key(&Kind::Request) {
        page.push_str(
            "<p>Requests that wait are listed where the server tracks them: <code>track_requests()</code>.</p>\n",
        );
    }
    page.push_str(
        "<p>As it stood a moment ago; asked again every 2 s. The same as <a href=\"?format=json\">JSON</a>.</p>\n",
    );
    Ok(())
}

fn write_queues(page: &mut String, list: &List) -> fmt::Result {
    if list.queues.is_empty() {
        return Ok(());
    }
    page.push_str(
        "<h2>Queues</h2>\n<section>\n<table id=\"queues\">\n<thead><tr><th>Worker<th class=\"n\">Waiting<th class=\"n\">Running\
         <th class=\"n\">Oldest<th class=\"n\">Mean job time<th class=\"n\">Backlog<th>State</tr></thead>\n<tbody>\n",
    );
    for (worker, status) in &list.queues {
        let state = match status {
            QueueStatus { stalled: true, .. } => "<b>stalled</b>",
            QueueStatus { behind: true, .. } => "<b>behind</b>",
            QueueStatus { depth: 0, .. } => "<span class=\"faint\">nothing waits</span>",
            _ => "keeps up",
        };
        write!(
            page,
            "<tr><td class=\"name\">{}<td class=\"n\">{} of {}<td class=\"n\">{} of {}<td class=\"n\">{}<td class=\"n\">{}",
            Text(worker),
            status.depth,
            status.capacity,
            status.in_progress,
            status.concurrency,
            Known(status.oldest),
            Known(status.mean_job_time),
        )?;
        let backlog = status.mean_job_time.map(|_| status.backlog);
        writeln!(page, "<td class=\"n\">{}<td>{state}</tr>", Known(backlog))?;
    }
    page.push_str("</tbody>\n</table>\n</section>\n");
    Ok(())
}

fn write_row(page: &mut String, work: &Shown) -> fmt::Result {
    let late = if work.is_overdue() { " class=\"late\"" } else { "" };
    let (id, kind, name, age) = (work.id, work.kind, Text(work.name), Span(work.age));
    write!(
        page,
        "<tr{late} id=\"w{id}\"><td><span class=\"kind\">{kind}</span><td class=\"name\">{name}<td class=\"by\">"
    )?;
    match work.owner {
        None => page.push_str("<span class=\"faint\">nothing listed</span>"),
        Some(owner) => write!(
            page,
            "{} <a href=\"#w{}\">{}</a>",
            owner.kind,
            owner.id,
            Text(owner.name)
        )?,
    }
    write!(page, "<td class=\"n\">{age}<td class=\"n\">")?;
    match work.left {
        None => page.push_str("<span class=\"faint\">none</span>"),
        Some(Left::Still(left)) => write!(page, "in {}", Span(left))?,
        Some(Left::Overdue(by)) => write!(page, "<b>overdue by {}</b>", Span(by))?,
    }
    writeln!(page, "<td class=\"end\">{}</tr>", Text(work.stopped_by))
}

/// A text as HTML has it, in an element and in a quoted attribute alike.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A name at the head of something.
struct Headed(&'static str);

impl fmt::Display for Headed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        let first = chars.next().into_iter().flat_map(char::to_uppercase);
        write!(f, "{}{}", first.collect::<String>(), chars.as_str())
    }
}

/// A span of time, or that there is none.
struct Known(Option<Duration>);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => Span(time).fmt(f),
            None => f.write_str("<span class=\"faint\">none</span>"),
        }
    }
}

/// A span of time in its two largest units, as people say it.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        match seconds {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..60 => write!(f, "{seconds}.{} s", self.0.subsec_millis() / 100),
            60..3_600 => write!(f, "{minutes} min {} s", seconds % 60),
            3_600..86_400 => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}
