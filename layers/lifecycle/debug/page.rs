//! The list as a page for people, of one piece: it loads nothing, runs nothing, and asks for itself again every two seconds.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::list::{Left, List, Shown};

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What stops this work?</title>
<style>
:root { color-scheme: light dark; --line: #8884; --late: #c62828; --faint: #808080 }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 0 .2rem }
p { margin: 0 0 1.2rem }
table { border-collapse: collapse; width: 100% }
div { overflow-x: auto }
th, td { text-align: left; padding: .35rem 1.2rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; white-space: nowrap }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td.name { font-family: ui-monospace, monospace; overflow-wrap: anywhere; min-width: 10rem; max-width: 26rem }
td.by { min-width: 9rem }
td.end { min-width: 14rem }
tr.late td { background: color-mix(in srgb, var(--late) 9%, transparent) }
tr.late td:first-child { box-shadow: inset 3px 0 var(--late) }
td:first-child, th:first-child { padding-left: .8rem }
.late b, p b { color: var(--late) }
.faint { color: var(--faint) }
</style>
</head>
<body>
<h1>What stops this work?</h1>
"#;

pub(super) fn write(list: &List) -> String {
    let mut page = String::with_capacity(HEAD.len() + 512 + 320 * list.shown.len());
    page.push_str(HEAD);
    // To a string nothing fails to be written.
    let _ = write_list(&mut page, list);
    page.push_str("</body>\n</html>\n");
    page
}

fn write_list(page: &mut String, list: &List) -> fmt::Result {
    let List {
        phase,
        alive,
        overdue,
        shown,
    } = list;
    write!(page, "<p>The process is <strong>{phase}</strong>. {alive} alive")?;
    if *overdue > 0 {
        write!(page, ", <b>{overdue} overdue</b>")?;
    }
    page.push_str(". <a href=\"?format=json\">JSON</a></p>\n");
    if shown.is_empty() {
        page.push_str("<p class=\"faint\">Nothing runs on its own.</p>\n");
        return Ok(());
    }
    page.push_str(
        "<div>\n<table>\n<thead><tr><th>Kind<th>Name<th>Started by<th class=\"n\">Age<th class=\"n\">Deadline<th>What stops it\
         </tr></thead>\n<tbody>\n",
    );
    for work in shown {
        write_row(page, work)?;
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
    match list.more() {
        0 => Ok(()),
        more => writeln!(page, "<p class=\"faint\">And {more} more.</p>"),
    }
}

fn write_row(page: &mut String, work: &Shown) -> fmt::Result {
    let late = if work.is_overdue() { " class=\"late\"" } else { "" };
    let (id, kind, name, age) = (work.id, work.kind, Text(work.name), Span(work.age));
    write!(
        page,
        "<tr{late} id=\"w{id}\"><td>{kind}<td class=\"name\">{name}<td class=\"by\">"
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
