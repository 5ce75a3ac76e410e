//! The command line: `sluice serve`, `sluice dev`, `sluice check`.
//!
//! Promises: the flags of `serve` and `check` are the table of settings; every refusal is one line. Never: starts
//! anything. Called by `main`.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Config, Environment, HostPort, Layer, Resolved, SETTINGS, Setting, Source};

/// The settings that `dev` shares with `serve`, with its own default where it has one.
pub(crate) const DEV_SETTINGS: &[(&str, Option<&str>)] = &[
    ("node-id", None),
    ("num-partitions", None),
    ("message-max-bytes", None),
    ("group-min-session-timeout-ms", None),
    ("group-max-session-timeout-ms", None),
    // A test does not wait for members that will not come.
    ("group-initial-rebalance-delay-ms", Some("0")),
    ("group-max-size", None),
    ("offset-metadata-max-bytes", None),
    ("offsets-retention-minutes", None),
    ("offsets-retention-check-interval-ms", None),
    ("cache-bytes", None),
    ("worker-threads", None),
    ("log-format", None),
    ("log-level", Some("warn")),
];

/// What the process was started to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Invocation {
    /// Serve until stopped.
    Serve(Box<Config>),
    /// Serve from memory until stopped.
    Dev(Box<Config>),
    /// Look whether `serve` would work.
    Check(Box<Config>),
    /// Print this and exit.
    Print(String),
}

/// Why the arguments cannot be followed.
#[derive(Debug)]
pub enum Refusal {
    /// The command line itself is wrong; one line.
    Usage(String),
    /// A setting is wrong; one line.
    Setting(anyhow::Error),
}

/// What the arguments and the environment ask for.
///
/// # Errors
/// [`Refusal`], with one line for the user.
pub fn parse<I>(arguments: I, environment: Environment<'_>) -> Result<Invocation, Refusal>
where
    I: IntoIterator<Item: Into<std::ffi::OsString> + Clone>,
{
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Invocation::Print(error.render().to_string())),
        Err(error) => return Err(Refusal::Usage(one_line(&error))),
    };
    let invocation = match matches.subcommand() {
        Some(("serve", given)) => parse_serve(given, environment),
        Some(("check", given)) => resolve(given, environment).map(|r| Invocation::Check(Box::new(r.config))),
        Some(("dev", given)) => parse_dev(given, environment),
        // clap requires one of the three.
        _ => return Err(Refusal::Usage("give a command: serve, dev or check".to_owned())),
    };
    invocation.map_err(Refusal::Setting)
}

fn parse_serve(given: &ArgMatches, environment: Environment<'_>) -> anyhow::Result<Invocation> {
    let resolved = resolve(given, environment)?;
    if given.get_flag("print-config") {
        return resolved.to_toml().map(Invocation::Print);
    }
    Ok(Invocation::Serve(Box::new(resolved.config)))
}

fn resolve(given: &ArgMatches, environment: Environment<'_>) -> anyhow::Result<Resolved> {
    let flags = Layer::from_texts(Source::Flag, |setting| given.get_one::<String>(setting.key).cloned())?;
    let from_environment = || environment("SLUICE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = given.get_one::<PathBuf>("config").cloned().or_else(from_environment);
    Resolved::from_sources(flags, environment, path.as_deref())
}

fn parse_dev(given: &ArgMatches, environment: Environment<'_>) -> anyhow::Result<Invocation> {
    let shared = |setting: &Setting| DEV_SETTINGS.iter().find(|(key, _)| *key == setting.key);
    let flags = Layer::from_texts(Source::Flag, |s| shared(s).and_then(|_| given.get_one::<String>(s.key).cloned()))?;
    // A variable meant for `serve` (SLUICE_STORE, SLUICE_LISTEN) must not turn `dev` into something else.
    let told = Layer::from_texts(Source::Environment, |s| {
        shared(s).and_then(|_| environment(s.env)).filter(|value| !value.is_empty())
    })?;
    let own = Layer::from_texts(Source::Default, |s| shared(s).and_then(|(_, own)| own.map(str::to_owned)))?;
    let loopback = |port: u16| HostPort { host: "127.0.0.1".to_owned(), port };
    let port = given.get_one::<u16>("port").copied().unwrap_or(9092);
    let mut config = Config::from_layer(flags.over(told).over(own))?;
    config.listen = loopback(port);
    config.http = given.get_one::<u16>("http-port").copied().map(loopback);
    config.store = crate::stores::StoreConfig::Memory;
    config.gateway.limits.linger = std::time::Duration::ZERO;
    Ok(Invocation::Dev(Box::new(config)))
}

fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(ValueParser::path_buf())
        .help("Reads settings from this TOML file [env: SLUICE_CONFIG]");
    let print_config = Arg::new("print-config")
        .long("print-config")
        .action(ArgAction::SetTrue)
        .help("Prints the outcome of flags, environment and file as a configuration file, and exits");
    let settings = || SETTINGS.iter().map(|setting| setting_arg(setting, setting.default));
    let serve = Command::new("serve").about("Serves Kafka clients until it is stopped");
    let check = Command::new("check").about("Says, a line each, whether `serve` would work; changes nothing");
    Command::new("sluice")
        .about("A Kafka gateway over S3 and DynamoDB, over local files, or over memory")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(false)
        .subcommand(serve.arg(config.clone()).arg(print_config).args(settings()))
        .subcommand(dev_command())
        .subcommand(check.arg(config).args(settings()))
}

fn dev_command() -> Command {
    let port = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("PORT").value_parser(clap::value_parser!(u16)).help(help)
    };
    let shared = DEV_SETTINGS.iter().filter_map(|(key, own)| {
        let setting = SETTINGS.iter().find(|setting| setting.key == *key)?;
        Some(setting_arg(setting, own.or(setting.default)))
    });
    Command::new("dev")
        .about("Serves from memory, for tests: topics come into being on first use, nothing is kept")
        .arg(port("port", "Port on 127.0.0.1; 0 takes a free one [default: 9092]"))
        .arg(port("http-port", "Serves HTTP on this port of 127.0.0.1 as well; 0 takes a free one"))
        .args(shared)
}

fn setting_arg(setting: &'static Setting, default: Option<&str>) -> Arg {
    let default = default.filter(|text| !text.is_empty()).map(|text| format!(" [default: {text}]"));
    let help = format!("{}{} [env: {}]", setting.about, default.unwrap_or_default(), setting.env);
    let arg = Arg::new(setting.key).long(setting.key).value_name(setting.value).help(help);
    if setting.is_switch() {
        return arg.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    arg
}

/// clap's message without its usage text: what is wrong, and its tip.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let mut line = said.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    if let Some(rest) = line.strip_prefix("error: ") {
        line = rest.to_owned();
    }
    line.push_str("; `sluice --help` and `sluice serve --help` show what there is");
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::StoreConfig;

    fn parse_text(line: &str) -> Result<Invocation, Refusal> {
        parse(line.split_whitespace(), &|_| None)
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn switches_stand_alone_or_with_a_value() {
        for (line, expected) in [("serve", false), ("serve --insecure", true), ("serve --insecure=false", false)] {
            match parse_text(&format!("sluice {line} --node-id 5")).unwrap() {
                Invocation::Serve(config) => {
                    assert_eq!((config.insecure, config.gateway.node_id), (expected, 5), "{line}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn usage_errors_are_one_line_with_a_tip() {
        for (line, named) in [
            ("sluice serve --lissten x", "--lissten"),
            ("sluice", "subcommand"),
            ("sluice serv", "serv"),
            ("sluice dev --port 70000", "70000"),
            ("sluice dev --store disk", "--store"),
            ("sluice serve extra", "extra"),
            ("sluice serve --auto-create-topics", "--auto-create-topics"),
        ] {
            match parse_text(line) {
                Err(Refusal::Usage(text)) => {
                    assert!(text.contains(named) && !text.contains('\n'), "{line}: {text}")
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn dev_is_memory_on_the_loopback_whatever_the_environment_says() {
        let env = |name: &str| match name {
            "SLUICE_STORE" => Some("aws".to_owned()),
            "SLUICE_LISTEN" => Some("0.0.0.0:1".to_owned()),
            "SLUICE_NUM_PARTITIONS" => Some("12".to_owned()),
            _ => None,
        };
        match parse(["sluice", "dev", "--port", "0"], &env).unwrap() {
            Invocation::Dev(config) => {
                assert_eq!(config.store, StoreConfig::Memory);
                assert_eq!((config.listen.to_string().as_str(), &config.http), ("127.0.0.1:0", &None));
                assert_eq!(config.gateway.settings.default_partitions, 12);
                assert!(config.gateway.limits.linger.is_zero() && config.gateway.settings.auto_create_topics);
                assert_eq!(config.log_level, "warn");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn help_and_version_are_printed() {
        for line in ["sluice --help", "sluice serve --help", "sluice --version"] {
            assert!(matches!(parse_text(line), Ok(Invocation::Print(_))), "{line}");
        }
        match parse_text("sluice serve --print-config --http off") {
            Ok(Invocation::Print(text)) => assert!(text.contains("http = \"off\"")),
            other => panic!("{other:?}"),
        }
    }
}
