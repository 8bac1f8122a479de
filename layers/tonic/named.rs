//! The name of a service is that of what is within: tonic routes by it.

use tonic::server::NamedService;

#[cfg(feature = "server")]
use crate::lifecycle::serve::ProcessService;
use crate::{
    admission::{Admission, shed::ShedUnready},
    cancel::{Cancel, ShieldService},
    context::ScopeService,
    criticality::{CriticalityService, PropagateCriticality},
    deadline::{DeadlineService, PropagateDeadline, Timeout},
    fallback::Fallback,
    fault::Fault,
    hedge::Hedge,
    observe::Observe,
    rejection::RenderService,
    retry::Retry,
    stack::{Client as StackedClient, Optional},
    tonic::{Client, Transport},
};

/// For a service of requests that is around `S`. `.ci/house.sh` sees to it that none is left out.
macro_rules! named {
    ($($service:ident<$($of:ident),+>)+) => {$(
        /// The name of the service within.
        impl<$($of),+> NamedService for $service<$($of),+>
        where
            S: NamedService,
        {
            const NAME: &'static str = S::NAME;
        }
    )+};
}

named! {
    Admission<S, A, M>
    Cancel<S, M>
    Client<S>
    CriticalityService<S>
    DeadlineService<S>
    Fallback<S, F, W, M>
    Fault<S, X, M>
    Hedge<S>
    Observe<S, O, M>
    Optional<A, S>
    PropagateCriticality<S>
    PropagateDeadline<S>
    RenderService<S>
    Retry<S, C>
    ScopeService<S>
    ShedUnready<S, M>
    ShieldService<S, M>
    StackedClient<S, O>
    Timeout<S, M>
    Transport<S>
}

#[cfg(feature = "server")]
named! {
    ProcessService<S>
}
