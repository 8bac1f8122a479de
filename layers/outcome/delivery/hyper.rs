//! What hyper, its clients and h2 say.

use std::{any::Any, error};

use http::Extensions;
use hyper_util::client::legacy;

use super::{Connection, Delivery, Uses};

pub(super) fn as_error(error: &dyn Any) -> Option<&(dyn error::Error + 'static)> {
    if let Some(error) = error.downcast_ref::<legacy::Error>() {
        return Some(error);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return Some(error);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return Some(error);
    }
    None
}

pub(super) fn judge(error: &(dyn error::Error + 'static), connection: &mut Connection) -> Option<Delivery> {
    if let Some(error) = error.downcast_ref::<legacy::Error>() {
        connection.is_reused = error.connect_info().is_some_and(is_reused);
        return error.is_connect().then_some(Delivery::NotSent);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return of_hyper(error, *connection);
    }
    // h2 says nothing of a connection that an idle server closes: that server says `GOAWAY`.
    error.downcast_ref::<h2::Error>().map(of_h2)
}

fn of_hyper(error: &hyper::Error, connection: Connection) -> Option<Delivery> {
    if error.is_user() {
        // The request's own body, among others: what is behind it befell another request.
        Some(Delivery::Unknown)
    } else if error.is_canceled() || error.is_closed() {
        // It was still in the queue: the connection never took it.
        Some(Delivery::NotSent)
    } else if error.is_incomplete_message() {
        Some(if connection.is_reused {
            Delivery::Reused
        } else {
            Delivery::Unknown
        })
    } else {
        None
    }
}

fn of_h2(error: &h2::Error) -> Delivery {
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    if error.is_remote() && (is_refused || error.is_go_away()) {
        Delivery::NotSent
    } else {
        Delivery::Unknown
    }
}

fn is_reused(connection: &legacy::connect::Connected) -> bool {
    let mut extras = Extensions::new();
    connection.get_extras(&mut extras);
    extras.get().is_some_and(Uses::is_reused)
}
