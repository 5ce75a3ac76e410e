//! The three paths.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::{Method, Response, StatusCode};
use prometheus_client::registry::Registry;
use sluice_engine::Readiness;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PATHS: &str = "the paths are /livez, /readyz and /metrics\n";

/// What the HTTP port answers from.
pub(crate) struct Routes {
    pub(crate) registry: Registry,
    pub(crate) readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
}

impl Routes {
    /// The answer to a request.
    pub(crate) fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let (status, content_type, body) = match path {
            "/livez" | "/readyz" | "/metrics" if *method != Method::GET && *method != Method::HEAD => {
                (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned())
            }
            "/livez" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => self.tell_readiness(),
            "/metrics" => self.tell_metrics(),
            _ => (StatusCode::NOT_FOUND, TEXT, PATHS.to_owned()),
        };
        let mut response =
            Response::builder().status(status).header(CONTENT_TYPE, content_type).header(CACHE_CONTROL, "no-store");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response = response.header(ALLOW, "GET, HEAD");
        }
        // The parts are constants, so that building cannot fail; the empty 200 of the default would still be harmless.
        response.body(Full::from(body)).unwrap_or_default()
    }

    fn tell_readiness(&self) -> (StatusCode, &'static str, String) {
        let reason = match (self.readiness)() {
            Readiness::Ready => return (StatusCode::OK, TEXT, "ready\n".to_owned()),
            Readiness::Stopping => "stopping".to_owned(),
            Readiness::Unavailable(reason) => format!("unavailable: {reason}"),
            Readiness::Failed(reason) => format!("failed: {reason}"),
        };
        (StatusCode::SERVICE_UNAVAILABLE, TEXT, reason + "\n")
    }

    fn tell_metrics(&self) -> (StatusCode, &'static str, String) {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => (StatusCode::OK, OPEN_METRICS, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(readiness: Readiness) -> Routes {
        Routes { registry: Registry::default(), readiness: Box::new(move || readiness.clone()) }
    }

    #[test]
    fn readiness_decides_the_status_of_readyz_alone() {
        let cases = [
            (Readiness::Ready, StatusCode::OK),
            (Readiness::Stopping, StatusCode::SERVICE_UNAVAILABLE),
            (Readiness::Unavailable("the store".to_owned()), StatusCode::SERVICE_UNAVAILABLE),
            (Readiness::Failed("hash".to_owned()), StatusCode::SERVICE_UNAVAILABLE),
        ];
        for (readiness, status) in cases {
            let routes = routes(readiness);
            assert_eq!(routes.answer(&Method::GET, "/readyz").status(), status);
            assert_eq!(routes.answer(&Method::GET, "/livez").status(), StatusCode::OK);
            assert_eq!(routes.answer(&Method::GET, "/metrics").status(), StatusCode::OK);
        }
    }

    #[test]
    fn other_paths_and_methods_are_told_what_there_is() {
        let routes = routes(Readiness::Ready);
        assert_eq!(routes.answer(&Method::GET, "/").status(), StatusCode::NOT_FOUND);
        assert_eq!(routes.answer(&Method::POST, "/reset").status(), StatusCode::NOT_FOUND);
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(routes.answer(&Method::POST, path).status(), StatusCode::METHOD_NOT_ALLOWED);
            assert!(PATHS.contains(path));
        }
    }
}
