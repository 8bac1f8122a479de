//! An admission policy of one's own, in twenty lines: at most so many requests of one tenant at a time.
//!
//! ```text
//! cargo run --example policy
//! for n in 1 2 3; do curl -si -H 'x-tenant: acme' http://127.0.0.1:3000/ & done; wait
//! ```
//!
//! Two of the three are answered after a second, the third at once with 503. The engine does the rest: it decides on the head, holds
//! the place until the body has ended, gives it back when the client leaves, and answers in the protocol of the request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, routing::get};
use buttress::{
    AdmissionLayer, CancelLayer, DeadlineLayer, Rejection,
    admission::{Admit, Arrival, Decision, Never},
    outcome::{Outcome, Settle},
    rejection::Reason,
};

/// How many requests of each tenant are inside. Only tenants that are inside are in here, so it is as bounded as they are.
#[derive(Clone, Default)]
struct PerTenant(Arc<Mutex<HashMap<String, usize>>>);

const AT_MOST: usize = 2;

impl Admit for PerTenant {
    type Permit = Place;
    type Wait = Never<Place>;

    fn admit(&self, arrival: &Arrival<'_>) -> Decision<Place, Never<Place>> {
        let tenant = arrival
            .head()
            .and_then(|head| head.headers.get("x-tenant")?.to_str().ok())
            .unwrap_or("nobody");
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(tenant.to_owned()).or_default();
        if *count == AT_MOST {
            return Decision::No(Rejection::new(Reason::Overloaded, "per-tenant"));
        }
        *count += 1;
        Decision::Now(Place(self.clone(), tenant.to_owned()))
    }
}

/// A tenant's place, given back when its call has ended, however it did.
struct Place(PerTenant, String);

impl Settle for Place {
    fn settle(self, outcome: Outcome) {
        println!("{}: {}", self.1, outcome.as_str());
        let mut inside = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = inside.get_mut(&self.1) else { return };
        *count -= 1;
        if *count == 0 {
            inside.remove(&self.1);
        }
    }
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(1)).await;
    "hello"
}

pub(crate) fn app() -> Router {
    Router::new()
        .route("/", get(slow))
        .layer(AdmissionLayer::new(PerTenant::default()))
        .layer(CancelLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(10)))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app()).await
}
