use tower_layer::Layer;

use super::{Client, ClientLayer, Transport, TransportLayer};
use crate::stack::{self, ClientStack};

/// What [`ClientStack::tonic`] makes: the type of a field that [keeps](crate::stack#keep-a-client-in-your-state) a generated client is
/// `HealthClient<Stacked>`. `S` is the channel within, `O` the observer, where there is one.
pub type Stacked<S = tonic::transport::Channel, O = ()> = Client<stack::Client<Transport<S>, O>>;

/// Around tonic.
impl<O> ClientStack<O> {
    /// The stack around a tonic channel, for a generated client: both [ends](crate::tonic) are put on.
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
    pub fn tonic<S>(&self, channel: S) -> Stacked<S, O> {
        ClientLayer::new().layer(self.service(TransportLayer::new().layer(channel)))
    }
}
