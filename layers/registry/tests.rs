use super::*;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "what is registered here is spawned by hand")]
async fn what_was_entered_before_the_end_and_started_behind_it_is_ended_too() {
    let root = Root::new();
    let entry = enter(Kind::Detached, "late", None, Some(root.clone())).unwrap();
    root.close();
    end_all(&root);
    let task = tokio::spawn(std::future::pending::<()>());
    entry.ends_by(End::Task(task.abort_handle()));
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(enter(Kind::Task, "later", None, Some(root.clone())).is_none());
    assert_eq!(root.live(), 1);
    drop(entry);
    root.idle().await;
}

#[test]
fn who_starts_what_is_its_owner() {
    let root = Root::new();
    let outer = enter(Kind::Task, "outer", None, Some(root.clone())).unwrap();
    let inner = outer.enter(|| enter(Kind::Task, "inner", None, Some(root.clone())).unwrap());
    let beside = enter(Kind::Task, "beside", None, Some(root.clone())).unwrap();
    let alive = snapshot_of(&root);
    let owners: Vec<_> = alive
        .iter()
        .map(|work| (work.name, work.owner.map(|owner| owner.name)))
        .collect();
    assert_eq!(owners, [("outer", None), ("inner", Some("outer")), ("beside", None)]);
    drop((outer, inner, beside));
    assert!(snapshot_of(&root).is_empty());
}

#[test]
fn each_kind_is_counted_at_its_own_place() {
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, at);
        let root = Root::new();
        let entry = enter(kind, "counted", None, Some(root.clone()));
        let mut counts = [0; Kind::ALL.len()];
        counts[at] = 1;
        assert_eq!(count_of(&root), counts);
        drop(entry);
        assert_eq!(count_of(&root), [0; Kind::ALL.len()]);
    }
}
