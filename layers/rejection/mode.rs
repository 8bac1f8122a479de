/// The mode of a layer around an HTTP service: it rejects with a response, and follows the response's body. The default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Http(());

/// The mode of a layer around any other [`Service`](tower_service::Service): it rejects with an error.
///
/// The service's error must be `From<Rejection>`; a `Box<dyn Error + Send + Sync>` is. Chosen with `.typed()` where the layer
/// is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Typed(());
