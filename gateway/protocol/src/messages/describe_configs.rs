//! DescribeConfigs (key 32), versions 0–4.
//!
//! Version notes: 1 sources and synonyms in place of "is the default" (KIP-226) · 2 as 1 · 3 types and documentation (KIP-569)
//! · 4 flexible. Kafka 4 begins at version 1; the layout of 0 is that of Kafka 2.8.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for configurations.
    request DescribeConfigsRequest -> DescribeConfigsResponse (DescribeConfigs, 0..=4, flexible 4) {
        /// The resources.
        resources: Vec<DescribeConfigsResource> => since(0);
        /// Whether to tell the synonyms of each entry.
        include_synonyms: bool => since(1);
        /// Whether to tell what each entry means.
        include_documentation: bool => since(3);
    }
}

message! {
    /// A resource asked for.
    struct DescribeConfigsResource {
        /// Its type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 => since(0);
        /// Its name.
        resource_name: KString => since(0);
        /// The entries; null for all.
        configuration_keys: Option<Vec<KString>> = Some(Vec::new()) => since(0).nullable(0);
    }
}

message! {
    /// Configurations.
    struct DescribeConfigsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// The resources.
        results: Vec<DescribeConfigsResult> => since(0);
    }
}

message! {
    /// The configuration of one resource.
    struct DescribeConfigsResult {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null. Set it to null on success: the default is the empty string.
        error_message: Option<KString> = Some(KString::new()) => since(0).nullable(0);
        /// Type of the resource.
        resource_type: i8 => since(0);
        /// Name of the resource.
        resource_name: KString => since(0);
        /// The entries.
        configs: Vec<DescribeConfigsResourceResult> => since(0);
    }
}

message! {
    /// A configuration entry.
    struct DescribeConfigsResourceResult {
        /// Its name.
        name: KString => since(0);
        /// Its value; null if there is none or it is a secret.
        value: Option<KString> = Some(KString::new()) => since(0).nullable(0);
        /// Whether it cannot be changed.
        read_only: bool => since(0);
        /// Whether it has its default value, in version 0 only.
        is_default: bool => since(0).until(0);
        /// Where the value comes from: 1 topic, 2 broker, 3 all brokers, 4 configuration file, 5 default, 6 broker logger,
        /// 7 client metrics, 8 group; −1 unknown.
        config_source: i8 = -1 => since(1).ignorable();
        /// Whether the value is a secret.
        is_sensitive: bool => since(0);
        /// All entries that this one's value could come from, the one in force first.
        synonyms: Vec<DescribeConfigsSynonym> => since(1).ignorable();
        /// Type of the value: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password; 0 unknown.
        config_type: i8 => since(3).ignorable();
        /// What the entry means, or null.
        documentation: Option<KString> = Some(KString::new()) => since(3).nullable(0).ignorable();
    }
}

message! {
    /// An entry that another one's value could come from.
    struct DescribeConfigsSynonym {
        /// Its name.
        name: KString => since(1);
        /// Its value, or null.
        value: Option<KString> = Some(KString::new()) => since(1).nullable(0);
        /// Where the value comes from, as above.
        source: i8 => since(1);
    }
}
