//! `docs/configuration.md`, written from the table of settings and the engine's tables of Kafka's configs.

use std::fmt::Write as _;

use super::{SETTINGS, Setting};

const HEAD: &str = "\
# Configuration

<!-- Generated from gateway/sluice/src/config/settings.rs; `SLUICE_BLESS=1 cargo test -p sluice` writes it again. -->

Every setting of `sluice serve` and `sluice check` has one name: the flag `--data-dir` is the key `data-dir` in the file
and the variable `SLUICE_DATA_DIR` in the environment. Flags go before the environment (the SDK's own `AWS_…` variables
included), the environment before the file, the file before the defaults. An empty variable says nothing. An unknown flag,
an unknown key in the file, and a value out of its bounds are errors. There is no setting that holds a secret: AWS
credentials come by the SDK's own means (environment, profile, container, instance).

| flag and key | environment | value | default | |
|-|-|-|-|-|
";

const TAIL: &str = "
These are given on the command line only, `--config` also by the environment:

| flag | environment | |
|-|-|-|
| `--config FILE` | `SLUICE_CONFIG` | Reads settings from this TOML file. Without it no file is read. |
| `--print-config` | | Prints the outcome of all sources as a configuration file and exits. |

## What follows from them

* Without any argument `sluice serve` listens on 127.0.0.1:9092, keeps its data in `./data` (created when missing) and
  serves HTTP on 127.0.0.1:9080.
* An address that other machines can reach needs `--insecure`, because there is no authentication yet. 0.0.0.0 and [::]
  also need `--advertise`.
* The aws store creates nothing unless `--create` is given. `sluice check` makes no bucket, table or directory; it writes one
  small object and deletes it again.
* A `--prefix` or `--tables` that another fleet uses makes this gateway part of that fleet.

## What AWS must permit

| on | actions | |
|-|-|-|
| the bucket | `s3:ListBucket` | also what `sluice check` and the start ask for |
| its objects under the prefix | `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` | |
| the table `<tables>-metadata` | `dynamodb:GetItem`, `dynamodb:PutItem`, `dynamodb:UpdateItem`, `dynamodb:Query` | |
| the table `<tables>-offsets` | `dynamodb:PutItem` | written only; who reads it needs `dynamodb:Query` |
| bucket and tables, for `--create` only | `s3:CreateBucket`, `dynamodb:CreateTable`, `dynamodb:DescribeTable` | |

## A file

For a gateway behind a load balancer:

```toml
listen = \"0.0.0.0:9092\"
advertise = \"kafka.example.com:9092\"
insecure = true
http = \"0.0.0.0:9080\"
store = \"aws\"
bucket = \"example-kafka\"
tables = \"kafka\"
drain-delay-ms = 5000
log-format = \"json\"
```

## `sluice dev`

For tests: the memory store, topics created on first use, every flush at once. It reads no file. Its first line on stdout
is `bootstrap: 127.0.0.1:PORT`.

| flag | environment | default | |
|-|-|-|-|
| `--port` | | `9092` | Port on 127.0.0.1; 0 takes a free one. |
| `--http-port` | | | Serves HTTP on this port of 127.0.0.1 as well; 0 takes a free one. |
";

const EXIT_CODES: &str = "
## Exit codes

| code | |
|-|-|
| 0 | Stopped by SIGTERM or SIGINT, everything accepted is durable; or `check` found nothing wrong. |
| 1 | A setting is wrong, or the gateway could not start, or `check` found something: `error: …` or `FAIL …` says what to do. |
| 2 | An unknown command or flag. |
| 3 | Stopped because it met what it must not go on after; the log says what. |
| 130, 143 | A second SIGINT or SIGTERM: stopped at once. |
";

/// The whole document.
#[must_use]
pub fn configuration_markdown() -> String {
    let mut text = HEAD.to_owned();
    for setting in SETTINGS {
        let Setting { key, env, about, .. } = setting;
        let value = setting.value.replace('|', "\\|");
        let default = shown_default(setting);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `--{key}` | `{env}` | `{value}` | {default} | {about} |");
    }
    text.push_str(TAIL);
    for (key, default) in crate::cli::DEV_SETTINGS {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == *key) {
            let Setting { env, about, .. } = setting;
            let default = default.map_or_else(|| shown_default(setting), |text| format!("`{text}`"));
            let _ = writeln!(text, "| `--{key}` | `{env}` | {default} | {about} |");
        }
    }
    text.push_str(&sluice_engine::kafka_configs_markdown());
    text.push_str(EXIT_CODES);
    text
}

fn shown_default(setting: &Setting) -> String {
    match setting.default {
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_one_in_docs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let text = configuration_markdown();
        if std::env::var_os("SLUICE_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(there == text, "docs/configuration.md is not what the table says: SLUICE_BLESS=1 writes it again");
    }

    #[test]
    fn the_example_file_is_a_legal_one() {
        let text = configuration_markdown();
        let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let layer = crate::config::Layer::from_toml("example", example).unwrap();
        crate::config::Config::from_layer(layer).unwrap();
    }

    #[test]
    fn every_setting_of_dev_is_one_of_the_table() {
        for (key, _) in crate::cli::DEV_SETTINGS {
            assert!(SETTINGS.iter().any(|setting| setting.key == *key), "{key}");
        }
    }
}
