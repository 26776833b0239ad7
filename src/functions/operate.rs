//! `operate`: HTTP trigger with a function key, `manage/{*path}`.

use axum::{
    body::Body,
    http::{Request, Response},
};

use crate::{admin, app::App};

pub(super) async fn handle(app: &App, request: Request<Body>) -> Response<Body> {
    admin::answer(app, request).await
}
