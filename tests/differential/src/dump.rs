//! An answer as text that can be compared: one line per field, named by its path.
//!
//! Promises: every field of an answer is a line; what a broker chooses by itself (ids, ports, the time) is replaced by what
//! can be said about it; nothing else is left out. Works on the `Debug` text of any message, so that an API that is
//! added needs nothing here. Used by `session` (to record) and `judge` (to compare).

use std::fmt::Debug;

use sluice_protocol::ErrorCode;

/// The Debug text of a value, as a tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// A number, a string with its quotes, `null`, an error's name.
    Leaf(String),
    /// A list.
    List(Vec<Node>),
    /// Named fields.
    Fields(Vec<(String, Node)>),
}

/// One line of an answer: a path, and what stands there.
pub(crate) type Line = (String, String);

/// What a broker chose by itself, and what stands for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aliases {
    texts: Vec<(String, String)>,
    producer_ids: Vec<i64>,
    port: u16,
    prefix: String,
}

impl Aliases {
    pub(crate) fn new(port: u16, prefix: &str) -> Self {
        Self { port, prefix: prefix.to_owned(), ..Self::default() }
    }

    /// `text` shall be shown as `alias`, wherever it stands in a string or alone. The first alias counts.
    pub(crate) fn add(&mut self, text: &str, alias: &str) {
        if !text.is_empty() && !self.texts.iter().any(|(known, _)| known == text) {
            self.texts.push((text.to_owned(), alias.to_owned()));
        }
    }

    /// A member id that a broker gave out: its shape stays visible.
    pub(crate) fn add_member(&mut self, id: &str) {
        if self.texts.iter().any(|(known, _)| known == id) {
            return;
        }
        let count = self.texts.iter().filter(|(_, alias)| alias.contains("‹member")).count() + 1;
        let alias = match id.len().checked_sub(36).and_then(|at| id.split_at_checked(at)) {
            Some((before, uuid)) if uuid::Uuid::try_parse(uuid).is_ok() => format!("{before}‹member {count}›"),
            _ => return,
        };
        self.texts.push((id.to_owned(), alias));
    }

    pub(crate) fn add_producer(&mut self, id: i64) {
        if id >= 0 && !self.producer_ids.contains(&id) {
            self.producer_ids.push(id);
        }
    }

    fn apply(&self, field: &str, value: &str) -> String {
        let mut value = value.to_owned();
        for (text, alias) in &self.texts {
            if value.contains(text.as_str()) {
                value = value.replace(text.as_str(), alias);
            }
        }
        value = value.replace(&self.prefix, "‹run›");
        match field {
            "port" if value == self.port.to_string() => "‹own port›".to_owned(),
            "throttle_time_ms" => "‹any›".to_owned(),
            // Texts are for people; that there is one, or none, is Kafka's.
            "error_message" | "batch_index_error_message" if value.starts_with('"') && value != "\"\"" => {
                "‹text›".to_owned()
            }
            "cluster_id" if value != "null" => "‹id›".to_owned(),
            "producer_id" => match value.parse().ok().and_then(|id| self.producer_ids.iter().position(|p| *p == id)) {
                Some(at) => format!("‹producer {}›", at + 1),
                None => value,
            },
            "log_append_time_ms" if value != "-1" => "‹time›".to_owned(),
            _ if value.len() == 36
                && value != uuid::Uuid::nil().to_string()
                && uuid::Uuid::try_parse(&value).is_ok() =>
            {
                "‹id›".to_owned()
            }
            _ => value,
        }
    }
}

impl Node {
    /// The tree of a value.
    pub(crate) fn of(value: &impl Debug) -> Self {
        let text = format!("{value:#?}");
        let mut lines = text.lines().map(str::trim);
        lines.next().map_or(Self::Leaf(String::new()), |first| parse(first, &mut lines))
    }

    /// A field of this struct; `None` where it has none of that name.
    pub(crate) fn field_mut(&mut self, name: &str) -> Option<&mut Node> {
        match self {
            Self::Fields(fields) => fields.iter_mut().find(|(n, _)| n == name).map(|(_, node)| node),
            _ => None,
        }
    }

    fn field(&self, name: &str) -> Option<&Node> {
        match self {
            Self::Fields(fields) => fields.iter().find(|(n, _)| n == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Sorts the elements of each list that is called `list`, by their text without the ids that a broker gave out.
    pub(crate) fn sort(&mut self, list: &str) {
        self.for_each_list(list, &mut |elements| {
            elements.sort_by_cached_key(|node| without_ids(&format!("{node:?}")));
        });
    }

    /// Keeps the elements of each list that is called `list` whose `field` contains `text`.
    pub(crate) fn keep(&mut self, list: &str, field: &str, text: &str) {
        self.for_each_list(list, &mut |elements| {
            elements.retain(|e| matches!(e.field(field), Some(Node::Leaf(leaf)) if leaf.contains(text)));
        });
    }

    /// Puts `value` in the place of every leaf that is called `field`.
    pub(crate) fn replace(&mut self, field: &str, value: &str) {
        self.for_each_leaf(field, &mut |leaf| value.clone_into(leaf));
    }

    /// Says of every text called `field` only that there is one.
    pub(crate) fn shorten(&mut self, field: &str) {
        self.for_each_leaf(field, &mut |leaf| {
            if leaf.len() > 2 && leaf.starts_with('"') {
                "‹text›".clone_into(leaf);
            }
        });
    }

    fn for_each_leaf(&mut self, field: &str, change: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Leaf(_) => {}
            Self::List(elements) => elements.iter_mut().for_each(|e| e.for_each_leaf(field, change)),
            Self::Fields(fields) => {
                for (name, node) in fields {
                    match node {
                        Self::Leaf(leaf) if name == field => change(leaf),
                        _ => node.for_each_leaf(field, change),
                    }
                }
            }
        }
    }

    fn for_each_list(&mut self, list: &str, change: &mut dyn FnMut(&mut Vec<Node>)) {
        match self {
            Self::Leaf(_) => {}
            Self::List(elements) => elements.iter_mut().for_each(|e| e.for_each_list(list, change)),
            Self::Fields(fields) => {
                for (name, node) in fields {
                    node.for_each_list(list, change);
                    if let (true, Self::List(elements)) = (name == list, node) {
                        change(elements);
                    }
                }
            }
        }
    }

    /// The lines of this tree.
    pub(crate) fn lines(&self, aliases: &Aliases) -> Vec<Line> {
        let mut lines = Vec::new();
        self.write("", "", aliases, &mut lines);
        lines
    }

    fn write(&self, path: &str, field: &str, aliases: &Aliases, into: &mut Vec<Line>) {
        match self {
            Self::Leaf(value) => into.push((path.to_owned(), aliases.apply(field, value))),
            Self::List(elements) if elements.is_empty() => into.push((path.to_owned(), "[]".to_owned())),
            Self::List(elements) => {
                for (at, element) in elements.iter().enumerate() {
                    element.write(&format!("{path}[{at}]"), field, aliases, into);
                }
            }
            Self::Fields(fields) => {
                for (name, node) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    node.write(&path, name, aliases, into);
                }
            }
        }
    }
}

/// The text with every id that looks like a UUID blanked.
fn without_ids(text: &str) -> String {
    let (mut kept, mut left) = (String::with_capacity(text.len()), text);
    while let Some(first) = left.chars().next() {
        let id = left.get(..36).filter(|_| first.is_ascii_hexdigit());
        let skipped = if id.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok()) { 36 } else { 0 };
        if skipped == 0 {
            kept.push(first);
        }
        left = &left[skipped.max(first.len_utf8() * usize::from(skipped == 0))..];
    }
    kept
}

/// Reads what `line` begins. The text is what `{:#?}` writes: one field, element or bracket per line.
fn parse<'a>(line: &'a str, rest: &mut impl Iterator<Item = &'a str>) -> Node {
    let line = line.trim_end_matches(',');
    match line.chars().last() {
        Some('{') => {
            let mut fields = Vec::new();
            while let Some(next) = rest.next().filter(|next| !next.starts_with('}')) {
                let (name, value) = next.split_once(": ").unwrap_or((next, ""));
                fields.push((name.to_owned(), parse(value, rest)));
            }
            Node::Fields(fields)
        }
        Some('[') => {
            let mut elements = Vec::new();
            while let Some(next) = rest.next().filter(|next| !next.starts_with(']')) {
                elements.push(parse(next, rest));
            }
            Node::List(elements)
        }
        Some('(') => {
            let inner = rest.next().map_or(Node::List(Vec::new()), |next| parse(next, rest));
            let _closing = rest.next();
            if line == "ErrorCode(" { error_name(inner) } else { inner }
        }
        _ if line == "[]" => Node::List(Vec::new()),
        _ if line == "None" => Node::Leaf("null".to_owned()),
        _ => Node::Leaf(line.to_owned()),
    }
}

fn error_name(code: Node) -> Node {
    match &code {
        Node::Leaf(text) => match text.parse::<i16>().ok().and_then(|c| ErrorCode::from(c).name()) {
            Some(name) => Node::Leaf(format!("{name} ({text})")),
            None => code,
        },
        _ => code,
    }
}

#[cfg(test)]
mod tests {
    use sluice_protocol::KString;
    use sluice_protocol::messages::metadata::{MetadataResponse, MetadataResponseBroker, MetadataResponseTopic};

    use super::*;

    #[test]
    fn every_field_is_a_line_and_what_a_broker_chose_is_replaced() {
        let response = MetadataResponse {
            brokers: vec![MetadataResponseBroker { node_id: 1, host: "h".into(), port: 99, rack: None }],
            cluster_id: Some(KString::from("abc")),
            topics: vec![MetadataResponseTopic {
                error_code: ErrorCode::UNKNOWN_TOPIC_ID,
                name: Some(KString::from("run7-a")),
                topic_id: uuid::Uuid::from_u128(7),
                ..MetadataResponseTopic::default()
            }],
            ..MetadataResponse::default()
        };
        let mut aliases = Aliases::new(99, "run7");
        aliases.add(&uuid::Uuid::from_u128(7).to_string(), "‹id of a›");
        let lines = Node::of(&response).lines(&aliases);
        let value = |path: &str| lines.iter().find(|(p, _)| p == path).map(|(_, value)| value.as_str());
        assert_eq!(value("brokers[0].port"), Some("‹own port›"));
        assert_eq!(value("brokers[0].rack"), Some("null"));
        assert_eq!(value("cluster_id"), Some("‹id›"));
        assert_eq!(value("topics[0].error_code"), Some("UNKNOWN_TOPIC_ID (100)"));
        assert_eq!(value("topics[0].name"), Some("\"‹run›-a\""));
        assert_eq!(value("topics[0].topic_id"), Some("‹id of a›"));
        assert_eq!(value("topics[0].partitions"), Some("[]"));
        assert_eq!(value("topics[0].is_internal"), Some("false"));
    }

    #[test]
    fn a_member_id_keeps_its_shape() {
        let mut aliases = Aliases::new(1, "run");
        aliases.add_member("client-01234567-89ab-cdef-0123-456789abcdef");
        aliases.add_member("no such shape");
        assert_eq!(
            aliases.apply("member_id", "\"client-01234567-89ab-cdef-0123-456789abcdef\""),
            "\"client-‹member 1›\""
        );
        assert_eq!(aliases.apply("member_id", "\"no such shape\""), "\"no such shape\"");
    }
}
