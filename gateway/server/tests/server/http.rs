//! The HTTP port.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{gateway, http_get};

#[tokio::test(start_paused = true)]
async fn the_three_paths_answer_and_others_name_them() {
    let gateway = gateway().await;
    assert_eq!(http_get(&gateway.http, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(http_get(&gateway.http, "/readyz").await, (200, "ready\n".to_owned()));
    let (status, metrics) = http_get(&gateway.http, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.ends_with("# EOF\n"));
    for name in ["sluice_requests", "sluice_connections_closed", "sluice_handler_panics", "sluice_log_appends"] {
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name}");
    }
    let (status, body) = http_get(&gateway.http, "/").await;
    assert_eq!(status, 404);
    assert!(["/livez", "/readyz", "/metrics"].iter().all(|path| body.contains(path)));
}

/// I-14: a head that never ends, in time or in bytes, is not waited for.
#[tokio::test(start_paused = true)]
async fn endless_heads_are_cut_off() {
    let gateway = gateway().await;
    let mut slow = gateway.http.connect().await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"));

    let mut large = gateway.http.connect().await.unwrap();
    let head = [b"GET /livez HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; 1 << 20]].concat();
    let _ = large.write_all(&head).await;
    let mut answer = Vec::new();
    let _ = large.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
    assert_eq!(http_get(&gateway.http, "/livez").await.0, 200);
}
