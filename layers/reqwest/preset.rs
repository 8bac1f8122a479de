use super::{Client, ClientLayer, Transport, TransportLayer};
use crate::stack::{self, ClientStack};
use tower_layer::Layer;

/// What [`ClientStack::reqwest`] makes: the type of a field that [keeps](crate::stack#keep-a-client-in-your-state) it. `S` is the reqwest
/// client within, `O` the observer, where there is one.
pub type Stacked<S = reqwest::Client, O = ()> = Client<stack::Client<Transport<S>, O>>;

/// Around reqwest.
impl<O> ClientStack<O> {
    /// The stack around a reqwest client, with reqwest's own requests and responses: both [ends](crate::reqwest) are put on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// # let app = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let address = listener.local_addr()?;
    /// # tokio::spawn(axum::serve(listener, app).into_future());
    ///
    /// let http = reqwest::Client::builder().retry(reqwest::retry::never()).build()?;
    /// let client = buttress::client(Duration::from_secs(5)).reqwest(http.clone());
    ///
    /// let request = http.get(format!("http://{address}/")).build()?;
    /// assert_eq!(client.send(request).await?.text().await?, "hello");
    /// # Ok(()) }
    /// ```
    ///
    /// The client's own retries, which no budget knows of, are best switched off, as here.
    pub fn reqwest<S>(&self, client: S) -> Stacked<S, O> {
        ClientLayer::new().layer(self.service(TransportLayer::new().layer(client)))
    }
}
