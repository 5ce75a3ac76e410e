//! Peers that go away with requests on the way.

use super::*;

impl Fixture {
    fn settled(&self) -> Vec<i32> {
        let events = self.events.lock().unwrap();
        events.iter().filter_map(|e| if let Event::Settled(id) = e { Some(*id) } else { None }).collect()
    }
}

/// A peer that is done: it closes its end, or is no more.
#[derive(Debug, Clone, Copy)]
enum Goes {
    HalfCloses,
    Closes,
}

/// A Join that waits, with what was sent behind it before the peer went away; `late`: a while after the Join had begun.
async fn go_with(goes: Goes, late: bool, behind: &[u8]) -> (Vec<i32>, Vec<i32>, Close) {
    let mut fixture = fixture(Limits::default(), 1 << 16);
    let waits = Script { first_ms: 60_000, ..Script::new(ENDS_WITH_PEER, 1) };
    fixture.client.write_all(&Script::new(ALONE, 0).frame()).await.unwrap();
    assert_eq!(fixture.read_answer().await, 0);
    if late {
        fixture.client.write_all(&waits.frame()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        fixture.client.write_all(behind).await.unwrap();
    } else {
        fixture.client.write_all(&[&waits.frame(), behind].concat()).await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.settled(), [0], "the Join waits, and everything behind it");
    let began = tokio::time::Instant::now();
    let answered = match goes {
        Goes::HalfCloses => {
            fixture.client.shutdown().await.unwrap();
            fixture.read_to_end().await
        }
        Goes::Closes => {
            let (nobody, _) = memory_pipe(1);
            drop(std::mem::replace(&mut fixture.client, nobody));
            Vec::new()
        }
    };
    let close = (&mut fixture.task).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{goes:?} was noticed after {:?}", began.elapsed());
    (answered, fixture.settled(), close)
}

// Holds: T7 (LeaveGroup excepted), I-07 (nobody takes an answer for that of the dropped request)
#[tokio::test(start_paused = true)]
async fn what_outlives_its_peer_is_done_behind_a_request_that_does_not() {
    for (goes, late) in
        [(Goes::HalfCloses, false), (Goes::HalfCloses, true), (Goes::Closes, false), (Goes::Closes, true)]
    {
        let leave = Script { first_ms: 500, ..Script::new(ALONE, 2) };
        let (answered, settled, close) = go_with(goes, late, &leave.frame()).await;
        assert_eq!((answered, settled), (Vec::new(), vec![0, 2]), "{goes:?}, late: {late}");
        assert!(matches!(close, Close::PeerClosed), "{close}");
    }
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn of_a_peer_that_is_gone_only_what_outlives_it_is_begun() {
    let behind: Vec<u8> = (2..300)
        .map(|id| Script::new([ENDS_WITH_PEER, ALONE, OVERLAPPING][id as usize % 3], id))
        .flat_map(Script::frame)
        .collect();
    let (answered, settled, _) = go_with(Goes::HalfCloses, true, &behind).await;
    assert!(answered.is_empty());
    let expected: Vec<i32> = (0..300).filter(|id| *id == 0 || *id > 1 && id % 3 != 0).collect();
    assert_eq!(settled, expected);
}

#[tokio::test(start_paused = true)]
async fn bad_bytes_behind_a_dropped_request_end_the_connection_as_ever() {
    let half = Script::new(ALONE, 2).frame().slice(..9);
    for late in [false, true] {
        let (_, settled, close) = go_with(Goes::HalfCloses, late, &half).await;
        assert_eq!((settled, close.label()), (vec![0], "truncated"));
        let (_, settled, close) = go_with(Goes::HalfCloses, late, &i32::MIN.to_be_bytes()).await;
        assert_eq!((settled, close.label()), (vec![0], "bad_frame"));
    }
}

/// An answer that the peer never took does not keep back what it asked for last.
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_sent_any_more_is_no_obstacle() {
    let mut fixture = fixture(Limits::default(), 64);
    let (large, waits) = (Script { answer_len: 1_000, ..Script::new(ALONE, 1) }, Script::new(ENDS_WITH_PEER, 2));
    let waits = Script { first_ms: 60_000, ..waits };
    for script in [large, waits, Script::new(ALONE, 3)] {
        fixture.client.write_all(&script.frame()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    let (nobody, _) = memory_pipe(1);
    drop(std::mem::replace(&mut fixture.client, nobody));
    (&mut fixture.task).await.unwrap();
    assert_eq!(fixture.settled(), [1, 3]);
}
