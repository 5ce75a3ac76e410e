//! Fairness: what one connection does before others have their turn.

use super::*;

/// The longest run of requests of one connection while the other one had some to be begun.
fn longest_run(events: &[Event], is_greedy: impl Fn(i32) -> bool) -> usize {
    let begun: Vec<i32> =
        events.iter().filter_map(|e| if let Event::Began(id) = e { Some(*id) } else { None }).collect();
    let first = begun.iter().position(|id| !is_greedy(*id)).expect("the other one was served");
    let last = begun.iter().rposition(|id| !is_greedy(*id)).unwrap();
    let (mut run, mut longest) = (0, first);
    for id in &begun[first..=last] {
        run = if is_greedy(*id) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// In a task of its own: what `block_on` runs itself has its turn less often than tasks do.
async fn ask_fifty_times(mut modest: MemoryStream) {
    let asking = tokio::spawn(async move {
        for id in 0..50 {
            modest.write_all(&Script::new(ALONE, id).frame()).await.unwrap();
            assert_eq!(read_answer(&mut modest).await, id);
        }
    });
    asking.await.unwrap();
}

/// A peer whose socket is never empty and never full.
#[tokio::test(start_paused = true)]
async fn a_connection_with_endless_requests_lets_others_have_their_turn() {
    for key in [ALONE, OVERLAPPING] {
        let fixture = fixture(Limits { turn_requests: 16, ..Limits::default() }, 4 << 20);
        let (mut greedy, _task) = connect(&fixture.shared, 4 << 20);
        let modest = fixture.client;
        let flood: Vec<u8> = (1_000..50_000).flat_map(|id| Script::new(key, id).frame()).collect();
        greedy.write_all(&flood).await.unwrap();
        ask_fifty_times(modest).await;
        let run = longest_run(&fixture.events.lock().unwrap(), |id| id >= 1_000);
        assert!(run <= 4 * 16, "{run} requests of one connection in a row, key {key}");
    }
}

/// Long requests count by their bytes.
#[tokio::test(start_paused = true)]
async fn a_connection_with_endless_bytes_lets_others_have_their_turn() {
    let fixture = fixture(Limits { turn_bytes: 64 << 10, ..Limits::default() }, 64 << 20);
    let (mut greedy, _task) = connect(&fixture.shared, 64 << 20);
    let modest = fixture.client;
    let flood: Vec<u8> = (1_000..1_500).flat_map(|id| Script::new(OVERLAPPING, id).frame_of(100_000)).collect();
    greedy.write_all(&flood).await.unwrap();
    ask_fifty_times(modest).await;
    let run = longest_run(&fixture.events.lock().unwrap(), |id| id >= 1_000);
    assert!(run <= 4, "{run} requests of 100 KB in a row");
}
