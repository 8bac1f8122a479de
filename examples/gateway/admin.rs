//! The admin address.

use std::{io, sync::Arc};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use buttress::lifecycle::Handle;
use tokio::net::TcpListener;

use crate::metrics::Page;

/// Serves `/live`, `/ready`, `/metrics` and `/debug/work` for ever.
pub(crate) async fn serve(listener: TcpListener, page: Page, life: Handle) -> io::Result<()> {
    let page = Arc::new(page);
    let metrics = move || {
        let page = page.clone();
        async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], page.render()) }
    };
    let app = Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/metrics", get(metrics))
        .route_service("/ready", life.readiness())
        .route_service("/debug/work", life.debug_view());
    axum::serve(listener, app).await
}
