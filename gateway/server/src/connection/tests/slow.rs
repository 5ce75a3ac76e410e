//! Peers that take too long: with a request, or with an answer.

use super::*;

fn limits() -> Limits {
    Limits {
        frame_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(30),
        write_timeout_scarce: Duration::from_secs(2),
        bytes_per_second_min: 100,
        answer_bytes_max: 100_000,
        answer_bytes_ahead: 100,
        ..Limits::default()
    }
}

/// Writes a byte a second until the server closes; after how many seconds it did, and why.
async fn trickle(limits: Limits, len: usize) -> (u64, Close) {
    let fixture = fixture(limits, 1 << 16);
    let (_reading, mut writing) = tokio::io::split(fixture.client);
    let start = tokio::time::Instant::now();
    let sender = tokio::spawn(async move {
        for byte in Script::new(ALONE, 1).frame_of(len) {
            if writing.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
    let close = fixture.task.await.unwrap();
    sender.abort();
    (start.elapsed().as_secs(), close)
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_takes_too_long_to_come_ends_its_connection() {
    for (len, expected) in [(200, 62), (6_000, 120), (100_000, 1_060)] {
        let (seconds, close) = trickle(limits(), len).await;
        assert!(matches!(close, Close::SlowSender) && close.label() == "slow_sender", "{len} bytes: {close}");
        assert!(seconds.abs_diff(expected) <= 1, "{len} bytes: closed after {seconds} s, not {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_byte_a_second_is_fast_enough_for_a_small_request() {
    let mut fixture = fixture(limits(), 1 << 16);
    for id in 0..20 {
        for byte in Script::new(ALONE, id).frame_of(50) {
            fixture.client.write_all(&[byte]).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(fixture.read_answer().await, id);
    }
}

/// What the gateway takes long for is not held against the peer that has begun its next request meanwhile.
#[tokio::test(start_paused = true)]
async fn half_a_frame_behind_a_slow_request_has_its_time_when_it_is_waited_for() {
    let mut fixture = fixture(limits(), 1 << 16);
    let slow = Script { first_ms: 60_000, ..Script::new(ALONE, 1) };
    let behind = Script::new(ALONE, 2).frame();
    for _ in 0..3 {
        fixture.client.write_all(&[&slow.frame(), &behind[..10]].concat()).await.unwrap();
        assert_eq!(fixture.read_answer().await, 1);
        sleep(Duration::from_secs(55)).await;
        fixture.client.write_all(&behind[10..]).await.unwrap();
        assert_eq!(fixture.read_answer().await, 2);
    }
}

/// Takes so many bytes of an answer every second until the server closes; the seconds, the bytes, and why it did.
async fn sip(limits: Limits, answer_len: u32, bytes_a_second: usize) -> (u64, usize, Close) {
    let mut fixture = fixture(limits, 256);
    let start = tokio::time::Instant::now();
    fixture.client.write_all(&Script { answer_len, ..Script::new(ALONE, 1) }.frame()).await.unwrap();
    let client = tokio::spawn(async move {
        let (mut taken, mut sip) = (0, vec![0; bytes_a_second]);
        while taken < answer_len as usize + 8 {
            sleep(Duration::from_secs(1)).await;
            match fixture.client.read(&mut sip).await {
                Ok(0) | Err(_) => break,
                Ok(read) => taken += read,
            }
        }
        (taken, fixture.client)
    });
    let close = fixture.task.await.unwrap();
    let seconds = start.elapsed().as_secs();
    client.abort();
    (seconds, client.await.map_or(0, |(taken, _)| taken), close)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_too_slowly_ends_its_connection() {
    // 30 s and a second more for each hundred bytes: at ten bytes a second it is late, at two hundred it is not.
    let (seconds, _, close) = sip(limits(), 10_000, 10).await;
    assert!(matches!(close, Close::SlowReader), "{close}");
    assert!((126..=131).contains(&seconds), "after {seconds} s");
    let (_, taken, close) = sip(limits(), 10_000, 60).await;
    assert_eq!(taken, 0, "it was closed at 130 s: {close}");
    let mut patient = limits();
    patient.idle_timeout = Duration::from_secs(5);
    let (_, taken, close) = sip(patient, 10_000, 200).await;
    assert!(matches!(close, Close::Idle) || taken == 10_008, "{taken} bytes, {close}");
}

/// A reader that is never done, because it is always asked for more, but takes what waits in time.
#[tokio::test(start_paused = true)]
async fn a_steady_reader_that_is_always_behind_goes_on() {
    let fixture = fixture(limits(), 64);
    let (mut reading, mut writing) = tokio::io::split(fixture.client);
    let writer = tokio::spawn(async move {
        for id in 0..300 {
            let script = Script { answer_len: 992, ..Script::new(ALONE, id) };
            writing.write_all(&script.frame()).await.unwrap();
        }
        writing
    });
    let mut answer = vec![0; 1_000];
    for id in 0..300_i32 {
        reading.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[4..8], id.to_be_bytes());
        // Ten times as fast as it must, over 300 s: far longer than any single time limit.
        sleep(Duration::from_secs(1)).await;
    }
    drop(writer.await.unwrap());
}

// Holds: I-14 (answers that wait, over all connections)
#[tokio::test(start_paused = true)]
async fn slow_readers_have_less_time_while_memory_for_answers_is_scarce() {
    for (readers, seconds) in [(1, 30), (30, 2)] {
        let fixture = fixture(limits(), 64);
        let start = tokio::time::Instant::now();
        let mut connections = Vec::new();
        for id in 0..readers {
            let (mut client, task) = connect(&fixture.shared, 64);
            client.write_all(&Script { answer_len: 50_000, ..Script::new(ALONE, id) }.frame()).await.unwrap();
            connections.push((client, task));
        }
        let gauge = fixture.shared.metrics.waiting_answer_bytes.clone();
        sleep(Duration::from_millis(100)).await;
        let expected = i64::from(readers) * (50_008 - 64);
        assert_eq!(gauge.get(), expected, "answers that wait are counted");
        let mut closed = 0;
        let mut open = Vec::new();
        for (client, task) in connections {
            tokio::select! {
                biased;
                close = task => {
                    assert!(matches!(close.unwrap(), Close::SlowReader));
                    closed += 1;
                }
                () = sleep(Duration::from_secs(10)) => open.push(client),
            }
            if closed == 1 {
                assert!(start.elapsed().as_secs().abs_diff(seconds) <= 1, "after {:?}", start.elapsed());
            }
        }
        if readers == 1 {
            assert_eq!(closed, 0);
            sleep(Duration::from_secs(25)).await;
            assert_eq!(gauge.get(), 0, "closed after 30 s, and no more counted");
        } else {
            assert!(closed >= 28, "{closed} of {readers} were closed: as many as make room");
            assert!(gauge.get() <= 100_000, "{} bytes still wait", gauge.get());
        }
    }
}
