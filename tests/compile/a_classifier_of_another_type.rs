//! A retry that is asked about statuses.

use buttress::RetryLayer;
use http::StatusCode;

fn main() {
    let _ = RetryLayer::with(|status: StatusCode| status.is_server_error());
}
