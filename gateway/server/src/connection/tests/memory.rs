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
    let mut large = BytesMut::from(&Script::new(ALONE, 2).frame()[..]);
    large.resize(4 + 6000, 0);
    large[..4].copy_from_slice(&6000_i32.to_be_bytes());
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
        let mut large = BytesMut::from(&script.frame()[..]);
        large.resize(4 + 6000, 0);
        large[..4].copy_from_slice(&6000_i32.to_be_bytes());
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
    assert!(size_of_val(&running) < 8 << 10, "{} bytes", size_of_val(&running));
}
