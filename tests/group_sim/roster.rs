//! The members of a run: for each specification one process after another.
//!
//! Promises: a process that is killed closes its connections without a word; another comes after a while, until the run
//! says that none is to come.
//! Called by `run`, `chaos` and `finale`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_runtime::{Entropy, SeededEntropy};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ledger::Fate;
use crate::member::Member;
use crate::plan::{Spec, ms_between, percent};
use crate::world::World;

/// All members.
pub struct Roster {
    pub seats: Vec<Seat>,
}

/// Where one process after another is the same member.
pub struct Seat {
    pub spec: Spec,
    kill: Arc<Notify>,
    leaving: Arc<AtomicBool>,
    is_last: Arc<AtomicBool>,
    keeper: JoinHandle<()>,
}

impl Roster {
    pub fn start(world: &Arc<World>, entropy: &SeededEntropy) -> Self {
        let seat = |(index, spec): (usize, &Spec)| {
            Seat::start(world, index, spec.clone(), SeededEntropy::new(entropy.next_u64()))
        };
        Self { seats: world.plan.members.iter().enumerate().map(seat).collect() }
    }

    /// Those of a group.
    pub fn of(&self, group: usize) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(move |seat| seat.spec.group == group)
    }
}

impl Seat {
    fn start(world: &Arc<World>, index: usize, spec: Spec, entropy: SeededEntropy) -> Self {
        let (kill, leaving, is_last) = (Arc::new(Notify::new()), Arc::default(), Arc::default());
        let keeper = Keeper {
            world: world.clone(),
            index,
            spec: spec.clone(),
            entropy,
            kill: kill.clone(),
            leaving: Arc::clone(&leaving),
            is_last: Arc::clone(&is_last),
        };
        Self { spec, kill, leaving, is_last, keeper: tokio::spawn(keeper.run()) }
    }

    /// The process ends without a word, and another comes.
    pub fn kill(&self) {
        self.kill.notify_one();
    }

    /// The process ends without a word, and no other comes.
    pub fn end(&self) {
        self.is_last.store(true, Ordering::Relaxed);
        self.kill.notify_one();
    }

    /// The process leaves, and no other comes.
    pub fn leave(&self) {
        self.is_last.store(true, Ordering::Relaxed);
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// A process panicked.
    pub fn has_panicked(&self) -> bool {
        self.keeper.is_finished() && !self.is_last.load(Ordering::Relaxed)
    }
}

struct Keeper {
    world: Arc<World>,
    index: usize,
    spec: Spec,
    entropy: SeededEntropy,
    kill: Arc<Notify>,
    leaving: Arc<AtomicBool>,
    is_last: Arc<AtomicBool>,
}

impl Keeper {
    async fn run(self) {
        let mut count = 0;
        let mut twins = Vec::new();
        loop {
            count += 1;
            let who = format!("m{}.{count}", self.index);
            self.world.journal.note(&who, format_args!("starts: {:?}", self.spec));
            let entropy = SeededEntropy::new(self.entropy.next_u64());
            let member = Member::new(&self.world, who.clone(), self.spec.clone(), entropy, self.leaving.clone());
            let mut process = tokio::spawn(member.run());
            tokio::select! {
                biased;
                () = self.kill.notified() => {
                    if self.spec.instance.is_some() && !self.is_last.load(Ordering::Relaxed) && percent(&self.entropy, 30) {
                        // Somebody starts it again while it still runs: it will hear that it is fenced.
                        self.world.journal.count("static members started twice");
                        twins.push(process);
                        continue;
                    }
                    end(&self.world, &who, process).await;
                }
                ended = &mut process => {
                    if let Err(error) = ended {
                        self.world.journal.violation(&who, format_args!("panicked: {error}"));
                    }
                }
            }
            if self.is_last.load(Ordering::Relaxed) {
                return twins.iter().for_each(JoinHandle::abort);
            }
            self.stay_away().await;
        }
    }

    /// For a while; not when the bad times are over.
    async fn stay_away(&self) {
        let most = if percent(&self.entropy, 50) { 2_000 } else { 20_000 };
        let back = Instant::now() + ms_between(&self.entropy, 0, most);
        while Instant::now() < back && !self.world.is_over() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn end(world: &World, who: &str, process: JoinHandle<()>) {
    process.abort();
    // Its connections are closed when it is gone.
    let _ = process.await;
    world.journal.note(who, "is killed");
    world.journal.count("members killed");
    world.ledger.end(who, Fate::Dead);
}
