//! A policy that waits with a future of its own, in a router.

use std::future::{Ready, ready};

use axum::Router;
use buttress::{
    AdmissionLayer, Rejection,
    admission::{Admit, Arrival, Decision},
};

struct Patient;

impl Admit for Patient {
    type Permit = ();
    type Wait = Ready<Result<(), Rejection>>;

    fn admit(&self, _: &Arrival<'_>) -> Decision<(), Self::Wait> {
        Decision::Wait(ready(Ok(())))
    }
}

fn main() {
    let _: Router = Router::new().layer(AdmissionLayer::new(Patient));
}
