//! Just enough of S3 and DynamoDB to refuse: every bucket and every table is missing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

const NO_BUCKET: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchBucket</Code>\
    <Message>The specified bucket does not exist</Message></Error>";
const NO_TABLE: &str = "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException\",\
    \"message\":\"Requested resource not found\"}";

/// Serves until the test process ends.
pub fn start_without_bucket_or_table() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || while answer(&stream).is_some() {});
        }
    });
    addr
}

/// Answers one request; `None` at the end of the connection.
fn answer(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut method, mut body_bytes, mut is_dynamodb) = (None, 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        method = method.or_else(|| line.split(' ').next().map(str::to_owned));
        is_dynamodb |= line.starts_with("x-amz-target: dynamodb");
        body_bytes = line.strip_prefix("content-length: ").and_then(|n| n.parse().ok()).unwrap_or(body_bytes);
    }
    reader.take(body_bytes).read_to_end(&mut Vec::new()).ok()?;
    let (status, kind, body) = match is_dynamodb {
        true => ("400 Bad Request", "application/x-amz-json-1.0", NO_TABLE),
        false => ("404 Not Found", "application/xml", NO_BUCKET),
    };
    let body = if method.as_deref() == Some("head") { "" } else { body };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()
}
