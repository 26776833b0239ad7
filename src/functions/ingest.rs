//! `ingest`: HTTP trigger, `incoming/{vendor}/{servicetype}/{*requesttype}`.

use axum::{
    body::Body,
    http::{Request, Response},
};

use crate::{app::App, ingest};

pub(super) use crate::ingest::operations;

pub(super) async fn handle(app: &App, request: Request<Body>) -> Response<Body> {
    ingest::receive(app, request).await
}
