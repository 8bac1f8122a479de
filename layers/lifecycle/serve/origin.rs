//! Where the contexts of requests come from: never from the root itself, whose lock all of them would meet at.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::connection::{OnConnection, Served};
use crate::{
    context::{
        Context, ContextGuard, Frame,
        home::{Home, Homes, homes},
    },
    lifecycle::{life::Process, phase::Schedule},
    registry::Root,
};

/// What a service's requests are below.
#[derive(Clone)]
pub(super) enum Origin {
    Connection(Arc<Served>),
    Process(Homes<Branches>),
}

/// What a request holds of it until it ends.
pub(super) enum Hold {
    Connection(OnConnection),
    Process(Arc<Home<Branches>>),
}

/// A context between the process's and its requests' for each home of threads.
pub(super) struct Branches {
    contexts: Box<[ContextGuard]>,
    end: End,
}

/// When what begins now must have ended, if the process is on its way to its end, and what it is counted by.
#[derive(Clone)]
pub(super) struct End {
    schedule: Arc<OnceLock<Schedule>>,
    root: Arc<Root>,
}

impl Origin {
    pub(super) fn of(process: &Process) -> Self {
        Self::Process(Homes::new(Branches {
            contexts: (0..homes()).map(|_| process.public.context.child()).collect(),
            end: End::of(process),
        }))
    }

    pub(super) fn hold(&self) -> Hold {
        match self {
            Self::Connection(served) => Hold::Connection(OnConnection::new(served.clone())),
            Self::Process(homes) => Hold::Process(homes.here().clone()),
        }
    }
}

impl Hold {
    /// The frame around a request that begins now.
    pub(super) fn frame(&self) -> Frame {
        let (context, end): (&Context, _) = match self {
            Self::Connection(on) => (&on.served().context, &on.served().end),
            // It has a branch for each home.
            Self::Process(home) => (&home.contexts[home.number], &home.end),
        };
        Frame::from(match end.deadline() {
            Some(deadline) => context.with_deadline(deadline),
            None => context.clone(),
        })
    }

    pub(super) fn root(&self) -> &Arc<Root> {
        match self {
            Self::Connection(on) => &on.served().end.root,
            Self::Process(home) => &home.end.root,
        }
    }
}

impl End {
    pub(super) fn of(process: &Process) -> Self {
        Self {
            schedule: process.schedule.clone(),
            root: process.public.root.clone(),
        }
    }

    pub(super) fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// The end of the drain, once that is known.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.schedule.get().map(|schedule| schedule.draining)
    }
}
