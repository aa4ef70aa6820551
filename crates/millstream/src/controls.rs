//! Puts test controls behind the server's paths for them.

use std::sync::Arc;

use millstream_api::BoxFuture;
use millstream_controls::{Answer, Controls, Verb};
use millstream_server::{ControlAnswer, ControlRequest, ControlSource};

/// The way from the server to the controls.
pub struct Routes(pub Arc<Controls>);

impl ControlSource for Routes {
    fn answer<'a>(&'a self, request: ControlRequest<'a>) -> BoxFuture<'a, ControlAnswer> {
        let ControlRequest { changes, path, query, body } = request;
        let verb = if changes { Verb::Post } else { Verb::Get };
        Box::pin(async move {
            let Answer { status, body, allow } = self.0.answer(verb, path, query, body).await;
            ControlAnswer { status, body, allow }
        })
    }
}
