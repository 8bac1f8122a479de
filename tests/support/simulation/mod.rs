//! Storms, by the minute in a second: a seeded discrete-event simulation that drives the policies themselves.
//!
//! [`world`] moves time from event to event and drives a policy as the engine does; [`scenario`] says who calls and what becomes of the
//! service; [`report`] is what was seen; [`storms`] are the scenarios to be survived, with their aims, and [`contender`] is who is sent
//! into them. Those of [`retries`] go through the layers themselves, of a client and of a service.

#![allow(dead_code, reason = "each binary uses its part")]

pub(crate) mod contender;
mod events;
pub(crate) mod figure;
mod peers;
mod plain;
pub(crate) mod random;
pub(crate) mod report;
pub(crate) mod retries;
pub(crate) mod scenario;
mod service;
pub(crate) mod storms;
mod subject;
pub(crate) mod world;
