//! The body of a request that was refused before it was read.
//!
//! Answered with the body still on its way, a connection is of no further use: the vendor would need a new one for each
//! refusal, which costs more than the refusal, and may see it reset before it has read the answer.

use std::time::Duration;

use axum::body::Body;
use http_body::Body as _;
use http_body_util::BodyExt;

/// A body of this size is mostly there already, behind its headers.
const SMALL: u64 = 64 * 1024;
const SOON: Duration = Duration::from_millis(100);

/// Lets a small body go by, keeping nothing of it. `false` where it is not small, or slow: the connection must end then.
pub(super) async fn let_by(mut body: Body) -> bool {
    if body.size_hint().exact().is_none_or(|size| size > SMALL) {
        return false;
    }
    let end = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    body_is_soon_there(end).await
}

async fn body_is_soon_there(end: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(SOON, end).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn only_a_small_body_goes_by() {
        assert!(let_by(Body::empty()).await);
        assert!(let_by(Body::from(vec![b'a'; SMALL as usize])).await);
        assert!(!let_by(Body::from(vec![b'a'; SMALL as usize + 1])).await);
        let without_a_size = stream::iter([Ok::<_, Infallible>(Bytes::from("a"))]);
        assert!(!let_by(Body::from_stream(without_a_size)).await);
    }

    #[tokio::test]
    async fn nobody_is_waited_for() {
        assert!(!body_is_soon_there(std::future::pending()).await);
    }
}
