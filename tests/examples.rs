//! The examples, against themselves: each does what its first lines say. `worker` and `gateway` have tests of their own.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test may spawn, queue without bound and fail by unwrap"
)]

mod support;

/// An example, without its `main`.
macro_rules! examples {
    ($($name:ident: $path:literal,)+) => {$(
        #[path = $path]
        #[allow(dead_code, reason = "a test has no use for its `main`")]
        mod $name;
    )+};
}

examples! {
    axum_server: "../examples/axum_server.rs",
    grpc_interceptor: "../examples/grpc_interceptor.rs",
    hyper_client: "../examples/hyper_client.rs",
    policy: "../examples/policy.rs",
    reqwest_client: "../examples/reqwest_client.rs",
    tonic_client: "../examples/tonic_client.rs",
    tonic_server: "../examples/tonic_server.rs",
}

use std::net::SocketAddr;

use buttress::{Lifecycle, address::ClientAddress, retry::Kept};
use support::{Said, Version, client, get, listener, said, serve, soon};
use tokio::{task::JoinSet, time::Instant};
use tonic::Code;

/// What `path` answers to who gives it so many milliseconds.
async fn ask(address: SocketAddr, path: &str, ms: u32) -> Said {
    let mut request = get(address, path);
    request.headers_mut().insert("x-request-timeout-ms", ms.into());
    said(soon(client(Version::Http1).request(request)).await.unwrap()).await
}

#[tokio::test(crate = "support::leakless")]
async fn an_axum_server_knows_how_much_time_it_has_how_many_it_serves_and_how_to_end() {
    let life = Lifecycle::builder().build().unwrap();
    let (listener, address) = listener().await;
    // With a proxy, so that each call here is of a client of its own: nobody is over the quota but who is meant to be.
    life.serve(listener, axum_server::app(&life, ClientAddress::new().trusted_hops(1)));
    let call = async |path: &str, client: u8, ms: u32| {
        let mut request = get(address, path);
        request.headers_mut().insert("x-request-timeout-ms", ms.into());
        let client = format!("203.0.113.{client}").parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", client);
        said(soon(support::client(Version::Http1).request(request)).await.unwrap()).await
    };

    let report = call("/report", 1, 1_000).await;
    assert!(
        report.status == 200 && report.text.contains(" of 1000 pages, "),
        "{report:?}"
    );
    let export = call("/export", 1, 50).await;
    assert_eq!((export.status, export.text.as_str()), (504, "deadline exceeded"));

    let three = (
        call("/export", 2, 1_000),
        call("/export", 3, 1_000),
        call("/export", 4, 1_000),
    );
    let (a, b, c) = tokio::join!(three.0, three.1, three.2);
    let mut three = [a.status, b.status, c.status];
    three.sort_unstable();
    assert_eq!(three, [503, 504, 504]);

    let mut statuses = Vec::new();
    for _ in 0..10 {
        let whoami = call("/whoami", 5, 1_000).await;
        if whoami.status == 200 {
            assert_eq!(whoami.text, "203.0.113.5\n");
        }
        statuses.push(whoami.status);
    }
    assert_eq!((statuses[0], statuses.contains(&429)), (200, true), "{statuses:?}");

    assert_eq!(ask(address, "/ready", 1_000).await.status, 200);
    life.handle().shutdown();
    let report = soon(life.run()).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(crate = "support::leakless")]
async fn a_tonic_client_gives_a_tonic_server_its_deadlines_and_knows_who_said_no() {
    let life = Lifecycle::builder().build().unwrap();
    let (listener, address) = listener().await;
    tonic_server::serve(&life, listener);
    let calls = soon(Box::pin(tonic_client::calls(support::grpc::channel(address).await))).await;
    assert_eq!((calls[0], calls[1].0), ((Code::Ok, None), Code::DeadlineExceeded));
    assert_eq!(
        calls[2..],
        [
            (Code::DeadlineExceeded, Some("propagate-deadline")),
            (Code::Unavailable, Some("concurrency")),
        ]
    );
    life.handle().shutdown();
    let report = soon(life.run()).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(crate = "support::leakless")]
async fn interceptors_sign_and_let_in() {
    let codes = soon(grpc_interceptor::run()).await.unwrap();
    let (ok, stranger, without, late) = (Code::Ok, Code::Unauthenticated, Code::Internal, Code::DeadlineExceeded);
    assert_eq!(codes, [ok, stranger, without, late]);
}

#[tokio::test(crate = "support::leakless")]
async fn a_client_of_hypers_tries_again_while_there_is_time_and_budget() {
    let begun = Instant::now();
    let (statuses, seen) = soon(hyper_client::run()).await.unwrap();
    let statuses: Vec<_> = statuses.iter().map(http::StatusCode::as_u16).collect();
    assert_eq!(statuses[..4], [200, 200, 200, 503]);
    assert_eq!(seen.kept(Kept::Deadline), 1);
    // The fifth call is not tried again, unless this took so long that the floor brought one more.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few tokens")]
    let granted = 6 + (0.05 * 5.0 + 0.6 * begun.elapsed().as_secs_f64()) as u64;
    assert!((6..=granted).contains(&seen.retries), "{seen:?}");
    assert_eq!(
        (seen.kept(Kept::Budget), statuses[4] == 504),
        if seen.retries == 6 { (1, true) } else { (0, false) }
    );
}

#[tokio::test(crate = "support::leakless")]
async fn a_client_of_reqwests_leaves_an_upstream_alone_that_is_down() {
    use reqwest_client::Gave::{Doubled, Failed, Rejected};
    let (gave, asked) = soon(reqwest_client::run()).await.unwrap();
    let open = Rejected("breaker");
    assert_eq!(gave, [Failed(500), Failed(500), open, open, Doubled(42), Doubled(42)]);
    assert_eq!(asked, 4);
}

#[tokio::test(crate = "support::leakless")]
async fn a_policy_of_ones_own_holds_each_tenant_to_two_at_a_time() {
    let address = serve(policy::app()).await;
    let mut calls = JoinSet::new();
    for tenant in ["acme", "acme", "acme", "other"] {
        let mut request = get(address, "/");
        request.headers_mut().insert("x-tenant", tenant.parse().unwrap());
        calls.spawn(async move {
            let answer = client(Version::Http1).request(request).await.unwrap();
            (tenant, answer.status().as_u16())
        });
    }
    let mut answers = soon(calls.join_all()).await;
    answers.sort_unstable();
    assert_eq!(answers, [("acme", 200), ("acme", 200), ("acme", 503), ("other", 200)]);
}
