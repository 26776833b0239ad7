//! Blobs with faults.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, path::Path,
};

use super::faults::{Call, Switch, carry_out};

/// Whole blobs written and read may fail; the rest is passed on as it is.
#[derive(Debug)]
pub struct FaultyBlobs {
    pub inner: Arc<dyn ObjectStore>,
    pub switch: Switch,
}

impl FaultyBlobs {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, switch: Switch::default() }
    }
}

fn away() -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: "injected".into() }
}

impl fmt::Display for FaultyBlobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FaultyBlobs")
    }
}

#[async_trait]
impl ObjectStore for FaultyBlobs {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let call = Call { method: "blobs.put", of: "blobs", about: location.as_ref(), operations: &[] };
        let fault = self.switch.fault(&call);
        let (inner, location) = (self.inner.clone(), location.clone());
        carry_out(fault, async move { inner.put_opts(&location, payload, options).await }, away).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let call = Call { method: "blobs.get", of: "blobs", about: location.as_ref(), operations: &[] };
        let fault = self.switch.fault(&call);
        let (inner, location) = (self.inner.clone(), location.clone());
        carry_out(fault, async move { inner.get_opts(&location, options).await }, away).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
