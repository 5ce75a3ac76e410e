//! What a broker says about itself: DescribeCluster, DescribeTopicPartitions, and the APIs that it has.

use sluice_protocol::messages::describe_topic_partitions::{Cursor, TopicRequest};
use sluice_protocol::messages::{ApiVersionsRequest, DescribeClusterRequest, DescribeTopicPartitionsRequest};
use sluice_protocol::{ApiKey, KString};

use crate::batches::batch;
use crate::requests::{To, create, metadata, new_topic, produce};
use crate::rows;
use crate::situation::{Situation, differs_at, family, situation};

fn partitions(names: &[&KString], limit: i32, cursor: Option<(&KString, i32)>) -> DescribeTopicPartitionsRequest {
    DescribeTopicPartitionsRequest {
        topics: names.iter().map(|name| TopicRequest { name: (*name).clone() }).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(|(name, partition_index)| Cursor { topic_name: name.clone(), partition_index }),
    }
}

pub(super) const ALL: &[Situation] = &[
    situation("the APIs that are advertised, and their versions", "ApiVersions", |s, _| {
        let request =
            ApiVersionsRequest { client_software_name: "differential".into(), client_software_version: "1".into() };
        let told = s.prepare(4, &request)?;
        for key in ApiKey::ALL {
            let range = told.api_keys.iter().find(|api| api.api_key == key.as_i16());
            let text = range.map_or("not advertised".to_owned(), |r| format!("{}-{}", r.min_version, r.max_version));
            s.note(&format!("{} ({})", key.name(), key.as_i16()), text);
        }
        let unknown = told.api_keys.iter().filter(|api| ApiKey::try_from(api.api_key).is_err());
        s.note("others", unknown.map(|api| api.api_key.to_string()).collect::<Vec<_>>().join(" "));
        let mut features: Vec<_> = told.supported_features.iter().collect();
        features.sort_by_key(|f| f.name.to_string());
        let text = |f: &&_| format!("{f:?}");
        s.note("supported features", features.iter().map(text).collect::<Vec<_>>().join(" "));
        let mut finalized: Vec<_> = told.finalized_features.iter().map(|f| format!("{f:?}")).collect();
        finalized.sort();
        s.note("finalized features", finalized.join(" "));
        Ok(())
    })
    .but(
        const {
            &[
                differs_at("D-40", "(17)"),
                differs_at("D-40", "(36)"),
                differs_at("D-36", "(24)"),
                differs_at("D-36", "(25)"),
                differs_at("D-36", "(26)"),
                differs_at("D-36", "(27)"),
                differs_at("D-36", "(28)"),
                differs_at("D-36", "(65)"),
                differs_at("D-36", "(66)"),
                differs_at("D-38", "(29)"),
                differs_at("D-38", "(30)"),
                differs_at("D-38", "(31)"),
                differs_at("D-38", "(48)"),
                differs_at("D-38", "(49)"),
                differs_at("D-50", "(34)"),
                differs_at("D-50", "(38)"),
                differs_at("D-50", "(39)"),
                differs_at("D-50", "(40)"),
                differs_at("D-50", "(41)"),
                differs_at("D-50", "(50)"),
                differs_at("D-50", "(51)"),
                differs_at("D-50", "(55)"),
                differs_at("D-50", "(57)"),
                differs_at("D-50", "(64)"),
                differs_at("D-50", "(80)"),
                differs_at("D-50", "(81)"),
                differs_at("D-50", "(83)"),
                differs_at("D-50", "(84)"),
                differs_at("D-50", "(85)"),
                differs_at("D-50", "(86)"),
                differs_at("D-50", "(87)"),
                differs_at("D-35", "(68)"),
                differs_at("D-35", "(69)"),
                differs_at("D-35", "(76)"),
                differs_at("D-35", "(77)"),
                differs_at("D-35", "(78)"),
                differs_at("D-35", "(79)"),
                differs_at("D-35", "(88)"),
                differs_at("D-35", "(89)"),
                differs_at("D-35", "(90)"),
                differs_at("D-35", "(91)"),
                differs_at("D-35", "(92)"),
                differs_at("D-15", "features"),
            ]
        },
    ),
    situation("Kafka's own topics", "Metadata", |s, _| {
        let own = KString::from("__consumer_offsets");
        s.ask_shaped(12, &metadata(&[&own]), |answer, _| {
            answer.replace("topic_id", "‹id›");
            answer.sort("partitions");
        });
        let request = sluice_protocol::messages::CreateTopicsRequest {
            validate_only: true,
            ..create(vec![new_topic(&own, 1, 1)])
        };
        s.ask_shaped(4, &request, |_, _| {});
        let metadata_topic = KString::from("__cluster_metadata");
        s.ask(7, &create(vec![new_topic(&metadata_topic, 1, 1)]));
        s.ask(12, &metadata(&[&metadata_topic]));
        Ok(())
    })
    .but(const { &[differs_at("D-48", "1. Metadata"), differs_at("D-48", "2. CreateTopics")] }),
    situation("a record for Kafka's own topic", "Produce", |s, _| {
        let own = To::name(&KString::from("__consumer_offsets"));
        s.ask(9, &produce(&own, batch(&["x"])));
        Ok(())
    })
    .alone(),
    family("the cluster", rows::DESCRIBE_CLUSTER, 0..=2, |s, v| {
        s.ask(v, &DescribeClusterRequest::default());
        let asked = DescribeClusterRequest { include_cluster_authorized_operations: true, ..Default::default() };
        s.ask(v, &asked);
        Ok(())
    }),
    family("the cluster's controllers, and what it has not", rows::DESCRIBE_CLUSTER, 1..=2, |s, v| {
        for endpoint_type in [2, 0, 9, -1] {
            s.ask(v, &DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() });
        }
        Ok(())
    }),
    situation("the cluster with its fenced brokers", rows::DESCRIBE_CLUSTER, |s, _| {
        s.ask(2, &DescribeClusterRequest { include_fenced_brokers: true, ..DescribeClusterRequest::default() });
        Ok(())
    }),
    // ---- DescribeTopicPartitions ---------------------------------------------------------------------------------
    situation("the partitions of topics, in the order of their names", "DescribeTopicPartitions", |s, _| {
        let (b, a, none) = (s.topic_with("b", 2, &[])?, s.topic("a")?, s.name("none"));
        s.ask(0, &partitions(&[&b, &a, &none], 2_000, None));
        Ok(())
    }),
    situation("a cursor goes on where the limit was", "DescribeTopicPartitions", |s, _| {
        let (a, b, c) = (s.topic_with("a", 3, &[])?, s.topic_with("b", 2, &[])?, s.topic("c")?);
        let all = [&a, &b, &c];
        s.ask(0, &partitions(&all, 2, None));
        s.ask(0, &partitions(&all, 3, None));
        s.ask(0, &partitions(&all, 2, Some((&a, 2))));
        s.ask(0, &partitions(&all, 2, Some((&b, 0))));
        s.ask(0, &partitions(&all, 5, Some((&b, 1))));
        s.ask(0, &partitions(&all, 6, None));
        Ok(())
    }),
    situation("limits and cursors that cannot be", "DescribeTopicPartitions", |s, _| {
        let (a, none) = (s.topic_with("a", 3, &[])?, s.name("none"));
        for limit in [0, -1, i32::MIN, i32::MAX] {
            s.ask(0, &partitions(&[&a], limit, None));
        }
        for (name, index) in [(&a, 3), (&a, 99), (&a, -1), (&none, 0), (&KString::new(), 0)] {
            s.ask(0, &partitions(&[&a], 10, Some((name, index))));
        }
        Ok(())
    }),
    situation("partitions of names that cannot be, and twice", "DescribeTopicPartitions", |s, _| {
        let a = s.topic("a")?;
        s.ask(0, &partitions(&[&a, &a], 10, None));
        for name in ["", "a b", ".."] {
            s.ask(0, &partitions(&[&KString::from(name)], 10, None));
        }
        s.ask(0, &partitions(&[&KString::from("x".repeat(250))], 10, None));
        Ok(())
    })
    .but(const { &[differs_at("D-41", "2. DescribeTopicPartitions")] }),
    situation("partitions of all topics", "DescribeTopicPartitions", |s, _| {
        s.topic_with("a", 2, &[])?;
        s.topic("b")?;
        let from = s.name("");
        s.ask_shaped(0, &partitions(&[], 3, Some((&from, 0))), |answer, prefix| {
            answer.keep("topics", "name", prefix);
        });
        Ok(())
    })
    .alone(),
];
