//! `ingest`: HTTP trigger, `incoming/{vendor}/{servicetype}/{*requesttype}`.

use axum::{
    body::Body,
    http::{Request, Response},
};

use crate::{app::App, ingest};

pub(super) async fn handle(app: &App, request: Request<Body>) -> Response<Body> {
    ingest::receive(app, request).await
}
