use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::{Instant, advance};

use super::*;
use crate::{
    Lifecycle,
    context::Context,
    registry::{Kind, Work},
};

const S: Duration = Duration::from_secs(1);

async fn ask(view: &DebugView, request: Request<()>) -> (http::response::Parts, String) {
    let (head, body) = view.clone().call(request).await.unwrap().into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    (head, String::from_utf8(text.to_vec()).unwrap())
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

fn accepting(types: &'static str) -> Request<()> {
    Request::get("/").header("accept", types).body(()).unwrap()
}

async fn json(view: &DebugView) -> serde_json::Value {
    let (head, text) = ask(view, get("/?format=json")).await;
    assert_eq!(head.headers["content-type"], "application/json");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A lifecycle, and a view of it.
fn viewed() -> (Lifecycle, Context, DebugView) {
    let life = Lifecycle::builder().build().unwrap();
    let (context, view) = (life.handle().context(), life.handle().debug_view());
    (life, context, view)
}

#[tokio::test(start_paused = true)]
async fn json_says_of_all_that_lives_what_stops_it() {
    let (_life, context, view) = viewed();
    let owner = context.with_timeout(5 * S).spawn("index", {
        let context = context.clone();
        async move { context.spawn("shard", std::future::pending::<()>()).await }
    });
    advance(2 * S).await;
    let json = json(&view).await;
    assert_eq!(
        (&json["phase"], &json["alive"], &json["more"], &json["overdue"]),
        (&"running".into(), &2.into(), &0.into(), &0.into())
    );
    let (index, shard) = (&json["work"][0], &json["work"][1]);
    assert_eq!((&index["name"], &index["kind"]), (&"index".into(), &"task".into()));
    assert_eq!(
        (&index["age_ms"], &index["remaining_ms"]),
        (&2_000.into(), &3_000.into())
    );
    assert_eq!(
        (&index["owner"], &index["overdue"]),
        (&serde_json::Value::Null, &false.into())
    );
    assert_eq!(index["stopped_by"], Kind::Task.stopped_by());
    assert_eq!(
        (&shard["owner"]["name"], &shard["owner"]["id"]),
        (&"index".into(), &index["id"])
    );
    assert_eq!(shard["remaining_ms"], serde_json::Value::Null);
    drop(owner);
}

#[test]
fn the_overdue_come_first_and_then_the_oldest() {
    let at = |seconds: u32| Instant::now() + seconds * S;
    let now = at(100);
    let mut works: Vec<Work> = [
        ("young", 90, None),
        ("old", 10, None),
        ("late", 95, Some(99)),
        ("later", 20, Some(98)),
    ]
    .into_iter()
    .zip(1..)
    .map(|((name, started, deadline), id)| Work {
        id,
        kind: Kind::Task,
        name,
        owner: None,
        started: at(started),
        deadline: deadline.map(at),
    })
    .collect();
    works.reverse();
    let list = List::new(super::super::Phase::Running, works, now);
    let names: Vec<_> = list.shown.iter().map(|work| work.name).collect();
    assert_eq!((names, list.overdue), (vec!["later", "late", "old", "young"], 2));
    let page = page::write(&list);
    assert_eq!(page.matches("class=\"late\"").count(), 2);
    let json: serde_json::Value = serde_json::from_str(&json::write(&list)).unwrap();
    assert!(json["work"][0]["remaining_ms"].as_i64().unwrap() < 0);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_requests_is_told_where_they_are() {
    let work = |id, kind| Work {
        id,
        kind,
        name: "one",
        owner: None,
        started: Instant::now(),
        deadline: None,
    };
    for (kinds, told) in [
        (&[][..], false),
        (&[Kind::Connection], true),
        (&[Kind::Connection, Kind::Request], false),
    ] {
        let works = kinds.iter().zip(1..).map(|(kind, id)| work(id, *kind)).collect();
        let page = page::write(&List::new(super::super::Phase::Running, works, Instant::now()));
        assert_eq!(page.contains("track_requests"), told, "{kinds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_text_and_nothing_else() {
    const NAME: &str = "<script>alert(\"1\")</script> & 'x' \\ \u{7} \u{1f98a}";
    let (_life, context, view) = viewed();
    let task = context.spawn(NAME, std::future::pending::<()>());
    assert_eq!(json(&view).await["work"][0]["name"], NAME);
    let (head, page) = ask(&view, get("/")).await;
    assert_eq!(head.headers["content-type"], "text/html; charset=utf-8");
    assert!(!page.contains("<script"), "{page}");
    assert!(
        page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;"),
        "{page}"
    );
    // Where something slips through all the same, the browser does not run it.
    assert!(
        head.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    drop(task);
}

#[tokio::test(start_paused = true)]
async fn it_shows_a_thousand_and_says_how_many_more() {
    let (_life, context, view) = viewed();
    let tasks: Vec<_> = (0..1_003)
        .map(|_| context.spawn("one of many", std::future::pending::<()>()))
        .collect();
    let json = json(&view).await;
    assert_eq!((&json["alive"], &json["more"]), (&1_003.into(), &3.into()));
    assert_eq!(json["work"].as_array().unwrap().len(), 1_000);
    let (_, page) = ask(&view, get("/")).await;
    assert!(page.contains("And 3 more"));
    drop(tasks);
}

#[tokio::test(start_paused = true)]
async fn the_queues_stand_beside_it() {
    let (life, _, view) = viewed();
    let worker = life.worker("mail").queue(8).stalled_after(S);
    let queue = worker
        .run(async |_: u32| {
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(())
        })
        .unwrap();
    for job in 0..3 {
        queue.try_enqueue(job).unwrap();
    }
    tokio::time::sleep(2 * S).await;
    let json = json(&view).await;
    let mail = serde_json::json!({
        "worker": "mail", "depth": 2, "capacity": 8, "in_progress": 1, "concurrency": 1,
        "oldest_ms": 2_000, "backlog_ms": 0, "behind": false, "stalled": true,
    });
    assert_eq!(json["queues"], serde_json::Value::from(vec![mail]));
    let (_, page) = ask(&view, get("/")).await;
    assert!(
        page.contains("2 of 8<td class=\"n\">1 of 1<td class=\"n\">2.0 s"),
        "{page}"
    );
    assert!(page.contains("<b>stalled</b>"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_another_process_is_shown() {
    let ((_one, context, _), (_other, _, view)) = (viewed(), viewed());
    let task = context.spawn("elsewhere", std::future::pending::<()>());
    assert_eq!(json(&view).await["alive"], 0);
    drop(task);
}

#[tokio::test]
async fn json_is_for_who_asks_for_it() {
    let (_life, _, view) = viewed();
    for (request, is_json) in [
        (get("/"), false),
        (get("/deeper/down?x=1&format=json"), true),
        (get("/?format=html"), false),
        (accepting("application/json"), true),
        (accepting("text/plain, Application/JSON;q=0.5"), true),
        (accepting("text/html,application/xhtml+xml,*/*;q=0.8"), false),
        (accepting("application/json, text/html"), false),
        (accepting("*/*"), false),
    ] {
        let asked = format!("{request:?}");
        let (head, _) = ask(&view, request).await;
        assert_eq!(head.headers["content-type"] == "application/json", is_json, "{asked}");
    }
}

#[tokio::test]
async fn head_has_no_body_and_other_methods_are_not_allowed() {
    let (_life, _, view) = viewed();
    let (got, page) = ask(&view, get("/")).await;
    let (head, nothing) = ask(&view, Request::head("/").body(()).unwrap()).await;
    assert_eq!((head.status, nothing.as_str()), (StatusCode::OK, ""));
    assert_eq!(
        (&head.headers, head.headers["content-length"].to_str().unwrap()),
        (&got.headers, &*page.len().to_string())
    );
    for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
        let (head, _) = ask(&view, Request::builder().method(method).body(()).unwrap()).await;
        assert_eq!(
            (head.status, &head.headers["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &METHODS)
        );
    }
}
