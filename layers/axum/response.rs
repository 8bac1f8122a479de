use axum::{
    body::Body,
    response::{IntoResponse, Response},
};

use crate::{
    context::Cancelled,
    rejection::{Protocol, Rejection},
};

/// The answer in plain HTTP. A [`RenderLayer`](crate::rejection::RenderLayer) above renders it in the request's protocol.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_answer(&Protocol::Http).map(Body::from)
    }
}

/// As the [`Rejection`] that it is.
impl IntoResponse for Cancelled {
    fn into_response(self) -> Response {
        Rejection::from(self).into_response()
    }
}
