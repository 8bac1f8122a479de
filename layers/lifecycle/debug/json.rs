//! The list as JSON. Its fields are part of the interface.

use std::fmt::{self, Write};

use super::{
    super::worker::QueueStatus,
    list::{Left, List, Shown},
};

pub(super) fn write(list: &List) -> String {
    let mut json = String::with_capacity(80 + 240 * list.shown.len());
    // To a string nothing fails to be written.
    let _ = write_list(&mut json, list);
    json
}

fn write_list(json: &mut String, list: &List) -> fmt::Result {
    let List {
        phase,
        alive,
        overdue,
        shown,
        queues,
        ..
    } = list;
    let more = list.more();
    write!(
        json,
        r#"{{"phase":"{phase}","alive":{alive},"overdue":{overdue},"more":{more},"work":["#
    )?;
    for (n, work) in shown.iter().enumerate() {
        if n > 0 {
            json.push(',');
        }
        write_work(json, work)?;
    }
    json.push_str("],\"queues\":[");
    for (n, (worker, status)) in queues.iter().enumerate() {
        if n > 0 {
            json.push(',');
        }
        write_queue(json, worker, status)?;
    }
    json.push_str("]}");
    Ok(())
}

fn write_queue(json: &mut String, worker: &str, status: &QueueStatus) -> fmt::Result {
    let QueueStatus {
        depth,
        capacity,
        in_progress,
        concurrency,
        behind,
        stalled,
        ..
    } = status;
    let (worker, oldest, backlog) = (Quoted(worker), status.oldest.unwrap_or_default(), status.backlog);
    write!(
        json,
        r#"{{"worker":{worker},"depth":{depth},"capacity":{capacity},"in_progress":{in_progress},"concurrency":{concurrency},"#
    )?;
    let (oldest, backlog) = (oldest.as_millis(), backlog.as_millis());
    write!(
        json,
        r#""oldest_ms":{oldest},"backlog_ms":{backlog},"behind":{behind},"stalled":{stalled}}}"#
    )
}

fn write_work(json: &mut String, work: &Shown) -> fmt::Result {
    let (id, kind, name) = (work.id, work.kind, Quoted(work.name));
    write!(json, r#"{{"id":{id},"kind":"{kind}","name":{name},"owner":"#)?;
    match work.owner {
        None => json.push_str("null"),
        Some(owner) => {
            let (id, kind, name) = (owner.id, owner.kind, Quoted(owner.name));
            write!(json, r#"{{"id":{id},"kind":"{kind}","name":{name}}}"#)?;
        }
    }
    write!(json, r#","age_ms":{},"remaining_ms":"#, work.age.as_millis())?;
    match work.left {
        None => json.push_str("null"),
        Some(Left::Still(left)) => write!(json, "{}", left.as_millis())?,
        // Not `-0`: it is past.
        Some(Left::Overdue(by)) => write!(json, "-{}", by.as_millis().max(1))?,
    }
    let (overdue, stopped_by) = (work.is_overdue(), Quoted(work.stopped_by));
    write!(json, r#","overdue":{overdue},"stopped_by":{stopped_by}}}"#)
}

/// A text as a JSON string (RFC 8259, section 7).
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
