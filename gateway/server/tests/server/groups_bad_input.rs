//! Bad input of groups, line by line as the rules name it: each has its answer, and changes nothing else.

use bytes::Bytes;
use sluice_protocol::messages::describe_groups::DescribedGroup;
use sluice_protocol::messages::join_group::JoinGroupRequestProtocol;
use sluice_protocol::messages::{
    DeleteGroupsRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};
use sluice_protocol::{ApiKey, KString, Request, encode_request};
use sluice_server::{Limits, ServerConfig};
use tokio::time::{Duration, timeout};

use crate::groups_member::{Member, NEWEST, codes_of, describe, fetch_offsets, hasty, state};
use crate::support::{Cluster, Gateway, Topic, limited};

/// A stable group `g` of one leader, seen from the other gateway, with an offset.
struct Settled {
    a: Gateway,
    b: Gateway,
    topic: Topic,
    member: Member,
    before: (DescribedGroup, Vec<(i32, i64, String)>),
}

impl Settled {
    async fn new() -> Self {
        let (a, b) = Cluster::new().two().await;
        let topic = Topic::new(&mut a.client().await, "t").await;
        let mut member = Member::fixed(&a, NEWEST, "g", "i").await;
        member.settle_alone().await;
        assert_eq!(member.commit(&topic, &[(0, 7)]).await, [0]);
        let before = shown(&b).await;
        Self { a, b, topic, member, before }
    }

    /// Nothing has changed, and the member goes on.
    async fn is_as_before(&mut self) {
        assert_eq!(shown(&self.b).await, self.before);
        assert_eq!(self.member.heartbeat().await, 0);
    }
}

async fn shown(gateway: &Gateway) -> (DescribedGroup, Vec<(i32, i64, String)>) {
    let mut client = gateway.client().await;
    (describe(&mut client, 6, "g").await, fetch_offsets(&mut client, 9, "g", None).await)
}

/// "Unknown member, wrong generation, wrong instance"
#[tokio::test(start_paused = true)]
async fn unknown_member_wrong_generation_wrong_instance() {
    let mut settled = Settled::new().await;
    let (id, generation) = (settled.member.id.clone(), settled.member.generation);
    // Member id, instance id, generation: the code of Heartbeat, Sync and OffsetCommit, and that of LeaveGroup.
    let cases = [
        (KString::from("nobody"), None, generation, 25, 25),
        (KString::from("nobody"), Some("i"), generation, 82, 82),
        (id.clone(), Some("other"), generation, 25, 25),
        (KString::from("nobody"), Some("other"), generation, 25, 25),
        (KString::from("nobody"), None, generation + 1, 25, 25),
    ];
    for gateway in [&settled.a, &settled.b] {
        for (member_id, instance, generation, code, left) in &cases {
            let mut asking = Member {
                id: member_id.clone(),
                instance: instance.map(KString::from),
                generation: *generation,
                ..Member::new(gateway, NEWEST, "g").await
            };
            let case = format!("{member_id} {instance:?} {generation}");
            assert_eq!(asking.heartbeat().await, *code, "{case}");
            assert_eq!(asking.sync(&[]).await.error_code.as_i16(), *code, "{case}");
            assert_eq!(asking.commit(&settled.topic, &[(0, 100)]).await, [*code], "{case}");
            let refused = asking.join_once().await;
            assert_eq!((refused.error_code.as_i16(), &refused.member_id), (*code, member_id), "{case}");
            assert_eq!(asking.leave().await, *left, "{case}");
        }
        for wrong in [generation - 1, generation + 1, i32::MAX, -1, i32::MIN] {
            let mut asking = Member {
                id: id.clone(),
                instance: Some(KString::from("i")),
                generation: wrong,
                ..Member::new(gateway, NEWEST, "g").await
            };
            assert_eq!(asking.heartbeat().await, 22, "{wrong}");
            assert_eq!(asking.sync(&[]).await.error_code.as_i16(), 22, "{wrong}");
            assert_eq!(asking.commit(&settled.topic, &[(0, 100)]).await, [22], "{wrong}");
        }
    }
    settled.is_as_before().await;
}

/// "empty and 32 KB group ids": an empty one is refused where members ask; 32,767 bytes are an id like any other; what is
/// longer no version of Kafka's can say, so the connection closes.
#[tokio::test(start_paused = true)]
async fn empty_and_32_kb_group_ids() {
    let mut settled = Settled::new().await;
    for version in [0, NEWEST] {
        let mut empty = Member::new(&settled.a, version, "").await;
        let joined = empty.join_once().await;
        assert_eq!((joined.error_code.as_i16(), joined.member_id.as_str()), (24, ""));
        assert_eq!((empty.heartbeat().await, empty.leave().await), (24, 24));
        assert_eq!(empty.sync(&[]).await.error_code.as_i16(), 24);
        assert_eq!(state(&settled.b, "").await, "Dead");
        // As in Kafka, a simple consumer may have it.
        assert_eq!(empty.commit(&settled.topic, &[(0, 3)]).await, [0]);
        assert_eq!(empty.committed(&settled.topic, 0).await, 3);
        let request = DeleteGroupsRequest { groups_names: vec![KString::new()] };
        assert!(empty.client.call(2, &request).await.results[0].error_code.is_none());
        let long = "g".repeat(32_767);
        let mut member = Member::new(&settled.a, version, &long).await;
        member.settle_alone().await;
        member.client = settled.b.client().await;
        assert_eq!((member.heartbeat().await, member.leave().await), (0, 0));
    }
    // A length of 32,768 in the compact layout: group_id is the first field of all of these.
    let mut len = 32_769_u32;
    let mut body = Vec::new();
    while len >= 0x80 {
        body.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    body.push(u8::try_from(len).unwrap());
    body.resize(body.len() + 32_768 + 200, 0);
    for (key, version) in
        [(ApiKey::JoinGroup, 9_i16), (ApiKey::SyncGroup, 5), (ApiKey::Heartbeat, 4), (ApiKey::OffsetCommit, 9)]
    {
        let mut client = settled.a.client().await;
        let head = [
            &key.as_i16().to_be_bytes()[..],
            &version.to_be_bytes(),
            &1_i32.to_be_bytes(),
            &(-1_i16).to_be_bytes(),
            &[0],
        ];
        client.send_raw(&[&head.concat()[..], &body].concat()).await;
        assert!(client.rest().await.is_empty(), "{key}");
    }
    settled.is_as_before().await;
}

/// "400 KB member metadata × 1,000 members": members are taken until the group's bound, 64 MiB of metadata, then told 81;
/// those that wait hold neither their frame nor request memory (I-14), whose bound here is two such requests.
#[tokio::test(start_paused = true)]
async fn metadata_of_400_kb_and_1000_members() {
    const METADATA: usize = 400 << 10;
    let limits = Limits { request_bytes_max: 2 * 17 * METADATA, ..Limits::default() };
    let settings = sluice_engine::Settings { group_initial_rebalance_delay_ms: 20_000, ..hasty() };
    let gateway = Cluster::new().gateway_with(settings, limited(limits)).await;
    let metadata = Bytes::from(vec![7; METADATA]);
    let asking = Member { protocols: vec![("range", metadata.clone())], ..Member::new(&gateway, 3, "g").await };
    let request = asking.join_request();
    let frame = encode_request(1, Some("test"), 3, &request).unwrap().to_bytes();
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for _ in 0..1_000 {
        let mut client = gateway.client().await;
        client.send_raw(&frame[4..]).await;
        match timeout(Duration::from_millis(20), client.receive::<JoinGroupRequest>(3)).await {
            Ok((_, answer)) => {
                assert_eq!((answer.error_code.as_i16(), answer.member_id.as_str()), (81, ""));
                refused += 1;
            }
            Err(_) => waiting.push(client),
        }
    }
    let most = (64 << 20) / METADATA;
    assert!(waiting.len() <= most && waiting.len() >= most - 2, "{} of {most} were taken", waiting.len());
    assert_eq!(refused, 1_000 - waiting.len());
    // The others go on.
    let mut other = Member { version: 3, ..Member::new(&gateway, 3, "other").await };
    other.client.send(3, &other.join_request()).await;
    let mut led = 0;
    for client in &mut waiting {
        let (_, joined) = client.receive::<JoinGroupRequest>(3).await;
        assert_eq!(joined.error_code.as_i16(), 0);
        if !joined.members.is_empty() {
            led += 1;
            assert!(joined.members.iter().all(|member| member.metadata == metadata), "the leader is told all of it");
        }
    }
    assert_eq!(led, 1);
    assert_eq!(other.joined().await.error_code.as_i16(), 0);
}

/// I-14: a Join or a Sync that waits gives its request memory back, so that others get through meanwhile.
#[tokio::test(start_paused = true)]
async fn a_waiting_join_or_sync_holds_no_request_memory() {
    const LARGE: usize = 300 << 10;
    let limits = Limits { request_bytes_max: 17 * LARGE, ..Limits::default() };
    let gateway = Cluster::new().gateway_with(hasty(), ServerConfig { limits, ..ServerConfig::default() }).await;
    let large = || vec![("range", Bytes::from(vec![1; LARGE]))];
    let mut leader = Member { protocols: large(), ..Member::new(&gateway, 3, "g").await };
    leader.settle_alone().await;
    // One waits in a Join, with a large frame …
    let mut second = Member { protocols: large(), ..Member::new(&gateway, 3, "g").await };
    second.begin_join().await;
    while state(&gateway, "g").await != "PreparingRebalance" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // … and another one gets through.
    let mut third = Member { protocols: large(), ..Member::new(&gateway, 3, "h").await };
    timeout(Duration::from_secs(5), third.join()).await.expect("the first one holds the memory");
    let (joined, _) = tokio::join!(leader.join(), second.joined());
    assert_eq!(joined.members.len(), 2);
    // A follower's Sync with assignments, which are not looked at.
    let nobody = KString::from("nobody");
    let text = "x".repeat(LARGE);
    let request = second.sync_request(&[(&nobody, text.as_str())]);
    second.client.send(3, &request).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut third = Member { protocols: large(), ..Member::new(&gateway, 3, "i").await };
    timeout(Duration::from_secs(5), third.join()).await.expect("the Sync holds the memory");
    let id = leader.id.clone();
    assert_eq!(leader.sync(&[(&id, "x")]).await.error_code.as_i16(), 0);
    assert!(second.client.receive::<SyncGroupRequest>(3).await.1.error_code.is_none());
}

/// "assignments for unknown members": ignored; members that are left out have empty ones.
#[tokio::test(start_paused = true)]
async fn assignments_for_unknown_members() {
    let (a, b) = Cluster::new().two().await;
    let mut member = Member::new(&a, NEWEST, "g").await;
    member.join().await;
    let nobody = KString::from("nobody");
    let synced = member.sync(&[(&nobody, "theirs"), (&KString::new(), "?")]).await;
    assert_eq!((synced.error_code.as_i16(), synced.assignment.len()), (0, 0));
    let described = describe(&mut b.client().await, 6, "g").await;
    assert_eq!((described.members.len(), &*described.group_state), (1, "Stable"));
    assert!(described.members[0].member_assignment.is_empty());
}

/// "sync by a non-leader": it waits for the leader, and what it assigns is not looked at. Once the group is stable nobody
/// changes an assignment, not even the leader.
#[tokio::test(start_paused = true)]
async fn sync_by_a_non_leader() {
    let (a, b) = Cluster::new().two().await;
    let mut leader = Member::new(&a, NEWEST, "g").await;
    leader.settle_alone().await;
    let mut follower = Member::new(&b, NEWEST, "g").await;
    follower.begin_join().await;
    leader.hears(27).await;
    tokio::join!(leader.join(), follower.joined());
    let [id, other] = [leader.id.clone(), follower.id.clone()];
    let mine = [(&id, "stolen"), (&other, "stolen")];
    let early = timeout(Duration::from_secs(2), follower.sync(&mine)).await;
    assert!(early.is_err(), "answered before the leader: {early:?}");
    assert_eq!(&leader.sync(&[(&id, "one"), (&other, "two")]).await.assignment[..], b"one");
    follower.client = b.client().await;
    for member in [&mut follower, &mut leader] {
        let told = member.sync(&mine).await;
        assert!(matches!(&told.assignment[..], b"one" | b"two"), "{told:?}");
    }
    assert_eq!(&follower.sync(&[]).await.assignment[..], b"two");
}

/// "sessions of 0 and 2³¹−1": outside `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
#[tokio::test(start_paused = true)]
async fn sessions_of_0_and_of_all_bits() {
    let mut settled = Settled::new().await;
    for session_timeout_ms in [0, -1, i32::MIN, 5_999, 1_800_001, i32::MAX] {
        for (version, group) in [(0, "g"), (3, "new"), (9, "g"), (9, "new")] {
            let mut member = Member { session_timeout_ms, ..Member::new(&settled.b, version, group).await };
            member.id = KString::from(if version == 9 { "m" } else { "" });
            let refused = member.join_once().await;
            assert_eq!((refused.error_code.as_i16(), &refused.member_id), (26, &member.id), "{session_timeout_ms}");
        }
    }
    assert_eq!(state(&settled.a, "new").await, "Dead");
    for session_timeout_ms in [6_000, 1_800_000] {
        let mut member = Member { session_timeout_ms, ..Member::new(&settled.b, 9, "within").await };
        member.settle_alone().await;
        assert_eq!(member.leave().await, 0);
    }
    settled.is_as_before().await;
}

/// "commits of 100,000 partitions": taken where there are so many, each with its answer; one more is told 28.
#[tokio::test(start_paused = true)]
async fn commits_of_100_000_partitions() {
    let mut settled = Settled::new().await;
    let mut client = settled.a.client().await;
    let topics: Vec<Topic> = {
        let names: Vec<&'static str> = (0..10).map(|n| &*Box::leak(format!("wide{n}").into_boxed_str())).collect();
        let mut topics = Vec::new();
        for name in names {
            topics.push(Topic { name, id: client.create(name, 10_000).await });
        }
        topics
    };
    let mut simple = Member::new(&settled.a, 9, "wide").await;
    let offsets: Vec<(i32, i64)> = (0..10_000).map(|partition| (partition, 5)).collect();
    let mut request = simple.commit_request(&topics[0], &[]);
    request.topics = topics.iter().map(|topic| simple.commit_request(topic, &offsets).topics.remove(0)).collect();
    assert_eq!(codes_of(&mut simple.client, 9, &request).await, vec![0; 100_000]);
    let fetched = fetch_offsets(&mut settled.b.client().await, 9, "wide", None).await;
    assert_eq!((fetched.len(), fetched.iter().all(|(_, offset, _)| *offset == 5)), (100_000, true));
    let one_more = simple.commit_request(&settled.topic, &[(0, 5)]).topics.remove(0);
    let request = OffsetCommitRequest { group_id: KString::from("g"), ..request };
    let over = OffsetCommitRequest { topics: [request.topics, vec![one_more]].concat(), ..request };
    let codes = codes_of(&mut simple.client, 9, &over).await;
    assert!(codes.len() == 100_001 && codes.iter().all(|code| *code == 28));
    settled.is_as_before().await;
}

/// "metadata of 4,097 bytes": OFFSET_METADATA_TOO_LARGE 12 for that partition, and the rest is committed. Kafka counts
/// characters, so that 4,096 of more than a byte each are fine.
#[tokio::test(start_paused = true)]
async fn metadata_of_4097_bytes() {
    let settled = Settled::new().await;
    for version in [0, 1, 9, NEWEST] {
        let mut simple = Member::new(&settled.b, version, &format!("simple{version}")).await;
        let mut request = simple.commit_request(&settled.topic, &[(0, 5), (1, 6)]);
        request.topics[0].partitions[0].committed_metadata = Some(KString::from("x".repeat(4_097)));
        request.topics[0].partitions[1].committed_metadata = Some(KString::from("é".repeat(4_096)));
        assert_eq!(codes_of(&mut simple.client, version, &request).await, [12, 0], "version {version}");
        assert_eq!((simple.committed(&settled.topic, 0).await, simple.committed(&settled.topic, 1).await), (-1, 6));
    }
}

/// "offsets below −1": stored as they are, as Kafka does.
#[tokio::test(start_paused = true)]
async fn offsets_below_minus_1() {
    let mut settled = Settled::new().await;
    for offset in [-1, -2, i64::MIN, i64::MAX, 0] {
        let mut simple = Member::new(&settled.b, NEWEST, "simple").await;
        assert_eq!(simple.commit(&settled.topic, &[(1, offset)]).await, [0]);
        assert_eq!(simple.committed(&settled.topic, 1).await, offset);
    }
    settled.is_as_before().await;
}

/// I-09: requests of groups cut anywhere close their connection, and change nothing.
#[tokio::test(start_paused = true)]
async fn truncated_requests_of_groups_change_nothing() {
    async fn cut<R: Request>(gateway: &Gateway, version: i16, request: &R) {
        let frame = encode_request(1, Some("c"), version, request).unwrap().to_bytes();
        for len in 0..frame.len() - 4 {
            let mut client = gateway.client().await;
            client.send_raw(&frame[4..4 + len]).await;
            assert!(client.rest().await.is_empty(), "{} cut at {len}", R::KEY);
        }
    }
    let mut settled = Settled::new().await;
    let member = &settled.member;
    for version in [0, 4, 9] {
        let mut request = Member::new(&settled.a, version, "g").await.join_request();
        request.protocols.push(JoinGroupRequestProtocol { name: KString::from("p"), metadata: Bytes::from("m") });
        cut(&settled.a, version, &request).await;
    }
    cut(&settled.a, 5, &member.sync_request(&[(&member.id, "x")])).await;
    cut(&settled.a, 9, &member.commit_request(&settled.topic, &[(0, 99)])).await;
    let group_id = KString::from("g");
    cut(&settled.a, 4, &HeartbeatRequest { group_id: group_id.clone(), ..HeartbeatRequest::default() }).await;
    let leave = LeaveGroupRequest { group_id, member_id: member.id.clone(), ..LeaveGroupRequest::default() };
    cut(&settled.a, 1, &leave).await;
    settled.is_as_before().await;
}
