//! Log lines on stderr: stdout belongs to the one line that says where the gateway can be reached.

use std::io::IsTerminal;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::LogFormat;

/// The SDK's credential providers warn one by one before the error that sums them up. A level given for these modules wins.
const QUIET: &str = "aws_config=error,aws_runtime=error,aws_smithy_runtime=error";

/// Starts logging for the rest of the process.
///
/// # Errors
/// When the level is not one, or logging was started before.
pub(crate) fn start_logging(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{level}"))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("logging: {error}"))
}
