use tower_layer::Layer;

use super::{Transport, TransportLayer};
use crate::stack::{Client, ClientStack};

/// Around tonic.
impl<O> ClientStack<O> {
    /// The stack around a tonic channel, for a generated client: the [transport's end](crate::tonic) is put on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buttress::BoxError> {
    /// use std::time::Duration;
    /// use tonic::{Code, transport::Endpoint};
    /// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    ///
    /// // Port 9 is for discarding: nobody is there.
    /// let channel = Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
    /// let mut client = HealthClient::new(buttress::client(Duration::from_secs(2)).tonic(channel));
    ///
    /// let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
    /// assert_eq!(status.code(), Code::Unavailable); // after three attempts
    /// # Ok(()) }
    /// ```
    pub fn tonic<S>(&self, channel: S) -> Client<Transport<S>, O> {
        self.service(TransportLayer::new().layer(channel))
    }
}
