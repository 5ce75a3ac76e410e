//! What connections and their requests cost.

use super::*;
use crate::admission::Admission;

/// I-14: large frames wait for memory; small ones do not.
#[tokio::test(start_paused = true)]
async fn large_frames_wait_for_memory_and_small_ones_do_not() {
    let limits = Limits { frame_bytes_free: 100, receive_bytes_max: 8 << 10, ..Limits::default() };
    let mut fixture = fixture(limits, 1 << 16);
    let mut taken = Admission::default();
    assert!(taken.try_receive(&fixture.shared.memory, 8 << 10));
    fixture.client.write_all(&Script::new(ALONE, 1).frame()).await.unwrap();
    assert_eq!(fixture.read_answer().await, 1);
    let large = Script::new(ALONE, 2).frame_of(6000);
    fixture.client.write_all(&large[..1000]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    fixture.client.write_all(&large[1000..]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.events.lock().unwrap().len(), 3, "it began without memory");
    drop(taken);
    assert_eq!(fixture.read_answer().await, 2);
    assert_eq!(fixture.shared.metrics.receiving_bytes.get(), 0, "the memory was not given back");
}

/// I-14: a request that has let go of its frame holds no memory while it waits (Join, Sync); the records of one that
/// overlaps are counted by the engine, but not before its first stage has ended.
#[tokio::test(start_paused = true)]
async fn memory_is_given_back_with_the_frame_or_with_the_stage() {
    let limits = Limits { frame_bytes_free: 100, receive_bytes_max: 8 << 10, ..Limits::default() };
    for (key, expected) in [(ALONE, 0), (OVERLAPPING, 6 << 10)] {
        let mut fixture = fixture(limits.clone(), 1 << 16);
        let script = Script { first_ms: 5_000, second_ms: 5_000, ..Script::new(key, 2) };
        let large = script.frame_of(6000);
        // In two parts: what comes whole in the first read needed no more than the pooled buffer.
        for part in [&large[..1000], &large[1000..]] {
            fixture.client.write_all(part).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        let held = &fixture.shared.metrics.receiving_bytes;
        assert_eq!(fixture.events.lock().unwrap().len(), 1, "it is in its first stage");
        assert_eq!(held.get(), expected);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(held.get(), 0);
        assert_eq!(fixture.read_answer().await, 2);
    }
}

/// Idle memory: a connection that waits holds no buffer, and its task stays small.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_small() {
    let fixture = fixture(Limits::default(), 1 << 16);
    let address = HostPort { host: "localhost".to_owned(), port: 1 };
    let caller = Arc::new(Caller::new(Arc::new(Advertised::new(&address)), &PeerAddr::Memory(1)));
    let (_client, served) = memory_pipe(16);
    let connection = Connection::new(Box::new(served), Arc::clone(&fixture.shared), caller);
    let size = size_of_val(&connection);
    assert!(size < 1024, "{size} bytes");
    let running = connection.run(&PeerAddr::Memory(2));
    println!("a connection: {size} bytes, its task: {} bytes", size_of_val(&running));
    assert!(size_of_val(&running) < 4 << 10, "{} bytes", size_of_val(&running));
}

/// Small frames for memory that is counted in small numbers.
fn tight() -> Limits {
    Limits {
        frame_bytes_free: 1 << 10,
        read_buffer_bytes: 1 << 10,
        frame_bytes_at_once: 8 << 10,
        receive_bytes_max: 64 << 10,
        ..Limits::default()
    }
}

/// I-09: a length alone takes no more than what is given at once, and the rest is counted as the bytes come.
#[tokio::test(start_paused = true)]
async fn a_long_frame_is_counted_as_it_comes() {
    let mut fixture = fixture(Limits { receive_bytes_max: 1 << 20, ..tight() }, 1 << 20);
    let large = Script::new(ALONE, 1).frame_of(200_000);
    let held = fixture.shared.metrics.receiving_bytes.clone();
    let mut sent = 0;
    for piece in large.chunks(3_000) {
        fixture.client.write_all(piece).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        sent += piece.len();
        let most = (2 * sent).max(8 << 10) + (1 << 10);
        assert!(sent == large.len() || held.get() as usize <= most, "{} bytes are held for {sent}", held.get());
    }
    assert_eq!((fixture.read_answer().await, held.get()), (1, 0));
}

/// I-14, I-09: whoever announces much and sends little takes no room from others.
#[tokio::test(start_paused = true)]
async fn long_frames_of_which_little_comes_are_no_obstacle_to_others() {
    let mut fixture = fixture(tight(), 1 << 16);
    let mut lorises = Vec::new();
    for _ in 0..4 {
        let (mut client, task) = connect(&fixture.shared, 1 << 16);
        client.write_all(&Script::new(ALONE, 9).frame_of(100 << 20)[..2_000]).await.unwrap();
        lorises.push((client, task));
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.shared.metrics.receiving_bytes.get(), 4 * (8 << 10));
    for id in 0..20 {
        fixture.client.write_all(&Script::new(ALONE, id).frame_of(30_000)).await.unwrap();
        assert_eq!(fixture.read_answer().await, id);
    }
}

// Holds: I-14 (frames that wait for memory do not wait for each other for ever)
#[tokio::test(start_paused = true)]
async fn half_received_frames_that_have_used_up_the_memory_are_received_all_the_same() {
    let fixture = fixture(tight(), 1 << 16);
    let mut clients = Vec::new();
    for id in 0..30 {
        let (mut client, task) = connect(&fixture.shared, 1 << 10);
        let large = Script { answer_len: 8, ..Script::new(ALONE, id) }.frame_of(50_000);
        client.write_all(&large[..900]).await.unwrap();
        clients.push((client, task, large));
    }
    let held = fixture.shared.metrics.receiving_bytes.clone();
    let most = Arc::new(Mutex::new(0));
    let mut sending = Vec::new();
    for (mut client, task, large) in clients {
        let (held, most) = (held.clone(), Arc::clone(&most));
        sending.push(tokio::spawn(async move {
            for piece in large[900..].chunks(500) {
                client.write_all(piece).await.unwrap();
                sleep(Duration::from_millis(1)).await;
                let mut most = most.lock().unwrap();
                *most = held.get().max(*most);
            }
            let answered = read_answer(&mut client).await;
            drop(client);
            task.await.unwrap();
            answered
        }));
    }
    for (id, sent) in (0..).zip(sending) {
        assert_eq!(sent.await.unwrap(), id);
    }
    let most = *most.lock().unwrap();
    assert!(most > 50 << 10 && most <= 64 << 10, "{most} of {} bytes were held", 64 << 10);
    assert_eq!(held.get(), 0);
}

/// I-14: what frames decode to is counted too, for as long as the request lives, and waits without holding others up.
#[tokio::test(start_paused = true)]
async fn whole_frames_wait_for_the_memory_of_what_they_decode_to() {
    let fixture = fixture(Limits { request_bytes_max: 64 << 10, ..tight() }, 1 << 16);
    let mut clients = Vec::new();
    for id in 0..4 {
        let (mut client, _task) = connect(&fixture.shared, 1 << 16);
        // Twice the frame is estimated for this kind: the frame, and as much again.
        let script = Script { first_ms: 1_000, ..Script::new(HUNGRY, id) };
        client.write_all(&script.frame_of(30_000)).await.unwrap();
        clients.push(client);
    }
    let started = tokio::time::Instant::now();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(fixture.shared.metrics.decoding_bytes.get(), 2 * (30 << 10));
    for (id, client) in (0..).zip(&mut clients) {
        assert_eq!(read_answer(client).await, id);
    }
    assert_eq!(started.elapsed().as_secs(), 2, "two at a time");
    assert_eq!(fixture.shared.metrics.decoding_bytes.get(), 0);
}
