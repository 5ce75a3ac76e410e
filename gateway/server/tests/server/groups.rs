//! The classic group protocol over two gateways: the life of a group in every version, and Kafka's rules about members.

use std::time::Duration;

use sluice_protocol::KString;
use sluice_protocol::messages::leave_group::MemberIdentity;
use sluice_protocol::messages::{JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use tokio::time::{sleep, timeout};

use crate::groups_member::{Member, NEWEST, describe, hasty, state, subscription};
use crate::support::{Cluster, Gateway, Topic};

/// Two members that are settled in one group: the leader first.
async fn two_settled(first: &Gateway, second: &Gateway, version: i16, group: &str) -> [Member; 2] {
    let mut leader = Member::new(first, version, group).await;
    leader.settle_alone().await;
    let mut follower = Member::new(second, version, group).await;
    follower.begin_join().await;
    leader.hears(27).await;
    let (joined, told) = tokio::join!(leader.join(), follower.joined());
    assert_eq!((told.error_code.as_i16(), told.generation_id), (0, joined.generation_id));
    let [id, other] = [leader.id.clone(), follower.id.clone()];
    let given = [(&id, "0"), (&other, "1")];
    let (led, followed) = tokio::join!(leader.sync(&given), follower.sync(&[]));
    assert_eq!((led.error_code.as_i16(), followed.error_code.as_i16()), (0, 0));
    [leader, follower]
}

/// Holds: I-06, I-08 (each version of each API, both encodings; members on two gateways)
#[tokio::test(start_paused = true)]
async fn a_group_lives_in_every_version_over_two_gateways() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    for version in 0..=NEWEST {
        let group = format!("g{version}");
        let mut leader = Member::new(&a, version, &group).await;
        let joined = leader.join().await;
        assert_eq!((&joined.leader, joined.generation_id), (&leader.id, 1), "version {version}");
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
        assert_eq!(joined.protocol_type.as_deref(), (version >= 7).then_some("consumer"));
        assert_eq!((joined.members.len(), &joined.members[0].metadata), (1, &subscription(&["t"])));
        assert!(leader.id.starts_with("test-") && leader.id.len() == "test-".len() + 36, "{}", leader.id);
        let mut follower = Member::new(&b, version, &group).await;
        follower.begin_join().await;
        leader.hears(27).await;
        let (joined, told) = tokio::join!(leader.join(), follower.joined());
        assert_eq!((joined.generation_id, joined.members.len(), joined.skip_assignment), (2, 2, false));
        assert_eq!(
            (told.generation_id, &told.leader, told.members.len()),
            (2, &leader.id, 0),
            "only the leader is told"
        );
        let [id, other] = [leader.id.clone(), follower.id.clone()];
        // The leader syncs through the other gateway.
        leader.client = b.client().await;
        let given = [(&id, "one"), (&other, "two")];
        let (led, followed) = tokio::join!(leader.sync(&given), follower.sync(&[]));
        assert_eq!((led.error_code.as_i16(), &led.assignment[..]), (0, &b"one"[..]));
        assert_eq!((followed.error_code.as_i16(), &followed.assignment[..]), (0, &b"two"[..]));
        assert_eq!(followed.protocol_name.as_deref(), (version >= 5).then_some("range"));
        leader.client = a.client().await;
        assert_eq!((leader.heartbeat().await, follower.heartbeat().await), (0, 0), "a new connection, another gateway");
        // Version 0 names no member, so it is a simple consumer's commit to a live group.
        let code = if version == 0 { 25 } else { 0 };
        assert_eq!(leader.commit(&topic, &[(0, 7), (1, 8)]).await, [code; 2], "version {version}");
        let committed = if version == 0 { -1 } else { 7 };
        assert_eq!(follower.committed(&topic, 0).await, committed);
        assert_eq!(follower.leave().await, 0);
        leader.hears(27).await;
        assert_eq!(leader.leave().await, 0);
        assert_eq!((leader.leave().await, leader.heartbeat().await), (25, 25));
        assert_eq!(state(&b, &group).await, "Empty");
    }
}

/// "JoinGroup v4+ empty member id | MEMBER_ID_REQUIRED 79 + generated id; static members exempt"
#[tokio::test(start_paused = true)]
async fn new_members_are_told_their_id_first_from_version_4_on() {
    let (a, b) = Cluster::new().two().await;
    for version in 0..=9 {
        let group = format!("g{version}");
        let mut member = Member::new(&a, version, &group).await;
        let first = member.join_once().await;
        if version < 4 {
            assert_eq!((first.error_code.as_i16(), first.generation_id), (0, 1));
            continue;
        }
        let told = (first.error_code.as_i16(), first.generation_id, first.leader.as_str(), first.members.len());
        assert_eq!(told, (79, -1, "", 0), "version {version}");
        assert_eq!(first.protocol_name.as_deref(), (version < 7).then_some(""));
        assert_eq!(state(&b, &group).await, "Empty", "the group is there, without members");
        // It joins through another gateway.
        member.client = b.client().await;
        assert_eq!(member.join_once().await.member_id, first.member_id);
        if version >= 5 {
            let joined = Member::fixed(&a, version, &format!("s{version}"), "i").await.join_once().await;
            assert_eq!(joined.error_code.as_i16(), 0);
            assert!(joined.member_id.starts_with("i-"), "{}", joined.member_id);
        }
    }
}

/// `group.initial.rebalance.delay.ms`: a group that was empty waits for more members, from then on for nobody new.
#[tokio::test(start_paused = true)]
async fn an_empty_group_waits_for_more_members() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.gateway().await, cluster.gateway().await);
    let began = tokio::time::Instant::now();
    let (mut one, mut two) = (Member::new(&a, 3, "g").await, Member::new(&b, 3, "g").await);
    let (first, second) = tokio::join!(one.join(), two.join());
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
    assert_eq!(first.members.len() + second.members.len(), 2, "one of them leads both");
    let took = began.elapsed().as_secs_f64();
    assert!((3.0..7.0).contains(&took), "{took} s");
}

/// "wrong generation / unknown member / during rebalance | 22 / 25 / REBALANCE_IN_PROGRESS 27 (27 for Heartbeat and
/// SyncGroup in PreparingRebalance; OffsetCommit with the current generation is accepted in PreparingRebalance but gets 27
/// in CompletingRebalance)". Holds: T5 (the members ask a gateway that did not see what changed)
#[tokio::test(start_paused = true)]
async fn members_hear_what_the_phase_of_their_group_allows() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    let [mut leader, mut follower] = two_settled(&a, &b, NEWEST, "g").await;
    let generation = leader.generation;
    leader.generation = generation - 1;
    assert_eq!((leader.heartbeat().await, leader.sync(&[]).await.error_code.as_i16()), (22, 22));
    assert_eq!(leader.commit(&topic, &[(0, 1)]).await, [22]);
    leader.generation = generation;
    let id = std::mem::replace(&mut leader.id, KString::from("nobody"));
    assert_eq!((leader.heartbeat().await, leader.sync(&[]).await.error_code.as_i16()), (25, 25));
    assert_eq!(leader.commit(&topic, &[(0, 1)]).await, [25]);
    leader.id = id;
    // PreparingRebalance: a third one joins.
    let mut third = Member::new(&b, NEWEST, "g").await;
    third.begin_join().await;
    while state(&a, "g").await != "PreparingRebalance" {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((leader.heartbeat().await, leader.sync(&[]).await.error_code.as_i16()), (27, 27));
    assert_eq!(leader.commit(&topic, &[(0, 5)]).await, [0]);
    // CompletingRebalance: all joined, the leader has not synced.
    let (joined, _, _) = tokio::join!(leader.join(), follower.join(), third.joined());
    assert_eq!(state(&b, "g").await, "CompletingRebalance");
    assert_eq!((leader.heartbeat().await, follower.heartbeat().await), (0, 0));
    assert_eq!(leader.commit(&topic, &[(0, 6)]).await, [27]);
    leader.generation = joined.generation_id + 1;
    assert_eq!(leader.commit(&topic, &[(0, 6)]).await, [22]);
    assert_eq!(follower.committed(&topic, 0).await, 5);
}

/// "no common protocol | INCONSISTENT_GROUP_PROTOCOL 23"; the same for another type, no protocols, and a Sync that names
/// others (from version 5 on it must name them).
#[tokio::test(start_paused = true)]
async fn protocols_must_be_the_groups() {
    let (a, b) = Cluster::new().two().await;
    let mut member = Member::new(&a, NEWEST, "g").await;
    member.settle_alone().await;
    let before = describe(&mut b.client().await, 6, "g").await;
    for (protocol_type, protocols) in [
        ("consumer", vec![("sticky", subscription(&["t"]))]),
        ("connect", vec![("range", subscription(&["t"]))]),
        ("consumer", Vec::new()),
        ("", vec![("range", subscription(&["t"]))]),
    ] {
        for version in [0, 3, 9] {
            let other = Member { protocol_type, protocols: protocols.clone(), ..Member::new(&b, version, "g").await };
            let Member { mut client, .. } = other;
            let request = Member { protocol_type, protocols: protocols.clone(), ..Member::new(&b, version, "g").await };
            let refused = client.call(version, &request.join_request()).await;
            assert_eq!((refused.error_code.as_i16(), refused.member_id.as_str()), (23, ""));
            assert_eq!(refused.generation_id, -1);
        }
    }
    let named = member.sync_request(&[]);
    for (protocol_type, protocol_name) in [
        (None, named.protocol_name.clone()),
        (named.protocol_type.clone(), None),
        (Some(KString::from("x")), named.protocol_name.clone()),
    ] {
        let request = SyncGroupRequest { protocol_type, protocol_name, ..named.clone() };
        assert_eq!(member.client.call(5, &request).await.error_code.as_i16(), 23);
    }
    let unnamed = SyncGroupRequest { protocol_type: None, protocol_name: None, ..named };
    assert_eq!(member.client.call(4, &unnamed).await.error_code.as_i16(), 0, "older versions name none");
    // What is wrong with the names comes before everything else, even before an empty group id.
    let empty = SyncGroupRequest { group_id: KString::new(), protocol_type: None, ..unnamed };
    assert_eq!(member.client.call(5, &empty).await.error_code.as_i16(), 23);
    assert_eq!(describe(&mut b.client().await, 6, "g").await, before);
}

/// The protocol that most members prefer among those that all support.
#[tokio::test(start_paused = true)]
async fn members_vote_for_their_protocol() {
    let (a, b) = Cluster::new().two().await;
    let with = |names: &[&'static str]| names.iter().map(|name| (*name, subscription(&["t"]))).collect::<Vec<_>>();
    let mut first = Member { protocols: with(&["only-mine", "range", "sticky"]), ..Member::new(&a, 9, "g").await };
    assert_eq!(first.join().await.protocol_name.as_deref(), Some("only-mine"));
    let mut second = Member { protocols: with(&["sticky", "range"]), ..Member::new(&b, 9, "g").await };
    let mut third = Member { protocols: with(&["sticky", "range"]), ..Member::new(&b, 9, "g").await };
    second.begin_join().await;
    third.begin_join().await;
    while state(&a, "g").await != "PreparingRebalance" {
        sleep(Duration::from_millis(10)).await;
    }
    let (one, two, three) = tokio::join!(first.join(), second.joined(), third.joined());
    for joined in [one, two, three] {
        assert_eq!(joined.protocol_name.as_deref(), Some("sticky"));
    }
}

/// "GROUP_MAX_SIZE_REACHED 81": nothing is told but the code, and the members stay as they are.
#[tokio::test(start_paused = true)]
async fn a_full_group_takes_nobody() {
    let settings = sluice_engine::Settings { group_max_size: 1, ..hasty() };
    let gateway = Cluster::new().gateway_with(settings, sluice_server::ServerConfig::default()).await;
    let mut member = Member::new(&gateway, 9, "g").await;
    member.settle_alone().await;
    let before = describe(&mut gateway.client().await, 6, "g").await;
    for version in [0, 9] {
        let refused = Member::new(&gateway, version, "g").await.join_once().await;
        assert_eq!((refused.error_code.as_i16(), refused.member_id.as_str()), (81, ""));
    }
    assert_eq!(describe(&mut gateway.client().await, 6, "g").await, before);
    assert_eq!(member.heartbeat().await, 0);
}

/// "duplicate group.instance.id | old member FENCED_INSTANCE_ID 82"; a static member that comes back changes nothing.
#[tokio::test(start_paused = true)]
async fn a_static_member_replaces_its_older_self() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    for version in 5..=9 {
        let group = format!("g{version}");
        let mut old = Member::fixed(&a, version, &group, "i").await;
        old.settle_alone().await;
        let mut new = Member::fixed(&b, version, &group, "i").await;
        let joined = new.join_once().await;
        assert_eq!((joined.error_code.as_i16(), joined.generation_id), (0, old.generation), "no rebalance");
        assert_ne!(joined.member_id, old.id);
        // Before KIP-814 it is told its older self as the leader, so that it does not assign; from then on to skip that.
        assert_eq!((joined.leader == joined.member_id, joined.skip_assignment), (version >= 9, version >= 9));
        assert_eq!(joined.members.len(), usize::from(version >= 9));
        old.hears(82).await;
        assert_eq!(old.sync(&[]).await.error_code.as_i16(), 82, "version {version}");
        assert_eq!(old.join_once().await.error_code.as_i16(), 82);
        assert_eq!(old.leave().await, 82);
        if version >= 7 {
            assert_eq!(old.commit(&topic, &[(0, 1)]).await, [82]);
        }
        assert_eq!((new.heartbeat().await, &new.sync(&[]).await.assignment[..]), (0, &b"all"[..]));
        let described = describe(&mut a.client().await, 6, &group).await;
        let told: Vec<_> = described.members.iter().map(|m| (&m.member_id, m.group_instance_id.as_deref())).collect();
        assert_eq!(told, [(&new.id, Some("i"))]);
    }
}

/// LeaveGroup from version 3 on: each member has its own answer; administrators name static members by instance id alone.
#[tokio::test(start_paused = true)]
async fn several_members_leave_at_once() {
    let (a, b) = Cluster::new().two().await;
    let mut fixed = Member::fixed(&a, 9, "g", "i").await;
    fixed.settle_alone().await;
    let identity = |member_id: &str, instance: Option<&str>| MemberIdentity {
        member_id: KString::from(member_id),
        group_instance_id: instance.map(KString::from),
        ..MemberIdentity::default()
    };
    let asked =
        vec![identity("nobody", None), identity("", Some("none")), identity("x", Some("i")), identity("", Some("i"))];
    for version in 3..=5 {
        let members = if version == 5 { asked.clone() } else { asked[..3].to_vec() };
        let request = LeaveGroupRequest { group_id: KString::from("g"), members, ..LeaveGroupRequest::default() };
        let left = b.client().await.call(version, &request).await;
        assert!(left.error_code.is_none());
        let told: Vec<_> = left.members.iter().map(|member| member.error_code.as_i16()).collect();
        assert_eq!(told, if version == 5 { &[25, 25, 82, 0][..] } else { &[25, 25, 82] });
        for (told, asked) in left.members.iter().zip(&asked) {
            assert_eq!((&told.member_id, &told.group_instance_id), (&asked.member_id, &asked.group_instance_id));
        }
    }
    assert_eq!(state(&a, "g").await, "Empty");
}

/// A group that is not there: "unknown member" per member, and nothing comes into being.
#[tokio::test(start_paused = true)]
async fn nobody_is_a_member_of_a_group_that_is_not_there() {
    let (a, _b) = Cluster::new().two().await;
    for version in [0, 3, NEWEST] {
        let mut member = Member { id: KString::from("m"), generation: 1, ..Member::new(&a, version, "none").await };
        let refused = member.join_once().await;
        assert_eq!((refused.error_code.as_i16(), refused.member_id.as_str()), (25, "m"), "it is told what it sent");
        assert_eq!((member.heartbeat().await, member.leave().await), (25, 25));
        assert_eq!(member.sync(&[]).await.error_code.as_i16(), 25);
        assert_eq!(state(&a, "none").await, "Dead");
    }
}

// Holds: T7 (a request of a client that is gone is dropped: here a Join that waits, and what it would have answered)
#[tokio::test(start_paused = true)]
async fn a_waiting_join_ends_with_its_client() {
    let (a, b) = Cluster::new().two().await;
    let mut member = Member::new(&a, 9, "g").await;
    member.settle_alone().await;
    let mut gone = Member::new(&b, 9, "g").await;
    gone.begin_join().await;
    while state(&a, "g").await != "PreparingRebalance" {
        sleep(Duration::from_millis(10)).await;
    }
    tokio::io::AsyncWriteExt::shutdown(&mut gone.client.stream).await.unwrap();
    assert!(gone.client.rest().await.is_empty(), "nobody is answered");
    // Its place is kept for its session timeout; then the group goes on without it.
    let joined = timeout(Duration::from_secs(60), member.join()).await.unwrap();
    assert!(joined.members.len() <= 2, "{joined:?}");
}

/// SIGTERM: Joins and Syncs that wait are answered like long polls, with a code that sends the client to another gateway.
#[tokio::test(start_paused = true)]
async fn a_stopping_gateway_answers_those_who_wait() {
    let (a, b) = Cluster::new().two().await;
    let [mut leader, mut follower] = two_settled(&a, &b, 9, "g").await;
    let mut third = Member::new(&b, 9, "g").await;
    third.begin_join().await;
    leader.hears(27).await;
    let (_, told, _) = tokio::join!(leader.join(), follower.join(), third.joined());
    // One waits in a Sync, and in another group one in a Join.
    let sync = follower.sync_request(&[]);
    follower.client.send(5, &sync).await;
    let mut other = Member::new(&a, 9, "h").await;
    other.settle_alone().await;
    let mut waiting = Member::new(&b, 9, "h").await;
    waiting.begin_join().await;
    while state(&a, "h").await != "PreparingRebalance" {
        sleep(Duration::from_millis(10)).await;
    }
    let began = tokio::time::Instant::now();
    b.server.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let (_, synced) = follower.client.receive::<SyncGroupRequest>(5).await;
    let (_, joined) = waiting.client.receive::<JoinGroupRequest>(9).await;
    assert_eq!((synced.error_code.as_i16(), joined.error_code.as_i16()), (15, 15));
    assert!(follower.client.rest().await.is_empty() && waiting.client.rest().await.is_empty());
    // They go on through the other gateway, in the same generation.
    follower.client = a.client().await;
    let id = leader.id.clone();
    let given = [(&id, "x")];
    let (led, followed) = tokio::join!(leader.sync(&given), follower.sync(&[]));
    assert_eq!((led.error_code.as_i16(), followed.error_code.as_i16()), (0, 0));
    assert_eq!(follower.generation, told.generation_id);
}
